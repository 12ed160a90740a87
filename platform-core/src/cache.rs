//! Valkey or Redis: in a pod, or ElastiCache.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::database::Credentials;
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::Size;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Valkey or Redis: in a pod, or ElastiCache.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Cache: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> CacheFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &CacheSpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &CacheSpec, context: &Context) -> Result<Blueprint<CacheOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &CacheSpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Cache)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &CacheSpec, approvals: &Approvals) -> Result<CacheOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &CacheSpec) -> Result<Option<CacheOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &CacheSpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Cache)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }
}

/// Which server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheEngine {
    /// Valkey (BSD-3).
    #[default]
    Valkey,
    /// Redis.
    Redis,
}

/// A wanted cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CacheSpec {
    /// Name of the platform, or of the cache when used alone.
    pub name: String,
    /// Valkey or Redis. Default Valkey. A change restarts the server and keeps the volume.
    pub engine: CacheEngine,
    /// Major version, or the catalogue's.
    pub version: Option<String>,
    /// Memory limit of the pod; `maxmemory` is 75 % of it. Default 512Mi.
    pub memory: Size,
    /// Whether what it holds survives a restart, in an append-only file on a volume. Default yes. In a pod it is decided
    /// once: to change it, destroy the cache and provision it anew.
    pub persistence: bool,
    /// Volume of the append-only file. Default 5Gi. Grows online, never shrinks.
    pub storage: Size,
    /// Read replicas: further servers that follow the first. Default 0. In a pod nothing takes the first one's place: while
    /// it restarts, nothing can be written, and the replicas answer with what they have.
    pub replicas: u32,
    /// StorageClass, or the cluster's default.
    pub storage_class: Option<String>,
    /// Node type on AWS, or the profile's.
    pub node_type: Option<String>,
}

impl CacheSpec {
    /// The defaults: Valkey, 512Mi, 5Gi of append-only file.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            engine: CacheEngine::Valkey,
            version: None,
            memory: Size::mib(512),
            persistence: true,
            storage: Size::gib(5),
            replicas: 0,
            storage_class: None,
            node_type: None,
        }
    }
    /// Sets the memory limit.
    pub fn with_memory(mut self, memory: Size) -> Self {
        self.memory = memory;
        self
    }
    /// Sets whether what it holds survives a restart.
    pub fn with_persistence(mut self, persistence: bool) -> Self {
        self.persistence = persistence;
        self
    }
    /// Sets the number of read replicas.
    pub fn with_replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }
    /// Sets the server.
    pub fn with_engine(mut self, engine: CacheEngine) -> Self {
        self.engine = engine;
        self
    }
}

/// What a Cache provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheFeatures {
    /// Servers.
    pub engines: Vec<CacheEngine>,
    /// Most read replicas.
    pub max_replicas: u32,
}

/// Where to connect and where the credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheOutputs {
    /// DNS name.
    pub host: String,
    /// DNS name for reading, which spreads over all servers, the first included; absent without replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_host: Option<String>,
    /// TCP port; TLS only.
    pub port: u16,
    /// Where the credentials are.
    pub credentials: Credentials,
}
