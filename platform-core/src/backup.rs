//! Scheduled backups that are proved by restoring them: Velero, AWS Backup.

use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Schedule, Size, Span, Supplied, Timestamp};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Debug;

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

    /// One-off resources that take a backup now.
    ///
    /// # Errors
    /// When the spec is refused.
    fn run(&self, spec: &BackupSpec, run: &str, context: &Context) -> Result<Blueprint<BackupRun>>;

    /// One-off resources that restore a backup.
    ///
    /// # Errors
    /// When the spec is refused.
    fn restore(&self, spec: &BackupSpec, backup: &str, context: &Context) -> Result<Blueprint<BackupRun>>;

    /// One-off resources that restore the newest backup beside the platform, check its data and clean up.
    ///
    /// # Errors
    /// When the spec is refused.
    fn drill(&self, spec: &BackupSpec, run: &str, context: &Context) -> Result<Blueprint<RestoreProof>>;
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
        }
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
pub struct BackupRun {
    /// Its name.
    pub name: String,
}

/// A restore that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreProof {
    /// Which backup.
    pub backup: String,
    /// When it was proved.
    pub at: Timestamp,
    /// What was checked, and the result.
    pub checks: Vec<String>,
    /// Age of the data when restored: measured RPO.
    pub rpo: Span,
    /// How long the restore took: measured RTO.
    pub rto: Span,
}
