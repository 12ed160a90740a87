//! Which resources a capability needs on AWS.

mod backup;
mod cache;
mod database;
mod monitoring;
mod security;
mod storage;

pub(crate) use backup::AwsBackup;
pub(crate) use cache::{AwsCache, PORT as CACHE_PORT};
pub(crate) use database::{AwsDatabase, PORT as DATABASE_PORT};
pub(crate) use monitoring::AwsMonitoring;
pub(crate) use security::AwsSecurity;
pub(crate) use storage::AwsStorage;
