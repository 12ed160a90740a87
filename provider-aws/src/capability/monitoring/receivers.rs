//! Whom alarms tell: one topic a severity, and who listens to it.

use super::{MAX_NAME, reaches};
use crate::draft::Draft;
use platform_core::value::Recipe;
use platform_core::{Channel, Error, ErrorKind, MonitoringSpec, Resource, Result, Severity};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The severities that alarms have here.
pub(super) const SEVERITIES: [Severity; 2] = [Severity::Critical, Severity::Warning];

/// Refuses receivers that SNS cannot tell.
pub(super) fn check(spec: &MonitoringSpec) -> Result<()> {
    for (name, receiver) in &spec.receivers {
        let (channel, instead) = match &receiver.channel {
            Channel::Webhook { .. } | Channel::Email { .. } => continue,
            Channel::Slack { .. } => ("slack", "use `email`, or a `webhook` that answers SNS's confirmation"),
            Channel::PagerDuty { .. } => (
                "pagerduty",
                "use a `webhook` with the integration URL that PagerDuty gives for CloudWatch",
            ),
        };
        return Err(Error::new(ErrorKind::Unsupported, format!("SNS cannot tell {channel}"))
            .with_context("config", format!("monitoring.receivers.{name}.{channel}"))
            .with_help(instead));
    }
    Ok(())
}

pub(super) fn topic_name(draft: &Draft<'_>, severity: Severity) -> String {
    draft
        .called("sns.Topic", &draft.name(severity.as_str(), MAX_NAME))
        .to_owned()
}

pub(super) fn topic_arn(draft: &Draft<'_>, severity: Severity) -> String {
    draft.arn("sns", &topic_name(draft, severity))
}

/// The topic of a severity, with everybody who wants to know of it. SNS writes mails itself: only the address counts.
pub(super) fn topic(draft: &Draft<'_>, spec: &MonitoringSpec, severity: Severity) -> Result<Resource> {
    let (mut emails, mut webhooks) = (BTreeSet::new(), Map::new());
    for (name, receiver) in &spec.receivers {
        if !reaches(receiver.from, severity) {
            continue;
        }
        match &receiver.channel {
            Channel::Email { to, .. } => {
                emails.insert(to.clone());
            }
            Channel::Webhook { url } => {
                webhooks.insert(name.clone(), Recipe::Supplied(url.clone()).to_value());
            }
            Channel::Slack { .. } | Channel::PagerDuty { .. } => {}
        }
    }
    let desired = json!({
        "kms_key": draft.data_key()?,
        "statements": publishers(draft, severity),
        "emails": emails,
        "webhooks": webhooks,
    });
    Ok(draft.resource(draft.id("sns.Topic", &topic_name(draft, severity))?, desired))
}

/// Who may publish: services on behalf of this account.
///
/// EventBridge tells a topic neither account nor rule, so a condition would drop its events without a word.
fn publishers(draft: &Draft<'_>, severity: Severity) -> Vec<Value> {
    let topic = topic_arn(draft, severity);
    let statement = |sid: &str, service: &str| {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sns:Publish",
            "Resource": topic,
        })
    };
    let ours = |mut statement: Value| {
        statement["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": draft.shared.options.account } });
        statement
    };
    vec![
        ours(statement("Alarms", "cloudwatch.amazonaws.com")),
        ours(statement("Backups", "backup.amazonaws.com")),
        statement("Events", "events.amazonaws.com"),
    ]
}
