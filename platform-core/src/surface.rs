//! What a capability shows to the others: pure data, stated before any blueprint.

use crate::resource::Holds;
use crate::value::ResourceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// PostgreSQL, RDS.
    Database,
    /// Valkey or Redis, ElastiCache.
    Cache,
    /// An S3 server, S3.
    Storage,
    /// Prometheus and Grafana, CloudWatch.
    Monitoring,
    /// Policies, keys, secrets.
    Security,
    /// Velero, AWS Backup.
    Backup,
}

impl Capability {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::Database,
        Self::Cache,
        Self::Storage,
        Self::Monitoring,
        Self::Security,
        Self::Backup,
    ];

    /// `database`: the config key, the component and the default namespace.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Storage => "storage",
            Self::Monitoring => "monitoring",
            Self::Security => "security",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one capability shows to the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// What clients connect to.
    pub endpoints: Vec<Endpoint>,
    /// What its clients log in with; absent where nothing can be handed to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientSecret>,
    /// What runs, and whom it calls.
    pub workloads: Vec<Workload>,
    /// Metrics to read.
    pub scrapes: Vec<Scrape>,
    /// What holds data.
    pub data: Vec<DataAsset>,
    /// What alarms can be about.
    pub subjects: Vec<AlarmSubject>,
    /// Whose data its backups hold: those capabilities make a consistent copy when it is their turn.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub backs_up: BTreeSet<Capability>,
}

/// What clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `postgres`, `s3`, `console`.
    pub name: String,
    /// DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it speaks TLS only.
    pub tls: bool,
    /// The workload behind it, by name; absent for managed services.
    pub workload: Option<String>,
}

/// What clients log in with: where it is, never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// The Secret.
    pub secret: ResourceId,
    /// The keys that clients need, such as `username` and `password`.
    pub keys: BTreeSet<String>,
    /// Another number means other values.
    pub revision: u32,
}

/// What runs in a cluster: the unit of micro-segmentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Unique in the platform: `postgres`.
    pub name: String,
    /// Where its pods run.
    pub namespace: String,
    /// Labels that select its pods and no others in the namespace; empty for every pod of it.
    pub labels: BTreeMap<String, String>,
    /// TCP ports that it serves, by name.
    pub ports: BTreeMap<String, u16>,
    /// Whom it calls.
    pub calls: Vec<Call>,
}

/// A connection that a workload makes. Everything not listed is denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Another workload's named port.
    Workload {
        /// Its name.
        name: String,
        /// The port's name.
        port: String,
    },
    /// The endpoints of a capability.
    Endpoints(Capability),
    /// Cluster DNS.
    Dns,
    /// The Kubernetes API server.
    ApiServer,
    /// Hosts outside of the cluster, whose addresses nobody knows beforehand.
    Outside {
        /// TCP port.
        port: u16,
    },
    /// The nodes themselves, and pods on their network.
    Nodes {
        /// TCP port.
        port: u16,
    },
    /// The port of every scrape, the port `metrics` of applications, and pods of other namespaces that may use the platform.
    Scrapes,
}

/// Metrics to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrape {
    /// Job label.
    pub job: String,
    /// The workload that serves them.
    pub workload: String,
    /// The port's name.
    pub port: String,
    /// HTTP path.
    pub path: String,
    /// Whether over TLS.
    pub tls: bool,
}

/// An object that holds data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAsset {
    /// Which.
    pub id: ResourceId,
    /// What it holds.
    pub holds: Holds,
    /// Its workload, whose hooks make a consistent copy.
    pub workload: Option<String>,
}

/// What an alarm can be about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmSubject {
    /// `connections`, `utilisation`, `errors`; `age` of the newest good backup; `replicas` of a server that has some.
    pub what: String,
    /// Of which capability.
    pub capability: Capability,
    /// The limit it is measured against, where one is set (max_connections, bytes; seconds for `age`; how many `replicas`).
    pub limit: Option<u64>,
    /// Identifier in the monitoring system (job label, DB instance id, name of the backup schedule).
    pub subject: String,
}

/// All surfaces of a platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surfaces(pub BTreeMap<Capability, Surface>);

impl Surfaces {
    /// Every workload of the platform.
    pub fn workloads(&self) -> impl Iterator<Item = (Capability, &Workload)> {
        self.0
            .iter()
            .flat_map(|(capability, surface)| surface.workloads.iter().map(|workload| (*capability, workload)))
    }

    /// A workload by name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads()
            .map(|(_, workload)| workload)
            .find(|workload| workload.name == name)
    }

    /// Every scrape of the platform.
    pub fn scrapes(&self) -> impl Iterator<Item = &Scrape> {
        self.0.values().flat_map(|surface| &surface.scrapes)
    }

    /// The workloads that stand for applications: whatever pods run in the namespaces that Security made for them.
    pub fn applications(&self) -> &[Workload] {
        self.get(Capability::Security)
            .map_or(&[][..], |surface| &surface.workloads)
    }

    /// The surface of a capability.
    pub fn get(&self, capability: Capability) -> Option<&Surface> {
        self.0.get(&capability)
    }
}
