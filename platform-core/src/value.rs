//! Value types: validated once, then passed around without further checks.

pub mod image;
pub mod percent;
pub mod schedule;
pub mod size;
pub mod span;
