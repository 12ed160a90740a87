//! Faults between the engine and a provider: lost answers, throttling, killed processes. Each replays from its seed.

use crate::engine::Permit;
use crate::facts::{Creation, KindFacts};
use crate::provider::{
    Acquired, Finding, Interest, Lease, LeaseRequest, Lock, PlannedWrite, Preview, Provider, ProviderFeatures, Verb,
    Write,
};
use crate::resource::{Live, Observation, Resource};
use crate::value::{Clock, Kind, Name, Place, PlaceIdentity, ResourceId, SetId};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
        Arc::new(Faulty {
            faults: self.clone(),
            provider,
            clock,
            earlier: Mutex::new(None),
        })
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

const READ: &[Fault] = &[Fault::ErrorBefore, Fault::Throttle, Fault::Delay, Fault::Duplicate];
const OBSERVE: &[Fault] = &[Fault::ErrorBefore, Fault::Throttle, Fault::Delay, Fault::Stale];
const WRITE: &[Fault] = &[
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::Throttle,
    Fault::Delay,
    Fault::Duplicate,
];

const WRITE_ONCE: &[Fault] = &[Fault::ErrorBefore, Fault::ErrorAfter, Fault::Throttle, Fault::Delay];

/// A provider seen through [`Faults`].
#[derive(Debug)]
pub struct Faulty {
    faults: Faults,
    provider: Arc<dyn Provider>,
    clock: Arc<dyn Clock>,
    earlier: Mutex<Option<Earlier>>,
}

#[derive(Debug)]
struct Earlier {
    set: SetId,
    objects: BTreeMap<ResourceId, Live>,
}

impl Faulty {
    async fn call<T, F>(&self, name: &'static str, possible: &[Fault], act: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        Ok(self.call_telling(name, possible, act).await?.0)
    }

    /// The answer, and what happened to the call.
    async fn call_telling<T, F>(
        &self,
        name: &'static str,
        possible: &[Fault],
        act: impl Fn() -> F,
    ) -> Result<(T, Option<Fault>)>
    where
        F: Future<Output = Result<T>>,
    {
        let (fault, number) = match self.faults.enter(possible) {
            Entry::Dead => return pending().await,
            Entry::Last => {
                let _unheard = act().await;
                self.faults.die();
                return pending().await;
            }
            Entry::Go(fault, number) => (fault, number),
        };
        let injected =
            |kind, what: &str| Err(Error::new(kind, format!("injected at call {number}: {what}")).with_operation(name));
        let answer = match fault {
            None | Some(Fault::Stale) => act().await,
            Some(Fault::ErrorBefore) => injected(ErrorKind::Unavailable, "connection refused"),
            Some(Fault::ErrorAfter) => {
                let _unheard = act().await;
                injected(ErrorKind::Unavailable, "connection reset before the answer")
            }
            Some(Fault::Throttle) => injected(ErrorKind::Throttled, "too many requests"),
            Some(Fault::Delay) => {
                let seconds = random(number, 1) % 20;
                self.clock.sleep(Duration::from_secs(seconds)).await;
                let answer = act().await;
                self.clock.sleep(Duration::from_secs(seconds / 2)).await;
                answer
            }
            Some(Fault::Duplicate) => {
                let _first = act().await;
                act().await
            }
        };
        Ok((answer?, fault))
    }
}

#[async_trait]
impl Provider for Faulty {
    fn place(&self) -> &Place {
        self.provider.place()
    }
    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts> {
        self.provider.facts(kind)
    }
    fn features(&self) -> ProviderFeatures {
        self.provider.features()
    }
    async fn identity(&self) -> Result<PlaceIdentity> {
        self.call("identity", READ, || self.provider.identity()).await
    }
    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
        let (mut seen, fault) = self
            .call_telling("observe", OBSERVE, || self.provider.observe(set, wanted))
            .await?;
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if fault == Some(Fault::Stale)
            && let Some(earlier) = earlier.take().filter(|earlier| &earlier.set == set)
        {
            age(&mut seen, earlier.objects, wanted, &|kind| self.provider.facts(kind));
        }
        *earlier = Some(Earlier {
            set: set.clone(),
            objects: seen
                .live
                .iter()
                .chain(&seen.extra)
                .map(|(id, live)| (id.clone(), live.clone()))
                .collect(),
        });
        Ok(seen)
    }
    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        self.call("preview", READ, || self.provider.preview(wanted, seen)).await
    }
    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        self.call("list", READ, || self.provider.list(set, kind, within)).await
    }
    async fn preflight(&self, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
        self.call("preflight", READ, || self.provider.preflight(set, writes))
            .await
    }
    async fn write(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
        let facts = self.provider.facts(write.id().kind());
        let guarded = facts.is_none_or(|facts| facts.create != Creation::Unguarded);
        // A second unguarded create makes a second object, whatever the caller does.
        let possible = if guarded || write.verb() != Verb::Create {
            WRITE
        } else {
            WRITE_ONCE
        };
        self.call("write", possible, || self.provider.write(write, permit))
            .await
    }
    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        let inner = self.provider.follow(interest, seen);
        let faults = self.faults.clone();
        stream::unfold((inner, VecDeque::new()), move |(mut inner, mut held)| {
            let faults = faults.clone();
            async move {
                let item = match held.pop_front() {
                    Some(item) => item,
                    None => inner.next().await?,
                };
                match faults.enter(&[Fault::ErrorBefore, Fault::Duplicate]) {
                    Entry::Dead => pending().await,
                    Entry::Last => {
                        faults.die();
                        pending().await
                    }
                    Entry::Go(Some(Fault::ErrorBefore), number) => {
                        held.push_back(item);
                        let text = format!("injected at call {number}: stream broke");
                        Some((Err(Error::new(ErrorKind::Unavailable, text)), (inner, held)))
                    }
                    Entry::Go(Some(Fault::Duplicate), ..) => {
                        if let Ok(item) = &item {
                            held.push_back(Ok(item.clone()));
                        }
                        Some((item, (inner, held)))
                    }
                    Entry::Go(..) => Some((item, (inner, held))),
                }
            }
        })
        .boxed()
    }
    fn lock(&self) -> &dyn Lock {
        self
    }
}

/// Puts earlier states into an observation, for kinds whose creates are exclusive: what such a read
/// misleads to is caught by preconditions, whereas the others have a window that only time closes.
fn age(
    seen: &mut Observation,
    earlier: BTreeMap<ResourceId, Live>,
    wanted: &[Resource],
    facts: &dyn Fn(&Kind) -> Option<&'static KindFacts>,
) {
    let exclusive = |id: &ResourceId| facts(id.kind()).is_some_and(|facts| facts.create == Creation::Exclusive);
    seen.live.retain(|id, _| !exclusive(id));
    seen.extra.retain(|id, _| !exclusive(id));
    let wanted: std::collections::BTreeSet<&ResourceId> = wanted.iter().map(|resource| &resource.id).collect();
    for (id, live) in earlier.into_iter().filter(|(id, _)| exclusive(id)) {
        let into = if wanted.contains(&id) {
            &mut seen.live
        } else {
            &mut seen.extra
        };
        into.insert(id, live);
    }
}

#[async_trait]
impl Lock for Faulty {
    async fn prepare(&self, set: &SetId) -> Result<()> {
        self.call("prepare", WRITE, || self.provider.lock().prepare(set)).await
    }
    async fn acquire(&self, request: &LeaseRequest) -> Result<Acquired> {
        self.call("acquire", WRITE, || self.provider.lock().acquire(request))
            .await
    }
    async fn renew(&self, lease: &mut Lease) -> Result<()> {
        let sent = lease.clone();
        let renewed = self
            .call("renew", WRITE, || async {
                let mut lease = sent.clone();
                self.provider.lock().renew(&mut lease).await?;
                Ok(lease)
            })
            .await?;
        *lease = renewed;
        Ok(())
    }
    async fn release(&self, lease: Lease, last: bool) -> Result<()> {
        self.call("release", &[Fault::ErrorBefore, Fault::ErrorAfter], || {
            self.provider.lock().release(lease.clone(), last)
        })
        .await
    }
}
