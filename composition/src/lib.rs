//! One config file to a whole ML platform.

pub mod config;
