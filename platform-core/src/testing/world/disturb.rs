//! What tests do to a world behind its owner's back.

use super::state::{Limit, Mark, Object};
use super::{World, fields};
use crate::provider::Verb;
use crate::resource::{Actor, Holds, OnRemoval, Owner};
use crate::value::{Digest, FieldPath, Kind, ResourceId, SetId, Uid};
use crate::{Error, ErrorKind, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

impl World {
    /// Puts an object there that no run made: somebody's, nobody's, or an older run's. Ready at once.
    pub fn plant(&self, set: &SetId, owner: &Owner, id: &ResourceId, fields: &Value) -> Uid {
        let mark = match owner {
            Owner::ThisSet => Mark::Set(set.clone()),
            Owner::Retained => Mark::RetainedFrom(set.clone()),
            Owner::Nobody => Mark::Nobody,
            Owner::Other(who) => Mark::Other(who.clone()),
        };
        let ours = matches!(owner, Owner::ThisSet | Owner::Retained);
        let now = self.shared.clock.now();
        let mut state = self.state();
        let uid = state.next_uid();
        let object = Object {
            uid: uid.clone(),
            generation: 1,
            revision: 0,
            mark,
            fields: (!ours).then(|| fields::with_defaults(fields.clone())),
            view: OnceLock::new(),
            // What others asked for is not known, so an adoption leaves it alone.
            wanted: Arc::new(if ours { fields.clone() } else { Value::Null }),
            written_from: ours.then(|| Digest::of_value(fields).as_str().to_owned()),
            holds: None,
            on_removal: OnRemoval::default(),
            component: String::new(),
            token: None,
            made_at: Some(now),
            ready_at: now,
            gone_at: None,
            finalizers: Vec::new(),
            failed: None,
            touched: Vec::new(),
            secrets: BTreeMap::new(),
            certificates: None,
        };
        state.slots.entry(id.clone()).or_default().objects.push(object);
        drop(state);
        self.tell(std::slice::from_ref(id));
        uid
    }

    /// Lets somebody change a field behind our back; `None` removes it. Whether the object and the path are there.
    pub fn mutate(&self, id: &ResourceId, actor: &str, path: &FieldPath, value: Option<Value>) -> bool {
        let at = Some(self.shared.clock.now());
        let done = self.edit(id, |object| {
            let done = fields::set_value_at(object.fields_mut(), path.segments(), value);
            object.generation += 1;
            object.touched.retain(|(other, _)| other != path);
            let name = actor.to_owned();
            object.touched.push((path.clone(), Actor { name, at }));
            done
        });
        done.unwrap_or(false)
    }

    /// Lets a controller write status: nothing that anybody wants changes.
    pub fn touch_status(&self, id: &ResourceId) -> bool {
        self.edit(id, |object| object.revision += 1).is_some()
    }

    /// Lets somebody delete an object behind our back, with all that it holds. Whether it was there.
    pub fn remove(&self, id: &ResourceId) -> bool {
        let mut state = self.state();
        let Some(slot) = state.slots.remove(id) else {
            return false;
        };
        for object in &slot.objects {
            state.bury(id, &object.uid, false);
        }
        drop(state);
        self.tell(std::slice::from_ref(id));
        true
    }

    /// Lets an object fail, or recover.
    pub fn fail(&self, id: &ResourceId, why: Option<&str>) -> bool {
        self.edit(id, |object| object.failed = why.map(ToOwned::to_owned))
            .is_some()
    }

    /// Holds back an object's end until the finalizers are lifted with an empty list.
    pub fn hold_back(&self, id: &ResourceId, finalizers: &[&str]) -> bool {
        let now = self.shared.clock.now();
        let held = self.edit(id, |object| {
            object.finalizers = finalizers.iter().map(|text| (*text).to_owned()).collect();
        });
        self.state().due.insert((now, id.clone()));
        self.advance();
        held.is_some()
    }

    /// Allows at most `max` objects of a kind, in one namespace or in all.
    pub fn limit(&self, kind: &Kind, namespace: Option<&str>, max: usize) {
        self.state().limits.push(Limit {
            kind: kind.clone(),
            namespace: namespace.map(ToOwned::to_owned),
            max,
        });
    }

    /// Lifts all limits.
    pub fn lift_limits(&self) {
        self.state().limits.clear();
    }

    /// Takes a right away: `None` is the right to read.
    pub fn forbid(&self, kind: &Kind, verb: Option<Verb>) {
        self.state().forbidden.insert((kind.clone(), verb));
    }

    /// Gives all rights back.
    pub fn permit_all(&self) {
        self.state().forbidden.clear();
    }

    /// Writes rows into an object that holds data. They live as long as this incarnation.
    ///
    /// # Errors
    /// `Invalid` when the object is not there or holds nothing.
    pub fn seed_data(&self, id: &ResourceId, rows: &[&str]) -> Result<Uid> {
        let mut state = self.state();
        let holds = |object: &Object| {
            let by_kind = (self.shared.facts)(id.kind()).map(|facts| facts.holds);
            object.holds.or(by_kind).unwrap_or_default()
        };
        let Some(object) = state.object(id).filter(|object| holds(object) != Holds::Nothing) else {
            return Err(Error::new(ErrorKind::Invalid, "holds no data").with_context("resource", id));
        };
        let uid = object.uid.clone();
        let data = state.data.entry(uid.as_str().to_owned()).or_default();
        data.extend(rows.iter().map(|row| (*row).to_owned()));
        Ok(uid)
    }
}
