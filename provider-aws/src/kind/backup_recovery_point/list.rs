//! What a vault holds, whoever asked for it.

use super::{FACTS, Service, state};
use crate::error::Outcome;
use crate::kind::{backup, rds};
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::RecoveryPointByBackupVault;
use platform_core::value::{Digest, Name, Timestamp, Uid};
use platform_core::{Live, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The recovery points of a vault, or those of one thing in it; none where there is no such vault.
pub(super) async fn points(
    scope: &Scope<'_>,
    vault: &str,
    resource: Option<String>,
) -> Result<Vec<RecoveryPointByBackupVault>> {
    let mut pages = scope
        .clients
        .backup
        .list_recovery_points_by_backup_vault()
        .backup_vault_name(vault)
        .set_by_resource_arn(resource)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.absent("backup:ListRecoveryPointsByBackupVault", &["ResourceNotFoundException"])?;
        let Some(page) = page else { break };
        found.extend(page.recovery_points.unwrap_or_default());
    }
    Ok(found)
}

/// The tags of a recovery point. Those of RDS are snapshots, whose tags RDS tells.
pub(super) async fn tags_of(scope: &Scope<'_>, arn: &str) -> Result<Tags> {
    if Service::of_arn(arn) == Some(Service::Rds) {
        return rds::tags_at(scope, arn).await;
    }
    Ok(backup::tags_at(scope, arn).await?.unwrap_or_default())
}

/// Every recovery point of a vault.
pub(crate) async fn all(scope: &Scope<'_>, vault: &Name) -> Result<Vec<Live>> {
    let mut found = Vec::new();
    for point in points(scope, vault.as_str(), None).await? {
        // Only one that no plan asked for can be ours.
        let tags = match (point.created_by(), point.recovery_point_arn()) {
            (None, Some(arn)) => tags_of(scope, arn).await?,
            _ => Tags::new(),
        };
        found.push(live(scope, vault, &point, &tags)?);
    }
    Ok(found)
}

fn live(scope: &Scope<'_>, vault: &Name, point: &RecoveryPointByBackupVault, tags: &Tags) -> Result<Live> {
    let arn = point.recovery_point_arn().unwrap_or_default();
    let ours = tags::ours(tags, tags::ID).and_then(|id| id.strip_prefix(FACTS.kind)?.strip_prefix('/'));
    let name = match ours {
        Some(name) => Name::new(name)?,
        None => Name::new(format!("{vault}/{}", Digest::of_text(arn).short(16)))?,
    };
    Ok(Live {
        uid: Uid::new(arn),
        view: Arc::new(json!({
            "resource": point.resource_arn(),
            "plan": point.created_by().and_then(|creator| creator.backup_plan_name()),
            "rule": point.created_by().and_then(|creator| creator.backup_rule_name()),
            "encrypted": point.is_encrypted(),
        })),
        outputs: outputs(point),
        state: state(point),
        ..backup::listed(scope, &FACTS, name, tags)?
    })
}

/// Its ARN and its moments.
pub(super) fn outputs(point: &RecoveryPointByBackupVault) -> BTreeMap<String, Value> {
    let expires = point.calculated_lifecycle().and_then(|lifecycle| lifecycle.delete_at());
    let moment = |date: &DateTime| json!(Timestamp::from_seconds(date.secs()).to_string());
    let dates = [
        // When AWS Backup began is when the data is of, as far as it tells.
        ("started", point.initiation_date().or(point.creation_date())),
        ("completed", point.completion_date()),
        ("expires", expires),
    ];
    let dates = dates.into_iter().filter_map(|(name, date)| Some((name, moment(date?))));
    dates
        .chain([("arn", json!(point.recovery_point_arn()))])
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
