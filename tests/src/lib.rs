//! What several suites share.

pub mod cost;
pub mod manifests;
pub mod recording;
