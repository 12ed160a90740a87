//! The config file of a platform: layers, checks, and where every value came from.
//!
//! One YAML file describes a platform; an environment only changes values. Layers, lowest first: the built-in profile
//! of the environment, `base.yaml` beside the file, the file, overrides.
//!
//! ```
//! use composition::config::PlatformConfig;
//!
//! let config = PlatformConfig::parse(
//!     "name: demo\nenvironment: local\ndatabase: { storage: 20Gi }\n",
//!     "demo.yaml",
//! )?;
//! let database = config.database.as_ref();
//! assert_eq!(database.map(|d| d.storage.to_string()), Some("20Gi".to_owned()));
//! assert_eq!(database.map(|d| d.max_connections), Some(100)); // from the profile
//! assert!(config.cache.is_none());                            // no block: not wanted
//! # Ok::<(), composition::config::ConfigErrors>(())
//! ```
//!
//! Every problem is reported at once, with its file, line, column, key and the fix; see [`ConfigErrors`].

mod block;
mod compare;
mod explain;
mod load;
mod merge;
mod model;
mod problem;
mod schema;
mod secrets;
mod source;
mod suggest;
mod validate;
mod words;
mod yaml;

pub use compare::Difference;
pub use load::Layers;
pub use model::{
    AlertsConfig, AllowConfig, ApplicationConfig, AwsConfig, BackupConfig, BackupStoreConfig, BucketConfig,
    CacheConfig, ClusterConfig, Cpu, CredentialsConfig, CustomStorage, DatabaseConfig, DatabaseSourceConfig,
    DefinitionsFrom, DigestPolicy, EmailConfig, ExistingNetworkConfig, ImagesConfig, InvalidCpu, LimitConfig,
    MonitoringConfig, NatConfig, NetworkConfig, NewClusterConfig, NewNetworkConfig, NodeGroupConfig, PeerConfig,
    PeopleConfig, PlatformConfig, PointInTimeConfig, ProviderName, QuotaConfig, ReceiverConfig, RevisionsConfig,
    SecurityConfig, SlackConfig, StorageConfig, StorageFlavour, SubjectsConfig, SuppliedConfig, TlsIssuer,
};
pub use problem::{ConfigErrors, Problem, Rule};
pub use schema::schema;
