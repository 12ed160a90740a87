//! Faults between the engine and a provider: lost answers, throttling, killed processes. Each replays from its seed.

mod faulty;

pub use faulty::Faulty;

use crate::provider::Provider;
use crate::value::{Clock, ResourceId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// On which side of a call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It never went out.
    Before,
    /// It took effect and nobody heard of it.
    After,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Fails without an effect.
    ErrorBefore,
    /// Takes effect; the answer is lost.
    ErrorAfter,
    /// Arrives twice.
    Duplicate,
    /// Takes seconds.
    Delay,
    /// Is refused for now.
    Throttle,
    /// Reads what was before.
    Stale,
}

impl Fault {
    const ALL: [Self; 6] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Duplicate,
        Self::Delay,
        Self::Throttle,
        Self::Stale,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error before",
            Self::ErrorAfter => "answer lost",
            Self::Duplicate => "duplicate",
            Self::Delay => "delay",
            Self::Throttle => "throttle",
            Self::Stale => "stale read",
        }
    }
}

type Intruder = Box<dyn FnOnce() + Send>;

/// A schedule of faults. Calls are numbered from 1 in the order in which they start; with a
/// [`ManualClock`](super::ManualClock) that order is the same in every run. Clones share one schedule.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Mutex<Schedule>>,
}

struct Schedule {
    seed: u64,
    per_mille: u64,
    kill: Option<(u64, Side)>,
    throttle: Option<u64>,
    intruders: Vec<(u64, Intruder)>,
    ambushes: Vec<(ResourceId, Intruder)>,
    calls: u64,
    dead: bool,
    happened: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// None: counts calls only.
    pub fn none() -> Self {
        Self::new(0, 0)
    }

    /// Faults at about every twelfth call, all drawn from the seed.
    pub fn seeded(seed: u64) -> Self {
        Self::new(seed, 80)
    }

    fn new(seed: u64, per_mille: u64) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Schedule {
                seed,
                per_mille,
                kill: None,
                throttle: None,
                intruders: Vec::new(),
                ambushes: Vec::new(),
                calls: 0,
                dead: false,
                happened: BTreeMap::new(),
            })),
        }
    }

    /// Kills the process at its `n`-th call: neither that call nor any later one ever returns.
    /// Drive the future with [`ManualClock::drive_until`](super::ManualClock::drive_until) and [`Faults::is_dead`].
    #[must_use]
    pub fn kill_at(self, n: u64, side: Side) -> Self {
        self.schedule().kill = Some((n, side));
        self
    }

    /// Answers the `n`-th call with "too many requests".
    #[must_use]
    pub fn throttle_at(self, n: u64) -> Self {
        self.schedule().throttle = Some(n);
        self
    }

    /// Lets somebody act just before the `n`-th call.
    #[must_use]
    pub fn intrude_at(self, n: u64, act: impl FnOnce() + Send + 'static) -> Self {
        self.schedule().intruders.push((n, Box::new(act)));
        self
    }

    /// Lets somebody act just before the first write of this object goes out: after all that looked at it.
    #[must_use]
    pub fn intrude_before_write(self, id: ResourceId, act: impl FnOnce() + Send + 'static) -> Self {
        self.schedule().ambushes.push((id, Box::new(act)));
        self
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.schedule().dead
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.schedule().calls
    }

    /// What happened so far, by name.
    pub fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.schedule().happened.clone()
    }

    /// The provider as seen through these faults.
    pub fn around(&self, provider: Arc<dyn Provider>, clock: Arc<dyn Clock>) -> Arc<Faulty> {
        Arc::new(Faulty::new(self.clone(), provider, clock))
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a call and draws what happens to it.
    fn enter(&self, possible: &[Fault]) -> Entry {
        let mut schedule = self.schedule();
        if schedule.dead {
            return Entry::Dead;
        }
        schedule.calls += 1;
        let number = schedule.calls;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut schedule.intruders)
            .into_iter()
            .partition(|(at, _)| *at <= number);
        schedule.intruders = later;
        let kill = schedule.kill.filter(|(at, _)| *at == number).map(|(_, side)| side);
        let drawn = random(schedule.seed, number);
        let fault = (drawn % 1000 < schedule.per_mille)
            .then(|| Fault::ALL[usize::try_from((drawn >> 32) % 6).unwrap_or(0)])
            .filter(|fault| possible.contains(fault) && kill.is_none());
        let throttled = schedule.throttle == Some(number) && possible.contains(&Fault::Throttle);
        let fault = if throttled { Some(Fault::Throttle) } else { fault };
        if let Some(fault) = fault {
            *schedule.happened.entry(fault.name()).or_insert(0) += 1;
        }
        if kill == Some(Side::Before) {
            schedule.dead = true;
            *schedule.happened.entry("killed before").or_insert(0) += 1;
        }
        drop(schedule);
        for (_, act) in due {
            act();
        }
        match kill {
            Some(Side::Before) => Entry::Dead,
            Some(Side::After) => Entry::Last,
            None => Entry::Go(fault, number),
        }
    }

    /// Lets those act who waited for a write of this object.
    fn spring(&self, id: &ResourceId) {
        let mut schedule = self.schedule();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut schedule.ambushes)
            .into_iter()
            .partition(|(awaited, _)| awaited == id);
        schedule.ambushes = later;
        drop(schedule);
        for (_, act) in due {
            act();
        }
    }

    fn die(&self) {
        let mut schedule = self.schedule();
        schedule.dead = true;
        *schedule.happened.entry("killed after").or_insert(0) += 1;
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedule = self.schedule();
        f.debug_struct("Faults")
            .field("seed", &schedule.seed)
            .field("kill", &schedule.kill)
            .field("calls", &schedule.calls)
            .finish_non_exhaustive()
    }
}

enum Entry {
    Dead,
    /// Takes effect, then the process is dead.
    Last,
    Go(Option<Fault>, u64),
}

/// The n-th number of a seed's series (splitmix64).
fn random(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
