//! Which resources a capability needs on AWS.

mod storage;

pub(crate) use storage::AwsStorage;
