//! `backup.RecoveryPoint`: one backup of one thing, taken by hand. Named by its vault, its run and what is backed up.
//!
//! AWS makes it by a job, which takes no tags: until the recovery point shows with the tags that were asked for, a job of that
//! thing, begun since the run's moment and by no plan, stands for it. It is never changed and never deleted.

mod facts;
mod list;

use super::{AwsKind, Found, Reach, backup, rds};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::{BackupJob, BackupJobState, Lifecycle, RecoveryPointByBackupVault, RecoveryPointStatus};
use facts::FACTS;
pub(crate) use list::all;
use platform_core::value::{Digest, SetId, Uid};
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds that two clocks may differ by.
pub(super) const SKEW: i64 = 300;

#[derive(Debug)]
pub(crate) struct RecoveryPoint;

impl RecoveryPoint {
    /// What the engine calls it.
    pub(crate) const KIND: &'static str = "backup.RecoveryPoint";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// ARN of what is backed up, as the name says it, too.
    resource: String,
    /// ARN of the role that AWS Backup acts by.
    role: String,
    /// Days until it goes.
    delete_after_days: i64,
}

/// What AWS Backup takes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// A server of RDS.
    Rds,
    /// A bucket.
    S3,
}

impl Service {
    const ALL: [Self; 2] = [Self::Rds, Self::S3];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rds => "rds",
            Self::S3 => "s3",
        }
    }

    /// The service that an ARN is of.
    pub(crate) fn of_arn(arn: &str) -> Option<Self> {
        let service = arn.split(':').nth(2)?;
        Self::ALL.into_iter().find(|known| known.as_str() == service)
    }
}

/// The name of a recovery point: `vault/run/rds/server`.
pub(crate) fn name_of(vault: &str, run: &str, resource: &str) -> Option<String> {
    let service = Service::of_arn(resource)?;
    let thing = resource.rsplit(':').next()?;
    Some(format!("{vault}/{run}/{}/{thing}", service.as_str()))
}

/// The run that a name says.
pub(crate) fn run_of(name: &str) -> Option<&str> {
    let mut parts = name.split('/').skip(1);
    let (run, rest) = (parts.next()?, parts.count());
    (rest == 2).then_some(run)
}

/// Vault, moment in seconds and ARN that a name says.
pub(super) fn parts<'a>(scope: &Scope<'_>, name: &'a str) -> Option<(&'a str, i64, String)> {
    let parts: Vec<&str> = name.split('/').collect();
    let [vault, run, service, thing] = parts.as_slice() else {
        return None;
    };
    let account = scope.account;
    let arn = match Service::ALL.into_iter().find(|known| known.as_str() == *service)? {
        Service::Rds => format!(
            "arn:{}:rds:{}:{}:db:{thing}",
            account.partition, scope.region, account.id
        ),
        Service::S3 => format!("arn:{}:s3:::{thing}", account.partition),
    };
    Some((vault, moment(run)?, arn))
}

/// The moment that a run's name ends in: `...20261129021500`.
fn moment(run: &str) -> Option<i64> {
    let digits = run.get(run.len().checked_sub(14)?..)?;
    let (date, time) = digits.split_at(8);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    let moment: platform_core::value::Timestamp = text.parse().ok()?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(moment.seconds())
}

/// Whether a recovery point can be counted on.
fn state(point: &RecoveryPointByBackupVault) -> State {
    let said = point
        .status_message()
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    match point.status() {
        // One that is whole and has something to say left something out.
        Some(RecoveryPointStatus::Completed | RecoveryPointStatus::Available) => match said {
            None => State::Ready,
            Some(why) => State::Failed { why },
        },
        Some(RecoveryPointStatus::Creating) => State::Progressing {
            what: "creating".to_owned(),
        },
        Some(RecoveryPointStatus::Deleting | RecoveryPointStatus::Expired) => {
            State::Deleting { blocked_by: Vec::new() }
        }
        other => State::Failed {
            why: said.unwrap_or_else(|| other.map_or("no status", RecoveryPointStatus::as_str).to_owned()),
        },
    }
}

/// The job that stands for a recovery point which does not show yet.
async fn job(scope: &Scope<'_>, vault: &str, since: i64, resource: &str) -> Result<Option<BackupJob>> {
    let mut pages = scope
        .clients
        .backup
        .list_backup_jobs()
        .by_backup_vault_name(vault)
        .by_resource_arn(resource)
        .by_created_after(DateTime::from_secs(since - SKEW))
        .into_paginator()
        .send();
    let mut jobs = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.during("backup:ListBackupJobs")?;
        let all = page.backup_jobs.unwrap_or_default().into_iter();
        jobs.extend(all.filter(|job| {
            let begun = job.creation_date().map_or(0, DateTime::secs);
            let here = job.backup_vault_name() == Some(vault) && job.resource_arn() == Some(resource);
            here && begun >= since - SKEW && job.created_by().is_none()
        }));
    }
    Ok(jobs
        .into_iter()
        .min_by_key(|job| job.creation_date().map_or(0, DateTime::secs)))
}

fn state_of(job: &BackupJob) -> State {
    let said = job.status_message().filter(|text| !text.is_empty());
    match job.state() {
        Some(
            state @ (BackupJobState::Failed
            | BackupJobState::Aborted
            | BackupJobState::Aborting
            | BackupJobState::Expired),
        ) => State::Failed {
            why: said.unwrap_or(state.as_str()).to_owned(),
        },
        state => backup::under_way(state.map(BackupJobState::as_str), job.percent_done()),
    }
}

#[async_trait]
impl AwsKind for RecoveryPoint {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[
        "backup:{region}:{account}:backup-vault:{cluster}",
        "backup:{region}:{account}:recovery-point:*",
    ])
    .beside(&[
        (
            "rds:ListTagsForResource",
            &["rds:{region}:{account}:snapshot:awsbackup:*"],
        ),
        (
            "rds:AddTagsToResource",
            &["rds:{region}:{account}:snapshot:awsbackup:*"],
        ),
        (
            "rds:RemoveTagsFromResource",
            &["rds:{region}:{account}:snapshot:awsbackup:*"],
        ),
    ]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        if Service::of_arn(&wanted.resource).is_none() || wanted.delete_after_days < 1 {
            return Err(
                Error::new(ErrorKind::Invalid, format!("{:?} cannot be backed up", wanted.resource))
                    .with_help("name a server of RDS or a bucket, and keep its backup a day or more"),
            );
        }
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let Some((vault, since, resource)) = parts(scope, name) else {
            return Ok(None);
        };
        let ours = tags::id_of(FACTS.kind, name);
        for point in list::points(scope, vault, Some(resource.clone())).await? {
            let arn = point.recovery_point_arn().unwrap_or_default();
            if point.created_by().is_some() || point.resource_arn() != Some(&resource) {
                continue;
            }
            let tags = list::tags_of(scope, arn).await?;
            if tags::ours(&tags, tags::ID) != Some(&ours) {
                continue;
            }
            return Ok(Some(Found {
                uid: Uid::new(arn),
                settings: Desired {
                    resource,
                    role: point.iam_role_arn().unwrap_or_default().to_owned(),
                    delete_after_days: point
                        .lifecycle()
                        .and_then(Lifecycle::delete_after_days)
                        .unwrap_or_default(),
                },
                outputs: list::outputs(&point),
                handle: arn.to_owned(),
                tags,
                state: state(&point),
                doomed: None,
                stranger: None,
                version: None,
            }));
        }
        let Some(job) = job(scope, vault, since, &resource).await? else {
            return Ok(None);
        };
        let id = job.backup_job_id().unwrap_or_default();
        let marks = Tags::from([
            (tags::key(tags::SET), scope.set.to_string()),
            (tags::key(tags::ID), ours),
        ]);
        Ok(Some(Found {
            uid: Uid::new(id),
            settings: Desired {
                resource,
                role: job.iam_role_arn().unwrap_or_default().to_owned(),
                // The job does not tell.
                delete_after_days: 0,
            },
            outputs: BTreeMap::new(),
            handle: id.to_owned(),
            // Not finished: the next run takes it for its own.
            tags: tags::making(&marks),
            state: state_of(&job),
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        // Only one-off runs have any.
        if !set.as_str().contains("/run/") {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for resource_type in ["backup:recovery-point", "rds:snapshot"] {
            for (_, tags) in scope.tagged_of_set(resource_type).await? {
                let id = tags::ours(&tags, tags::ID).and_then(|id| id.strip_prefix(FACTS.kind)?.strip_prefix('/'));
                names.extend(id.map(str::to_owned));
            }
        }
        Ok(names)
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, token: &str) -> Result<()> {
        let vault = name.split('/').next().unwrap_or_default();
        scope
            .clients
            .backup
            .start_backup_job()
            .backup_vault_name(vault)
            .resource_arn(&wanted.resource)
            .iam_role_arn(&wanted.role)
            .idempotency_token(Digest::of_text(token).short(32))
            .lifecycle(Lifecycle::builder().delete_after_days(wanted.delete_after_days).build())
            .set_recovery_point_tags(Some(backup::sdk_tags(&tags::finished(tags))))
            .send()
            .await
            .during("backup:StartBackupJob")?;
        Ok(())
    }

    async fn update(_scope: &Scope<'_>, _name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        // A job that is under way does not tell everything.
        if found.settings.resource == wanted.resource && tags::unfinished(&found.tags) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "a backup stays as it was taken").with_help("take another one"))
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        match Service::of_arn(&found.handle) {
            Some(Service::Rds) => rds::tag(scope, &found.handle, put, remove).await,
            // A job takes none; what it makes has them.
            _ if !found.handle.starts_with("arn:") => Ok(()),
            _ => backup::tag(scope, &found.handle, put, remove).await,
        }
    }

    async fn delete(_scope: &Scope<'_>, _found: &Found<Desired>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "backups are never deleted here").with_help("let it run out"))
    }
}

#[cfg(test)]
mod tests {
    use super::{moment, name_of, run_of};

    #[test]
    fn a_name_says_vault_run_and_what_is_backed_up() {
        let run = "demo-by-hand-20261129001500";
        let name = name_of("demo-dev", run, "arn:aws:rds:eu-west-1:1:db:demo-dev").unwrap();
        assert_eq!(name, "demo-dev/demo-by-hand-20261129001500/rds/demo-dev");
        assert_eq!(run_of(&name), Some(run));
        assert_eq!(run_of("demo-dev/0123456789abcdef"), None);
        assert_eq!(moment(run), Some(1_795_911_300));
        assert_eq!(moment("demo"), None);
        assert_eq!(name_of("v", run, "arn:aws:ec2:eu-west-1:1:volume/v"), None);
    }
}
