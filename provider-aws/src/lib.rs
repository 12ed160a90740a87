//! The platform on AWS.
//!
//! * [`AwsProvider`]: one account and region as a [`platform_core::Provider`], built from the caller's `SdkConfig`.
//! * [`facts`]: what the engine has to know of each kind.
//! * [`kind`]: what a kind is, for those that live in a crate of their own.
//! * [`existing`]: a look at networks that others made.
//! * [`export`]: wished resources in the languages of others.
//! * [`Aws`]: the capabilities as blueprints over any provider, an account or an in-memory world.
//!
//! Each kind is one taggable object together with
//! everything on it that cannot carry a tag; whose an object is stands in its tags, nowhere else.

mod aws;
mod capability;
mod client;
mod cluster;
mod cluster_token;
mod control;
mod cron;
mod draft;
mod error;
pub mod existing;
pub mod export;
mod follow;
mod foundation;
mod iam;
pub mod kind;
mod lock;
mod names;
mod network;
mod observe;
mod once;
mod policy;
mod preflight;
mod provider;
mod roles;
mod secret;
mod tags;
mod write;

pub use aws::{Aws, AwsOptions};
pub use aws_types::SdkConfig;
pub use cluster::{Cluster, NewCluster, NodeGroup, PodRole};
pub use cluster_token::ClusterTokens;
pub use kind::facts;
pub use network::{ExistingNetwork, Nat, Network, NewNetwork};
pub use provider::{AwsProvider, features};
