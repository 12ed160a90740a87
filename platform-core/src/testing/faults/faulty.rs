//! A provider as seen through faults.

use super::{Entry, Fault, Faults, random};
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
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    pub(super) fn new(faults: Faults, provider: Arc<dyn Provider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            faults,
            provider,
            clock,
            earlier: Mutex::new(None),
        }
    }

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
        self.faults.spring(write.id());
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
