use super::World;
use crate::Result;
use crate::engine::Permit;
use crate::facts::KindFacts;
use crate::provider::{Finding, Interest, Lock, PlannedWrite, Preview, Provider, ProviderFeatures, Write};
use crate::resource::{Live, Observation, Resource};
use crate::value::{Kind, Name, Place, PlaceIdentity, ResourceId, SetId};
use async_trait::async_trait;
use futures::stream::BoxStream;

#[async_trait]
impl Provider for World {
    fn place(&self) -> &Place {
        &self.shared.place
    }

    fn facts(&self, kind: &Kind) -> Option<&'static KindFacts> {
        (self.shared.facts)(kind)
    }

    fn features(&self) -> ProviderFeatures {
        ProviderFeatures::new(self.settings().parallel).with_tells_actors(true)
    }

    async fn identity(&self) -> Result<PlaceIdentity> {
        self.count("identity");
        Ok(PlaceIdentity(self.state().identity.clone()))
    }

    async fn observe(&self, set: &SetId, wanted: &[Resource]) -> Result<Observation> {
        self.count("observe");
        Ok(self.look(set, wanted))
    }

    async fn preview(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        self.count("preview");
        self.foresee(wanted, seen)
    }

    async fn list(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        self.count("list");
        self.all_of(set, kind, within)
    }

    async fn preflight(&self, _set: &SetId, writes: &[PlannedWrite]) -> Result<Vec<Finding>> {
        self.count("preflight");
        Ok(self.foresee_refusals(writes))
    }

    async fn write(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Option<Live>> {
        self.count(super::read::word(write.verb()));
        let (answer, changed) = self.act(write, permit)?;
        if !changed.is_empty() {
            self.tell(&changed);
            self.keep()?;
        }
        Ok(answer)
    }

    fn follow(&self, interest: Interest, seen: &Observation) -> BoxStream<'static, Result<(ResourceId, Option<Live>)>> {
        self.count("follow");
        self.watch(interest, seen.set.clone())
    }

    fn lock(&self) -> &dyn Lock {
        self
    }
}
