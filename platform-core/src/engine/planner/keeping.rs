//! What stays because something that is kept cannot be without it: the namespace and the cluster that it lies in, and
//! what it names, such as the subnet group of a database server. Pure.

use super::super::Engine;
use super::super::plan::{Action, Cause, Step};
use super::removal::removal;
use super::verdict::blocked;
use crate::Result;
use crate::facts::Field;
use crate::resource::{Holds, Live, Observation, OnRemoval, Owner};
use crate::value::{FieldPath, Kind, Name, Place, ResourceId};
use serde_json::Value;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const NAMESPACE: &str = "Namespace";
const UNPROTECT: &str = "switch the protection off in a plan of its own and apply it, then plan the removal again";

/// Who keeps an object, by object.
type Kept = HashMap<ResourceId, BTreeSet<ResourceId>>;

/// What was observed, and how the objects of the set are found by what names them.
struct Estate<'a> {
    engine: &'a Engine,
    observations: &'a BTreeMap<Place, Observation>,
    /// By kind and its name or one of its outputs.
    named: HashMap<(&'a str, &'a str), Vec<&'a ResourceId>>,
}

impl Engine {
    /// Turns deletes of what something kept needs into releases. What was let go of for such a reason in an earlier run and is
    /// needed by nothing any more is deleted, `ends` when nobody wants anything of the set.
    pub(super) fn keep_needed(
        &self,
        steps: &mut Vec<Step>,
        observations: &BTreeMap<Place, Observation>,
        ends: bool,
    ) -> Result<()> {
        let released = steps.iter().filter(|step| step.action == Action::Release);
        let mut roots: Vec<ResourceId> = released.map(|step| step.id.clone()).collect();
        let retained: Vec<&Live> = lives(observations)
            .filter(|live| live.owner == Owner::Retained)
            .collect();
        if roots.is_empty() && retained.is_empty() {
            return Ok(());
        }
        let decided: HashSet<&ResourceId> = steps.iter().map(|step| &step.id).collect();
        let mut idle = Vec::new();
        for live in retained.into_iter().filter(|live| !decided.contains(&live.id)) {
            if self.is_idle(live)? {
                idle.push(live);
            } else {
                roots.push(live.id.clone());
            }
        }
        let estate = Estate::new(self, observations);
        let mut kept = estate.kept(&roots)?;
        // What is protected stays when an approval lets all go that it is kept for, and so does what it needs.
        let protected: Vec<ResourceId> = kept
            .keys()
            .filter(|id| self.protection(id, observations).is_some())
            .cloned()
            .collect();
        if !protected.is_empty() {
            roots.extend(protected);
            kept = estate.kept(&roots)?;
        }
        for live in idle {
            if !kept.contains_key(&live.id) {
                steps.push(removal(live, self.facts(&live.id)?, ends));
            }
        }
        for step in steps.iter_mut().filter(|step| goes(step)) {
            if let Some(roots) = kept.get(&step.id) {
                step.action = Action::Release;
                step.kept_for.clone_from(roots);
            }
        }
        Ok(())
    }

    /// Nothing protected is deleted: a plan that would is blocked, and what is kept is not offered for approval.
    pub(super) fn guard_protected(&self, steps: &mut [Step], observations: &BTreeMap<Place, Observation>) {
        let leaves = |step: &&mut Step| matches!(step.action, Action::Release) || goes(step);
        for step in steps.iter_mut().filter(leaves) {
            let Some(field) = self.protection(&step.id, observations) else {
                continue;
            };
            let why = format!("it is protected from deletion ({field})");
            if step.action == Action::Release {
                step.deletable = false;
                step.kept_for.clear();
                step.warnings.push(why);
            } else {
                *step = blocked(step.clone(), &why, UNPROTECT);
            }
        }
    }

    /// Kinds that cannot be read may have kept objects, so nothing goes that one of those would lie in or name.
    pub(super) fn block_unseen(&self, steps: &mut [Step], observations: &BTreeMap<Place, Observation>) -> Result<()> {
        for (place, seen) in observations {
            for (kind, why) in &seen.unreadable {
                let probe = ResourceId::new(place.clone(), kind.clone(), Name::new("any")?);
                let facts = self.facts(&probe)?;
                if facts.holds == Holds::Nothing {
                    continue;
                }
                let named: BTreeSet<&str> = facts.fields.iter().filter_map(|field| field.names).collect();
                for step in steps.iter_mut().filter(|step| goes(step)) {
                    let home =
                        is_namespace(&step.id) && step.id.place() == place || self.cluster_of(place) == Some(&step.id);
                    if home || step.id.place() == place && named.contains(step.id.kind().as_str()) {
                        let why =
                            format!("{kind} cannot be read, so it is not known what data would go with it: {why}");
                        *step = blocked(step.clone(), &why, "grant the right to read it");
                    }
                }
            }
        }
        Ok(())
    }

    /// The field by which an object is protected from deletion now, if it is.
    fn protection(&self, id: &ResourceId, observations: &BTreeMap<Place, Observation>) -> Option<&'static str> {
        let live = observations.get(id.place())?.get(id)?;
        let on =
            |field: &&Field| field.protects && FieldPath::from(field.path).find(&live.view) == Some(&Value::Bool(true));
        let facts = self.facts(id).ok()?;
        facts.fields.iter().find(on).map(|field| field.path)
    }

    /// Whether it was kept for others only. A home may have become somebody's in the meantime, and takes along what lies in it.
    fn is_idle(&self, live: &Live) -> Result<bool> {
        let holds = live.holds_by(self.facts(&live.id)?);
        let home = is_namespace(&live.id) || self.made_by(&live.id).next().is_some();
        Ok(holds == Holds::Nothing && live.on_removal == OnRemoval::Delete && !home)
    }
}

impl<'a> Estate<'a> {
    fn new(engine: &'a Engine, observations: &'a BTreeMap<Place, Observation>) -> Self {
        let mut estate = Self {
            engine,
            observations,
            named: HashMap::new(),
        };
        for live in lives(observations) {
            let outputs = live.outputs.values().filter_map(Value::as_str);
            for text in outputs.chain([live.id.name().as_str()]) {
                let named = estate.named.entry((live.id.kind().as_str(), text)).or_default();
                named.push(&live.id);
            }
        }
        estate
    }

    /// Everything that these need, directly or by way of others, with those of them that need it.
    fn kept(&self, roots: &[ResourceId]) -> Result<Kept> {
        let mut kept = Kept::new();
        let mut direct: HashMap<&ResourceId, Vec<&'a ResourceId>> = HashMap::new();
        for root in roots {
            let mut open = vec![root];
            while let Some(id) = open.pop() {
                let needs = match direct.entry(id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(self.needs(id)?),
                };
                for need in needs.iter().copied().filter(|need| *need != root) {
                    if kept.entry(need.clone()).or_default().insert(root.clone()) {
                        open.push(need);
                    }
                }
            }
        }
        Ok(kept)
    }

    /// What one object needs directly.
    fn needs(&self, id: &ResourceId) -> Result<Vec<&'a ResourceId>> {
        let Some(live) = self.live(id) else {
            return Ok(Vec::new());
        };
        let facts = self.engine.facts(id)?;
        // An empty namespace alone keeps no cluster.
        let holds = live.holds_by(facts) != Holds::Nothing;
        let cluster = self.engine.cluster_of(id.place()).filter(|_| holds);
        let mut homes: Vec<ResourceId> = cluster.cloned().into_iter().collect();
        if let Some(namespace) = id.name().namespace() {
            homes.push(ResourceId::new(
                id.place().clone(),
                Kind::new(NAMESPACE)?,
                Name::new(namespace)?,
            ));
        }
        let standing = homes.iter().filter_map(|home| self.live(home));
        let mut needs: Vec<&ResourceId> = standing.map(|home| &home.id).collect();
        for (field, kind) in facts.fields.iter().filter_map(|field| Some((field.path, field.names?))) {
            if let Some(value) = FieldPath::from(field).find(&live.view) {
                texts(value, &mut |text| needs.extend(self.named(kind, text)));
            }
        }
        Ok(needs)
    }

    fn live(&self, id: &ResourceId) -> Option<&'a Live> {
        let live = self.observations.get(id.place())?.get(id)?;
        is_ours(live).then_some(live)
    }

    /// The objects of a kind that a text names; an ARN that was put together ahead of the object ends in its name.
    fn named(&self, kind: &str, text: &str) -> Vec<&'a ResourceId> {
        let tail = text.rsplit('/').next().unwrap_or(text);
        let named = self.named.get(&(kind, text)).or_else(|| self.named.get(&(kind, tail)));
        named.cloned().unwrap_or_default()
    }
}

fn lives(observations: &BTreeMap<Place, Observation>) -> impl Iterator<Item = &Live> {
    let all = observations
        .values()
        .flat_map(|seen| seen.live.values().chain(seen.extra.values()));
    all.filter(|live| is_ours(live))
}

fn is_ours(live: &Live) -> bool {
    matches!(live.owner, Owner::ThisSet | Owner::Retained)
}

/// Whether a step deletes something that is not on its way out already.
fn goes(step: &Step) -> bool {
    step.action == Action::Delete && step.cause != Cause::Unfinished
}

fn is_namespace(id: &ResourceId) -> bool {
    id.kind().as_str() == NAMESPACE
}

/// Every text in a value.
fn texts<'v>(value: &'v Value, each: &mut dyn FnMut(&'v str)) {
    match value {
        Value::String(text) => each(text),
        Value::Object(map) => map.values().for_each(|inner| texts(inner, each)),
        Value::Array(items) => items.iter().for_each(|inner| texts(inner, each)),
        _ => {}
    }
}
