//! One config file to a whole ML platform.

pub mod config;

#[cfg(feature = "aws")]
pub use provider_aws as aws;
