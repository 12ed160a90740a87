//! Reading: the server as RDS shows it, with what it is about to become.

use super::{ABSENT, Desired, Monitoring, Restore, final_prefix};
use crate::error::Outcome;
use crate::kind::Found;
use crate::kind::rds::tags_of;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_rds::types::{DbInstance, Endpoint, PendingModifiedValues};
use platform_core::value::Uid;
use platform_core::{Result, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Waits for a restart.
const PENDING_REBOOT: &str = "pending-reboot";

pub(super) async fn describe(scope: &Scope<'_>, name: &str) -> Result<Option<DbInstance>> {
    let answer = scope
        .clients
        .rds
        .describe_db_instances()
        .db_instance_identifier(name)
        .send()
        .await
        .absent("rds:DescribeDBInstances", ABSENT)?;
    Ok(answer.and_then(|answer| answer.db_instances.unwrap_or_default().into_iter().next()))
}

/// All servers of the account and region, whoever's they are.
pub(super) async fn instances(scope: &Scope<'_>) -> Result<Vec<DbInstance>> {
    let pages = scope.clients.rds.describe_db_instances().into_paginator();
    pages
        .items()
        .send()
        .try_collect()
        .await
        .during("rds:DescribeDBInstances")
}

/// Final snapshots of earlier incarnations, the newest last.
pub(super) async fn final_snapshots(scope: &Scope<'_>, name: &str) -> Result<Vec<String>> {
    let mut pages = scope
        .clients
        .rds
        .describe_db_snapshots()
        .db_instance_identifier(name)
        .snapshot_type("manual")
        .into_paginator()
        .items()
        .send();
    let mut all = Vec::new();
    while let Some(snapshot) = pages.next().await {
        let Some(snapshot) =
            snapshot.absent("rds:DescribeDBSnapshots", &["DBSnapshotNotFound", "DBInstanceNotFound"])?
        else {
            break;
        };
        let made = snapshot
            .snapshot_create_time()
            .map_or(0, aws_smithy_types::DateTime::secs);
        all.extend(snapshot.db_snapshot_identifier.map(|id| (made, id)));
    }
    all.sort();
    let prefix = final_prefix(name);
    Ok(all
        .into_iter()
        .map(|(_, id)| id)
        .filter(|id| id.starts_with(&prefix))
        .collect())
}

pub(super) fn found(scope: &Scope<'_>, name: &str, instance: &DbInstance) -> Found<Desired> {
    let tags = tags_of(instance.tag_list());
    let arn = instance.db_instance_arn().unwrap_or(name).to_owned();
    let waiting = waiting(instance);
    if !waiting.is_empty() && instance.db_instance_status() == Some("available") {
        scope.warn(format!(
            "{name} has changes that wait for its maintenance window and count as made: {}; any change made here makes \
             them at once",
            waiting.join(", ")
        ));
    }
    let named = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
    let cluster = named(instance.db_cluster_identifier()).map(|cluster| format!("the Aurora cluster {cluster}"));
    let replica = named(instance.read_replica_source_db_instance_identifier())
        .map(|source| format!("{source}, whose read replica it is"));
    let stranger = cluster.or(replica).filter(|_| tags::ours(&tags, tags::SET).is_none());
    Found {
        uid: Uid::new(instance.dbi_resource_id().unwrap_or(&arn)),
        settings: settings(instance, &tags),
        outputs: outputs(name, &arn, instance),
        handle: arn,
        tags,
        state: state(instance.db_instance_status().unwrap_or_default()),
        doomed: None,
        stranger,
        version: None,
    }
}

fn settings(instance: &DbInstance, tags: &Tags) -> Desired {
    let nothing = PendingModifiedValues::builder().build();
    let pending = instance.pending_modified_values().unwrap_or(&nothing);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let named = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
    let version = pending
        .engine_version()
        .or(instance.engine_version())
        .unwrap_or_default();
    let interval = instance.monitoring_interval().unwrap_or_default();
    let group = instance.db_parameter_groups().first();
    let mut security_groups: Vec<String> = instance
        .vpc_security_groups()
        .iter()
        .filter_map(|group| group.vpc_security_group_id().map(str::to_owned))
        .collect();
    security_groups.sort();
    Desired {
        engine_version: version.split('.').next().unwrap_or_default().to_owned(),
        class: text(pending.db_instance_class().or(instance.db_instance_class())),
        storage_gib: pending
            .allocated_storage()
            .or(instance.allocated_storage())
            .unwrap_or_default(),
        storage_type: text(pending.storage_type().or(instance.storage_type())),
        kms_key: named(instance.kms_key_id()),
        database: named(instance.db_name()),
        username: text(instance.master_username()),
        secret_key: instance
            .master_user_secret()
            .and_then(|secret| secret.kms_key_id().map(str::to_owned)),
        subnet_group: text(
            instance
                .db_subnet_group()
                .and_then(|group| group.db_subnet_group_name()),
        ),
        security_groups,
        parameter_group: text(group.and_then(|group| group.db_parameter_group_name())),
        parameters_applied: group.and_then(|group| group.parameter_apply_status()) != Some(PENDING_REBOOT),
        port: pending
            .port()
            .or(instance.endpoint().and_then(Endpoint::port))
            .or(instance.db_instance_port().filter(|port| *port != 0))
            .unwrap_or_else(super::port),
        private: instance.publicly_accessible() != Some(true),
        multi_az: pending.multi_az().or(instance.multi_az()) == Some(true),
        deletion_protection: instance.deletion_protection() == Some(true),
        iam_authentication: pending
            .iam_database_authentication_enabled()
            .or(instance.iam_database_authentication_enabled())
            == Some(true),
        ca: text(
            pending
                .ca_certificate_identifier()
                .or(instance.ca_certificate_identifier()),
        ),
        insights_key: instance
            .performance_insights_kms_key_id()
            .filter(|_| instance.performance_insights_enabled() == Some(true))
            .map(str::to_owned),
        monitoring: instance
            .monitoring_role_arn()
            .filter(|_| interval > 0)
            .map(|role| Monitoring {
                role: role.to_owned(),
                seconds: interval,
            }),
        log_exports: log_exports(instance, pending),
        copy_tags_to_snapshots: instance.copy_tags_to_snapshot() == Some(true),
        minor_upgrades: instance.auto_minor_version_upgrade() == Some(true),
        backup_days: pending
            .backup_retention_period()
            .or(instance.backup_retention_period())
            .unwrap_or_default(),
        backup_window: text(instance.preferred_backup_window()),
        maintenance_window: text(instance.preferred_maintenance_window()).to_lowercase(),
        restore: tags::ours(tags, tags::RESTORED).and_then(Restore::of_tag),
    }
}

fn log_exports(instance: &DbInstance, pending: &PendingModifiedValues) -> Vec<String> {
    let mut logs = instance.enabled_cloudwatch_logs_exports().to_vec();
    if let Some(pending) = pending.pending_cloudwatch_logs_exports() {
        logs.retain(|log| !pending.log_types_to_disable().contains(log));
        logs.extend(pending.log_types_to_enable().iter().cloned());
    }
    logs.sort();
    logs.dedup();
    logs
}

/// What is about to change, for people.
pub(super) fn waiting(instance: &DbInstance) -> Vec<String> {
    let Some(pending) = instance.pending_modified_values() else {
        return Vec::new();
    };
    let number = |value: Option<i32>| value.map(|value| value.to_string());
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    let text = |value: Option<&str>| value.map(str::to_owned);
    [
        ("class", text(pending.db_instance_class())),
        ("storage", number(pending.allocated_storage())),
        ("storage type", text(pending.storage_type())),
        ("port", number(pending.port())),
        ("backup days", number(pending.backup_retention_period())),
        ("multi-AZ", flag(pending.multi_az())),
        ("version", text(pending.engine_version())),
        ("CA", text(pending.ca_certificate_identifier())),
        ("subnet group", text(pending.db_subnet_group_name())),
        (
            "IAM authentication",
            flag(pending.iam_database_authentication_enabled()),
        ),
        (
            "log exports",
            pending.pending_cloudwatch_logs_exports().map(|_| "others".to_owned()),
        ),
    ]
    .into_iter()
    .filter_map(|(what, value)| Some(format!("{what} {}", value?)))
    .collect()
}

fn outputs(name: &str, arn: &str, instance: &DbInstance) -> BTreeMap<String, Value> {
    let secret = instance.master_user_secret().and_then(|secret| secret.secret_arn());
    [
        ("arn", Some(arn)),
        ("name", Some(name)),
        ("resource_id", instance.dbi_resource_id()),
        ("host", instance.endpoint().and_then(|endpoint| endpoint.address())),
        ("secret_arn", secret),
        (
            "password",
            Some(secret.unwrap_or("where it was before the server was taken over")),
        ),
        ("username", instance.master_username()),
        ("database", Some(instance.db_name().unwrap_or("postgres"))),
        ("engine_version", instance.engine_version()),
    ]
    .into_iter()
    .filter_map(|(output, value)| Some((output.to_owned(), json!(value?))))
    .collect()
}

/// What a status word means.
pub(super) fn state(status: &str) -> State {
    let failed = |why: &str| State::Failed { why: why.to_owned() };
    match status {
        "available" | "storage-optimization" | "storage-config-upgrade" => State::Ready,
        "deleting" => State::Deleting { blocked_by: Vec::new() },
        "storage-full" => failed("its volume is full: raise `storage`, by a tenth at least"),
        "stopped" => {
            failed("it is stopped: start it (aws rds start-db-instance); RDS starts it by itself after 7 days")
        }
        "inaccessible-encryption-credentials" => failed(
            "its key cannot be used: enable the KMS key or call off its deletion; what RDS has given up is restored from a \
             backup only",
        ),
        "inaccessible-encryption-credentials-recoverable" => failed(
            "its key cannot be used: enable the KMS key within 7 days, then start it (aws rds start-db-instance)",
        ),
        "incompatible-network" => failed(
            "its network lacks what it needs: look for free addresses in its subnets, then change anything of it to try again",
        ),
        "incompatible-parameters" => failed(
            "it does not start with its parameters: set them back; memory that does not suffice for them is the usual cause",
        ),
        "incompatible-option-group" => failed("its option group does not fit its version: choose another one"),
        "incompatible-restore" | "restore-error" => {
            failed("the copy cannot be restored: delete this instance and restore another copy")
        }
        "incompatible-create" => {
            failed("it could not be made as asked: its events say why; delete it and make it anew")
        }
        "insufficient-capacity" => failed("AWS has no such servers left there: choose another `instance_class`"),
        "failed" => failed("it failed and RDS cannot mend it: restore a backup under a new name (its events say why)"),
        other => State::Progressing {
            what: match other {
                "creating" => "RDS makes the server".to_owned(),
                "backing-up" => "RDS takes a backup".to_owned(),
                "modifying" => "RDS makes the change".to_owned(),
                "rebooting" => "the server restarts".to_owned(),
                "upgrading" => "RDS upgrades the server".to_owned(),
                other => format!("its status is {other}"),
            },
        },
    }
}
