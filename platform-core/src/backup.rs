//! Scheduled backups that are proved by restoring them: Velero, AWS Backup.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Schedule, Span, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
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
    /// Whose data.
    pub scope: Vec<Capability>,
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
            scope: vec![Capability::Database, Capability::Cache, Capability::Storage],
            copy_to: None,
        }
    }
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
    /// Name of the schedule or plan.
    pub schedule: String,
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
