//! What a platform consists of on Kubernetes: names, pods, policies, judges, and the scripts that run inside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod applications;
mod buckets;
mod data;
mod exporters;
mod judges;
mod limits;
mod manifests;
mod monitoring;
mod people;
mod pods;
mod policies;
mod postgres;
mod redis;
mod server;
