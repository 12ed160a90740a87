//! Everything that is proved on a real API server. One binary, one control plane, a namespace prefix a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cost;
mod proxied;
mod recorded;
mod shared;
mod simulated_nodes;
mod standing;
