//! Changing a replication group, one step at a time: ElastiCache takes none while another is under way.

use super::{Desired, read};
use crate::error::Outcome;
use crate::kind::Found;
use crate::provider::Scope;
use crate::tags;
use aws_sdk_elasticache::types::{
    CloudWatchLogsDestinationDetails, DestinationDetails, DestinationType, LogDeliveryConfigurationRequest, LogFormat,
    LogType,
};
use platform_core::{Error, ErrorKind, Result, State};
use std::time::Duration;

/// How often a busy group is looked at, and for how long.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_hours(1);

/// Waits until the group takes changes and tells its tags.
pub(super) async fn settle(scope: &Scope<'_>, name: &str) -> Result<()> {
    let until = scope.clock.elapsed() + PATIENCE;
    loop {
        let group = read::group(scope, name).await?;
        match group.as_ref().map(read::state) {
            Some(State::Ready) => return Ok(()),
            Some(State::Failed { why }) => return Err(Error::new(ErrorKind::Failed, why)),
            None | Some(State::Deleting { .. }) => {
                return Err(
                    Error::new(ErrorKind::Conflict, "the cache was deleted while it was waited for")
                        .with_help("find out who deletes it, then run again"),
                );
            }
            Some(State::Progressing { what }) if scope.clock.elapsed() >= until => {
                return Err(Error::new(ErrorKind::Timeout, format!("the cache is still {what}"))
                    .with_help("look at its events; run again to go on waiting"));
            }
            Some(State::Progressing { .. }) => scope.clock.sleep(PAUSE).await,
        }
    }
}

/// The group as it is at rest; refuses one that became another's while it was busy.
pub(super) async fn at_rest(scope: &Scope<'_>, name: &str, seen: &Found<Desired>) -> Result<Found<Desired>> {
    if seen.state == State::Ready {
        return Ok(seen.clone());
    }
    settle(scope, name).await?;
    let set = |found: &Found<Desired>| tags::ours(&found.tags, tags::SET).map(str::to_owned);
    match read::found(scope, name).await? {
        Some(now) if now.uid == seen.uid && set(&now) == set(seen) => Ok(now),
        _ => Err(Error::new(ErrorKind::Conflict, "the cache was replaced while it was busy").with_help("plan again")),
    }
}

/// The newest version of a major one.
pub(super) async fn newest(scope: &Scope<'_>, engine: &str, major: &str) -> Result<String> {
    let call = scope.clients.cache.describe_cache_engine_versions().engine(engine);
    let mut pages = call.into_paginator().send();
    let mut versions = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.during("elasticache:DescribeCacheEngineVersions")?;
        let all = page
            .cache_engine_versions()
            .iter()
            .filter_map(|one| one.engine_version());
        versions.extend(all.filter(|one| read::major(one) == major).map(str::to_owned));
    }
    let order = |version: &String| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    versions.into_iter().max_by_key(order).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            format!("ElastiCache has no version {major} of {engine} here"),
        )
        .with_help("choose a major version that `aws elasticache describe-cache-engine-versions` lists")
    })
}

/// Both logs of a cache, as JSON.
pub(super) fn logs(group: Option<&str>) -> Vec<LogDeliveryConfigurationRequest> {
    [LogType::SlowLog, LogType::EngineLog]
        .map(|log| {
            let request = LogDeliveryConfigurationRequest::builder().log_type(log);
            match group {
                None => request.enabled(false).build(),
                Some(group) => {
                    let details = CloudWatchLogsDestinationDetails::builder().log_group(group).build();
                    request
                        .destination_type(DestinationType::CloudWatchLogs)
                        .destination_details(DestinationDetails::builder().cloud_watch_logs_details(details).build())
                        .log_format(LogFormat::Json)
                        .enabled(true)
                        .build()
                }
            }
        })
        .to_vec()
}

pub(super) async fn update(scope: &Scope<'_>, name: &str, seen: &Found<Desired>, wanted: &Desired) -> Result<()> {
    let have = at_rest(scope, name, seen).await?.settings;
    if have.replicas < wanted.replicas {
        replicas(scope, name, &have, wanted.replicas).await?;
    }
    modify(scope, name, &have, wanted).await?;
    if have.version != wanted.version {
        scope
            .clients
            .cache
            .modify_replication_group()
            .replication_group_id(name)
            .engine_version(newest(scope, &wanted.engine, &wanted.version).await?)
            .cache_parameter_group_name(&wanted.parameter_group)
            .apply_immediately(true)
            .send()
            .await
            .during("elasticache:ModifyReplicationGroup")?;
        settle(scope, name).await?;
    }
    if have.node_type != wanted.node_type {
        scope
            .clients
            .cache
            .modify_replication_group()
            .replication_group_id(name)
            .cache_node_type(&wanted.node_type)
            .apply_immediately(true)
            .send()
            .await
            .during("elasticache:ModifyReplicationGroup")?;
        settle(scope, name).await?;
    }
    if have.replicas > wanted.replicas {
        replicas(scope, name, &have, wanted.replicas).await?;
    }
    Ok(())
}

/// More or fewer servers.
async fn replicas(scope: &Scope<'_>, name: &str, have: &Desired, wanted: u32) -> Result<()> {
    let (cache, count) = (&scope.clients.cache, i32::try_from(wanted).unwrap_or(i32::MAX));
    if have.replicas < wanted {
        cache
            .increase_replica_count()
            .replication_group_id(name)
            .new_replica_count(count)
            .apply_immediately(true)
            .send()
            .await
            .during("elasticache:IncreaseReplicaCount")?;
    } else {
        cache
            .decrease_replica_count()
            .replication_group_id(name)
            .new_replica_count(count)
            .apply_immediately(true)
            .send()
            .await
            .during("elasticache:DecreaseReplicaCount")?;
    }
    settle(scope, name).await
}

/// Everything that one call changes, and only what differs.
async fn modify(scope: &Scope<'_>, name: &str, have: &Desired, wanted: &Desired) -> Result<()> {
    let like = Desired {
        version: have.version.clone(),
        node_type: have.node_type.clone(),
        replicas: have.replicas,
        // Of another version's family: changes with it.
        parameter_group: if have.version == wanted.version {
            wanted.parameter_group.clone()
        } else {
            have.parameter_group.clone()
        },
        ..wanted.clone()
    };
    if have == &like {
        return Ok(());
    }
    let mut call = scope
        .clients
        .cache
        .modify_replication_group()
        .replication_group_id(name)
        .apply_immediately(true);
    if have.description != like.description {
        call = call.replication_group_description(&like.description);
    }
    if have.automatic_failover != like.automatic_failover {
        call = call.set_automatic_failover_enabled(like.automatic_failover);
    }
    if have.multi_az != like.multi_az {
        call = call.set_multi_az_enabled(like.multi_az);
    }
    if have.security_groups != like.security_groups {
        call = call.set_security_group_ids(Some(like.security_groups.clone()));
    }
    if have.parameter_group != like.parameter_group {
        call = call.cache_parameter_group_name(&like.parameter_group);
    }
    if have.user_group != like.user_group {
        call = call.user_group_ids_to_add(&like.user_group);
        if !have.user_group.is_empty() {
            call = call.user_group_ids_to_remove(&have.user_group);
        }
    }
    if have.snapshot_retention != like.snapshot_retention {
        call = call.snapshot_retention_limit(like.snapshot_retention);
    }
    if have.snapshot_window != like.snapshot_window {
        call = call.snapshot_window(&like.snapshot_window);
    }
    if have.maintenance_window != like.maintenance_window {
        call = call.preferred_maintenance_window(&like.maintenance_window);
    }
    if have.auto_minor_version_upgrade != like.auto_minor_version_upgrade {
        call = call.auto_minor_version_upgrade(like.auto_minor_version_upgrade);
    }
    if have.log_group != like.log_group {
        call = call.set_log_delivery_configurations(Some(logs(like.log_group.as_deref())));
    }
    call.send().await.during("elasticache:ModifyReplicationGroup")?;
    settle(scope, name).await
}
