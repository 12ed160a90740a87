//! What several suites share.

pub mod manifests;
pub mod recording;
