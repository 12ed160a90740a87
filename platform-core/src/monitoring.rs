//! Metrics, alarms and dashboards: Prometheus and Grafana, or CloudWatch.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::database::Credentials;
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Percent, Size, Span, Supplied};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Metrics, alarms and dashboards: Prometheus and Grafana, or CloudWatch.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Monitoring: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> MonitoringFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &MonitoringSpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &MonitoringSpec, context: &Context) -> Result<Blueprint<MonitoringOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &MonitoringSpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Monitoring)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &MonitoringSpec, approvals: &Approvals) -> Result<MonitoringOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &MonitoringSpec) -> Result<Option<MonitoringOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &MonitoringSpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Monitoring)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }
}

/// Wanted monitoring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MonitoringSpec {
    /// Name of the platform.
    pub name: String,
    /// Alarm when more of the allowed connections are used. Default 80 %.
    pub connections: Percent,
    /// Alarm when more requests fail. Default 5 %.
    pub errors: Percent,
    /// Alarm when CPU, memory or volume are fuller. Default 85 %.
    pub utilisation: Percent,
    /// How long metrics are kept. Default 15d.
    pub retention: Span,
    /// Who is told, by name. Default nobody: alarms are then only shown.
    pub receivers: BTreeMap<String, Receiver>,
    /// URL of a dead man's switch, called every five minutes while the way from a rule to a receiver works. Default none.
    pub heartbeat: Option<Supplied>,
    /// Volume of the metrics; the oldest go when it is four fifths full. Kubernetes only. Default 10Gi.
    pub storage: Size,
    /// StorageClass of that volume and of Alertmanager's. Kubernetes only. Default: the cluster's.
    pub storage_class: Option<String>,
    /// Memory of the metrics server. Kubernetes only. Default 1Gi.
    pub memory: Size,
    /// Whether an agent on every node reads CPU, memory, disks and network of the node itself, which takes a namespace
    /// without Pod Security. Without it the kubelets tell of containers and volumes alone. Kubernetes only. Default on.
    pub node_exporter: bool,
}

impl MonitoringSpec {
    /// The thresholds are the caller's; the profile of an environment gives 80 %, 5 % and 85 %. Keeps metrics for 15 days.
    pub fn new(name: impl Into<String>, connections: Percent, errors: Percent, utilisation: Percent) -> Self {
        Self {
            name: name.into(),
            connections,
            errors,
            utilisation,
            retention: Span::days(15),
            receivers: BTreeMap::new(),
            heartbeat: None,
            storage: Size::gib(10),
            storage_class: None,
            memory: Size::gib(1),
            node_exporter: true,
        }
    }
    /// Sets how long metrics are kept.
    pub fn with_retention(mut self, retention: Span) -> Self {
        self.retention = retention;
        self
    }
    /// Adds somebody who is told.
    pub fn with_receiver(mut self, name: impl Into<String>, receiver: Receiver) -> Self {
        self.receivers.insert(name.into(), receiver);
        self
    }
    /// Sets the volume of the metrics.
    pub fn with_storage(mut self, storage: Size) -> Self {
        self.storage = storage;
        self
    }
    /// Sets the StorageClass.
    pub fn with_storage_class(mut self, name: impl Into<String>) -> Self {
        self.storage_class = Some(name.into());
        self
    }
    /// Sets the memory of the metrics server.
    pub fn with_memory(mut self, memory: Size) -> Self {
        self.memory = memory;
        self
    }
    /// Sets whether an agent runs on every node.
    pub fn with_node_exporter(mut self, wanted: bool) -> Self {
        self.node_exporter = wanted;
        self
    }
    /// Sets the dead man's switch.
    pub fn with_heartbeat(mut self, url: Supplied) -> Self {
        self.heartbeat = Some(url);
        self
    }
}

/// Somebody who is told of alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// How.
    pub channel: Channel,
    /// The least severity of what is sent. Default `warning`.
    #[serde(default)]
    pub from: Severity,
}

impl Receiver {
    /// Whether this can be the name of a receiver: at most 63 lower-case letters, digits and inner hyphens, and neither
    /// `nobody` nor `heartbeat`, to which alarms without a receiver and the dead man's switch lead.
    pub fn is_name(text: &str) -> bool {
        (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !matches!(text, "nobody" | "heartbeat")
    }
}

/// How an alarm reaches somebody. What opens the channel is a supplied secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Posts JSON to a URL.
    Webhook {
        /// The URL.
        url: Supplied,
    },
    /// Posts to a Slack channel.
    Slack {
        /// URL of the incoming webhook.
        url: Supplied,
        /// The channel: `#alarms`.
        channel: String,
    },
    /// Sends mail over STARTTLS.
    Email {
        /// Address of the receiver.
        to: String,
        /// Address of the sender.
        from: String,
        /// The mail server: `smtp.example.com:587`.
        server: String,
        /// User at the mail server.
        user: String,
        /// The user's password.
        password: Supplied,
    },
    /// Opens incidents at PagerDuty.
    PagerDuty {
        /// Integration key of the events API, version 2.
        routing_key: Supplied,
    },
}

impl Channel {
    /// Whether this is a mail address: `oncall@example.com`.
    pub fn is_address(text: &str) -> bool {
        is_word(text)
            && text
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
    }

    /// Whether this is a mail server with its port: `smtp.example.com:587`.
    pub fn is_server(text: &str) -> bool {
        is_word(text)
            && text
                .rsplit_once(':')
                .is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
    }

    /// Whether this is a Slack channel: `#alarms`.
    pub fn is_slack_channel(text: &str) -> bool {
        is_word(text)
    }
}

/// One word, without what alarm servers would take for a template or a list.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '{' | '}' | ','))
}

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs somebody soon.
    #[default]
    Warning,
    /// Needs somebody now.
    Critical,
}

impl Severity {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a Monitoring provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitoringFeatures {
    /// Dashboards as code.
    pub dashboards: bool,
    /// An agent on every node.
    pub node_exporter: bool,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringOutputs {
    /// Addresses of dashboards, by name.
    pub dashboards: BTreeMap<String, String>,
    /// Where the credentials of the dashboards are; absent where the cloud account opens them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Where alarms go.
    pub alarms: String,
}
