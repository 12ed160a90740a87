//! One config file to a whole ML platform.
//!
//! [`config`] reads the file, [`Platform`] plans and applies what it asks for.

#[cfg(feature = "k8s")]
mod cluster;
pub mod config;
pub mod lower;
mod platform;
mod wire;

pub use platform::{IntoStack, Part, PlanOptions, Platform, PlatformBuilder};
#[cfg(feature = "aws")]
pub use provider_aws as aws;
#[cfg(feature = "k8s")]
pub use provider_k8s as kubernetes;
