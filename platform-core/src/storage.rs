//! Object storage: an S3 server in a pod, or S3.

use crate::Result;
use crate::blueprint::{Blueprint, Context};
use crate::database::Credentials;
use crate::engine::{Approvals, Engine, Plan, PlanRequest, Report};
use crate::surface::{Capability, Surface};
use crate::value::{Size, Span};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Object storage: an S3 server in a pod, or S3.
///
/// `surface` and `blueprint` are pure; the verbs are provided once, through the engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Storage: Debug + Send + Sync {
    /// What it can do; wishes beyond are refused before any call.
    fn features(&self) -> StorageFeatures;

    /// What it will show to the other capabilities. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn surface(&self, spec: &StorageSpec, context: &Context) -> Result<Surface>;

    /// Which resources it needs. Pure.
    ///
    /// # Errors
    /// When the spec asks for what is not supported or contradicts itself.
    fn blueprint(&self, spec: &StorageSpec, context: &Context) -> Result<Blueprint<StorageOutputs>>;

    /// The engine that drives it when used alone.
    fn engine(&self) -> &Engine;

    /// What provisioning would do. Reads only.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn plan(&self, spec: &StorageSpec) -> Result<Plan> {
        let context = Context::alone(&spec.name, Capability::Storage)?;
        self.engine()
            .plan(&PlanRequest::of(&context, self.blueprint(spec, &context)?))
            .await
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// When an approval is missing, the place refuses a write, or a resource does not become ready.
    async fn provision(&self, spec: &StorageSpec, approvals: &Approvals) -> Result<StorageOutputs> {
        let plan = self.plan(spec).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await?.into_outputs()
    }

    /// The outputs if everything stands as specified; `None` if not.
    ///
    /// # Errors
    /// When the spec is refused or the place cannot be read.
    async fn describe(&self, spec: &StorageSpec) -> Result<Option<StorageOutputs>> {
        self.plan(spec).await?.settled_outputs()
    }

    /// Removes it, keeping what holds data.
    ///
    /// # Errors
    /// When an approval is missing or the place refuses a delete.
    async fn destroy(&self, spec: &StorageSpec, approvals: &Approvals) -> Result<Report> {
        let context = Context::alone(&spec.name, Capability::Storage)?;
        let plan = self.engine().plan(&PlanRequest::destroy(context.set)).await?;
        self.engine().apply(&plan, approvals, &mut |_| {}).await
    }
}

/// A wanted object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageSpec {
    /// Name of the platform, or of the store when used alone.
    pub name: String,
    /// Volume size (Kubernetes). Default 20Gi. Grows online, never shrinks.
    pub capacity: Size,
    /// Buckets.
    pub buckets: Vec<BucketSpec>,
    /// Memory limit of the pod. Default 1Gi.
    pub memory: Size,
    /// StorageClass, or the cluster's default.
    pub storage_class: Option<String>,
    /// Counts requests and errors of each bucket (AWS, at the price of 16 custom metrics a bucket); the alarm about errors
    /// reads them. Servers in a cluster always count. Default on.
    pub request_metrics: bool,
}

impl StorageSpec {
    /// The defaults: 20Gi, no bucket.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: Size::gib(20),
            buckets: Vec::new(),
            memory: Size::gib(1),
            storage_class: None,
            request_metrics: true,
        }
    }
    /// Adds a bucket.
    pub fn with_bucket(mut self, bucket: BucketSpec) -> Self {
        self.buckets.push(bucket);
        self
    }
    /// Sets the volume size.
    pub fn with_capacity(mut self, capacity: Size) -> Self {
        self.capacity = capacity;
        self
    }
}

/// A wanted bucket. Its removal from the config never deletes its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketSpec {
    /// Its name; on AWS prefixed by the platform.
    pub name: String,
    /// Keeps overwritten versions. Switching it off lowers protection. Default off.
    pub versioning: bool,
    /// Deletes objects this old. A shorter one lowers protection. Default never.
    pub expire: Option<Span>,
    /// Deletes overwritten versions this old. A shorter one lowers protection. Default never.
    pub expire_noncurrent: Option<Span>,
}

impl BucketSpec {
    /// A bucket without versions and expiry.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            versioning: false,
            expire: None,
            expire_noncurrent: None,
        }
    }
    /// Keeps overwritten versions.
    pub fn with_versioning(mut self, versioning: bool) -> Self {
        self.versioning = versioning;
        self
    }
    /// Deletes objects this old.
    pub fn with_expire(mut self, expire: Option<Span>) -> Self {
        self.expire = expire;
        self
    }
    /// Deletes overwritten versions this old.
    pub fn with_expire_noncurrent(mut self, expire: Option<Span>) -> Self {
        self.expire_noncurrent = expire;
        self
    }
}

/// What a Storage provider can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageFeatures {
    /// Keeps overwritten versions.
    pub versioning: bool,
    /// Deletes by age.
    pub expiry: bool,
}

/// Where to connect and where the credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageOutputs {
    /// `https://minio.storage.svc:9000`, or the region's S3 endpoint.
    pub endpoint: String,
    /// The console, where there is one.
    pub console: Option<String>,
    /// Bucket names as they are at the API.
    pub buckets: Vec<String>,
    /// Where the credentials are; absent where roles are used.
    pub credentials: Option<Credentials>,
}
