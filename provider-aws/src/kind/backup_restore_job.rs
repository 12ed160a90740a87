//! `backup.RestoreJob`: one restore of a bucket from a recovery point, into the bucket that it was taken of. Named by its
//! vault, its run and the bucket.
//!
//! AWS Backup puts back what the bucket no longer has, and leaves alone what is there, whatever its version. A job carries no
//! tags: one of that bucket, begun since the run's moment and by no testing plan, is the run's. It is never called off.

use super::backup_recovery_point::{SKEW, parts};
use super::{AwsKind, Found, Reach, backup};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_backup::primitives::DateTime;
use aws_sdk_backup::types::{RestoreJobStatus, RestoreJobsListMember};
use platform_core::value::{Digest, Name, SetId, Timestamp, Uid};
use platform_core::{
    Calls, Charset, Creation, Error, ErrorKind, Field, FieldChange, Holds, KindFacts, Live, NameRule, Result, State,
    Updating,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct RestoreJob;

impl RestoreJob {
    /// What the engine calls it.
    pub(crate) const KIND: &'static str = "backup.RestoreJob";
}

static FACTS: KindFacts = KindFacts {
    kind: RestoreJob::KIND,
    holds: Holds::Nothing,
    rank: 80,
    // Vault, run, service and bucket.
    name: NameRule {
        max: 230,
        charset: Charset::AwsPath,
    },
    create: Creation::Token,
    update: Updating::WhenSettled,
    patience: Duration::from_hours(24),
    usually: Duration::from_mins(10),
    taken: "",
    removal: None,
    outputs: &["started", "completed"],
    fields: &[
        Field::new("point").changes(FieldChange::Never),
        Field::new("role").changes(FieldChange::Never),
    ],
    calls: Calls {
        read: &["backup:ListRestoreJobs"],
        create: &[
            "backup:GetRecoveryPointRestoreMetadata",
            "backup:StartRestoreJob",
            "iam:PassRole",
        ],
        update: &[],
        delete: &[],
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// ARN of the recovery point.
    point: String,
    /// ARN of the role that AWS Backup acts by.
    role: String,
}

/// Jobs that no testing plan began: since a moment, or those that are under way.
async fn jobs(
    scope: &Scope<'_>,
    since: Option<i64>,
    status: Option<RestoreJobStatus>,
) -> Result<Vec<RestoreJobsListMember>> {
    let mut pages = scope
        .clients
        .backup
        .list_restore_jobs()
        .by_resource_type("S3")
        .set_by_created_after(since.map(DateTime::from_secs))
        .set_by_status(status)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.during("backup:ListRestoreJobs")?;
        let all = page.restore_jobs.unwrap_or_default().into_iter();
        found.extend(all.filter(|job| job.created_by().is_none()));
    }
    Ok(found)
}

fn state(job: &RestoreJobsListMember) -> State {
    let said = job.status_message().filter(|text| !text.is_empty());
    match job.status() {
        Some(RestoreJobStatus::Completed) => State::Ready,
        Some(status @ (RestoreJobStatus::Failed | RestoreJobStatus::Aborted)) => State::Failed {
            why: said.unwrap_or(status.as_str()).to_owned(),
        },
        status => backup::under_way(status.map(RestoreJobStatus::as_str), job.percent_done()),
    }
}

fn begun(job: &RestoreJobsListMember) -> i64 {
    job.creation_date().map_or(0, DateTime::secs)
}

fn settings(job: &RestoreJobsListMember) -> Desired {
    Desired {
        point: job.recovery_point_arn().unwrap_or_default().to_owned(),
        role: job.iam_role_arn().unwrap_or_default().to_owned(),
    }
}

fn outputs(job: &RestoreJobsListMember) -> BTreeMap<String, Value> {
    let dates = [("started", job.creation_date()), ("completed", job.completion_date())];
    let dates = dates.into_iter().filter_map(|(name, date)| Some((name, date?)));
    dates
        .map(|(name, date)| (name.to_owned(), json!(Timestamp::from_seconds(date.secs()).to_string())))
        .collect()
}

/// Restores into a vault's buckets that are under way, whoever began them.
pub(crate) async fn under_way(scope: &Scope<'_>, vault: &Name) -> Result<Vec<Live>> {
    let mut found = Vec::new();
    for status in [RestoreJobStatus::Pending, RestoreJobStatus::Running] {
        for job in jobs(scope, None, Some(status)).await? {
            let here = job.backup_vault_arn().and_then(|arn| arn.rsplit(':').next()) == Some(vault.as_str());
            if let Some(bucket) = job.source_resource_arn().and_then(|arn| arn.rsplit(':').next())
                && here
            {
                found.push(live(
                    scope,
                    &format!("{vault}/{}/s3/{bucket}", run("job", begun(&job))),
                    &job,
                )?);
            }
        }
    }
    Ok(found)
}

/// The name of a run that begins at a moment.
pub(crate) fn run(called: &str, seconds: i64) -> String {
    let moment = Timestamp::from_seconds(seconds).to_string();
    let digits: String = moment.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{called}-{digits}")
}

fn live(scope: &Scope<'_>, name: &str, job: &RestoreJobsListMember) -> Result<Live> {
    Ok(Live {
        uid: Uid::new(job.restore_job_id().unwrap_or_default()),
        view: Arc::new(json!(settings(job))),
        outputs: outputs(job),
        state: state(job),
        ..backup::listed(scope, &FACTS, Name::new(name)?, &Tags::new())?
    })
}

#[async_trait]
impl AwsKind for RestoreJob {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&[]).beside(&[
        (
            "backup:GetRecoveryPointRestoreMetadata",
            &[
                "backup:{region}:{account}:backup-vault:{cluster}",
                "backup:{region}:{account}:recovery-point:*",
            ],
        ),
        (
            "backup:StartRestoreJob",
            &["backup:{region}:{account}:recovery-point:*"],
        ),
    ]);
    type Desired = Desired;

    fn normal(wanted: Desired) -> Result<Desired> {
        Ok(wanted)
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let Some((_, since, bucket)) = parts(scope, name) else {
            return Ok(None);
        };
        let jobs = jobs(scope, Some(since - SKEW), None).await?.into_iter();
        let ours = jobs.filter(|job| job.source_resource_arn() == Some(&bucket) && begun(job) >= since - SKEW);
        let Some(job) = ours.min_by_key(begun) else {
            return Ok(None);
        };
        let (settings, state) = (settings(&job), state(&job));
        let ours = tags::job(scope.set, FACTS.kind, name, &json!(settings));
        Ok(Some(Found {
            uid: Uid::new(job.restore_job_id().unwrap_or_default()),
            handle: job.restore_job_id().unwrap_or_default().to_owned(),
            settings,
            // One that is not over is taken up by the next run.
            tags: if state == State::Ready {
                ours
            } else {
                tags::making(&ours)
            },
            outputs: outputs(&job),
            state,
            doomed: None,
            stranger: None,
            version: None,
        }))
    }

    async fn list(_scope: &Scope<'_>, _set: &SetId) -> Result<Vec<String>> {
        // Nothing tells whose a job is, and there is nothing to remove of one.
        Ok(Vec::new())
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, _tags: &Tags, token: &str) -> Result<()> {
        let (vault, bucket) = (name.split('/').next(), name.rsplit('/').next());
        let client = &scope.clients.backup;
        let answer = client
            .get_recovery_point_restore_metadata()
            .set_backup_vault_name(vault.map(str::to_owned))
            .recovery_point_arn(&wanted.point)
            .send()
            .await
            .during("backup:GetRecoveryPointRestoreMetadata")?;
        let token = Digest::of_text(token).short(32).to_owned();
        let mut how = answer.restore_metadata.unwrap_or_default();
        how.extend([
            (
                "DestinationBucketName".to_owned(),
                bucket.unwrap_or_default().to_owned(),
            ),
            ("NewBucket".to_owned(), "false".to_owned()),
            ("CreationToken".to_owned(), token.clone()),
        ]);
        client
            .start_restore_job()
            .recovery_point_arn(&wanted.point)
            .iam_role_arn(&wanted.role)
            .resource_type("S3")
            .set_metadata(Some(how))
            .idempotency_token(token)
            .send()
            .await
            .during("backup:StartRestoreJob")?;
        Ok(())
    }

    async fn update(_scope: &Scope<'_>, _name: &str, _found: &Found<Desired>, _wanted: &Desired) -> Result<()> {
        Err(Error::new(
            ErrorKind::Conflict,
            "another restore into that bucket was begun at the same time",
        )
        .with_help("wait until it is over, then restore again"))
    }

    async fn tag(_scope: &Scope<'_>, _found: &Found<Desired>, _put: &Tags, _remove: &[String]) -> Result<()> {
        // A job takes none.
        Ok(())
    }

    async fn delete(_scope: &Scope<'_>, _found: &Found<Desired>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a restore cannot be called off").with_help("wait until it is over"))
    }
}
