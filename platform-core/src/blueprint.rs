//! Blueprints: which resources a capability needs, as data, and what all of them share.

use crate::engine::{Engine, EngineBuilder};
use crate::facts::Risk;
use crate::resource::Resource;
use crate::surface::{Capability, Surfaces};
use crate::value::{FieldPath, InvalidValue, Place, ResourceId, SetId};
use crate::{Backup, Cache, Database, Monitoring, PlannedWrite, Result, Security, SecuritySpec, Storage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

/// Which resources, and what comes out of them. Data only: printable, comparable, mergeable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blueprint<O> {
    /// The resources.
    pub resources: Vec<Resource>,
    /// The outputs, with references to server-made values.
    pub outputs: Value,
    #[serde(skip)]
    kind: PhantomData<fn() -> O>,
}

impl<O: Serialize + DeserializeOwned> Blueprint<O> {
    /// A blueprint whose outputs are all computed.
    ///
    /// # Errors
    /// When the outputs cannot be JSON.
    pub fn new(resources: Vec<Resource>, outputs: &O) -> Result<Self> {
        let outputs = serde_json::to_value(outputs).map_err(|cause| {
            crate::Error::new(crate::ErrorKind::Internal, "outputs are not JSON").with_source(cause)
        })?;
        Ok(Self::with_references(resources, outputs))
    }

    /// A blueprint whose outputs hold references; resolved they must have the shape of `O`.
    pub fn with_references(resources: Vec<Resource>, outputs: Value) -> Self {
        Self {
            resources,
            outputs,
            kind: PhantomData,
        }
    }
}

/// Which environment: only values differ between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// A laptop's cluster.
    #[default]
    Local,
    /// Development.
    Dev,
    /// Staging.
    Staging,
    /// Production.
    Prod,
}

impl Environment {
    /// `local`, `dev`, `staging`, `prod`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }

    /// Which risks need an approval here: all but downtime in local and dev, all in staging and prod.
    pub fn approvals(self) -> BTreeSet<Risk> {
        let mut risks = BTreeSet::from([
            Risk::DestroysData,
            Risk::Irreversible,
            Risk::LowersProtection,
            Risk::Exposes,
        ]);
        if matches!(self, Self::Staging | Self::Prod) {
            risks.insert(Risk::Downtime);
        }
        risks
    }
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every blueprint gets: the platform it is part of and what all others show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The set that will own the resources.
    pub set: SetId,
    /// The platform's name.
    pub name: String,
    /// Its environment.
    pub environment: Environment,
    /// Put before every namespace, so that two platforms fit in one cluster; empty for the first.
    pub namespace_prefix: String,
    /// What every capability shows.
    pub surfaces: Surfaces,
    /// The platform's security wishes, which shape every blueprint.
    pub security: SecuritySpec,
    /// Overrides of computed names, so that a platform can adopt what others made: default name -> wanted name.
    pub names: BTreeMap<String, String>,
    /// Fields of objects that stay as they are found: `rds.DbInstance/orders` -> fields.
    pub leave: BTreeMap<String, BTreeSet<FieldPath>>,
    /// Tags and labels of the caller.
    pub tags: BTreeMap<String, String>,
    /// Capabilities whose data comes from a backup before anything that holds some is made.
    pub restored: BTreeSet<Capability>,
    /// Capabilities that several providers have at once: each leaves to the others what only they can do.
    pub several: BTreeSet<Capability>,
    /// Planned on its own: the blueprint brings its own namespace, CA and default-deny.
    pub alone: bool,
}

impl Context {
    /// The context of a platform, before surfaces are stated.
    pub fn new(name: &str, environment: Environment, namespace_prefix: &str) -> Self {
        Self {
            set: SetId::of(name, environment.as_str(), namespace_prefix),
            name: name.to_owned(),
            environment,
            namespace_prefix: namespace_prefix.to_owned(),
            surfaces: Surfaces::default(),
            security: SecuritySpec::default(),
            names: BTreeMap::new(),
            leave: BTreeMap::new(),
            tags: BTreeMap::new(),
            restored: BTreeSet::new(),
            several: BTreeSet::new(),
            alone: false,
        }
    }

    /// The context of a capability used alone: set `<name>-<capability>`.
    ///
    /// # Errors
    /// When the name cannot be part of a set id.
    pub fn alone(name: &str, capability: Capability) -> Result<Self, InvalidValue> {
        let mut context = Self::new(name, Environment::Local, "");
        context.set = SetId::new(format!("{name}-{capability}"))?;
        context.alone = true;
        Ok(context)
    }

    /// The set of a one-off run, such as a backup taken by hand: apart from the platform's, so that neither prunes the other.
    ///
    /// # Errors
    /// When the name cannot be part of a set id.
    pub fn one_off(&self, verb: &str, name: &str) -> Result<SetId, InvalidValue> {
        SetId::new(format!("{}/run/{verb}-{name}", self.set))
    }

    /// The name to use where `default` is computed.
    pub fn name_of<'a>(&'a self, default: &'a str) -> &'a str {
        self.names.get(default).map_or(default, String::as_str)
    }

    /// The fields of an object that stay as they are found.
    pub fn left_of(&self, id: &ResourceId) -> BTreeSet<FieldPath> {
        let label = format!("{}/{}", id.kind(), id.name());
        self.leave.get(&label).cloned().unwrap_or_default()
    }

    /// The namespace of a capability.
    pub fn namespace(&self, base: &str) -> String {
        format!("{}{base}", self.namespace_prefix)
    }
}

/// A provider with its capabilities: what a platform is wired from.
pub trait Stack: Debug + Send + Sync {
    /// Adds its places to an engine: a cluster, an account with its regions, a cluster that another place is still to make.
    fn join(&self, engine: EngineBuilder) -> EngineBuilder;
    /// Its place.
    fn place(&self) -> &Place;
    /// Engine of the capabilities when they are used alone.
    fn engine(&self) -> &Engine;
    /// What the wanted capabilities share: namespaces and the CA; VPC, keys, cluster.
    ///
    /// # Errors
    /// When the wishes contradict each other.
    fn foundation(&self, wanted: &BTreeSet<Capability>, context: &Context) -> Result<Vec<Resource>>;
    /// The rights that these writes of a set need in its places, and planning them, as its places take them: IAM policies, a
    /// ClusterRole. Writes elsewhere are left out. Makes no call.
    fn rights(&self, set: &SetId, writes: &[PlannedWrite]) -> Vec<Value>;
    /// PostgreSQL; `None` while this version has none here.
    fn database(&self) -> Option<Arc<dyn Database>>;
    /// Valkey or Redis; `None` while this version has none here.
    fn cache(&self) -> Option<Arc<dyn Cache>>;
    /// S3; `None` while this version has none here.
    fn storage(&self) -> Option<Arc<dyn Storage>>;
    /// Metrics and alarms; `None` while this version has none here.
    fn monitoring(&self) -> Option<Arc<dyn Monitoring>>;
    /// Policies and secrets; `None` while this version has none here.
    fn security(&self) -> Option<Arc<dyn Security>>;
    /// Backups; `None` while this version has none here.
    fn backup(&self) -> Option<Arc<dyn Backup>>;
}
