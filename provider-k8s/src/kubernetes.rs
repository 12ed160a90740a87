//! The platform on one cluster.

use crate::capability::{
    KubernetesBackup, KubernetesCache, KubernetesDatabase, KubernetesMonitoring, KubernetesSecurity, KubernetesStorage,
};
use crate::catalogue::ImageOptions;
use crate::flavour::Flavour;
use crate::provider::KubeProvider;
use crate::set::Names;
use crate::{foundation, kind, preflight};
use platform_core::engine::{Engine, EngineBuilder};
use platform_core::value::{Clock, Place, ResourceId, SetId, SystemClock};
use platform_core::{
    Backup, Cache, Capability, Connect, Context, Database, Error, ErrorKind, Monitoring, PlannedWrite, Provider,
    Resource, Result, Security, Stack, Storage,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How a platform is put on a cluster, beyond what its specs say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KubernetesOptions {
    /// Where images come from.
    pub images: ImageOptions,
    /// Which S3 server. Default RustFS. A change restarts it on the same volume, which another server may
    /// not be able to read: move the objects first.
    pub s3: Flavour,
    /// StorageClass of volumes whose spec names none. Default: the cluster's.
    pub storage_class: Option<String>,
    /// What a StorageClass of the platform's own is made of, which volumes get whose spec names none. Default none.
    pub block_storage: Option<BlockStorage>,
    /// The region whose CloudWatch Grafana shows, by the role of its service account ([`grafana_account`](crate::grafana_account)).
    /// Default none.
    pub cloudwatch: Option<String>,
    /// Address blocks of the API server, for workloads that call it. Default none: they may connect to any address on its
    /// ports 443 and 6443.
    pub api_server: Vec<String>,
}

impl KubernetesOptions {
    /// Sets where images come from.
    pub fn with_images(mut self, images: ImageOptions) -> Self {
        self.images = images;
        self
    }
    /// Sets the S3 server.
    pub fn with_s3(mut self, flavour: Flavour) -> Self {
        self.s3 = flavour;
        self
    }
    /// Lets Grafana show CloudWatch of a region.
    pub fn with_cloudwatch(mut self, region: impl Into<String>) -> Self {
        self.cloudwatch = Some(region.into());
        self
    }
    /// Sets what a StorageClass of the platform's own is made of.
    pub fn with_block_storage(mut self, storage: BlockStorage) -> Self {
        self.block_storage = Some(storage);
        self
    }
    /// Sets the StorageClass of volumes whose spec names none.
    pub fn with_storage_class(mut self, name: impl Into<String>) -> Self {
        self.storage_class = Some(name.into());
        self
    }
}

/// Volumes of a provisioner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BlockStorage {
    /// `ebs.csi.aws.com`.
    pub provisioner: String,
    /// Its parameters; a value may be a reference.
    pub parameters: BTreeMap<String, Value>,
}

impl BlockStorage {
    /// Volumes with the provisioner's defaults.
    pub fn new(provisioner: impl Into<String>) -> Self {
        Self {
            provisioner: provisioner.into(),
            parameters: BTreeMap::new(),
        }
    }
    /// Adds a parameter.
    pub fn with_parameter(mut self, name: impl Into<String>, value: Value) -> Self {
        self.parameters.insert(name.into(), value);
        self
    }
}

/// The platform on one cluster: PostgreSQL, Valkey or Redis, an S3 server, and what secures them.
///
/// Its blueprints are pure and never touch a client, so they run the same on a cluster and on an
/// in-memory world.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    shared: Arc<Shared>,
}

/// What the capabilities of one stack share.
#[derive(Debug)]
pub(crate) struct Shared {
    reach: Reach,
    pub(crate) engine: Engine,
    pub(crate) options: KubernetesOptions,
}

/// How the cluster is reached.
#[derive(Clone, Debug)]
enum Reach {
    Now(Arc<dyn Provider>),
    /// Once another place has made it.
    Later {
        place: Place,
        cluster: ResourceId,
        connect: Arc<dyn Connect>,
    },
}

impl Shared {
    pub(crate) fn place(&self) -> &Place {
        match &self.reach {
            Reach::Now(provider) => provider.place(),
            Reach::Later { place, .. } => place,
        }
    }

    /// For what no plan holds.
    pub(crate) fn provider(&self) -> Result<&dyn Provider> {
        match &self.reach {
            Reach::Now(provider) => Ok(provider.as_ref()),
            Reach::Later { cluster, .. } => Err(Error::new(
                ErrorKind::Unsupported,
                "what a plan does not hold cannot be asked of a cluster that the plan makes",
            )
            .with_context("resource", cluster)
            .with_help("connect to the cluster itself, by a kubeconfig")),
        }
    }

    /// The StorageClass of a volume.
    pub(crate) fn storage_class<'a>(&'a self, wanted: Option<&'a String>) -> Option<&'a str> {
        wanted.or(self.options.storage_class.as_ref()).map(String::as_str)
    }

    /// What a capability brings along when it is used alone; nothing in a platform, whose foundation is shared.
    pub(crate) fn own_foundation(&self, capability: Capability, context: &Context) -> Result<Vec<Resource>> {
        if context.alone {
            foundation::resources(self.place(), &BTreeSet::from([capability]), context)
        } else {
            Ok(Vec::new())
        }
    }
}

impl Reach {
    fn join(&self, engine: EngineBuilder) -> EngineBuilder {
        match self {
            Self::Now(provider) => engine.provider(Arc::clone(provider)),
            Self::Later {
                place,
                cluster,
                connect,
            } => engine.later(place.clone(), cluster.clone(), kind::facts, Arc::clone(connect)),
        }
    }
}

impl Kubernetes {
    /// A stack over any provider: a cluster, or an in-memory world.
    pub fn on(provider: Arc<dyn Provider>, clock: Arc<dyn Clock>) -> Self {
        Self::reached(Reach::Now(provider), clock)
    }

    /// A stack on a cluster that an object at another place makes, within the same plan: `connect` reaches it once `cluster`
    /// is there. Its capabilities are used in a platform, not alone.
    pub fn later(place: Place, cluster: ResourceId, connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self::reached(
            Reach::Later {
                place,
                cluster,
                connect,
            },
            clock,
        )
    }

    fn reached(reach: Reach, clock: Arc<dyn Clock>) -> Self {
        let engine = reach.join(Engine::builder(clock)).build();
        Self {
            shared: Arc::new(Shared {
                reach,
                engine,
                options: KubernetesOptions::default(),
            }),
        }
    }

    /// A stack on the cluster that `context` of the file `kubeconfig` names, with the machine's clock. Sends one request.
    ///
    /// # Errors
    /// As [`KubeProviderBuilder::connect`](crate::KubeProviderBuilder::connect).
    pub async fn from_kubeconfig(kubeconfig: impl AsRef<Path>, context: impl Into<String>) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let provider = KubeProvider::builder(kubeconfig, context)
            .clock(Arc::clone(&clock))
            .connect()
            .await?;
        Ok(Self::on(Arc::new(provider), clock))
    }

    /// Sets the options.
    ///
    /// # Errors
    /// `Invalid` for an image override of what the catalogue does not have, or an S3 server that is not
    /// described in full.
    pub fn with_options(self, options: KubernetesOptions) -> Result<Self> {
        options.images.check()?;
        options.s3.check()?;
        Ok(Self {
            shared: Arc::new(Shared {
                reach: self.shared.reach.clone(),
                engine: self.shared.engine.clone(),
                options,
            }),
        })
    }

    /// Sets the engine that drives capabilities used alone: its clock, policy and lease. It must know this
    /// stack's provider.
    pub fn with_engine(self, engine: Engine) -> Self {
        Self {
            shared: Arc::new(Shared {
                reach: self.shared.reach.clone(),
                engine,
                options: self.shared.options.clone(),
            }),
        }
    }

    /// The options.
    pub fn options(&self) -> &KubernetesOptions {
        &self.shared.options
    }
}

impl Stack for Kubernetes {
    fn join(&self, engine: EngineBuilder) -> EngineBuilder {
        self.shared.reach.join(engine)
    }
    fn place(&self) -> &Place {
        self.shared.place()
    }
    fn engine(&self) -> &Engine {
        &self.shared.engine
    }
    fn foundation(&self, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>> {
        let mut resources = foundation::resources(self.place(), wanted, context)?;
        if let Some(storage) = self
            .shared
            .options
            .block_storage
            .as_ref()
            .filter(|_| !wanted.is_empty())
        {
            resources.push(foundation::storage_class(self.place(), context, storage)?);
        }
        Ok(resources)
    }
    fn rights(&self, set: &SetId, writes: &[PlannedWrite]) -> Vec<Value> {
        let here: Vec<PlannedWrite> = writes
            .iter()
            .filter(|write| write.id.place() == self.place())
            .cloned()
            .collect();
        vec![preflight::cluster_role(&Names::new(set, None), &here)]
    }
    fn database(&self) -> Option<Arc<dyn Database>> {
        Some(Arc::new(KubernetesDatabase(Arc::clone(&self.shared))))
    }
    fn cache(&self) -> Option<Arc<dyn Cache>> {
        Some(Arc::new(KubernetesCache(Arc::clone(&self.shared))))
    }
    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(KubernetesStorage(Arc::clone(&self.shared))))
    }
    fn monitoring(&self) -> Option<Arc<dyn Monitoring>> {
        Some(Arc::new(KubernetesMonitoring(Arc::clone(&self.shared))))
    }
    fn security(&self) -> Option<Arc<dyn Security>> {
        Some(Arc::new(KubernetesSecurity(Arc::clone(&self.shared))))
    }
    fn backup(&self) -> Option<Arc<dyn Backup>> {
        Some(Arc::new(KubernetesBackup(Arc::clone(&self.shared))))
    }
}
