//! The network of a platform on AWS.
