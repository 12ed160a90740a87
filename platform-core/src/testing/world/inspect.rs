//! What tests ask a world.

use super::state::Loss;
use super::{World, lock};
use crate::resource::{Holds, OnRemoval, Owner, State};
use crate::value::{Certificates, FieldPath, ResourceId, SetId, Uid};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a uid.
const UID_LENGTH: usize = 18;

impl World {
    /// The rows that the object under this id holds now.
    pub fn data(&self, id: &ResourceId) -> Option<Vec<String>> {
        let state = self.state();
        state.data.get(state.object(id)?.uid.as_str()).cloned()
    }

    /// All rows that went away with their object.
    pub fn losses(&self) -> Vec<Loss> {
        self.state().losses.clone()
    }

    /// All final snapshots.
    pub fn snapshots(&self) -> Vec<Loss> {
        self.state().snapshots.clone()
    }

    /// The random ids that stand for the secret values of an object, by key.
    pub fn secrets(&self, id: &ResourceId) -> BTreeMap<String, String> {
        self.state()
            .object(id)
            .map(|object| object.secrets.clone())
            .unwrap_or_default()
    }

    /// Which certificates an object holds, if its recipe makes any.
    pub fn certificates(&self, id: &ResourceId) -> Option<Certificates> {
        self.state().object(id)?.made()
    }

    /// The uid under an id.
    pub fn uid(&self, id: &ResourceId) -> Option<Uid> {
        self.state().object(id).map(|object| object.uid.clone())
    }

    /// The whole object as the server keeps it.
    pub fn fields(&self, id: &ResourceId) -> Option<Value> {
        self.state().object(id).map(|object| object.fields().into_owned())
    }

    /// The object as its owner sees it.
    pub fn view(&self, id: &ResourceId) -> Option<Value> {
        self.state().object(id).map(|object| Value::clone(object.view()))
    }

    /// A field of the object as the server keeps it.
    pub fn field(&self, id: &ResourceId, path: &FieldPath) -> Option<Value> {
        path.find(&self.state().object(id)?.fields()).cloned()
    }

    /// Whether an object is ready.
    pub fn is_ready(&self, id: &ResourceId) -> bool {
        let now = self.shared.clock.now();
        self.state()
            .object(id)
            .is_some_and(|object| object.state(now) == State::Ready)
    }

    /// Whose the object is, as `set` sees it.
    pub fn owner(&self, set: &SetId, id: &ResourceId) -> Option<Owner> {
        self.state().object(id).map(|object| object.mark.owner(set))
    }

    /// Every object there.
    pub fn ids(&self) -> BTreeSet<ResourceId> {
        self.advance();
        self.state()
            .slots
            .iter()
            .filter(|(_, slot)| !slot.objects.is_empty())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Ids under which more than one object exists: the mark of an unguarded create sent twice.
    pub fn duplicates(&self) -> BTreeSet<ResourceId> {
        let state = self.state();
        let twice = state.slots.iter().filter(|(_, slot)| slot.objects.len() > 1);
        twice.map(|(id, _)| id.clone()).collect()
    }

    /// Everything that the owner asked for or made, without times and versions, with ids in the place of
    /// uids and without the origins of certificates: two worlds that converged to the same end have equal ones.
    pub fn shape(&self, set: &SetId) -> BTreeMap<ResourceId, Vec<Shape>> {
        self.advance();
        let state = self.state();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (id, slot) in &state.slots {
            for object in &slot.objects {
                names.insert(object.uid.as_str().to_owned(), format!("<{id}>"));
                let revision = object.made().map(|made| made.revision());
                names.extend(revision.and_then(|text| {
                    let numbers = text.split_once('.')?.0.to_owned();
                    Some((text, numbers))
                }));
            }
        }
        let mut shape = BTreeMap::new();
        for (id, slot) in &state.slots {
            let objects: Vec<_> = slot
                .objects
                .iter()
                .map(|object| Shape {
                    view: named(Value::clone(object.view()), &names),
                    owner: object.mark.owner(set),
                    holds: object.holds,
                    on_removal: object.on_removal,
                    deleting: object.gone_at.is_some(),
                })
                .collect();
            if !objects.is_empty() {
                shape.insert(id.clone(), objects);
            }
        }
        shape
    }

    /// Calls so far, by name: `observe`, `preview`, `create`, `release`, `acquire`, `release lease`, ...
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.shared.counts).clone()
    }

    /// Creates, updates, adoptions, releases and deletes so far.
    pub fn writes(&self) -> u64 {
        let counts = lock(&self.shared.counts);
        ["create", "update", "adopt", "release", "delete"]
            .iter()
            .filter_map(|verb| counts.get(verb))
            .sum()
    }
}

/// One object as [`World::shape`] shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// As its owner sees it.
    pub view: Value,
    /// Whose it is.
    pub owner: Owner,
    /// Its stamp.
    pub holds: Option<Holds>,
    /// Its stamp.
    pub on_removal: OnRemoval,
    /// On its way out.
    pub deleting: bool,
}

/// The value with names where server-made texts are one that has a name, or end in a uid.
fn named(value: Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) if names.contains_key(&text) => Value::String(names[&text].clone()),
        Value::String(text) => {
            let start = text.len().saturating_sub(UID_LENGTH);
            let uid = text.get(start..).and_then(|uid| names.get(uid));
            Value::String(uid.map_or_else(|| text.clone(), |name| format!("{}{name}", &text[..start])))
        }
        Value::Array(items) => items.into_iter().map(|item| named(item, names)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, child)| (key, named(child, names))).collect(),
        other => other,
    }
}
