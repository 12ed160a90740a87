//! An in-memory world, and what tests need.

#[cfg(feature = "testing")]
pub use permit::permit;

#[cfg(feature = "testing")]
mod permit {
    use crate::engine::{Permit, Step, permit_for_tests};

    /// A permit for a step that no plan holds, for the tests of providers.
    pub fn permit(step: &Step) -> Permit<'_> {
        permit_for_tests(step)
    }
}
