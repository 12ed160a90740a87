//! Taking the leases of all places that a run writes to, in sorted order, and keeping them.

use super::{Engine, Event};
use crate::provider::{Acquired, Lease, LeaseRequest, LeaseSeen, Provider};
use crate::resource::OpenCreate;
use crate::value::{Place, SetId};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long after the time to live of an unmoved lease it is given up to take it over.
const GRACE: Duration = Duration::from_secs(5);

/// The leases that a run holds.
#[derive(Debug)]
pub(super) struct Leases {
    engine: Engine,
    held: BTreeMap<Place, Held>,
    renewed: Duration,
    lost: Option<Error>,
}

/// A lease and who keeps it.
#[derive(Debug)]
struct Held {
    provider: Arc<dyn Provider>,
    lease: Lease,
}

impl Engine {
    /// Takes the lease of every place; gives all back when one cannot be had.
    pub(super) async fn lease(
        &self,
        set: &SetId,
        places: impl IntoIterator<Item = Place>,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Leases> {
        let mut leases = Leases {
            engine: self.clone(),
            held: BTreeMap::new(),
            renewed: self.clock().elapsed(),
            lost: None,
        };
        for place in places {
            let provider = Arc::clone(self.provider(&place)?);
            match self.lease_at(set, &provider, events).await {
                Ok(lease) => leases.hold(place, provider, lease),
                Err(why) => {
                    leases.release(false, events).await;
                    return Err(why);
                }
            }
        }
        leases.renewed = self.clock().elapsed();
        Ok(leases)
    }

    pub(super) async fn lease_at(
        &self,
        set: &SetId,
        provider: &Arc<dyn Provider>,
        events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Lease> {
        let (place, lock) = (provider.place(), provider.lock());
        lock.prepare(set).await?;
        let start = self.clock().elapsed();
        let mut seen: Option<(LeaseSeen, Duration)> = None;
        loop {
            let now = self.clock().elapsed();
            let last_seen = seen.as_ref().map(|(seen, since)| LeaseSeen {
                unmoved_for: now.saturating_sub(*since),
                ..seen.clone()
            });
            let request = LeaseRequest {
                set: set.clone(),
                holder: self.holder.clone(),
                ttl: self.lease_ttl,
                last_seen,
            };
            let busy = match lock.acquire(&request).await? {
                Acquired::Held(lease) => return Ok(lease),
                Acquired::Busy(busy) => busy,
            };
            let moved = seen.as_ref().is_some_and(|(last, _)| last.heartbeat != busy.heartbeat);
            let waited = self.clock().elapsed().saturating_sub(start);
            let allowed = self.lease_wait.unwrap_or_default();
            if moved && waited >= allowed {
                let left = busy.ttl.as_secs();
                return Err(Error::new(
                    ErrorKind::Locked,
                    format!("locked by {} for {left} s more", busy.holder),
                )
                .with_context("place", place)
                .with_help("--wait 60s to wait for it, or run again later"));
            }
            // Not by `waited`: on a slow way all of it may have gone by before the first look.
            if busy.unmoved_for > busy.ttl + GRACE && waited >= allowed {
                return Err(
                    Error::new(ErrorKind::Locked, format!("locked by {}", busy.holder)).with_context("place", place)
                );
            }
            let again_in = (busy.ttl / 4).max(Duration::from_millis(50));
            events(Event::Locked {
                holder: busy.holder.clone(),
                again_in,
            });
            seen = match seen {
                Some((last, since)) if last.heartbeat == busy.heartbeat => Some((last, since)),
                _ => Some((
                    LeaseSeen {
                        unmoved_for: Duration::ZERO,
                        ..busy
                    },
                    self.clock().elapsed(),
                )),
            };
            self.clock().sleep(again_in).await;
        }
    }
}

impl Leases {
    /// Creates that earlier runs left open at a place.
    pub(super) fn open(&self) -> impl Iterator<Item = &OpenCreate> {
        self.held.values().flat_map(|held| held.lease.open.iter())
    }

    /// When the next heartbeat is due, by the clock's `elapsed`; a lost lease needs none.
    pub(super) fn next_heartbeat(&self) -> Duration {
        if self.lost.is_some() {
            self.renewed + Duration::from_hours(24)
        } else {
            self.renewed + self.engine.lease_ttl / 4
        }
    }

    /// Why no further write may go out, if so.
    pub(super) fn lost(&self) -> Option<&Error> {
        self.lost.as_ref()
    }

    /// Renews all. A lost lease is remembered, not returned: writes in flight still finish.
    pub(super) async fn beat(&mut self) {
        let mut good = true;
        for (place, Held { provider, lease }) in &mut self.held {
            if let Err(why) = provider.lock().renew(lease).await {
                good = false;
                let expired = self.engine.clock().elapsed() >= self.renewed + self.engine.lease_ttl * 2 / 3;
                if why.kind() == ErrorKind::Locked || expired {
                    self.lost = Some(why.with_context("place", place));
                }
            }
        }
        let now = self.engine.clock().elapsed();
        // After a failure the next try comes sooner, but the time since the last success keeps counting.
        if good {
            self.renewed = now;
        } else if self.lost.is_none() && now >= self.next_heartbeat() {
            self.engine.clock().sleep(self.engine.lease_ttl / 20).await;
        }
    }

    /// Stores creates that nothing else would find again, before they go out.
    pub(super) async fn record(&mut self, open: Vec<OpenCreate>) -> Result<()> {
        let mut places = std::collections::BTreeSet::new();
        for create in open {
            let place = create.id.place().clone();
            if let Some(Held { lease, .. }) = self.held.get_mut(&place) {
                lease.open.retain(|other| other.id != create.id);
                lease.open.push(create);
                places.insert(place);
            }
        }
        for place in places {
            if let Some(Held { provider, lease }) = self.held.get_mut(&place) {
                provider.lock().renew(lease).await?;
            }
        }
        Ok(())
    }

    /// Forgets an open create; stored with the next heartbeat or release.
    pub(super) fn settle(&mut self, id: &crate::value::ResourceId) {
        if let Some(Held { lease, .. }) = self.held.get_mut(id.place()) {
            lease.open.retain(|open| &open.id != id);
        }
    }

    /// Keeps a lease that was taken.
    pub(super) fn hold(&mut self, place: Place, provider: Arc<dyn Provider>, lease: Lease) {
        self.held.insert(place, Held { provider, lease });
    }

    /// Gives one back. What fails runs out by itself.
    pub(super) async fn give_back(&mut self, place: &Place, last: bool, events: &mut (dyn FnMut(Event) + Send)) {
        let Some(Held { provider, lease }) = self.held.remove(place) else {
            return;
        };
        if let Err(why) = provider.lock().release(lease, last).await {
            events(Event::Warning {
                text: format!("the lease at {place} was not given back and runs out: {why}"),
            });
        }
    }

    /// Gives all back.
    pub(super) async fn release(mut self, last: bool, events: &mut (dyn FnMut(Event) + Send)) {
        while let Some(place) = self.held.keys().next().cloned() {
            self.give_back(&place, last, events).await;
        }
    }
}
