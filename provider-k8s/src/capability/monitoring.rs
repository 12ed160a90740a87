//! What monitoring reads, when it raises an alarm, whom it tells and what it shows.
//!
//! All of it follows from [`Watched`], and is pure: the same platform gives the same bytes.

pub mod alertmanager;
pub mod dashboards;
pub mod rules;
pub mod scrape;
mod watched;
mod yaml;

pub use watched::{Watched, job};
pub use yaml::document;
