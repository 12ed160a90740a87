//! Planning: reads every place, asks what each wish would change, and decides. Writes nothing, takes no lock.

use super::Engine;
use super::diff::{amount, diff};
use super::graph::Graph;
use super::plan::{Action, Blocked, Cause, Change, LIBRARY, Origin, Plan, PlanRequest, SCHEMA, Step};
use crate::facts::{FieldChange, KindFacts, Risk};
use crate::provider::Preview;
use crate::resource::{Holds, Live, Observation, OnRemoval, Owner, Resource, State};
use crate::value::{Digest, FieldPath, Place, PlaceIdentity, Reference, ResourceId, Timestamp, references, resolve};
use crate::{Error, ErrorKind, Result};
use futures::future::try_join_all;
use futures::stream::{FuturesOrdered, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A plan together with what was seen while making it, which an apply goes on from.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) plan: Plan,
    pub(super) observations: BTreeMap<Place, Observation>,
    /// Objects that previews met beside the observations.
    pub(super) met: HashMap<ResourceId, Live>,
    pub(super) graph: Graph,
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
        let identities = self.identities().await?;
        Ok(self.survey(request, identities, self.clock().now()).await?.plan)
    }

    pub(super) async fn identities(&self) -> Result<BTreeMap<Place, PlaceIdentity>> {
        let (places, asked): (Vec<Place>, Vec<_>) = self
            .places()
            .map(|(place, provider)| (place.clone(), provider.identity()))
            .unzip();
        Ok(places.into_iter().zip(try_join_all(asked).await?).collect())
    }

    pub(super) async fn survey(
        &self,
        request: &PlanRequest,
        identities: BTreeMap<Place, PlaceIdentity>,
        as_of: Timestamp,
    ) -> Result<Survey> {
        // Everything is checked, also what a targeted run leaves alone: a contradiction anywhere is one.
        let whole = Graph::new(
            request
                .resources
                .iter()
                .map(|resource| (resource.id.clone(), resource.dependencies())),
        )?;
        let wanted = request.selected();
        for resource in &request.resources {
            self.facts(&resource.id)?.name.check(&resource.id)?;
        }
        let graph = if request.only.is_some() {
            Graph::new(
                wanted
                    .iter()
                    .map(|resource| (resource.id.clone(), resource.dependencies())),
            )?
        } else {
            whole
        };
        let mut by_place: BTreeMap<&Place, Vec<Resource>> = BTreeMap::new();
        // What a targeted run leaves alone is observed as wanted too, so that it is not taken for extra.
        for resource in &request.resources {
            by_place.entry(resource.id.place()).or_default().push(resource.clone());
        }
        let wishes: Vec<(&Place, Vec<Resource>)> = self
            .places()
            .map(|(place, _)| (place, by_place.remove(place).unwrap_or_default()))
            .collect();
        let mut reads = Vec::with_capacity(wishes.len());
        for (place, here) in &wishes {
            reads.push(self.provider(place)?.observe(&request.set, here));
        }
        let mut observations = BTreeMap::new();
        for ((place, _), mut seen) in wishes.iter().zip(try_join_all(reads).await?) {
            seen.at = as_of;
            observations.insert(Place::clone(place), seen);
        }
        let outputs = |reference: &Reference| {
            observations
                .get(reference.id.place())?
                .live
                .get(&reference.id)?
                .outputs
                .get(&reference.output)
                .cloned()
        };
        let parallel = self
            .places()
            .map(|(_, provider)| provider.features().parallel)
            .max()
            .unwrap_or(1)
            .max(1);
        let mut asked = FuturesOrdered::new();
        let mut met = HashMap::new();
        let mut steps = Vec::with_capacity(wanted.len());
        let mut wanted = wanted.into_iter();
        loop {
            while asked.len() < parallel {
                let Some(resource) = wanted.next() else { break };
                let known = Resource {
                    desired: resolve(&resource.desired, &outputs),
                    ..resource.clone()
                };
                asked.push_back(self.consider(request, known, &observations));
            }
            let Some(decided) = asked.next().await else { break };
            let (step, found) = decided?;
            met.extend(found.map(|found| (found.id.clone(), found)));
            steps.push(step);
        }
        drop(asked);
        if request.only.is_none() {
            for seen in observations.values() {
                for live in seen.extra.values().filter(|live| live.owner == Owner::ThisSet) {
                    steps.push(removal(live, self.facts(&live.id)?));
                }
            }
        }
        block_lost_partners(&mut steps, request);
        keep_homes(&mut steps, &observations);
        let plan = Plan {
            schema: SCHEMA,
            library: LIBRARY.to_owned(),
            as_of,
            request: request.clone(),
            policy: self.policy().clone(),
            places: identities,
            outputs: resolve(&request.outputs, &outputs),
            warnings: observations
                .values()
                .flat_map(|seen| seen.warnings.iter().cloned())
                .collect(),
            requests: observations.values().map(|seen| seen.requests).sum(),
            steps,
        };
        Ok(Survey {
            plan,
            observations,
            met,
            graph,
        })
    }

    /// Previews and decides one resource; also what the preview met, if the observation did not hold it.
    async fn consider(
        &self,
        request: &PlanRequest,
        resource: Resource,
        observations: &BTreeMap<Place, Observation>,
    ) -> Result<(Step, Option<Live>)> {
        let provider = self.provider(resource.id.place())?;
        let facts = self.facts(&resource.id)?;
        let Some(seen) = observations.get(resource.id.place()) else {
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
        Ok(decide(request, &resource, facts, live, preview))
    }
}

/// The verdict on one wanted resource. Pure.
fn decide(
    request: &PlanRequest,
    resource: &Resource,
    facts: &'static KindFacts,
    live: Option<&Live>,
    preview: Preview,
) -> (Step, Option<Live>) {
    let (after, unverified, warnings, found) = match preview {
        Preview::Unchanged => (None, None, Vec::new(), None),
        Preview::Change {
            after,
            unverified,
            warnings,
            found,
        } => (Some(after), unverified, warnings, found.map(|live| *live)),
        Preview::Refused { why } => {
            let help = why
                .help()
                .unwrap_or("change the config so that the API accepts it")
                .to_owned();
            return (blocked(step(resource, facts, live), &why.to_string(), &help), None);
        }
    };
    let live = live.or(found.as_ref());
    let mut step = step(resource, facts, live);
    step.unverified = unverified;
    step.warnings = warnings;
    let Some(live) = live else {
        step.action = Action::Create;
        step.cause = Cause::Wish;
        return (step, None);
    };
    let step = decide_existing(request, resource, live, after.as_ref(), facts, step);
    (step, found)
}

fn decide_existing(
    request: &PlanRequest,
    resource: &Resource,
    live: &Live,
    after: Option<&Value>,
    facts: &KindFacts,
    mut step: Step,
) -> Step {
    match &live.owner {
        Owner::Other(who) => {
            let why = format!("the name is taken by {who}");
            return blocked(
                step,
                &why,
                "choose another name in the config (names:), or remove it there first",
            );
        }
        Owner::Nobody if !request.adopt.contains(&resource.id) => {
            let help = format!(
                "to take it over: --adopt {}/{}",
                resource.id.kind().short(),
                resource.id.name()
            );
            return blocked(step, "it exists and belongs to nobody", &help);
        }
        Owner::Nobody | Owner::Retained => step.action = Action::Adopt,
        Owner::ThisSet => {}
    }
    if let State::Deleting { blocked_by } = &live.state {
        if step.holds == Holds::Durable {
            let why = format!("it holds data and is being deleted{}", held_by(blocked_by));
            return blocked(step, &why, "save the data now; plan again when it is gone");
        }
        // A killed replacement, or somebody's delete: made again as soon as it is gone.
        step.action = Action::Create;
        step.cause = Cause::Unfinished;
        step.uid = None;
        step.ready = false;
        return step;
    }
    let mut forbidden = false;
    let mut instead = BTreeSet::new();
    if let Some(after) = after {
        let digest = Digest::of(&resource.desired);
        let same_wish = live.written_from.as_deref() == Some(digest.as_str());
        let differences = diff(&live.view, after, facts.fields);
        forbidden = differences.iter().any(|found| found.forbidden);
        instead = differences.iter().filter_map(|found| found.instead).collect();
        step.changes = differences
            .into_iter()
            .map(|difference| {
                let touch = live
                    .touched
                    .iter()
                    .find(|(path, _)| path.is_within(&difference.path) || difference.path.is_within(path));
                let origin = match (same_wish, touch) {
                    (true, _) => Origin::Drift,
                    (false, Some(_)) => Origin::Conflict,
                    (false, None) => Origin::Wish,
                };
                let unknown = difference
                    .after
                    .as_ref()
                    .is_some_and(|value| !references(value).is_empty());
                Change {
                    path: difference.path,
                    before: difference.before,
                    after: difference.after,
                    effect: difference.effect,
                    risk: difference.risk,
                    origin,
                    actor: touch.map(|(_, actor)| actor.clone()),
                    unknown,
                }
            })
            .collect();
    }
    step.changes.extend(stamp_changes(resource, live, facts));
    step.risks.extend(step.changes.iter().filter_map(|change| change.risk));
    if forbidden {
        return blocked_by_fields(step, &instead);
    }
    if step.action == Action::Adopt {
        step.cause = Cause::Wish;
        if step.changes.iter().any(|change| change.effect == FieldChange::Replace) {
            return blocked(
                step,
                "adopting it would need a replacement",
                "change the config to what it is",
            );
        }
        return step;
    }
    if step.changes.is_empty() {
        step.action = Action::Unchanged;
        step.cause = if step.ready { Cause::Settled } else { Cause::Unfinished };
        return step;
    }
    step.cause = if step.changes.iter().all(|change| change.origin == Origin::Drift) {
        Cause::Drift
    } else {
        Cause::Wish
    };
    step.action = Action::Update;
    if step.changes.iter().any(|change| change.effect == FieldChange::Replace) {
        step.action = Action::Replace;
        match step.holds {
            Holds::Durable => return blocked_by_fields(step, &instead),
            Holds::Rebuildable => {
                step.risks.insert(Risk::Downtime);
            }
            Holds::Nothing => {}
        }
    }
    step
}

/// Weaker protection than the live object's own stamp is a change of its own, and a risk.
fn stamp_changes(resource: &Resource, live: &Live, facts: &KindFacts) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |key: &str, before: Value, after: Value, lowers: bool| {
        changes.push(Change {
            path: FieldPath::root().key(crate::value::DOMAIN).key(key),
            before: Some(before),
            after: Some(after),
            effect: FieldChange::InPlace,
            risk: lowers.then_some(Risk::LowersProtection),
            origin: Origin::Wish,
            actor: None,
            unknown: false,
        });
    };
    let holds = resource.holds.unwrap_or(facts.holds);
    if let Some(stamped) = live.holds.filter(|stamped| *stamped != holds) {
        change("holds", json!(stamped), json!(holds), holds < stamped);
    }
    if live.owner == Owner::ThisSet && live.on_removal != resource.on_removal {
        let lowers = resource.on_removal == OnRemoval::Delete && live.holds.unwrap_or(facts.holds) != Holds::Nothing;
        change("on-removal", json!(live.on_removal), json!(resource.on_removal), lowers);
    }
    changes
}

/// What happens to an object of the set that nobody wants any more. Pure.
fn removal(live: &Live, facts: &'static KindFacts) -> Step {
    let holds = live.holds.unwrap_or(facts.holds);
    let deleting = matches!(live.state, State::Deleting { .. });
    let keep = !deleting
        && (live.on_removal == OnRemoval::Retain || holds == Holds::Durable)
        && live.on_removal != OnRemoval::Snapshot;
    Step {
        id: live.id.clone(),
        component: live.component.clone(),
        action: if keep { Action::Release } else { Action::Delete },
        cause: if deleting { Cause::Unfinished } else { Cause::Removed },
        uid: Some(live.uid.clone()),
        holds,
        changes: Vec::new(),
        risks: BTreeSet::new(),
        deletable: keep && holds != Holds::Nothing,
        ready: false,
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

fn step(resource: &Resource, facts: &KindFacts, live: Option<&Live>) -> Step {
    Step {
        id: resource.id.clone(),
        component: resource.component.clone(),
        action: Action::Unchanged,
        cause: Cause::Settled,
        uid: live.map(|live| live.uid.clone()),
        // The stamp of the live object counts: a wish cannot make it hold less within the same plan.
        holds: live
            .and_then(|live| live.holds)
            .or(resource.holds)
            .unwrap_or(facts.holds),
        changes: Vec::new(),
        risks: BTreeSet::new(),
        deletable: false,
        ready: live.is_some_and(|live| live.state == State::Ready),
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

fn blocked(mut step: Step, why: &str, help: &str) -> Step {
    step.action = Action::Blocked;
    step.blocked = Some(Blocked {
        why: why.to_owned(),
        help: help.to_owned(),
    });
    step
}

fn blocked_by_fields(step: Step, instead: &BTreeSet<&str>) -> Step {
    let fields: Vec<String> = step
        .changes
        .iter()
        .filter(|change| !matches!(change.effect, FieldChange::InPlace | FieldChange::Restart))
        .map(|change| match change.effect {
            FieldChange::GrowOnly if change.before.as_ref().is_some_and(|before| amount(before).is_some()) => {
                format!("{} only grows", change.path)
            }
            _ => format!(
                "{} cannot change on an object that {}",
                change.path,
                holding(step.holds)
            ),
        })
        .collect();
    let help = if instead.is_empty() {
        "set the field back to what it is, or make a new object beside it and move the data".to_owned()
    } else {
        instead.iter().copied().collect::<Vec<_>>().join("; ")
    };
    blocked(step, &fields.join("; "), &help)
}

fn holding(holds: Holds) -> &'static str {
    match holds {
        Holds::Durable => "holds data",
        _ => "exists",
    }
}

fn held_by(finalizers: &[String]) -> String {
    if finalizers.is_empty() {
        String::new()
    } else {
        format!(" (held by {})", finalizers.join(", "))
    }
}

/// A namespace takes along whatever lies in it, so one that holds something kept is kept too.
fn keep_homes(steps: &mut [Step], observations: &BTreeMap<Place, Observation>) {
    let home = |id: &ResourceId| Some((id.place().clone(), id.name().namespace()?.to_owned()));
    let released = steps
        .iter()
        .filter(|step| step.action == Action::Release)
        .map(|step| &step.id);
    let retained = observations
        .values()
        .flat_map(|seen| seen.live.values().chain(seen.extra.values()))
        .filter(|live| live.owner == Owner::Retained)
        .map(|live| &live.id);
    let homes: BTreeSet<(Place, String)> = released.chain(retained).filter_map(home).collect();
    let ends = |step: &&mut Step| step.action == Action::Delete && step.cause != Cause::Unfinished;
    for step in steps.iter_mut().filter(ends) {
        let id = &step.id;
        let is_home = id.kind().short() == "Namespace" && id.name().namespace().is_none();
        if is_home && homes.contains(&(id.place().clone(), id.name().to_string())) {
            step.action = Action::Release;
        }
    }
}

/// A generated secret that is gone while data made with it survives must not be made anew. Such data says so by
/// depending on the secret; a killed first run is no such case, because the secret is made first.
fn block_lost_partners(steps: &mut [Step], request: &PlanRequest) {
    let generated: HashMap<&ResourceId, &Resource> = request
        .resources
        .iter()
        .filter(|resource| generates(&resource.desired))
        .map(|resource| (&resource.id, resource))
        .collect();
    let alive: BTreeSet<ResourceId> = steps
        .iter()
        .filter(|step| step.holds == Holds::Durable && step.uid.is_some())
        .map(|step| step.id.clone())
        .collect();
    let mut survivors: HashMap<ResourceId, &ResourceId> = HashMap::new();
    for resource in request.resources.iter().filter(|resource| alive.contains(&resource.id)) {
        for secret in resource
            .dependencies()
            .into_iter()
            .filter(|id| generated.contains_key(id))
        {
            survivors.insert(secret, &resource.id);
        }
    }
    for step in steps.iter_mut().filter(|step| step.action == Action::Create) {
        let Some(survivor) = survivors.get(&step.id) else {
            continue;
        };
        let why = format!(
            "it is gone while {} survives: a new one would lock you out of the data",
            survivor.label()
        );
        let help = "restore the secret from a backup, or release the data first".to_owned();
        step.action = Action::Blocked;
        step.blocked = Some(Blocked { why, help });
    }
}

fn generates(value: &Value) -> bool {
    use crate::value::Recipe;
    match Recipe::of_value(value) {
        Some(Recipe::Generate { .. } | Recipe::GenerateBytes { .. }) => true,
        Some(_) => false,
        None => match value {
            Value::Object(map) => map.values().any(generates),
            Value::Array(items) => items.iter().any(generates),
            _ => false,
        },
    }
}
