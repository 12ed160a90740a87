//! What CloudWatch watches, when it raises an alarm, whom it tells and what it shows.
//!
//! Everything follows from the surfaces of the other capabilities: an alarm is about a subject that one of them states.

mod alarms;
mod dashboards;
mod events;
mod receivers;

use crate::aws::Shared;
use crate::draft::Draft;
use crate::foundation::retention;
use crate::kind::cloudwatch_composite_alarm::MAX_RULE;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::ResourceId;
use platform_core::{
    Blueprint, Capability, Context, Error, ErrorKind, Holds, Monitoring, MonitoringFeatures, MonitoringOutputs,
    MonitoringSpec, Resource, Result, Severity, Surface,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Alarms that a composite alarm names at most.
const CHILDREN: usize = 100;
/// Longest name of an alarm, topic and dashboard.
const MAX_NAME: usize = 230;

/// CloudWatch, SNS and EventBridge.
#[derive(Debug)]
pub(crate) struct AwsMonitoring(pub(crate) Arc<Shared>);

impl AwsMonitoring {
    fn draft<'a>(&'a self, context: &'a Context) -> Draft<'a> {
        Draft::new(&self.0, context, Capability::Monitoring.as_str())
    }
}

#[async_trait]
impl Monitoring for AwsMonitoring {
    fn features(&self) -> MonitoringFeatures {
        let mut features = MonitoringFeatures::default();
        features.dashboards = true;
        features
    }

    fn surface(&self, spec: &MonitoringSpec, _context: &Context) -> Result<Surface> {
        check(spec)?;
        Ok(Surface::default())
    }

    fn blueprint(&self, spec: &MonitoringSpec, context: &Context) -> Result<Blueprint<MonitoringOutputs>> {
        check(spec)?;
        let draft = self.draft(context);
        let mut resources = self.0.own_foundation(Capability::Monitoring, context)?;
        for severity in receivers::SEVERITIES {
            resources.push(receivers::topic(&draft, spec, severity)?);
        }
        resources.extend(logs(&draft)?);
        let alarms = alarms::all(&draft, spec);
        let mut made = Vec::new();
        for alarm in &alarms {
            let one = alarm.resource(&draft)?;
            made.push(one.id.clone());
            resources.push(one);
        }
        let composites = composites(&draft, &made)?;
        let all: Vec<String> = composites.iter().map(|one| one.id.name().to_string()).collect();
        resources.extend(composites);
        resources.extend(events::rules(&draft)?);
        let mut shown = BTreeMap::new();
        for dashboard in dashboards::all(&draft, &alarms, &all) {
            let one = dashboard.resource(&draft)?;
            shown.insert(dashboard.name.to_owned(), console(&draft, one.id.name().as_str()));
            resources.push(one);
        }
        Blueprint::new(
            resources,
            &MonitoringOutputs {
                dashboards: shown,
                credentials: None,
                alarms: told(&draft, spec),
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// Refuses what CloudWatch and SNS cannot do.
fn check(spec: &MonitoringSpec) -> Result<()> {
    if spec.heartbeat.is_some() {
        return Err(
            Error::new(ErrorKind::Unsupported, "CloudWatch calls no dead man's switch")
                .with_context("config", "monitoring.heartbeat")
                .with_help("take the key out; a missing backup raises an alarm of its own"),
        );
    }
    receivers::check(spec)
}

/// The log groups that RDS writes into, made before it makes them itself: without retention and without the key.
fn logs(draft: &Draft<'_>) -> Result<Vec<Resource>> {
    let databases: BTreeSet<&str> = alarms::subjects(draft.context, Capability::Database)
        .map(|subject| subject.subject.as_str())
        .collect();
    let mut groups = Vec::new();
    for database in databases {
        for log in ["postgresql", "upgrade"] {
            let desired = json!({
                "retention_days": retention(draft.context.environment),
                "kms_key": draft.data_key()?,
            });
            let id = draft.id("logs.LogGroup", &format!("aws/rds/instance/{database}/{log}"))?;
            groups.push(draft.resource(id, desired).with_holds(Holds::Durable));
        }
    }
    Ok(groups)
}

/// Alarms that are on while any other is: what a status page asks. They tell nobody, since each of the others does.
fn composites(draft: &Draft<'_>, alarms: &[ResourceId]) -> Result<Vec<Resource>> {
    let mut rules: Vec<(String, Vec<ResourceId>)> = Vec::new();
    for alarm in alarms {
        let term = format!("ALARM(\"{}\")", alarm.name());
        match rules.last_mut() {
            Some((rule, named)) if named.len() < CHILDREN && rule.len() + 4 + term.len() <= MAX_RULE => {
                rule.push_str(" OR ");
                rule.push_str(&term);
                named.push(alarm.clone());
            }
            _ => rules.push((term, vec![alarm.clone()])),
        }
    }
    rules
        .into_iter()
        .enumerate()
        .map(|(at, (rule, named))| {
            let part = match at {
                0 => "platform".to_owned(),
                at => format!("platform-{}", at + 1),
            };
            let desired = json!({
                "description": format!("Any alarm of {} is on.", draft.context.name),
                "rule": rule,
            });
            let id = draft.id("cloudwatch.CompositeAlarm", &draft.name(&part, MAX_NAME))?;
            Ok(named
                .into_iter()
                .fold(draft.resource(id, desired), Resource::with_after))
        })
        .collect()
}

/// Where a dashboard is seen.
fn console(draft: &Draft<'_>, dashboard: &str) -> String {
    let region = draft.shared.region();
    let host = match draft.partition() {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{host}/cloudwatch/home?region={region}#dashboards/dashboard/{dashboard}")
}

fn told(draft: &Draft<'_>, spec: &MonitoringSpec) -> String {
    let topics: Vec<String> = receivers::SEVERITIES
        .into_iter()
        .map(|severity| receivers::topic_name(draft, severity))
        .collect();
    let told: Vec<&str> = spec.receivers.keys().map(String::as_str).collect();
    let told = if told.is_empty() {
        "shown in CloudWatch alone: nobody is named as a receiver".to_owned()
    } else {
        format!("sent to {}", told.join(", "))
    };
    format!("SNS topics {}, {told}", topics.join(" and "))
}

/// Whether a severity is as bad as the topic's.
fn reaches(from: Severity, topic: Severity) -> bool {
    from <= topic
}
