//! The capabilities: which resources each needs. One file each.

mod backup;
mod cache;
mod database;
mod login;
pub mod monitoring;
mod object_store;
mod security;
mod stateful;
mod storage;

pub(crate) use backup::KubernetesBackup;
pub(crate) use cache::KubernetesCache;
pub(crate) use database::KubernetesDatabase;
pub(crate) use monitoring::KubernetesMonitoring;
pub(crate) use security::KubernetesSecurity;
pub(crate) use storage::KubernetesStorage;
