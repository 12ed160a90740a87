//! What several suites share.

pub mod canary;
pub mod client;
pub mod cost;
pub mod manifests;
pub mod metrics;
pub mod recording;
pub mod velero;
pub mod whole_cost;
