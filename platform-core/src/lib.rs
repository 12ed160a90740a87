//! platform-core

pub mod value;
