//! The platform on AWS.
//!
//! * [`AwsProvider`]: one account and region as a [`platform_core::Provider`], built from the caller's `SdkConfig`.
//! * [`facts`]: what the engine has to know of each kind.
//!
//! This version knows `kms.Key`, `s3.Bucket` and `secretsmanager.Secret`. Each kind is one taggable object together with
//! everything on it that cannot carry a tag; whose an object is stands in its tags, nowhere else.

mod client;
mod error;
mod follow;
mod kind;
mod lock;
mod names;
mod observe;
mod policy;
mod provider;
mod secret;
mod tags;
mod write;

pub use aws_types::SdkConfig;
pub use kind::facts;
pub use provider::AwsProvider;
