//! What the capabilities share: the key that encrypts their data, the network that servers lie in, and the cluster.

pub(crate) mod cluster;
pub(crate) mod network;

use crate::aws::Shared;
use crate::draft::{DATA_KEY, Draft};
use crate::network::Network;
use platform_core::{Capability, Context, Environment, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const COMPONENT: &str = "foundation";

/// What the wanted capabilities share.
pub(crate) fn resources(shared: &Shared, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>> {
    let draft = Draft::new(shared, context, COMPONENT);
    let made = match &shared.options.network {
        Network::Create(made) if network::is_needed(&draft, wanted) => Some(made),
        _ => None,
    };
    let mut resources = Vec::new();
    if !wanted.is_empty() {
        resources.push(draft.resource(
            draft.id("kms.Key", &draft.path(DATA_KEY))?,
            json!({ "description": format!("data of {}", context.set), "statements": key_users(&draft, wanted, made.is_some()) }),
        ));
        if !context.alone {
            resources.extend(cluster::resources(&draft)?);
        }
    }
    if let Some(made) = made {
        resources.extend(network::resources(&draft, made, wanted)?);
    }
    Ok(resources)
}

/// How many days logs are kept.
pub(crate) fn retention(environment: Environment) -> &'static str {
    match environment {
        Environment::Prod => "365",
        Environment::Staging => "90",
        Environment::Local | Environment::Dev => "30",
    }
}

/// Services that use the data's key in their own name, beside whom the account's IAM policies allow.
fn key_users(draft: &Draft<'_>, wanted: &BTreeSet<Capability>, with_network: bool) -> Vec<Value> {
    let mut statements = Vec::new();
    if with_network || wanted.contains(&Capability::Monitoring) || draft.shared.options.cluster.is_some() {
        statements.push(of_logs(draft));
    }
    if wanted.contains(&Capability::Monitoring) {
        statements.extend(of_topics(draft));
    }
    statements
}

/// Log groups.
fn of_logs(draft: &Draft<'_>) -> Value {
    json!({
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": { "Service": format!("logs.{}.{}", draft.shared.region(), draft.suffix()) },
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
        "Resource": "*",
        "Condition": { "ArnLike": { "kms:EncryptionContext:aws:logs:arn": draft.arn("logs", "log-group:*") } },
    })
}

/// Services that publish to topics.
fn of_topics(draft: &Draft<'_>) -> Vec<Value> {
    let publisher = |sid: &str, service: &str| {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
        })
    };
    let ours = |mut statement: Value| {
        statement["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": draft.shared.options.account } });
        statement
    };
    vec![
        ours(publisher("Alarms", "cloudwatch.amazonaws.com")),
        ours(publisher("Backups", "backup.amazonaws.com")),
        // EventBridge names no account when it publishes to an encrypted topic: a condition would drop its events.
        publisher("Events", "events.amazonaws.com"),
    ]
}
