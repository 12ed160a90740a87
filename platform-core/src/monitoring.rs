//! Metrics, alarms and dashboards: Prometheus and Grafana, or CloudWatch.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Percent, Span};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
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
        }
    }
}

/// What a Monitoring provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitoringFeatures {
    /// Dashboards as code.
    pub dashboards: bool,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringOutputs {
    /// Addresses of dashboards, by name.
    pub dashboards: std::collections::BTreeMap<String, String>,
    /// Where alarms go.
    pub alarms: String,
}
