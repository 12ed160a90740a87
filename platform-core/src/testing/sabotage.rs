//! Defects on purpose, to prove that the suites notice them.

use crate::Result;
use crate::engine::Permit;
use crate::facts::KindFacts;
use crate::provider::{
    Acquired, Finding, Interest, Lease, LeaseRequest, Lock, PlannedWrite, Preview, Provider, ProviderFeatures, Write,
};
use crate::resource::{Live, Observation, Resource};
use crate::value::{Kind, Name, Place, PlaceIdentity, ResourceId, SetId};
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A defect built into a provider on purpose: a suite that does not fail with it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Kinds, and objects that are no longer wanted, hold nothing.
    IgnoreHolds,
    /// Writes go to whatever has the name now.
    SkipUidPrecondition,
    /// Every try of a create has a token of its own.
    ForgetToken,
    /// Open creates are not recorded.
    DropOpenRecord,
}

impl Sabotage {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::IgnoreHolds,
        Self::SkipUidPrecondition,
        Self::ForgetToken,
        Self::DropOpenRecord,
    ];

    /// The provider with this defect.
    pub fn around(self, provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Sabotaged {
            sabotage: self,
            provider,
            blind: Mutex::new(BTreeMap::new()),
            tries: Mutex::new(0),
        })
    }
}

#[derive(Debug)]
struct Sabotaged {
    sabotage: Sabotage,
    provider: Arc<dyn Provider>,
    blind: Mutex<BTreeMap<Kind, &'static KindFacts>>,
    tries: Mutex<u64>,
}

impl Sabotaged {
    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }

    fn blinded(&self, live: &mut Live) {
        if self.is(Sabotage::IgnoreHolds) {
            live.holds = None;
            live.on_removal = crate::resource::OnRemoval::Delete;
        }
    }

    async fn present(&self, set: &SetId, id: &ResourceId) -> Result<Option<Live>> {
        let wanted = [Resource::new(id.clone(), "", serde_json::Value::Null)];
        Ok(self.provider.observe(set, &wanted).await?.live.remove(id))
    }
}

#[async_trait]
impl Provider for Sabotaged {
    fn place(&self) -> &Place {
        self.provider.place()
    }
    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts> {
        let facts = self.provider.facts(kind)?;
        if !self.is(Sabotage::IgnoreHolds) {
            return Some(facts);
        }
        let mut blind = self.blind.lock().unwrap_or_else(PoisonError::into_inner);
        Some(*blind.entry(kind.clone()).or_insert_with(|| {
            // One small leak per kind and test: the contract wants facts for ever.
            Box::leak(Box::new(KindFacts {
                holds: crate::resource::Holds::Nothing,
                ..*facts
            }))
        }))
    }
    fn features(&self) -> ProviderFeatures {
        self.provider.features()
    }
    async fn identity(&self) -> Result<PlaceIdentity> {
        self.provider.identity().await
    }
    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
        let mut seen = self.provider.observe(set, wanted).await?;
        seen.extra.values_mut().for_each(|live| self.blinded(live));
        if self.is(Sabotage::DropOpenRecord) {
            seen.open.clear();
        }
        Ok(seen)
    }
    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        self.provider.preview(wanted, seen).await
    }
    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        self.provider.list(set, kind, within).await
    }
    async fn preflight(&self, set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
        self.provider.preflight(set, writes).await
    }
    async fn write(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
        if let (Sabotage::ForgetToken, Write::Create { set, resource, token }) = (self.sabotage, write) {
            let token = {
                let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
                *tries += 1;
                format!("{token}-{tries}")
            };
            return self
                .provider
                .write(
                    Write::Create {
                        set,
                        resource,
                        token: &token,
                    },
                    permit,
                )
                .await;
        }
        if self.is(Sabotage::SkipUidPrecondition) {
            let set = match write {
                Write::Update { set, .. }
                | Write::Adopt { set, .. }
                | Write::Release { set, .. }
                | Write::Delete { set, .. } => Some(set),
                Write::Create { .. } => None,
            };
            if let Some(set) = set
                && let Some(now) = self.present(set, write.id()).await?
            {
                let live = &now;
                let write = match write {
                    Write::Update { resource, .. } => Write::Update { set, resource, live },
                    Write::Adopt { resource, .. } => Write::Adopt { set, resource, live },
                    Write::Delete { snapshot, .. } => Write::Delete { set, live, snapshot },
                    other => other,
                };
                return self.provider.write(write, permit).await;
            }
        }
        self.provider.write(write, permit).await
    }
    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        self.provider.follow(interest, seen)
    }
    fn lock(&self) -> &dyn Lock {
        if self.is(Sabotage::DropOpenRecord) {
            self
        } else {
            self.provider.lock()
        }
    }
}

#[async_trait]
impl Lock for Sabotaged {
    async fn prepare(&self, set: &SetId) -> Result<()> {
        self.provider.lock().prepare(set).await
    }
    async fn acquire(&self, request: &LeaseRequest) -> Result<Acquired> {
        self.provider.lock().acquire(request).await
    }
    async fn renew(&self, lease: &mut Lease) -> Result<()> {
        let open = std::mem::take(&mut lease.open);
        let result = self.provider.lock().renew(lease).await;
        lease.open = open;
        result
    }
    async fn release(&self, mut lease: Lease, last: bool) -> Result<()> {
        lease.open.clear();
        self.provider.lock().release(lease, last).await
    }
}
