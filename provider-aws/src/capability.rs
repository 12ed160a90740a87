//! Which resources a capability needs on AWS.

mod security;
mod storage;

pub(crate) use security::AwsSecurity;
pub(crate) use storage::AwsStorage;
