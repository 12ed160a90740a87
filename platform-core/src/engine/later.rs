//! Places that another object makes: the contents of a cluster are planned together with it.

use super::Engine;
use super::apply::refuse;
use super::plan::{Action, Cause, PlanRequest, Step};
use crate::facts::KindFacts;
use crate::provider::{Connect, Lease, PlannedWrite, Provider, Verb};
use crate::resource::{Live, Observation, Owner, Resource, State};
use crate::value::{Kind, Place, PlaceIdentity, Reference, ResourceId, references};
use crate::{Error, ErrorKind, Result, Retry};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tries to connect; a new endpoint may take a while to be known everywhere.
const TRIES: u32 = 5;

/// A place that is reached through the outputs of an object at another place.
#[derive(Clone, Debug)]
pub(super) struct Later {
    pub(super) cluster: ResourceId,
    pub(super) facts: fn(&Kind) -> Option<&'static KindFacts>,
    pub(super) connect: Arc<dyn Connect>,
}

/// What a plan could reach.
pub(super) struct Reached {
    /// With every later place whose cluster is there.
    pub(super) engine: Engine,
    /// Of the later places.
    pub(super) identities: BTreeMap<Place, PlaceIdentity>,
    /// Why others could not be reached: they may hold anything, while a place without a cluster holds nothing.
    pub(super) unreached: BTreeMap<Place, Error>,
}

/// A later place while a run holds it.
pub(super) struct Opened {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) identity: PlaceIdentity,
    pub(super) seen: Observation,
    pub(super) lease: Lease,
}

impl Later {
    async fn reach(&self, outputs: &BTreeMap<String, Value>) -> Result<(Arc<dyn Provider>, PlaceIdentity)> {
        let provider = self.connect.connect(outputs).await?;
        let identity = provider.identity().await?;
        Ok((provider, identity))
    }
}

impl Engine {
    /// The object that makes a place, if it is a later one.
    pub(super) fn cluster_of(&self, place: &Place) -> Option<&ResourceId> {
        self.later.get(place).map(|later| &later.cluster)
    }

    /// The places that an object makes.
    pub(super) fn made_by<'a>(&'a self, cluster: &'a ResourceId) -> impl Iterator<Item = &'a Place> {
        self.later
            .iter()
            .filter(move |(_, later)| &later.cluster == cluster)
            .map(|(place, _)| place)
    }

    /// Whether calls can go there now.
    pub(super) fn is_connected(&self, place: &Place) -> bool {
        self.places.contains_key(place)
    }

    /// Everything that has to be ready before a resource, the cluster that it lies in included.
    pub(super) fn needs(&self, resource: &Resource) -> BTreeSet<ResourceId> {
        self.needs_by(resource, references(&resource.desired))
    }

    /// The same by the references that its wanted fields are known to hold.
    pub(super) fn needs_by(&self, resource: &Resource, references: Vec<Reference>) -> BTreeSet<ResourceId> {
        let mut all = resource.dependencies_by(references);
        all.extend(self.cluster_of(resource.id.place()).cloned());
        all
    }

    /// Connects every later place whose cluster is there.
    pub(super) async fn reach(&self, observations: &BTreeMap<Place, Observation>) -> Result<Reached> {
        let mut reached = Reached {
            engine: self.clone(),
            identities: BTreeMap::new(),
            unreached: BTreeMap::new(),
        };
        for (place, later) in &self.later {
            let Some(seen) = observations.get(later.cluster.place()) else {
                continue;
            };
            if self.is_connected(place) {
                continue;
            }
            if let Some((_, why)) = seen.unreadable.iter().find(|(kind, _)| kind == later.cluster.kind()) {
                reached.unreached.insert(place.clone(), why.clone());
                continue;
            }
            let outputs = self.facts(&later.cluster)?.outputs;
            let stands = |live: &&Live| {
                matches!(live.owner, Owner::ThisSet | Owner::Retained)
                    && !matches!(live.state, State::Deleting { .. })
                    && outputs.iter().all(|output| live.outputs.contains_key(*output))
            };
            let Some(cluster) = seen.get(&later.cluster).filter(stands) else {
                continue;
            };
            // Still on its way for the first time, it need not answer yet.
            let young = matches!(cluster.state, State::Progressing { .. });
            match later.reach(&cluster.outputs).await {
                Ok((provider, identity)) => {
                    reached.engine.places.insert(place.clone(), provider);
                    reached.identities.insert(place.clone(), identity);
                }
                Err(_) if young => {}
                Err(why) => {
                    reached.unreached.insert(place.clone(), why);
                }
            }
        }
        Ok(reached)
    }

    /// Connects to a place whose cluster this run made, proves it, and takes its lease.
    pub(super) async fn open(
        &self,
        request: &PlanRequest,
        place: &Place,
        outputs: &BTreeMap<String, Value>,
    ) -> Result<Opened> {
        let Some(later) = self.later.get(place) else {
            return Err(Error::new(ErrorKind::Internal, "not a later place").with_context("place", place));
        };
        let mut tries = 0;
        let (provider, identity) = loop {
            tries += 1;
            match later.reach(outputs).await {
                Ok(reached) => break reached,
                Err(why) => match why.retry() {
                    Retry::After(pause) if tries < TRIES => self.clock().sleep(pause * 2_u32.pow(tries - 1)).await,
                    _ => return Err(why.with_context("place", place)),
                },
            }
        };
        let wanted: Vec<Resource> = request
            .selected(&|resource| self.needs(resource))
            .into_iter()
            .filter(|resource| resource.id.place() == place)
            .cloned()
            .collect();
        let writes: Vec<PlannedWrite> = wanted
            .iter()
            .map(|resource| PlannedWrite::new(resource.id.clone(), Verb::Create))
            .collect();
        refuse(&provider.preflight(&request.set, &writes).await?)?;
        let lease = self.lease_at(&request.set, &provider, &mut |_| {}).await?;
        let seen = match provider.observe(&request.set, &wanted).await {
            Ok(seen) if seen.live.is_empty() && seen.extra.is_empty() => seen,
            other => {
                // What cannot be given back runs out.
                let _ = provider.lock().release(lease, false).await;
                other?;
                return Err(
                    Error::new(ErrorKind::Stale, format!("{place} holds objects of this set already"))
                        .with_help("plan again: the cluster can be looked into now"),
                );
            }
        };
        Ok(Opened {
            provider,
            identity,
            seen,
            lease,
        })
    }

    /// A cluster that cannot be looked into stays as it is, and one with anything in it is not made anew.
    pub(super) fn guard_clusters(&self, steps: &mut [Step], unreached: &BTreeMap<Place, Error>) {
        for (place, later) in &self.later {
            let Some(step) = steps.iter_mut().find(|step| step.id == later.cluster) else {
                continue;
            };
            match (step.action, unreached.get(place)) {
                (Action::Delete, _) if step.cause == Cause::Unfinished => {}
                (Action::Delete | Action::Replace, Some(why)) => {
                    let why = format!("{place} cannot be reached, so it is not known what it holds: {why}");
                    *step = super::planner::blocked(step.clone(), &why, "mend the way to it, then plan again");
                }
                (Action::Replace, None) if self.is_connected(place) => {
                    let why = format!("everything in {place} would go with it");
                    let help = "make a second cluster beside it and move what it holds";
                    *step = super::planner::blocked(step.clone(), &why, help);
                }
                _ => {}
            }
        }
    }
}
