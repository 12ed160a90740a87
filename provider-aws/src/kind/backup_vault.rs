//! `backup.Vault`: what keeps backups, with its key, its policy, its lock and who is told.
//!
//! Only governance locks are made: a lock in compliance mode can never be taken back. AWS answers that a caller may not
//! describe a vault when there is none, so the list of vaults decides.

mod facts;

use super::{AwsKind, Found, Reach, backup, yes};
use crate::error::{Outcome, code};
use crate::names;
use crate::policy;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_backup::operation::describe_backup_vault::DescribeBackupVaultOutput;
use aws_sdk_backup::types::{BackupVaultEvent, VaultState};
use facts::FACTS;
use platform_core::value::SetId;
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The shortest and the longest time that a lock may name, in days.
const DAYS: std::ops::RangeInclusive<i64> = 1..=36_500;

#[derive(Debug)]
pub(crate) struct Vault;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// ARN of the key that everything in it is encrypted with. Cannot be changed.
    kms_key: String,
    /// Nobody may delete a backup, or let it go earlier, before its time is over.
    #[serde(default = "yes")]
    deletion_denied: bool,
    /// Further statements of the access policy.
    #[serde(default)]
    statements: Vec<Value>,
    /// How long backups have to be kept; whoever may take the lock away can change that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<Lock>,
    /// Who is told of what becomes of backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    /// Since when the lock can no longer be taken away; shown, never wished for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compliance: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    /// Backups that go earlier are refused.
    min_days: i64,
    /// Backups that go later are refused. Default: none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_days: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    /// ARN of a topic that backup.amazonaws.com may publish to.
    topic: String,
    /// `BACKUP_JOB_FAILED` and the like.
    events: BTreeSet<String>,
}

impl Desired {
    fn policy(&self) -> Vec<Value> {
        let mut statements = self.statements.clone();
        if self.deletion_denied {
            statements.insert(0, denial());
        }
        statements
    }
}

/// Backups go when their time is over, which AWS Backup sees to by itself, and not before.
fn denial() -> Value {
    policy::normal(&json!({
        "Sid": "KeepBackups",
        "Effect": "Deny",
        "Principal": { "AWS": "*" },
        "Action": ["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"],
        "Resource": "*",
    }))
}

/// The vault as described; `None` when there is none.
async fn describe(scope: &Scope<'_>, name: &str) -> Result<Option<DescribeBackupVaultOutput>> {
    let answer = scope
        .clients
        .backup
        .describe_backup_vault()
        .backup_vault_name(name)
        .send()
        .await;
    let denied = answer
        .as_ref()
        .is_err_and(|error| code(error).starts_with("AccessDenied"));
    if denied && !all(scope).await?.contains(name) {
        return Ok(None);
    }
    answer.absent("backup:DescribeBackupVault", &["ResourceNotFoundException"])
}

/// The names of the region's vaults.
async fn all(scope: &Scope<'_>) -> Result<BTreeSet<String>> {
    let mut pages = scope.clients.backup.list_backup_vaults().into_paginator().send();
    let mut found = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.during("backup:ListBackupVaults")?;
        found.extend(
            page.backup_vault_list()
                .iter()
                .filter_map(|vault| vault.backup_vault_name.clone()),
        );
    }
    Ok(found)
}

async fn read_policy(scope: &Scope<'_>, name: &str) -> Result<Vec<Value>> {
    let answer = scope
        .clients
        .backup
        .get_backup_vault_access_policy()
        .backup_vault_name(name)
        .send()
        .await
        .absent("backup:GetBackupVaultAccessPolicy", &["ResourceNotFoundException"])?;
    match answer.as_ref().and_then(|answer| answer.policy()) {
        Some(document) => policy::statements(document),
        None => Ok(Vec::new()),
    }
}

async fn read_told(scope: &Scope<'_>, name: &str) -> Result<Option<Told>> {
    let answer = scope
        .clients
        .backup
        .get_backup_vault_notifications()
        .backup_vault_name(name)
        .send()
        .await
        .absent("backup:GetBackupVaultNotifications", &["ResourceNotFoundException"])?;
    Ok(answer.and_then(|answer| {
        let events = answer
            .backup_vault_events()
            .iter()
            .map(|event| event.as_str().to_owned());
        let events: BTreeSet<String> = events.collect();
        Some(Told {
            topic: answer.sns_topic_arn?,
            events,
        })
    }))
}

async fn write_policy(scope: &Scope<'_>, name: &str, statements: &[Value]) -> Result<()> {
    let backup = &scope.clients.backup;
    if statements.is_empty() {
        return backup
            .delete_backup_vault_access_policy()
            .backup_vault_name(name)
            .send()
            .await
            .during("backup:DeleteBackupVaultAccessPolicy")
            .map(drop);
    }
    backup
        .put_backup_vault_access_policy()
        .backup_vault_name(name)
        .policy(policy::document(statements))
        .send()
        .await
        .during("backup:PutBackupVaultAccessPolicy")
        .map(drop)
}

async fn write_lock(scope: &Scope<'_>, name: &str, lock: Option<Lock>) -> Result<()> {
    let backup = &scope.clients.backup;
    let Some(lock) = lock else {
        return backup
            .delete_backup_vault_lock_configuration()
            .backup_vault_name(name)
            .send()
            .await
            .during("backup:DeleteBackupVaultLockConfiguration")
            .map(drop);
    };
    // Without days in which it can be changed: governance mode.
    backup
        .put_backup_vault_lock_configuration()
        .backup_vault_name(name)
        .min_retention_days(lock.min_days)
        .set_max_retention_days(lock.max_days)
        .send()
        .await
        .during("backup:PutBackupVaultLockConfiguration")
        .map(drop)
}

async fn write_told(scope: &Scope<'_>, name: &str, told: Option<&Told>) -> Result<()> {
    let backup = &scope.clients.backup;
    let Some(told) = told else {
        return backup
            .delete_backup_vault_notifications()
            .backup_vault_name(name)
            .send()
            .await
            .during("backup:DeleteBackupVaultNotifications")
            .map(drop);
    };
    let events = told.events.iter().map(|event| BackupVaultEvent::from(event.as_str()));
    backup
        .put_backup_vault_notifications()
        .backup_vault_name(name)
        .sns_topic_arn(&told.topic)
        .set_backup_vault_events(Some(events.collect()))
        .send()
        .await
        .during("backup:PutBackupVaultNotifications")
        .map(drop)
}

#[async_trait]
impl AwsKind for Vault {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["backup:{region}:{account}:backup-vault:{name}"]);
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help));
        if let Some(lock) = &wanted.lock {
            let most = lock.max_days.unwrap_or(lock.min_days);
            if !DAYS.contains(&lock.min_days) || !DAYS.contains(&most) || most < lock.min_days {
                return invalid(
                    format!("a lock of {} to {most} days", lock.min_days),
                    "write 1 to 36500 days, the least first",
                );
            }
        }
        if let Some(told) = &wanted.told {
            if told.events.is_empty() {
                return invalid(
                    "a topic that is told nothing".to_owned(),
                    "name events, or leave `told` out",
                );
            }
            let known = BackupVaultEvent::values();
            if let Some(event) = told.events.iter().find(|event| !known.contains(&event.as_str())) {
                return invalid(
                    format!("{event:?} is no event of a vault"),
                    "write BACKUP_JOB_FAILED and the like",
                );
            }
        }
        if wanted.compliance.is_some() {
            return invalid(
                "a lock in compliance mode can never be taken back and is not made here".to_owned(),
                "leave `compliance` out",
            );
        }
        wanted.statements = policy::normals(&wanted.statements);
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let Some(vault) = describe(scope, name).await? else {
            return Ok(None);
        };
        let arn = vault.backup_vault_arn().unwrap_or_default();
        let (tags, statements, told) = futures::try_join!(
            backup::tags_at(scope, arn),
            read_policy(scope, name),
            read_told(scope, name)
        )?;
        // It has gone in between.
        let Some(tags) = tags else { return Ok(None) };
        let denial = denial();
        let settings = Desired {
            kms_key: vault.encryption_key_arn().unwrap_or_default().to_owned(),
            deletion_denied: statements.contains(&denial),
            statements: statements.into_iter().filter(|one| one != &denial).collect(),
            lock: vault.locked().unwrap_or_default().then(|| Lock {
                // The least that AWS takes, and what it keeps to where nothing is said.
                min_days: vault.min_retention_days().unwrap_or(1),
                max_days: vault.max_retention_days(),
            }),
            told,
            compliance: vault.lock_date.map(|date| {
                date.fmt(aws_smithy_types::date_time::Format::DateTime)
                    .unwrap_or_else(|_| "a date that AWS does not tell".to_owned())
            }),
        };
        let state = match vault.vault_state() {
            Some(VaultState::Creating) => State::Progressing {
                what: "creating".to_owned(),
            },
            Some(VaultState::Failed) => State::Failed {
                why: "AWS could not make the vault".to_owned(),
            },
            _ => State::Ready,
        };
        Ok(Some(Found::of_arn(name, arn, settings, tags, state)))
    }

    async fn list(scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        let start = names::start(scope.name_prefix(), FACTS.name.max);
        Ok(all(scope)
            .await?
            .into_iter()
            .filter(|name| name.starts_with(start))
            .collect())
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        scope
            .clients
            .backup
            .create_backup_vault()
            .backup_vault_name(name)
            .encryption_key_arn(&wanted.kms_key)
            .set_backup_vault_tags(Some(backup::sdk_tags(&tags::born(tags))))
            .send()
            .await
            .during("backup:CreateBackupVault")?;
        let statements = wanted.policy();
        if !statements.is_empty() {
            write_policy(scope, name, &statements).await?;
        }
        if wanted.lock.is_some() {
            write_lock(scope, name, wanted.lock).await?;
        }
        if wanted.told.is_some() {
            write_told(scope, name, wanted.told.as_ref()).await?;
        }
        Ok(())
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        let have = &found.settings;
        if have.kms_key != wanted.kms_key {
            return Err(
                Error::new(ErrorKind::Unsupported, "a vault keeps the key that it was made with")
                    .with_help("make a vault of another name; the backups stay in the old one"),
            );
        }
        if (have.deletion_denied, &have.statements) != (wanted.deletion_denied, &wanted.statements) {
            write_policy(scope, name, &wanted.policy()).await?;
        }
        if have.lock != wanted.lock {
            write_lock(scope, name, wanted.lock).await?;
        }
        if have.told != wanted.told {
            write_told(scope, name, wanted.told.as_ref()).await?;
        }
        Ok(())
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        backup::tag(scope, &found.handle, put, remove).await
    }

    #[allow(clippy::disallowed_methods)] // the home of this call
    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = found.handle.rsplit(':').next().unwrap_or_default();
        let holds = describe(scope, name)
            .await?
            .map_or(0, |vault| vault.number_of_recovery_points);
        if holds > 0 {
            return Err(Error::new(
                ErrorKind::Failed,
                format!("the vault holds {holds} backups, which are never deleted here"),
            )
            .with_help("let them run out, or keep the vault: on_removal retain"));
        }
        scope
            .clients
            .backup
            .delete_backup_vault()
            .backup_vault_name(name)
            .send()
            .await
            .absent("backup:DeleteBackupVault", &["ResourceNotFoundException"])?;
        Ok(())
    }
}
