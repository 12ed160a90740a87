//! Planning: reads every place, asks what each wish would change, and decides. Writes nothing, takes no lock.

mod keeping;
mod removal;
mod rename;
mod renewals;
mod secrets;
mod verdict;
mod wishes;

use self::removal::removal;
use self::rename::rename;
use self::renewals::{Due, due, unsettled};
use self::secrets::block_lost_partners;
pub(super) use self::verdict::blocked;
use self::verdict::{decide, step};
pub(super) use self::wishes::Wishes;
use super::Engine;
use super::plan::{Action, Cause, LIBRARY, Plan, PlanRequest, SCHEMA, Step};
use crate::facts::KindFacts;
use crate::resource::{Live, Observation, Owner, Renewal, Resource};
use crate::value::{Place, PlaceIdentity, Reference, ResourceId, SetId, Timestamp, resolve};
use crate::{Error, ErrorKind, Result};
use futures::future::{join, join_all};
use futures::stream::{FuturesOrdered, StreamExt};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, btree_map::Entry};
use std::sync::Arc;

/// What was seen while making a plan, which an apply goes on from.
#[derive(Debug)]
pub(super) struct Survey {
    /// Reaches the later places that are there.
    pub(super) engine: Engine,
    pub(super) observations: BTreeMap<Place, Observation>,
    /// Objects that previews met beside the observations.
    pub(super) met: HashMap<ResourceId, Live>,
}

/// What the verdicts of a plan go by.
struct Seen<'a> {
    request: &'a PlanRequest,
    observations: &'a BTreeMap<Place, Observation>,
    unreached: &'a BTreeMap<Place, Error>,
}

fn output<'a>(observations: &'a BTreeMap<Place, Observation>, reference: &Reference) -> Option<&'a Value> {
    let live = observations.get(reference.id.place())?.live.get(&reference.id)?;
    live.outputs.get(&reference.output)
}

impl Survey {
    pub(super) fn live(&self, id: &ResourceId) -> Option<&Live> {
        self.observations
            .get(id.place())
            .and_then(|seen| seen.get(id))
            .or_else(|| self.met.get(id))
    }
}

impl Engine {
    /// What making the request true would do. Reads only, takes no lock.
    ///
    /// # Errors
    /// When a place cannot be read, or the request contradicts itself (unknown kind, cycle, illegal name).
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan> {
        let wishes = self.wishes(&Arc::new(request.clone()))?;
        // At once: only an apply has an identity to compare before it looks.
        let survey = self.survey(&wishes, BTreeMap::new(), self.clock().now(), None);
        // Both to their end: which refusal is told must not hang on which came first.
        let (identities, survey) = join(self.identities(), survey).await;
        let (identities, (mut plan, _)) = (identities?, survey?);
        plan.places.extend(identities);
        Ok(plan)
    }

    pub(super) async fn identities(&self) -> Result<BTreeMap<Place, PlaceIdentity>> {
        let (places, asked): (Vec<Place>, Vec<_>) = self
            .places()
            .map(|(place, provider)| (place.clone(), provider.identity()))
            .unzip();
        Ok(places.into_iter().zip(all(asked).await?).collect())
    }

    /// The plan of a request at a time; for the verification of one that was `planned` before.
    pub(super) async fn survey(
        &self,
        wishes: &Wishes,
        mut identities: BTreeMap<Place, PlaceIdentity>,
        as_of: Timestamp,
        planned: Option<&Plan>,
    ) -> Result<(Plan, Survey)> {
        let request = &wishes.request;
        // What a targeted run leaves alone is observed as wanted too, so that it is not taken for extra.
        let by_place = by_place(&request.resources);
        let mut observations = BTreeMap::new();
        self.look(&request.set, as_of, &by_place, &mut observations).await?;
        let reached = self.reach(&observations).await?;
        let engine = reached.engine;
        engine.look(&request.set, as_of, &by_place, &mut observations).await?;
        identities.extend(reached.identities);
        let (mut due, waiting) = due(wishes, &observations, planned, as_of);
        let seen = Seen {
            request,
            observations: &observations,
            unreached: &reached.unreached,
        };
        let (mut steps, mut met) = engine.decide_all(&seen, wishes, &due).await?;
        let mut warnings = Vec::new();
        let mut more = Due::new();
        for (id, renewal) in waiting {
            match unsettled(id, &request.resources, &steps) {
                None => {
                    more.insert(id, renewal);
                }
                Some(user) => warnings.push(format!(
                    "{} goes on from {} once {} is as wished and ready",
                    id.label(),
                    renewal.before,
                    user.label()
                )),
            }
        }
        if !more.is_empty() {
            due.extend(more);
            (steps, met) = engine.decide_all(&seen, wishes, &due).await?;
        }
        if request.only.is_none() {
            for seen in observations.values() {
                for live in seen.extra.values().filter(|live| live.owner == Owner::ThisSet) {
                    steps.push(removal(live, self.facts(&live.id)?, request.resources.is_empty()));
                }
            }
        }
        rename(&mut steps, request, &observations, &|id| self.facts(id).ok());
        block_lost_partners(&mut steps, request);
        if request.only.is_none() {
            engine.keep_needed(&mut steps, &observations, request.resources.is_empty())?;
            engine.guard_protected(&mut steps, &observations);
            engine.block_unseen(&mut steps, &observations)?;
        }
        engine.guard_clusters(&mut steps, &reached.unreached);
        let plan = Plan {
            schema: SCHEMA,
            library: LIBRARY.to_owned(),
            as_of,
            request: Arc::clone(request),
            policy: self.policy().clone(),
            places: identities,
            outputs: resolve(&request.outputs, &|reference| output(&observations, reference).cloned()),
            warnings: observations
                .values()
                .flat_map(|seen| seen.warnings.iter().cloned())
                .chain(warnings)
                .collect(),
            requests: observations.values().map(|seen| seen.requests).sum(),
            steps,
        };
        let survey = Survey {
            engine,
            observations,
            met,
        };
        Ok((plan, survey))
    }

    /// Observes every place that is reached and was not observed yet.
    async fn look(
        &self,
        set: &SetId,
        as_of: Timestamp,
        wanted: &BTreeMap<&Place, Cow<'_, [Resource]>>,
        observations: &mut BTreeMap<Place, Observation>,
    ) -> Result<()> {
        let places: Vec<_> = self
            .places()
            .filter(|(place, _)| !observations.contains_key(*place))
            .collect();
        let reads = places.iter().map(|(place, provider)| {
            let here = wanted.get(*place).map(AsRef::as_ref).unwrap_or_default();
            provider.observe(set, here)
        });
        for ((place, _), mut seen) in places.iter().zip(all(reads).await?) {
            seen.at = as_of;
            observations.insert(Place::clone(place), seen);
        }
        Ok(())
    }

    /// The verdict on every wanted resource, in their order, and what previews met beside the observations.
    async fn decide_all(
        &self,
        seen: &Seen<'_>,
        wishes: &Wishes,
        due: &Due<'_>,
    ) -> Result<(Vec<Step>, HashMap<ResourceId, Live>)> {
        let outputs = |reference: &Reference| {
            let renewed = due
                .get(&reference.id)
                .and_then(|renewal| renewal.outputs.get(&reference.output));
            renewed.or_else(|| output(seen.observations, reference)).cloned()
        };
        let parallel = self
            .places()
            .map(|(_, provider)| provider.features().parallel)
            .max()
            .unwrap_or(1)
            .max(1);
        let mut asked = FuturesOrdered::new();
        let mut met = HashMap::new();
        let mut steps = Vec::with_capacity(wishes.len());
        let mut wanted = wishes.iter();
        loop {
            while asked.len() < parallel {
                let Some(wish) = wanted.next() else { break };
                let renewal = due.get(&wish.resource.id).copied();
                asked.push_back(self.consider(seen, wish.known(&outputs), wish.facts, renewal));
            }
            let Some(decided) = asked.next().await else { break };
            let (step, found) = decided?;
            met.extend(found.map(|found| (found.id.clone(), found)));
            steps.push(step);
        }
        drop(asked);
        Ok((steps, met))
    }

    /// Previews and decides one resource; also what the preview met, if the observation did not hold it.
    async fn consider(
        &self,
        survey: &Seen<'_>,
        resource: Cow<'_, Resource>,
        facts: &'static KindFacts,
        renewal: Option<&Renewal>,
    ) -> Result<(Step, Option<Live>)> {
        if let Some(why) = survey.unreached.get(resource.id.place()) {
            let why = format!("its place cannot be reached, so it is not known whether it exists: {why}");
            let step = blocked(
                step(&resource, facts, None),
                &why,
                "mend the way to it, then plan again",
            );
            return Ok((step, None));
        }
        if let (false, Some(cluster)) = (
            self.is_connected(resource.id.place()),
            self.cluster_of(resource.id.place()),
        ) {
            let mut step = step(&resource, facts, None);
            step.action = Action::Create;
            step.cause = Cause::Wish;
            step.unverified = Some(format!("{} does not exist yet", cluster.label()));
            return Ok((step, None));
        }
        let provider = self.provider(resource.id.place())?;
        let Some(seen) = survey.observations.get(resource.id.place()) else {
            return Err(
                Error::new(ErrorKind::Internal, "place was not observed").with_context("resource", &resource.id)
            );
        };
        let live = seen.live.get(&resource.id);
        if let Some((_, why)) = seen.unreadable.iter().find(|(kind, _)| kind == resource.id.kind()) {
            let why = format!("cannot be read, so it is not known whether it exists: {why}");
            return Ok((
                blocked(step(&resource, facts, live), &why, "grant the right to read it"),
                None,
            ));
        }
        let preview = provider.preview(&resource, seen).await?;
        Ok(decide(survey.request, &resource, facts, live, preview, renewal))
    }
}

/// The answers of all places, each asked to its end: the failure of the first place in order is told.
pub(super) async fn all<T>(asked: impl IntoIterator<Item = impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    join_all(asked).await.into_iter().collect()
}

/// Copies nothing where the resources of a place stand next to each other.
fn by_place(resources: &[Resource]) -> BTreeMap<&Place, Cow<'_, [Resource]>> {
    let mut all: BTreeMap<&Place, Cow<'_, [Resource]>> = BTreeMap::new();
    for neighbours in resources.chunk_by(|one, next| one.id.place() == next.id.place()) {
        let Some(first) = neighbours.first() else { continue };
        match all.entry(first.id.place()) {
            Entry::Vacant(place) => {
                place.insert(Cow::Borrowed(neighbours));
            }
            Entry::Occupied(mut place) => place.get_mut().to_mut().extend_from_slice(neighbours),
        }
    }
    all
}
