//! A clock that tests turn by hand.

use crate::value::{Clock, Timestamp};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A clock that stands still until it is moved: hours pass in microseconds, and always in the same order.
///
/// [`ManualClock::drive`] runs a future to its end and jumps to the next deadline whenever nothing is
/// runnable. No runtime is needed. Clones share one time.
///
/// ```
/// # use platform_core::testing::ManualClock;
/// # use platform_core::value::Clock;
/// # use std::time::Duration;
/// let clock = ManualClock::new();
/// let slept = clock.drive(clock.sleep(Duration::from_secs(3600)));
/// assert!(slept.is_done());
/// assert_eq!(clock.elapsed(), Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    time: Arc<Mutex<Time>>,
}

#[derive(Debug, Default)]
struct Time {
    elapsed: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

/// What came of driving a future.
#[derive(Debug, PartialEq, Eq)]
pub enum Driven<T> {
    /// It completed.
    Done(T),
    /// The stop condition held; the future was dropped where it stood.
    Stopped,
    /// Nothing was runnable and nobody slept; the future was dropped where it stood.
    Stalled,
}

impl<T> Driven<T> {
    /// The value of a completed future.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Stopped | Self::Stalled => None,
        }
    }
    /// Whether it completed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// The first instant of every manual clock: 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;

impl ManualClock {
    /// A clock at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let to = self.time().elapsed + by;
        self.move_to(to);
    }

    /// Runs a future to its end, jumping to the next deadline whenever nothing is runnable.
    pub fn drive<F: Future>(&self, future: F) -> Driven<F::Output> {
        self.drive_until(future, || false)
    }

    /// [`ManualClock::drive`], but drops the future as soon as `stop` holds after a poll: a killed process.
    pub fn drive_until<F: Future>(&self, future: F, stop: impl Fn() -> bool) -> Driven<F::Output> {
        let mut future = Box::pin(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            while woken.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    return Driven::Done(value);
                }
                if stop() {
                    return Driven::Stopped;
                }
            }
            let Some(next) = self.time().sleepers.keys().next().map(|(deadline, _)| *deadline) else {
                return Driven::Stalled;
            };
            self.move_to(next);
        }
    }

    fn move_to(&self, to: Duration) {
        let due = {
            let mut time = self.time();
            time.elapsed = time.elapsed.max(to);
            let later = time.sleepers.split_off(&(to + Duration::from_nanos(1), 0));
            std::mem::replace(&mut time.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(START).plus(self.elapsed())
    }
    fn elapsed(&self) -> Duration {
        self.time().elapsed
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut time = self.time();
        let id = time.next;
        time.next += 1;
        let deadline = time.elapsed.saturating_add(duration);
        drop(time);
        Box::pin(Sleep {
            clock: self.clone(),
            key: (deadline, id),
        })
    }
}

#[derive(Debug)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Sleep {
    clock: ManualClock,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.time();
        if time.elapsed >= self.key.0 {
            Poll::Ready(())
        } else {
            time.sleepers.insert(self.key, context.waker().clone());
            Poll::Pending
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.time().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::{Driven, ManualClock};
    use crate::value::Clock;
    use futures::future::{join, pending};
    use std::time::Duration;

    #[test]
    fn time_jumps_to_the_next_deadline_in_order() {
        let clock = ManualClock::new();
        let slow = async {
            clock.sleep(Duration::from_secs(5)).await;
            clock.elapsed()
        };
        let quick = async {
            clock.sleep(Duration::from_secs(2)).await;
            let first = clock.elapsed();
            clock.sleep(Duration::from_secs(2)).await;
            (first, clock.elapsed())
        };
        let seconds = Duration::from_secs;
        assert_eq!(
            clock.drive(join(slow, quick)),
            Driven::Done((seconds(5), (seconds(2), seconds(4))))
        );
        assert_eq!(clock.now().seconds() - super::START, 5);
    }

    #[test]
    fn a_future_that_waits_for_nothing_is_reported_and_a_stop_drops_it() {
        let clock = ManualClock::new();
        assert_eq!(clock.drive(pending::<()>()), Driven::Stalled);
        let ticking = async {
            loop {
                clock.sleep(Duration::from_secs(1)).await;
            }
        };
        assert_eq!(
            clock.drive_until(ticking, || clock.elapsed() >= Duration::from_secs(3)),
            Driven::<()>::Stopped
        );
        assert!(clock.time().sleepers.is_empty(), "a dropped sleep leaves no timer");
    }
}
