//! `elasticache.ReplicationGroup`: servers of Valkey or Redis OSS that hold one set of keys, the first to be written to.
//! Always with TLS, encrypted at rest, and users of a group instead of one password for all.
//!
//! ElastiCache neither tells nor takes tags of a group that is not available. So a create returns once it is, and what
//! interrupted runs left busy is told apart by what the tagging API knows.

mod facts;
mod read;
mod write;

use super::elasticache as common;
use super::{AwsKind, Found, Limit, Reach, yes};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::Tags;
use async_trait::async_trait;
use facts::FACTS;
use platform_core::value::{Digest, SetId};
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};

const NO_SUCH: &[&str] = &["ReplicationGroupNotFoundFault", "ReplicationGroupNotFound"];
const MAX_REPLICAS: u32 = 5;

#[derive(Debug)]
pub(crate) struct ReplicationGroup;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    #[serde(default = "description")]
    description: String,
    /// `valkey` or `redis`.
    engine: String,
    /// The major version; AWS keeps the minor one up to date.
    version: String,
    /// `cache.m7g.large`.
    node_type: String,
    /// Servers beside the first: 0 to 5.
    #[serde(default)]
    replicas: u32,
    /// A replica takes the first one's place when that fails. Default: where there are replicas.
    #[serde(default)]
    automatic_failover: Option<bool>,
    /// Servers lie in different zones. Default: where there are replicas.
    #[serde(default)]
    multi_az: Option<bool>,
    subnet_group: String,
    security_groups: Vec<String>,
    parameter_group: String,
    user_group: String,
    #[serde(default = "port")]
    port: i32,
    /// Key ARN. Without one a key of ElastiCache's own is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    /// Shown as false by a group that others made.
    #[serde(default = "yes")]
    encrypted: bool,
    /// Shown as false by a group that others made.
    #[serde(default = "yes")]
    tls: bool,
    /// Days that daily snapshots are kept: 0 to 35.
    #[serde(default = "week")]
    snapshot_retention: i32,
    /// `03:00-04:00`, UTC.
    #[serde(default = "snapshot_window")]
    snapshot_window: String,
    /// `sun:05:00-sun:06:00`, UTC.
    #[serde(default = "maintenance_window")]
    maintenance_window: String,
    #[serde(default = "yes")]
    auto_minor_version_upgrade: bool,
    /// Name of the log group that slow and engine logs go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_group: Option<String>,
}

fn description() -> String {
    "Cache".to_owned()
}

fn port() -> i32 {
    6379
}

fn week() -> i32 {
    7
}

fn snapshot_window() -> String {
    "03:00-04:00".to_owned()
}

fn maintenance_window() -> String {
    "sun:05:00-sun:06:00".to_owned()
}

#[async_trait]
impl AwsKind for ReplicationGroup {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "elasticache:{region}:{account}:replicationgroup:{name}",
        "elasticache:{region}:{account}:cluster:{name}*",
    ])
    .beside(&[
        (
            "elasticache:CreateReplicationGroup",
            &[
                "elasticache:{region}:{account}:parametergroup:*",
                "elasticache:{region}:{account}:snapshot:*",
                "elasticache:{region}:{account}:subnetgroup:*",
                "elasticache:{region}:{account}:usergroup:*",
            ],
        ),
        (
            "elasticache:ModifyReplicationGroup",
            &[
                "elasticache:{region}:{account}:parametergroup:*",
                "elasticache:{region}:{account}:usergroup:*",
            ],
        ),
        (
            "elasticache:CreateSnapshot",
            &["elasticache:{region}:{account}:snapshot:*"],
        ),
        (
            "elasticache:DeleteReplicationGroup",
            &["elasticache:{region}:{account}:snapshot:*"],
        ),
    ]);
    const LIMITS: &'static [Limit] = &[Limit::new("user_group", "elasticache:UserGroupId")
        .length(1, usize::MAX)
        .pattern(r"[a-zA-Z][a-zA-Z0-9\-]*")];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let refuse = |why: String, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
        if !["valkey", "redis"].contains(&wanted.engine.as_str()) {
            return refuse(format!("engine is {:?}", wanted.engine), "choose valkey or redis");
        }
        if wanted.version.is_empty() || !wanted.version.chars().all(|c| c.is_ascii_digit()) {
            return refuse(
                format!("version {:?} is no major version", wanted.version),
                "write 8; AWS keeps the minor version up to date in the maintenance window",
            );
        }
        if wanted.replicas > MAX_REPLICAS {
            return refuse(format!("{} replicas", wanted.replicas), "5 are the most");
        }
        if !(0..=35).contains(&wanted.snapshot_retention) {
            return refuse(
                format!("snapshots are kept {} days", wanted.snapshot_retention),
                "choose 0 to 35 days",
            );
        }
        if !(wanted.tls && wanted.encrypted) {
            return refuse(
                "a cache without TLS or not encrypted".to_owned(),
                "leave `tls` and `encrypted` out",
            );
        }
        let replicated = wanted.replicas > 0;
        let failover = *wanted.automatic_failover.get_or_insert(replicated);
        let spread = *wanted.multi_az.get_or_insert(replicated && failover);
        if (failover && !replicated) || (spread && !failover) {
            return refuse(
                "a failover needs a replica, and several zones need a failover".to_owned(),
                "raise `replicas`, or leave `automatic_failover` and `multi_az` out",
            );
        }
        wanted.security_groups.sort();
        wanted.security_groups.dedup();
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        read::found(scope, name).await
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let mut pages = scope
            .clients
            .cache
            .describe_replication_groups()
            .into_paginator()
            .send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.during("elasticache:DescribeReplicationGroups")?;
            let groups = page.replication_groups().iter();
            all.extend(
                groups
                    .filter_map(|group| group.replication_group_id())
                    .map(str::to_owned),
            );
        }
        common::candidates(scope, "replicationgroup", FACTS.name.max, all).await
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        let logs = wanted.log_group.as_deref().map(|group| write::logs(Some(group)));
        scope
            .clients
            .cache
            .create_replication_group()
            .replication_group_id(name)
            .replication_group_description(&wanted.description)
            .engine(&wanted.engine)
            .engine_version(write::newest(scope, &wanted.engine, &wanted.version).await?)
            .cache_node_type(&wanted.node_type)
            .num_cache_clusters(i32::try_from(wanted.replicas).unwrap_or_default() + 1)
            .set_automatic_failover_enabled(wanted.automatic_failover)
            .set_multi_az_enabled(wanted.multi_az)
            .cache_subnet_group_name(&wanted.subnet_group)
            .set_security_group_ids(Some(wanted.security_groups.clone()))
            .cache_parameter_group_name(&wanted.parameter_group)
            .user_group_ids(&wanted.user_group)
            .port(wanted.port)
            .transit_encryption_enabled(true)
            .at_rest_encryption_enabled(true)
            .set_kms_key_id(wanted.kms_key.clone())
            .snapshot_retention_limit(wanted.snapshot_retention)
            .snapshot_window(&wanted.snapshot_window)
            .preferred_maintenance_window(&wanted.maintenance_window)
            .auto_minor_version_upgrade(wanted.auto_minor_version_upgrade)
            .set_log_delivery_configurations(logs)
            .set_tags(Some(common::create_tags(tags)))
            .send()
            .await
            .during("elasticache:CreateReplicationGroup")?;
        write::settle(scope, name).await
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        write::update(scope, name, found, wanted).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        let name = common::last(&found.handle);
        write::settle(scope, name).await?;
        if !put.is_empty() {
            common::retag(scope, &found.handle, put, &[]).await?;
            write::settle(scope, name).await?;
        }
        common::retag(scope, &found.handle, &Tags::new(), remove).await?;
        write::settle(scope, name).await
    }

    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        delete(scope, found, None).await
    }

    async fn delete_with_snapshot(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = common::last(&found.handle);
        // The same for every try, another for the next group of this name.
        let uid = found.uid.as_str();
        let incarnation = match uid.get(..8) {
            Some(start) if uid.chars().all(|c| c.is_ascii_hexdigit()) => start.to_owned(),
            _ => Digest::of_text(uid).short(8).to_owned(),
        };
        delete(scope, found, Some(format!("{name}-final-{incarnation}"))).await
    }
}

#[allow(clippy::disallowed_methods)] // the home of this call
async fn delete(scope: &Scope<'_>, found: &Found<Desired>, snapshot: Option<String>) -> Result<()> {
    if matches!(found.state, State::Deleting { .. }) {
        return Ok(());
    }
    let name = common::last(&found.handle);
    if !matches!(found.state, State::Failed { .. }) {
        write::at_rest(scope, name, found).await?;
    }
    scope
        .clients
        .cache
        .delete_replication_group()
        .replication_group_id(name)
        .retain_primary_cluster(false)
        .set_final_snapshot_identifier(snapshot)
        .send()
        .await
        .absent("elasticache:DeleteReplicationGroup", NO_SUCH)
        .map(drop)
}
