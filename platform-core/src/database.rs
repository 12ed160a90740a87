//! PostgreSQL: in a pod, or RDS.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Size, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// PostgreSQL: in a pod, or RDS.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Database: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> DatabaseFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &DatabaseSpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &DatabaseSpec, context: &Context) -> Result<Blueprint<DatabaseOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &DatabaseSpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Database)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &DatabaseSpec, approvals: &Approvals) -> Result<DatabaseOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &DatabaseSpec) -> Result<Option<DatabaseOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &DatabaseSpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Database)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }
}

/// A wanted PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseSpec {
    /// Name of the platform, or of the database when used alone.
    pub name: String,
    /// Major version, `"17"`. A higher one on existing data is Blocked with the upgrade recipe.
    pub version: String,
    /// Volume size. Grows online, never shrinks. Default 10Gi.
    pub storage: Size,
    /// Connections at most; a change restarts the server. Default 100.
    pub max_connections: u32,
    /// CPU limit in thousandths of a core; a change restarts the server. Default 1000.
    pub cpu_milli: u32,
    /// Memory limit; a change restarts the server. Default 1Gi.
    pub memory: Size,
    /// Characters of generated passwords. Default 24. Counts for passwords yet to be made.
    pub password_length: u32,
    /// StorageClass, or the cluster's default.
    pub storage_class: Option<String>,
    /// Instance class on AWS, or the profile's.
    pub instance_class: Option<String>,
    /// A standby in another zone (AWS). Default off.
    pub multi_az: bool,
    /// Refuses deletion until switched off in a plan of its own (AWS). Default off.
    pub deletion_protection: bool,
    /// What a new server is made from (AWS). Default: an empty database. It tells where the data of one that is there came
    /// from, and is never written over it.
    pub restore_from: Option<DatabaseSource>,
}

/// A copy that a new database is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseSource {
    /// A snapshot, by its identifier or ARN.
    Snapshot(String),
    /// A moment of a server, which may be gone.
    PointInTime {
        /// Which server.
        of: String,
        /// When; absent for the newest moment that can be restored.
        at: Option<Timestamp>,
    },
}

impl DatabaseSpec {
    /// The defaults: PostgreSQL 17, 10Gi, 100 connections.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: "17".to_owned(),
            storage: Size::gib(10),
            max_connections: 100,
            cpu_milli: 1000,
            memory: Size::gib(1),
            password_length: 24,
            storage_class: None,
            instance_class: None,
            multi_az: false,
            deletion_protection: false,
            restore_from: None,
        }
    }
    /// Sets what a new server is made from.
    pub fn with_restore_from(mut self, source: DatabaseSource) -> Self {
        self.restore_from = Some(source);
        self
    }
    /// Sets the volume size.
    pub fn with_storage(mut self, storage: Size) -> Self {
        self.storage = storage;
        self
    }
    /// Sets the major version.
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }
    /// Sets the connection limit.
    pub fn with_max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = max_connections;
        self
    }
}

/// What a Database provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseFeatures {
    /// Major versions.
    pub versions: Vec<&'static str>,
    /// A standby in another zone.
    pub multi_az: bool,
    /// Deletion protection at the API.
    pub deletion_protection: bool,
}

/// Where to connect and where the credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseOutputs {
    /// DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// Where the credentials are; never their values.
    pub credentials: Credentials,
}

/// Where credentials are; never their values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `Secret database/postgres-credentials`, or an ARN.
    pub location: String,
    /// User name.
    pub username: String,
    /// The key of the password in it.
    pub password_key: String,
    /// The key or object of the CA certificate that clients verify with; absent where a connection has no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}
