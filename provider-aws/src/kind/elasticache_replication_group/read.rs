//! Reading a replication group: itself, and one of its servers, which alone knows version, groups and window.

use super::{Desired, NO_SUCH};
use crate::error::Outcome;
use crate::kind::Found;
use crate::kind::elasticache as common;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_elasticache::types::{
    AutomaticFailoverStatus, CacheCluster, DestinationDetails, Endpoint, MultiAzStatus, ReplicationGroup,
    TransitEncryptionMode,
};
use platform_core::{Error, ErrorKind, Result, Retry, State};
use serde_json::{Value, json};
use std::time::Duration;

/// What the tags of a group that is busy are asked for again after.
const LATER: Duration = Duration::from_secs(30);
/// How ElastiCache refuses to tell tags of what is busy.
const BUSY: &[&str] = &[
    "InvalidReplicationGroupState",
    "CacheClusterNotFound",
    "InvalidReplicationGroupStateFault",
];

pub(super) async fn group(scope: &Scope<'_>, name: &str) -> Result<Option<ReplicationGroup>> {
    let call = scope.clients.cache.describe_replication_groups();
    let answer = call.replication_group_id(name).send().await;
    let answer = answer.absent("elasticache:DescribeReplicationGroups", NO_SUCH)?;
    Ok(answer.and_then(|answer| answer.replication_groups?.into_iter().next()))
}

pub(super) fn state(group: &ReplicationGroup) -> State {
    common::state(group.status().unwrap_or_default(), "available")
}

/// A server of the group: all are alike.
async fn server(scope: &Scope<'_>, group: &ReplicationGroup) -> Result<Option<CacheCluster>> {
    let Some(id) = group.member_clusters().first() else {
        return Ok(None);
    };
    let call = scope.clients.cache.describe_cache_clusters().cache_cluster_id(id);
    let answer = call.send().await;
    let answer = answer.absent("elasticache:DescribeCacheClusters", &["CacheClusterNotFound"])?;
    Ok(answer.and_then(|answer| answer.cache_clusters?.into_iter().next()))
}

/// The tags of a group. ElastiCache tells those of a busy one to nobody; the tagging API then knows what they were when
/// it was last at rest, which nothing but we change.
async fn tags_of(scope: &Scope<'_>, arn: &str, state: &State) -> Result<Tags> {
    let call = scope.clients.cache.list_tags_for_resource().resource_name(arn);
    let answer = call.send().await.absent("elasticache:ListTagsForResource", BUSY)?;
    if let Some(answer) = answer {
        return Ok(common::by_key(answer.tag_list()));
    }
    for (of, tags) in scope.tagged_of_set("elasticache:replicationgroup").await? {
        if of == arn && tags::ours(&tags, tags::UID).is_some() {
            return Ok(tags);
        }
    }
    match state {
        // On its way out nobody needs to know whose it was.
        State::Deleting { .. } => Ok(Tags::new()),
        _ => Err(Error::new(
            ErrorKind::Unavailable,
            format!("ElastiCache does not tell the tags of {arn} while it is busy"),
        )
        .with_retry(Retry::After(LATER))
        .with_help("run again in some minutes, when it is available")),
    }
}

pub(super) async fn found(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
    let Some(group) = group(scope, name).await? else {
        return Ok(None);
    };
    let Some(arn) = group.arn() else {
        return Ok(None);
    };
    let state = state(&group);
    let (server, tags) = futures::try_join!(server(scope, &group), tags_of(scope, arn, &state))?;
    let mut found = Found::of_arn(name, arn, settings(&group, server.as_ref()), tags, state);
    let shard = group.node_groups().first();
    let primary = shard.and_then(|shard| shard.primary_endpoint());
    if let Some(address) = primary.and_then(|endpoint| endpoint.address()) {
        let reader = shard.and_then(|shard| shard.reader_endpoint()?.address());
        let values = [
            ("endpoint", Value::from(address)),
            ("port", json!(primary.and_then(Endpoint::port))),
            // Without replicas the first server answers reads, too.
            ("reader", Value::from(reader.unwrap_or(address))),
        ];
        found
            .outputs
            .extend(values.map(|(output, value)| (output.to_owned(), value)));
    }
    Ok(Some(found))
}

fn settings(group: &ReplicationGroup, server: Option<&CacheCluster>) -> Desired {
    let shard = group.node_groups().first();
    let members = shard.map_or(0, |shard| shard.node_group_members().len());
    let replicas = u32::try_from(members.saturating_sub(1)).unwrap_or_default();
    let mut security_groups: Vec<String> = server
        .map(CacheCluster::security_groups)
        .unwrap_or_default()
        .iter()
        .filter_map(|group| group.security_group_id())
        .map(str::to_owned)
        .collect();
    security_groups.sort();
    let logs = group.log_delivery_configurations().iter();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Desired {
        description: text(group.description()),
        engine: text(group.engine()).to_lowercase(),
        version: major(server.and_then(|server| server.engine_version()).unwrap_or_default()).to_owned(),
        node_type: text(group.cache_node_type()),
        replicas,
        automatic_failover: Some(matches!(
            group.automatic_failover(),
            Some(AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling)
        )),
        multi_az: Some(group.multi_az() == Some(&MultiAzStatus::Enabled)),
        subnet_group: text(server.and_then(|server| server.cache_subnet_group_name())),
        security_groups,
        parameter_group: text(server.and_then(|server| server.cache_parameter_group()?.cache_parameter_group_name())),
        user_group: text(group.user_group_ids().first().map(String::as_str)),
        port: shard
            .and_then(|shard| shard.primary_endpoint()?.port())
            .unwrap_or_else(super::port),
        kms_key: group.kms_key_id().map(str::to_owned),
        encrypted: group.at_rest_encryption_enabled().unwrap_or_default(),
        // Servers that take both are shown as those that take none.
        tls: group.transit_encryption_enabled().unwrap_or_default()
            && group.transit_encryption_mode() != Some(&TransitEncryptionMode::Preferred),
        snapshot_retention: group.snapshot_retention_limit().unwrap_or_default(),
        snapshot_window: text(group.snapshot_window()),
        maintenance_window: text(server.and_then(|server| server.preferred_maintenance_window())),
        auto_minor_version_upgrade: group.auto_minor_version_upgrade().unwrap_or_default(),
        log_group: logs
            .filter_map(|log| log.destination_details())
            .find_map(DestinationDetails::cloud_watch_logs_details)
            .and_then(|details| details.log_group())
            .map(str::to_owned),
    }
}

/// The major version: minor ones come by themselves, in the maintenance window.
pub(super) fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
