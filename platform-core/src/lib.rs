//! Traits, plan and apply engine of the ML platform provisioning libraries.
//!
//! * [`Database`], [`Cache`], [`Storage`], [`Monitoring`], [`Security`], [`Backup`]: what users hold.
//! * [`engine`]: plans, approvals, apply; knows no cloud.
//! * [`Provider`]: the contract that a cluster or cloud account fulfils.
//! * `testing` (features `world`, `testing`): an in-memory world, and what tests need.

mod backup;
mod blueprint;
mod cache;
mod database;
pub mod engine;
mod error;
mod facts;
mod monitoring;
mod provider;
mod resource;
mod security;
mod storage;
mod surface;
#[cfg(feature = "world")]
pub mod testing;
pub mod value;

pub use backup::{
    Backup, BackupFeatures, BackupOutputs, BackupRecord, BackupRun, BackupSpec, BackupStatus, BackupStore, Definitions,
    Remade, RestoreFrom, RestoreProof, Start,
};
pub use blueprint::{Blueprint, Context, Environment, Stack};
pub use cache::{Cache, CacheEngine, CacheFeatures, CacheOutputs, CacheSpec};
pub use database::{Credentials, Database, DatabaseFeatures, DatabaseOutputs, DatabaseSource, DatabaseSpec};
pub use error::{Error, ErrorKind, Result, Retry};
pub use facts::{Calls, Charset, Creation, Equal, Field, FieldChange, KindFacts, NameRule, Risk, RiskRule, Updating};
pub use monitoring::{Channel, Monitoring, MonitoringFeatures, MonitoringOutputs, MonitoringSpec, Receiver, Severity};
pub use provider::{
    Acquired, Connect, Finding, Interest, Lease, LeaseRequest, LeaseSeen, Lock, PlannedWrite, Preview, Provider,
    ProviderFeatures, Verb, Write,
};
pub use resource::{
    Actor, Holds, Live, Notes, Observation, OnRemoval, OpenCreate, Owner, Renewal, Resolved, Resource, State,
};
pub use security::{
    AllowRule, ApplicationSpec, LimitSpec, PeopleSpec, PodSecurity, QuotaSpec, Revisions, Security, SecurityFeatures,
    SecurityOutputs, SecuritySpec, Subjects,
};
pub use storage::{BucketSpec, Storage, StorageFeatures, StorageOutputs, StorageSpec};
pub use surface::{
    AlarmSubject, Call, Capability, ClientSecret, DataAsset, Endpoint, Scrape, Surface, Surfaces, Workload,
};

#[cfg(feature = "mock")]
pub use {
    backup::MockBackup, cache::MockCache, database::MockDatabase, monitoring::MockMonitoring, security::MockSecurity,
    storage::MockStorage,
};
