//! How often a write is repeated whose object moves under it.

use platform_core::value::Clock;
use std::sync::Arc;
use std::time::Duration;

/// An object that moves for longer is given up.
const RESTLESS: Duration = Duration::from_secs(30);
/// The first pause that is one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The tries of one write: at once at first, then ever more rarely, so that whoever moves the object comes to an end.
///
/// By time, not by number: how often a status moves within one round trip depends on the distance.
pub(super) struct Tries<'a> {
    clock: &'a Arc<dyn Clock>,
    start: Duration,
    pause: Duration,
}

impl<'a> Tries<'a> {
    pub(super) fn new(clock: &'a Arc<dyn Clock>) -> Self {
        Self {
            clock,
            start: clock.elapsed(),
            pause: Duration::ZERO,
        }
    }

    /// Pauses before the next try; `false`: it has been long enough.
    pub(super) async fn again(&mut self) -> bool {
        if self.clock.elapsed().saturating_sub(self.start) >= RESTLESS {
            return false;
        }
        self.clock.sleep(self.pause).await;
        self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
        true
    }
}
