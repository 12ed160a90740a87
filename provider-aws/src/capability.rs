//! Which resources a capability needs on AWS.

mod database;
mod security;
mod storage;

pub(crate) use database::AwsDatabase;
pub(crate) use security::AwsSecurity;
pub(crate) use storage::AwsStorage;
