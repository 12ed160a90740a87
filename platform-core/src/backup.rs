//! Scheduled backups that are proved by restoring them: Velero, AWS Backup.

use crate::blueprint::{Blueprint, Context};
use crate::database::DatabaseSource;
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::resource::State;
use crate::surface::{Capability, Surface};
use crate::value::{Schedule, Size, Span, Supplied, Timestamp};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

/// Scheduled backups that are proved by restoring them: Velero, AWS Backup.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Backup: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> BackupFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &BackupSpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &BackupSpec, context: &Context) -> Result<Blueprint<BackupOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &BackupSpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Backup)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &BackupSpec, approvals: &Approvals) -> Result<BackupOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &BackupSpec) -> Result<Option<BackupOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &BackupSpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Backup)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }

    /// One-off resources that take a backup of this name now, and keep it when they go. Pure.
    ///
    /// # Errors
    /// When the spec is refused.
    fn run(&self, spec: &BackupSpec, name: &str, context: &Context) -> Result<Blueprint<BackupRun>>;

    /// What of a backup is put back by making it again as the config says, before [`Backup::restore`] puts back the rest.
    /// What still stands is left alone. Reads only.
    ///
    /// # Errors
    /// When the spec is refused, the place cannot be read, or the backup has no copy of what is gone.
    async fn remade(&self, spec: &BackupSpec, backup: &BackupRecord, context: &Context) -> Result<Remade>;

    /// One-off resources that put back what a backup holds and the platform no longer has. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn restore(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<BackupRun>>;

    /// One-off resources that restore a backup beside the platform, check its data, and write the proof down, which they
    /// keep when they go. Reads only.
    ///
    /// # Errors
    /// When the spec is refused, the place cannot be read, or the backup never began.
    async fn drill(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<RestoreProof>>;

    /// Every backup that is there, whoever made it, with the proofs of earlier drills. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn status(&self, spec: &BackupSpec, context: &Context) -> Result<BackupStatus>;

    /// What a restore would leave alone because it is still there. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn in_the_way(&self, spec: &BackupSpec, context: &Context) -> Result<Vec<String>>;

    /// The record of the platform's start from the backup that the spec names; `None` while it is to be restored, or is being
    /// restored. Reads only.
    ///
    /// # Errors
    /// `Blocked`, with the config's key as the context `config`, when the platform started from another backup, or has data
    /// that no such start brought. When the place cannot be read.
    async fn started(&self, spec: &BackupSpec, context: &Context) -> Result<Option<Start>>;

    /// What the checks of a drill that failed and still stands said. Reads only.
    ///
    /// # Errors
    /// When the place cannot be read.
    async fn said(&self, spec: &BackupSpec, context: &Context) -> Result<Vec<String>>;
}

/// Wanted backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupSpec {
    /// Name of the platform.
    pub name: String,
    /// When, in UTC.
    pub schedule: Schedule,
    /// How long a backup is kept; at least the interval plus one day. A shorter one lowers protection.
    pub retention: Span,
    /// Whose data: any of database, cache and storage.
    pub scope: BTreeSet<Capability>,
    /// Where backups are kept (Kubernetes). Default: a store of the platform's own, with a volume of 20Gi.
    pub store: BackupStore,
    /// Who makes the kinds that Velero brings (Kubernetes). Default: this platform.
    pub definitions: Definitions,
    /// A second region that gets copies (AWS).
    pub copy_to: Option<String>,
    /// Whether the vault refuses backups that go before the retention is over (AWS). Who may take the lock away can still
    /// change that.
    pub lock: bool,
    /// Where a new platform takes its data from, before anything else of it is made. Default: it starts empty.
    pub restore_from: Option<RestoreFrom>,
}

impl BackupSpec {
    /// Backups of database, cache and storage.
    pub fn new(name: impl Into<String>, schedule: Schedule, retention: Span) -> Self {
        Self {
            name: name.into(),
            schedule,
            retention,
            scope: BTreeSet::from([Capability::Database, Capability::Cache, Capability::Storage]),
            store: BackupStore::default(),
            definitions: Definitions::default(),
            copy_to: None,
            lock: false,
            restore_from: None,
        }
    }
    /// Sets where a new platform takes its data from.
    pub fn with_restore_from(mut self, from: RestoreFrom) -> Self {
        self.restore_from = Some(from);
        self
    }
    /// Sets whose data.
    pub fn with_scope(mut self, scope: impl IntoIterator<Item = Capability>) -> Self {
        self.scope = scope.into_iter().collect();
        self
    }
    /// Sets where backups are kept.
    pub fn with_store(mut self, store: BackupStore) -> Self {
        self.store = store;
        self
    }
    /// Sets the region that gets copies.
    pub fn with_copy_to(mut self, region: impl Into<String>) -> Self {
        self.copy_to = Some(region.into());
        self
    }
    /// Sets whether the vault refuses backups that go too early.
    pub fn with_lock(mut self, lock: bool) -> Self {
        self.lock = lock;
        self
    }
    /// Sets who makes the kinds that Velero brings.
    pub fn with_definitions(mut self, definitions: Definitions) -> Self {
        self.definitions = definitions;
        self
    }

    /// The shortest time that backups on this schedule may be kept: while one is written, the last one is still there.
    pub fn shortest_retention(schedule: &Schedule) -> Span {
        schedule.longest_interval().plus(Span::days(1))
    }

    /// Refuses what no provider can do.
    ///
    /// # Errors
    /// `Invalid` when backups would go before the next one is there, or hold nothing.
    pub fn check(&self) -> Result<()> {
        let least = Self::shortest_retention(&self.schedule);
        if self.retention < least {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "{} keeps no backup while the next one of the schedule {:?} is being written",
                    self.retention,
                    self.schedule.as_str()
                ),
            )
            .with_help(format!("keep them at least {least} (the longest interval and a day)")));
        }
        let data = [Capability::Database, Capability::Cache, Capability::Storage];
        if let Some(other) = self.scope.iter().find(|capability| !data.contains(capability)) {
            return Err(
                Error::new(ErrorKind::Invalid, format!("{other} holds no data to back up"))
                    .with_help("write database, cache or storage"),
            );
        }
        if self.scope.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a backup of nothing")
                .with_help("name database, cache or storage in its scope"));
        }
        Ok(())
    }
}

/// The backup that a new platform starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFrom {
    /// Its name; absent for the newest complete one that the schedule made.
    pub backup: Option<String>,
    /// What [`Backup::started`] found; absent: it is to be restored, or is being restored.
    pub done: Option<Start>,
}

impl RestoreFrom {
    /// The newest complete backup that the schedule made.
    pub fn latest() -> Self {
        Self::default()
    }
    /// The backup of this name.
    pub fn backup(name: impl Into<String>) -> Self {
        Self {
            backup: Some(name.into()),
            done: None,
        }
    }
    /// The backup's name, or `latest`.
    pub fn wanted(&self) -> &str {
        self.backup.as_deref().unwrap_or(Self::LATEST)
    }
    /// What stands for the newest.
    pub const LATEST: &'static str = "latest";
}

/// The record of a start from a backup: from then on it only tells where the data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// What the record says, by key.
    pub record: BTreeMap<String, String>,
    /// Whether what restored it is still there.
    pub restore_stands: bool,
}

/// Where backups are kept on Kubernetes. Never in the store that they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupStore {
    /// In an S3 server of the platform's own, in the same cluster: it survives a lost database, not a lost cluster.
    Own {
        /// Size of its volume. Grows online, never shrinks.
        capacity: Size,
        /// Its memory limit.
        memory: Size,
        /// StorageClass of its volume, or the cluster's.
        storage_class: Option<String>,
    },
    /// In a bucket outside of the cluster. It must be there.
    External {
        /// `https://` address of the S3 API.
        endpoint: String,
        /// Its region; any text where the server has none.
        region: String,
        /// The bucket. Several platforms may share it.
        bucket: String,
        /// A file of AWS credentials with the profile `default`.
        credentials: Supplied,
    },
}

impl Default for BackupStore {
    fn default() -> Self {
        Self::Own {
            capacity: Size::gib(20),
            memory: Size::gib(1),
            storage_class: None,
        }
    }
}

/// Who makes the kinds that Velero brings. They are the whole cluster's, and stay when a platform goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Definitions {
    /// This platform.
    #[default]
    Own,
    /// Somebody else did: another platform in the cluster, or another Velero.
    Existing,
}

/// What a Backup provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupFeatures {
    /// Copies to a second region.
    pub copies: bool,
    /// Restore drills.
    pub drill: bool,
}

/// Where backups are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupOutputs {
    /// Vault or bucket.
    pub store: String,
    /// The schedule or plan.
    pub schedule: String,
    /// When, as five cron fields in UTC.
    pub cron: String,
    /// How long a backup is kept.
    pub retention: Span,
}

/// One backup or restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupRun {
    /// Its name.
    pub name: String,
    /// What a restore left alone because it stands.
    #[serde(default)]
    pub left: Vec<String>,
}

impl BackupRun {
    /// A run of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            left: Vec::new(),
        }
    }
    /// Sets what a restore left alone. Default: nothing.
    pub fn with_left(mut self, left: Vec<String>) -> Self {
        self.left = left;
        self
    }
}

/// What a restore makes again as the config says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remade {
    /// The capabilities that something of is gone.
    pub capabilities: BTreeSet<Capability>,
    /// What the database is made from.
    pub database: Option<DatabaseSource>,
}

impl Remade {
    /// Adds a bucket that is gone.
    pub fn with_storage(mut self) -> Self {
        self.capabilities.insert(Capability::Storage);
        self
    }
    /// Adds a database that is gone, and what it is made from.
    pub fn with_database(mut self, source: DatabaseSource) -> Self {
        self.capabilities.insert(Capability::Database);
        self.database = Some(source);
        self
    }
}

/// One backup that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupRecord {
    /// Its name.
    pub name: String,
    /// Whether it is whole. One that is complete with errors has failed.
    pub state: State,
    /// Whether the schedule made it.
    pub scheduled: bool,
    /// When it began: what changed since is not in it.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub completed: Option<Timestamp>,
    /// When it goes.
    pub expires: Option<Timestamp>,
    /// What makes it worth less than its state says, such as a volume that was silently left out.
    pub problems: Vec<String>,
    /// The last drill that restored it and found its data; absent: it is unproved.
    pub proof: Option<RestoreProof>,
    /// Of what it has a copy, where copies have names of their own: ARN -> ARN of the recovery point.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
}

impl BackupRecord {
    /// A backup of which nothing but its name and state is known.
    pub fn new(name: impl Into<String>, state: State) -> Self {
        Self {
            name: name.into(),
            state,
            scheduled: false,
            started: None,
            completed: None,
            expires: None,
            problems: Vec::new(),
            proof: None,
            parts: BTreeMap::new(),
        }
    }

    /// Whether it can be counted on at this time, as far as that shows without restoring it.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.state == State::Ready && self.problems.is_empty() && self.expires.is_none_or(|expires| expires > now)
    }
}

/// How far the platform's backups can be counted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupStatus {
    /// Whether the store answers.
    pub store: State,
    /// Every backup, the newest first.
    pub backups: Vec<BackupRecord>,
    /// What is wrong; empty when the platform could be restored.
    pub problems: Vec<String>,
}

/// What two clocks may differ by.
const SKEW: Duration = Duration::from_mins(5);

impl BackupStatus {
    /// Judges what was found at this time.
    pub fn new(spec: &BackupSpec, store: State, mut backups: Vec<BackupRecord>, now: Timestamp) -> Self {
        backups.sort_by(|one, other| (&other.started, &other.name).cmp(&(&one.started, &one.name)));
        let mut problems = Vec::new();
        if let State::Progressing { what: why } | State::Failed { why } = &store {
            problems.push(format!("the backup store: {why}"));
        }
        for backup in &backups {
            if let Some(started) = backup.started.filter(|started| *started > now.plus(SKEW)) {
                problems.push(format!(
                    "backup {} says that it began at {started}, which is still to come: a clock is wrong",
                    backup.name
                ));
            }
        }
        // An older failure is history once a newer backup is whole.
        for backup in backups.iter().take_while(|backup| !backup.is_good(now)) {
            if let State::Failed { why } = &backup.state {
                problems.push(format!("backup {} failed: {why}", backup.name));
            }
            problems.extend(
                backup
                    .problems
                    .iter()
                    .map(|what| format!("backup {}: {what}", backup.name)),
            );
            if backup.state == State::Ready && backup.expires.is_some_and(|expires| expires <= now) {
                problems.push(format!(
                    "backup {} is past its time and may go at any moment",
                    backup.name
                ));
            }
        }
        let longest = BackupSpec::shortest_retention(&spec.schedule);
        match backups.iter().find(|backup| backup.is_good(now)) {
            None => problems.push("there is no good backup".to_owned()),
            Some(newest) => {
                let age = now.since(newest.started.unwrap_or(now));
                if age > longest.as_duration() {
                    problems.push(format!(
                        "the newest good backup, {}, is {} old; the schedule {:?} promises one every {}",
                        newest.name,
                        Span::seconds(age.as_secs()),
                        spec.schedule.as_str(),
                        spec.schedule.longest_interval()
                    ));
                }
            }
        }
        Self {
            store,
            backups,
            problems,
        }
    }

    /// Adds what else is wrong, before what is wrong with single backups.
    pub fn with_problems(mut self, more: Vec<String>) -> Self {
        self.problems.splice(0..0, more);
        self
    }

    /// The newest backup that can be counted on.
    pub fn newest_good(&self, now: Timestamp) -> Option<&BackupRecord> {
        self.backups.iter().find(|backup| backup.is_good(now))
    }

    /// The newest proof of a restore.
    pub fn last_proof(&self) -> Option<&RestoreProof> {
        self.backups
            .iter()
            .filter_map(|backup| backup.proof.as_ref())
            .max_by_key(|proof| proof.at)
    }
}

/// A restore that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreProof {
    /// Which backup.
    pub backup: String,
    /// When that backup began.
    pub taken: Timestamp,
    /// When its restore began.
    pub began: Timestamp,
    /// When its data was found whole.
    pub at: Timestamp,
    /// What was checked.
    pub checks: Vec<String>,
}

impl RestoreProof {
    /// Age of the data when it was restored: the measured recovery point, in whole seconds.
    pub fn recovery_point(&self) -> Duration {
        Duration::from_secs(self.began.since(self.taken).as_secs())
    }

    /// From the start of the restore until the data was found whole: the measured recovery time, in whole seconds.
    pub fn recovery_time(&self) -> Duration {
        Duration::from_secs(self.at.since(self.began).as_secs())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{BackupRecord, BackupSpec, BackupStatus};
    use crate::Capability;
    use crate::resource::State;
    use crate::value::{Span, Timestamp};

    fn spec() -> BackupSpec {
        BackupSpec::new("demo", "0 2 * * *".parse().unwrap(), Span::days(7))
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    #[test]
    fn retention_outlives_the_longest_gap_and_scope_holds_data() {
        assert!(spec().check().is_ok());
        let mut short = spec();
        short.retention = Span::hours(47);
        assert!(short.check().unwrap_err().help().unwrap().contains("2d"));
        assert!(spec().with_scope([Capability::Security]).check().is_err());
        assert!(spec().with_scope([]).check().is_err());
    }

    #[test]
    fn a_status_names_what_is_wrong() {
        let now = at("24T12:00:00");
        let good = || {
            let mut one = BackupRecord::new("monday", State::Ready);
            one.started = Some(at("24T02:00:00"));
            one.expires = Some(at("30T02:00:00"));
            one
        };
        let failed = |why: &str| State::Failed { why: why.to_owned() };
        let with = |change: &dyn Fn(&mut BackupRecord)| {
            let mut one = good();
            change(&mut one);
            one
        };
        let down = State::Progressing {
            what: "Unavailable: no such host".to_owned(),
        };
        for (name, store, backups, words) in [
            ("whole", State::Ready, vec![good()], &[][..]),
            ("store away", down, vec![good()], &["Unavailable: no such host"]),
            ("none", State::Ready, vec![], &["there is no good backup"]),
            (
                "failed",
                State::Ready,
                vec![with(&|one| one.state = failed("PartiallyFailed with 2 errors"))],
                &["monday failed: PartiallyFailed with 2 errors", "no good backup"],
            ),
            (
                "left out",
                State::Ready,
                vec![with(&|one| {
                    one.problems = vec!["volume database/postgres-0/backup was left out".to_owned()];
                })],
                &[
                    "monday: volume database/postgres-0/backup was left out",
                    "no good backup",
                ],
            ),
            (
                "stale",
                State::Ready,
                vec![with(&|one| one.started = Some(at("20T02:00:00")))],
                &["monday, is 106h old"],
            ),
            (
                "past its time",
                State::Ready,
                vec![with(&|one| one.expires = Some(at("24T02:00:00")))],
                &["past its time", "no good backup"],
            ),
            (
                "from the future",
                State::Ready,
                vec![with(&|one| one.started = Some(at("25T02:00:00")))],
                &["a clock is wrong"],
            ),
            (
                "an old failure under a newer whole one",
                State::Ready,
                vec![
                    with(&|one| {
                        one.state = failed("x");
                        one.started = Some(at("23T02:00:00"));
                    }),
                    good(),
                ],
                &[],
            ),
        ] {
            let status = BackupStatus::new(&spec(), store, backups, now);
            assert_eq!(status.problems.len(), words.len(), "{name}: {:?}", status.problems);
            for (problem, word) in status.problems.iter().zip(words) {
                assert!(problem.contains(word), "{name}: {problem}");
            }
        }
    }
}
