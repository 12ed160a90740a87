//! The network of a platform on AWS: the kinds of EC2, in a crate of their own because their SDK takes minutes and gigabytes
//! to compile. With a VPC that is there already only a look at it needs it.
//!
//! * [`kinds`]: what [`AwsProvider::with_kinds`](provider_aws::AwsProvider::with_kinds) and
//!   [`Aws::with_kinds`](provider_aws::Aws::with_kinds) take.
//! * [`lookup`]: what [`AwsProvider::with_lookup`](provider_aws::AwsProvider::with_lookup) takes, to see whether a network that
//!   others made is there and fits.
//! * [`facts`]: what the engine has to know of each, which is all that an in-memory world needs.

mod ec2;
mod kind;
mod lookup;

pub use kind::{facts, kinds};
pub use lookup::lookup;
