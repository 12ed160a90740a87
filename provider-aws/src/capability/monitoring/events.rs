//! Events that are alarms by themselves: what happens to keys, trails and the root user, database servers that fail, and
//! backups that end badly.

use super::receivers::{topic_arn, topic_name};
use crate::draft::Draft;
use platform_core::{Capability, Resource, Result, Severity};
use serde_json::{Value, json};

/// Longest name of a rule.
const MAX_NAME: usize = 64;
const BY_TRAIL: &str = "AWS API Call via CloudTrail";

/// What is watched for, and how bad it is.
struct Event {
    /// Part of the rule's name.
    name: &'static str,
    severity: Severity,
    says: &'static str,
    pattern: Value,
    /// Where the event says what happened, and to whom or by whom.
    tells: [&'static str; 2],
}

/// What an event of CloudTrail says; others have nothing there, and the message is the shorter.
const CALL: [&str; 2] = ["$.detail.eventName", "$.detail.userIdentity.arn"];

/// One rule an event.
pub(super) fn rules(draft: &Draft<'_>) -> Result<Vec<Resource>> {
    events(draft).into_iter().map(|event| rule(draft, &event)).collect()
}

fn rule(draft: &Draft<'_>, event: &Event) -> Result<Resource> {
    let target = json!({
        "arn": topic_arn(draft, event.severity),
        "parts": {
            "event": "$.detail-type", "when": "$.time", "where": "$.region",
            "call": event.tells[0], "who": event.tells[1],
        },
        "template": format!(
            "\"{}: {}: <event> <call> <who>, <where>, <when>. Runbook: docs/runbooks/aws.md#{}\"",
            draft.context.name, event.says, event.name
        ),
    });
    let desired = json!({ "description": event.says, "pattern": event.pattern, "targets": { "topic": target } });
    let topic = draft.id("sns.Topic", &topic_name(draft, event.severity))?;
    Ok(draft
        .resource(draft.id("events.Rule", &draft.name(event.name, MAX_NAME))?, desired)
        .with_after(topic))
}

fn events(draft: &Draft<'_>) -> Vec<Event> {
    let call = |source: &str, names: &[&str]| json!({ "source": [source], "detail-type": [BY_TRAIL], "detail": { "eventName": names } });
    let mut events = vec![
        Event {
            name: "key-in-danger",
            severity: Severity::Critical,
            says: "Somebody disabled a KMS key or scheduled its deletion",
            pattern: call(
                "aws.kms",
                &["DisableKey", "ScheduleKeyDeletion", "DeleteImportedKeyMaterial"],
            ),
            tells: CALL,
        },
        Event {
            name: "trail-stopped",
            severity: Severity::Critical,
            says: "Somebody stopped, changed or deleted a trail: what follows may not be recorded",
            pattern: call(
                "aws.cloudtrail",
                &["StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"],
            ),
            tells: CALL,
        },
        Event {
            name: "bucket-opened",
            severity: Severity::Warning,
            says: "Somebody changed who may use a bucket",
            pattern: call(
                "aws.s3",
                &[
                    "DeleteBucketPolicy",
                    "PutBucketPolicy",
                    "PutBucketAcl",
                    "PutBucketPublicAccessBlock",
                    "DeleteBucketPublicAccessBlock",
                    "PutAccountPublicAccessBlock",
                    "DeleteAccountPublicAccessBlock",
                ],
            ),
            tells: CALL,
        },
        Event {
            name: "root-used",
            severity: Severity::Critical,
            says: "The root user signed in or called an API",
            pattern: json!({
                "detail-type": ["AWS Console Sign In via CloudTrail", BY_TRAIL],
                "detail": { "userIdentity": { "type": ["Root"] } },
            }),
            tells: CALL,
        },
        Event {
            name: "findings",
            severity: Severity::Warning,
            says: "GuardDuty or Security Hub found something severe",
            pattern: json!({ "$or": [
                { "source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"], "detail": { "severity": [{ "numeric": [">=", 7] }] } },
                { "source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"],
                    "detail": { "findings": { "Severity": { "Label": ["HIGH", "CRITICAL"] }, "Workflow": { "Status": ["NEW"] } } } },
            ]}),
            tells: CALL,
        },
        Event {
            name: "aws-health",
            severity: Severity::Warning,
            says: "AWS has a fault that touches this account",
            pattern: json!({
                "source": ["aws.health"],
                "detail-type": ["AWS Health Event"],
                "detail": { "eventTypeCategory": ["issue"] },
            }),
            tells: CALL,
        },
    ];
    let data = draft.context.surfaces.get(Capability::Database);
    let servers = data.into_iter().flat_map(|surface| &surface.data);
    let servers: Vec<&str> = servers.map(|asset| asset.id.name().as_str()).collect();
    if !servers.is_empty() {
        // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
        let of = |name, severity, says, categories: &[&str]| Event {
            name,
            severity,
            says,
            pattern: json!({
                "source": ["aws.rds"],
                "detail-type": ["RDS DB Instance Event"],
                "detail": { "EventCategories": categories, "SourceIdentifier": servers },
            }),
            tells: ["$.detail.Message", "$.detail.SourceIdentifier"],
        };
        events.extend([
            of(
                "database-failed",
                Severity::Critical,
                "A database server failed, or its volume is full",
                &["failure", "low storage"],
            ),
            of(
                "database-moved",
                Severity::Warning,
                "A database server failed over, was recovered, or is maintained",
                &["failover", "maintenance", "recovery"],
            ),
        ]);
    }
    if draft.context.surfaces.get(Capability::Backup).is_some() {
        events.push(Event {
            name: "backup-ended-badly",
            severity: Severity::Critical,
            says: "A backup or its copy failed, was aborted, ran out of time or is not complete",
            pattern: json!({
                "source": ["aws.backup"],
                "detail-type": ["Backup Job State Change", "Copy Job State Change"],
                "detail": { "state": ["ABORTED", "EXPIRED", "FAILED", "PARTIAL"] },
            }),
            tells: CALL,
        });
    }
    events
}
