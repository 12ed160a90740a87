//! What several suites share.

pub mod recording;
