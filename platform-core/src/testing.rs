//! An in-memory world, and what tests need.
//!
//! Feature `world`: [`World`] and [`ManualClock`]. Feature `testing`: the rest, which no binary enables.

mod clock;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
mod faults;
#[cfg(feature = "testing")]
pub mod fixtures;
#[cfg(any(test, feature = "testing"))]
pub mod kinds;
#[cfg(feature = "testing")]
mod sabotage;
mod world;

pub use clock::{Driven, ManualClock};
#[cfg(feature = "testing")]
pub use faults::{Faults, Faulty, Side};
#[cfg(feature = "testing")]
pub use permit::permit;
#[cfg(feature = "testing")]
pub use sabotage::Sabotage;
pub use world::{Lag, Loss, Shape, World};

#[cfg(feature = "testing")]
mod permit {
    use crate::engine::{Permit, Step, permit_for_tests};

    /// A permit for a step that no plan holds, for the tests of providers.
    pub fn permit(step: &Step) -> Permit<'_> {
        permit_for_tests(step)
    }
}
