//! The provider: one cluster, as one user.

use crate::client::{Api, Call, Endpoint};
use crate::error::Attempt;
use crate::quota::Quotas;
use crate::set::{Names, Scope};
use crate::{follow, kind, lock, observe, preflight, preview, write};
use async_trait::async_trait;
use futures::stream::BoxStream;
use platform_core::value::{Clock, Kind, Name, Place, PlaceIdentity, ResourceId, SecretSource, SetId, SystemClock};
use platform_core::{
    Error, ErrorKind, Finding, Interest, KindFacts, Live, Lock, Observation, PlannedWrite, Preview, Provider,
    ProviderFeatures, Resource, Result, Write,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Requests in flight at most, each a connection of its own; beyond it a small API server gains nothing.
pub(crate) const PARALLEL: usize = 32;
/// Oldest minor of Kubernetes 1 that is supported.
const OLDEST: u32 = 33;

/// A cluster, driven through one context of one kubeconfig file, or by its address. Cheap to clone.
///
/// It reads nothing else of the machine's: no `KUBECONFIG`, no `~/.kube`, no proxy variables, no service account.
#[derive(Clone, Debug)]
pub struct KubeProvider {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) api: Api,
    pub(crate) place: Place,
    home: Option<String>,
    pub(crate) secrets: Option<Arc<dyn SecretSource>>,
    /// What is known of the sets that were observed.
    pub(crate) sets: tokio::sync::Mutex<HashMap<SetId, Known>>,
    /// resourceVersions that our writes returned: what a watch shows before them is old.
    floors: Mutex<HashMap<ResourceId, u64>>,
    pub(crate) quotas: Quotas,
}

/// What is known of a set's parent and members.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// As it stands on the cluster; `None`: there is none.
    pub(crate) parent: Option<Scope>,
    /// Kinds and namespaces of writes to come.
    pub(crate) planned: Scope,
    /// Objects of the set.
    pub(crate) members: BTreeSet<ResourceId>,
    /// Kinds that could not be read: they stay listed.
    pub(crate) unread: BTreeSet<String>,
}

/// Builds a [`KubeProvider`].
#[derive(Debug)]
pub struct KubeProviderBuilder {
    way: Way,
    place: Option<Place>,
    home: Option<String>,
    secrets: Option<Arc<dyn SecretSource>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum Way {
    Kubeconfig { file: PathBuf, context: String },
    Endpoint(Endpoint),
}

impl KubeProviderBuilder {
    /// The cluster's logical name. Default `k8s/main`.
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
    /// Namespace of the set's parent and lease; made when missing, removed with the set when nothing else lies in it.
    /// Every run of a set has to name the same one. Default: a namespace named after the set.
    pub fn home_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.home = Some(namespace.into());
        self
    }
    /// Where supplied secrets come from. Default: none, and a wish for one fails.
    pub fn secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }
    /// The clock. Default: the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Connects: reads the file and asks the API server for its version, one request.
    ///
    /// # Errors
    /// `Invalid` for a bad file, `NotFound` for a context that is not in it, `TooOld` for an API server before 1.33,
    /// and whatever keeps the server from answering.
    pub async fn connect(self) -> Result<KubeProvider> {
        let place = match self.place {
            Some(place) => place,
            None => Place::kubernetes("main")?,
        };
        let api = match self.way {
            Way::Kubeconfig { file, context } => Api::from_kubeconfig(&file, &context, self.clock).await?,
            Way::Endpoint(endpoint) => Api::from_endpoint(endpoint, self.clock)?,
        };
        let version = api
            .call(Call::get("/version", Attempt::new("get", "the API server's version")))
            .await?
            .ok()?;
        check_version(&version, api.peer())?;
        Ok(KubeProvider {
            inner: Arc::new(Inner {
                api,
                place,
                home: self.home,
                secrets: self.secrets,
                sets: tokio::sync::Mutex::default(),
                floors: Mutex::default(),
                quotas: Quotas::default(),
            }),
        })
    }
}

fn check_version(version: &Value, peer: &str) -> Result<()> {
    let number = |key: &str| -> Option<u32> {
        let digits: String = version[key]
            .as_str()?
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    };
    match (number("major"), number("minor")) {
        (Some(1), Some(minor)) if minor < OLDEST => Err(Error::new(
            ErrorKind::TooOld,
            format!("{peer} runs Kubernetes 1.{minor}; the oldest supported is 1.{OLDEST}"),
        )
        .with_operation("connect")
        .with_help("upgrade the cluster")),
        _ => Ok(()),
    }
}

impl KubeProvider {
    /// A provider of the cluster that `context` of the file `kubeconfig` names.
    pub fn builder(kubeconfig: impl AsRef<Path>, context: impl Into<String>) -> KubeProviderBuilder {
        Self::by(Way::Kubeconfig {
            file: kubeconfig.as_ref().to_owned(),
            context: context.into(),
        })
    }

    /// A provider of the cluster at an address.
    pub fn at(endpoint: Endpoint) -> KubeProviderBuilder {
        Self::by(Way::Endpoint(endpoint))
    }

    fn by(way: Way) -> KubeProviderBuilder {
        KubeProviderBuilder {
            way,
            place: None,
            home: None,
            secrets: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Requests sent so far, repetitions included.
    pub fn requests(&self) -> u32 {
        self.inner.api.requests()
    }

    /// The rights that these writes of a set need, and planning them, as one ClusterRole: nothing more.
    pub fn rbac(&self, set: &SetId, writes: &[PlannedWrite]) -> Value {
        preflight::cluster_role(&self.inner.names(set), writes)
    }
}

impl Inner {
    pub(crate) fn names(&self, set: &SetId) -> Names {
        Names::new(set, self.home.as_deref())
    }

    /// Remembers that states older than this are not news.
    pub(crate) fn raise_floor(&self, id: &ResourceId, version: Option<&str>) {
        if let Some(version) = version.and_then(|text| text.parse::<u64>().ok()) {
            let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
            let floor = floors.entry(id.clone()).or_insert(0);
            *floor = version.max(*floor);
        }
    }

    pub(crate) fn floor(&self, id: &ResourceId) -> u64 {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(id).copied().unwrap_or(0)
    }
}

/// What every cluster can do.
pub fn features() -> ProviderFeatures {
    ProviderFeatures::new(PARALLEL)
        .with_tells_actors(true)
        .with_previews_on_server(true)
}

#[async_trait]
impl Provider for KubeProvider {
    fn place(&self) -> &Place {
        &self.inner.place
    }

    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts> {
        kind::facts(kind)
    }

    fn features(&self) -> ProviderFeatures {
        features()
    }

    async fn identity(&self) -> Result<PlaceIdentity> {
        let attempt = Attempt::new("get", "namespaces kube-system");
        let call = Call::get("/api/v1/namespaces/kube-system", attempt).metadata_only();
        let namespace = self.inner.api.call(call).await?.ok()?;
        match namespace["metadata"]["uid"].as_str() {
            Some(uid) => Ok(PlaceIdentity(uid.to_owned())),
            None => Err(Error::new(ErrorKind::Internal, "namespace kube-system has no uid")),
        }
    }

    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
        observe::observe(&self.inner, set, wanted).await
    }

    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        preview::preview(&self.inner, wanted, seen).await
    }

    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        observe::everything(&self.inner, set, kind, within).await
    }

    async fn preflight(&self, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
        preflight::preflight(&self.inner, set, writes).await
    }

    async fn write(&self, write: Write<'_>, permit: platform_core::engine::Permit<'_>) -> Result<Option<Live>> {
        let id = write.id().clone();
        let outcome = write::write(&self.inner, write, permit).await;
        let now = self.inner.api.clock().elapsed();
        let live = outcome.map_err(|why| self.inner.quotas.advised(&id, why, now))?;
        self.inner.quotas.wrote(&id, now);
        if let Some(live) = &live {
            self.inner.raise_floor(&id, live.version.as_deref());
        }
        Ok(live)
    }

    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        follow::follow(Arc::clone(&self.inner), interest, seen)
    }

    fn lock(&self) -> &dyn Lock {
        self
    }
}

#[async_trait]
impl Lock for KubeProvider {
    async fn prepare(&self, set: &SetId) -> Result<()> {
        lock::prepare(&self.inner, set).await
    }
    async fn acquire(&self, request: &platform_core::LeaseRequest) -> Result<platform_core::Acquired> {
        lock::acquire(&self.inner, request).await
    }
    async fn renew(&self, lease: &mut platform_core::Lease) -> Result<()> {
        lock::renew(&self.inner, lease).await
    }
    async fn release(&self, lease: platform_core::Lease, last: bool) -> Result<()> {
        lock::release(&self.inner, lease, last).await
    }
}
