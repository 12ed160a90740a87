//! What writes do, and what the server refuses.

use super::World;
use super::fields::{impact, merged, owned_part};
use super::read::{Within, digest, usage, within, word};
use super::state::{Mark, Object, WorldState};
use crate::engine::{Origin, Permit, Step};
use crate::facts::{Creation, KindFacts, Updating};
use crate::provider::{Verb, Write};
use crate::resource::{Live, Renewal, Resolved, Resource, State};
use crate::value::{Certificates, Digest, Promoted, Recipe, ResourceId, SetId, Timestamp, Uid};
use crate::{Error, ErrorKind, Result, Retry};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The answer of a write, and the ids of the objects that it changed.
type Answer = (Option<Live>, Vec<ResourceId>);

impl World {
    pub(super) fn act(&self, write: Write<'_>, permit: Permit<'_>) -> Result<Answer> {
        self.advance();
        let verb = write.verb();
        let id = write.id().clone();
        let facts = self.known(&id)?;
        let refuse = |kind, message: String| {
            Err(Error::new(kind, message)
                .with_operation(word(verb))
                .with_context("resource", &id))
        };
        if permit.step().id != id {
            return refuse(ErrorKind::Internal, format!("the permit is for {}", permit.step().id));
        }
        if verb == Verb::Delete && !permit.allows_delete() {
            return refuse(ErrorKind::Internal, "the permit does not allow a delete".to_owned());
        }
        if self.state().forbidden.contains(&(id.kind().clone(), Some(verb))) {
            return refuse(
                ErrorKind::Forbidden,
                format!("not allowed to {} {}", word(verb), id.kind()),
            );
        }
        let result = match write {
            Write::Create { set, resource, token } => self.create(set, resource, token, facts),
            Write::Update { set, resource, live } => {
                self.update(set, resource, live, facts, renews(permit.step(), live))
            }
            Write::Adopt { set, resource, live } => self.adopt(set, resource, live, facts),
            Write::Release { set, live } => self.release_object(set, live, facts),
            Write::Delete { set, live, snapshot } => self.delete(set, live, snapshot, facts),
        };
        result.map_err(|why| why.with_operation(word(verb)).with_context("resource", &id))
    }

    fn create(&self, set: &SetId, resource: &Resolved, token: &str, facts: &KindFacts) -> Result<Answer> {
        let now = self.shared.clock.now();
        let id = &resource.id;
        let mut state = self.state();
        let present = state.slots.get(id).map_or(&[][..], |slot| &slot.objects);
        let answer = |object: &Object, changed| Ok((Some(object.live(id, set, facts, now)), changed));
        let strange = present.iter().map(|object| &object.mark).find(|mark| !ours(mark, set));
        if let Some(mark) = strange {
            return Err(taken(mark, set));
        }
        match (facts.create, present.first()) {
            (Creation::Exclusive, Some(object)) => {
                let made_by_us = matches!(object.mark, Mark::Set(_));
                return if made_by_us && object.gone_at.is_some() {
                    Err(Error::new(ErrorKind::Conflict, "object is being deleted")
                        .with_retry(Retry::After(Duration::from_secs(1))))
                } else if made_by_us && object.written_from.as_deref() == Some(digest(resource).as_str()) {
                    answer(object, Vec::new())
                } else {
                    Err(Error::new(ErrorKind::Conflict, "already exists"))
                };
            }
            (Creation::Token, Some(_)) => {
                let made = present
                    .iter()
                    .find(|object| object.token.as_deref() == Some(token) && object.gone_at.is_none());
                if let Some(object) = made {
                    return answer(object, Vec::new());
                }
            }
            (Creation::Upsert, Some(object)) => {
                let live = object.live(id, set, facts, now);
                drop(state);
                return self.rewrite(set, resource, &live, facts, None);
            }
            (Creation::Unguarded, Some(_)) | (_, None) => {}
        }
        self.admit(&state, resource)?;
        let uid = state.next_uid();
        let mut secrets = BTreeMap::new();
        make_secrets(&state, &resource.desired, &mut String::new(), &uid, &mut secrets);
        let ready_at = now.plus(self.delay(facts));
        let object = Object {
            uid,
            generation: 1,
            revision: 0,
            mark: Mark::Set(set.clone()),
            fields: None,
            view: OnceLock::new(),
            wanted: Arc::clone(&resource.desired),
            written_from: Some(digest(resource)),
            holds: resource.holds,
            on_removal: resource.on_removal,
            component: resource.component.clone(),
            token: Some(token.to_owned()),
            made_at: Some(now),
            ready_at,
            gone_at: None,
            finalizers: Vec::new(),
            failed: None,
            touched: Vec::new(),
            secrets,
            certificates: Recipe::of_certificates(&resource.desired)
                .and_then(|recipe| Certificates::first(&recipe, now)),
        };
        let live = object.live(id, set, facts, now);
        let lag = self.lag(facts.create);
        state.change(id, facts.create, &lag, now, |objects| {
            // One is all that most ids ever have.
            objects.reserve_exact(1);
            objects.push(object);
        });
        if ready_at > now {
            state.due.insert((ready_at, id.clone()));
        }
        Ok((Some(live), vec![id.clone()]))
    }

    fn admit(&self, state: &WorldState, resource: &Resource) -> Result<()> {
        let id = &resource.id;
        match within(self, state, id) {
            Within::Missing(name) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("namespace {name} does not exist"),
                ));
            }
            Within::Namespace(namespace) if namespace.gone_at.is_some() => {
                return Err(Error::new(ErrorKind::Denied, "its namespace is being deleted")
                    .with_retry(Retry::After(Duration::from_secs(1))));
            }
            Within::Nothing | Within::Namespace(_) => {}
        }
        let limits = state
            .limits
            .iter()
            .filter(|limit| &limit.kind == id.kind())
            .filter(|limit| limit.namespace.is_none() || limit.namespace.as_deref() == id.name().namespace());
        for limit in limits {
            let used = usage(state, &limit.kind, limit.namespace.as_deref());
            if used >= limit.max {
                let message = format!("exceeded quota: {used} of {} {} used", limit.max, limit.kind);
                return Err(Error::new(ErrorKind::QuotaExceeded, message));
            }
        }
        Ok(())
    }

    fn update(&self, set: &SetId, resource: &Resolved, live: &Live, facts: &KindFacts, renews: bool) -> Result<Answer> {
        let owned = |mark: &Mark| match mark {
            Mark::Set(owner) if owner == set => Ok(()),
            other => Err(taken(other, set)),
        };
        self.check(live, set, &owned)?;
        self.rewrite(set, resource, live, facts, Some(renews))
    }

    fn adopt(&self, set: &SetId, resource: &Resolved, live: &Live, facts: &KindFacts) -> Result<Answer> {
        let free = |mark: &Mark| match mark {
            Mark::Nobody => Ok(()),
            Mark::Set(owner) | Mark::RetainedFrom(owner) if owner == set => Ok(()),
            other => Err(taken(other, set)),
        };
        self.check(live, set, &free)?;
        self.rewrite(set, resource, live, facts, Some(false))
    }

    /// Ownership and incarnation.
    fn check(&self, live: &Live, set: &SetId, allowed: &dyn Fn(&Mark) -> Result<()>) -> Result<()> {
        let state = self.state();
        let Some(object) = incarnation(&state, &live.id, &live.uid) else {
            return Err(match state.object(&live.id) {
                Some(object) => other_incarnation(object, live),
                None => Error::new(ErrorKind::Conflict, format!("it is gone from {set}")),
            });
        };
        allowed(&object.mark)
    }

    /// Writes the wish over what is there. A write whose effect holds already changes nothing. An upsert does not look at
    /// the version; an update that `renews` makes certificates again.
    fn rewrite(
        &self,
        set: &SetId,
        resource: &Resolved,
        live: &Live,
        facts: &KindFacts,
        update: Option<bool>,
    ) -> Result<Answer> {
        let now = self.shared.clock.now();
        let lag = self.lag(facts.create);
        let mut state = self.state();
        let Some(object) = incarnation(&state, &live.id, &live.uid) else {
            return Err(Error::new(ErrorKind::Conflict, "it is gone"));
        };
        let renews = update.unwrap_or(false) && object.live(&live.id, set, facts, now).renewal == live.renewal;
        let written_from = Some(digest(resource));
        let resource = resource.left_as(object.view());
        let holds_already = object.mark == Mark::Set(set.clone())
            && object.written_from == written_from
            && *object.view() == resource.desired
            && object.holds == resource.holds
            && object.on_removal == resource.on_removal
            && !renews;
        if holds_already {
            return Ok((Some(object.live(&live.id, set, facts, now)), Vec::new()));
        }
        if object.gone_at.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "object is being deleted"));
        }
        if facts.update == Updating::WhenSettled && matches!(object.state(now), State::Progressing { .. }) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "it is not in a state that takes changes",
            ));
        }
        if update.is_some() && !object.is_of_version(live.version.as_deref()) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the object has been modified since it was read",
            ));
        }
        // What a stranger's object was made from is not known: compare with all that is wanted of it now.
        let before = owned_part(
            &object.fields(),
            &merged(&object.wanted, &Value::Null, &resource.desired),
        );
        let impact = impact(facts, &before, &resource.desired);
        if let Some(why) = impact.refused {
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let mut secrets = BTreeMap::new();
        make_secrets(&state, &resource.desired, &mut String::new(), &object.uid, &mut secrets);
        let (old_secrets, old_wanted) = (object.secrets.clone(), Arc::clone(&object.wanted));
        let certificates = object.certificates_after(&resource.desired, facts, renews, now);
        if certificates == object.made() {
            keep_secrets(&state, &mut secrets, &old_secrets, &old_wanted, &resource.desired);
        }
        let ready_at = if impact.restarts {
            now.plus(self.delay(facts))
        } else {
            object.ready_at
        };
        let answer = state.change(&live.id, facts.create, &lag, now, |objects| {
            let object = objects.iter_mut().find(|object| object.uid == live.uid)?;
            object.ask_for(&resource.desired);
            object.written_from = written_from;
            object.mark = Mark::Set(set.clone());
            object.holds = resource.holds;
            object.on_removal = resource.on_removal;
            object.component.clone_from(&resource.component);
            object.generation += 1;
            object.touched.clear();
            object.failed = None;
            object.ready_at = ready_at;
            object.secrets = secrets;
            object.certificates = certificates;
            Some(object.live(&live.id, set, facts, now))
        });
        if ready_at > now {
            state.due.insert((ready_at, live.id.clone()));
        }
        Ok((answer, vec![live.id.clone()]))
    }

    fn release_object(&self, set: &SetId, live: &Live, facts: &KindFacts) -> Result<Answer> {
        let now = self.shared.clock.now();
        let lag = self.lag(facts.create);
        let mut state = self.state();
        let Some(object) = state.object(&live.id) else {
            return Ok((None, Vec::new()));
        };
        if object.uid != live.uid {
            return Err(other_incarnation(object, live));
        }
        match &object.mark {
            Mark::RetainedFrom(owner) if owner == set => {
                return Ok((Some(object.live(&live.id, set, facts, now)), Vec::new()));
            }
            Mark::Set(owner) if owner == set => {}
            other => return Err(taken(other, set)),
        }
        let answer = state.change(&live.id, facts.create, &lag, now, |objects| {
            let object = objects.first_mut()?;
            object.mark = Mark::RetainedFrom(set.clone());
            object.generation += 1;
            Some(object.live(&live.id, set, facts, now))
        });
        Ok((answer, vec![live.id.clone()]))
    }

    fn delete(&self, set: &SetId, live: &Live, snapshot: bool, facts: &KindFacts) -> Result<Answer> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        let Some(object) = incarnation(&state, &live.id, &live.uid) else {
            return match state.object(&live.id) {
                Some(object) => Err(other_incarnation(object, live)),
                None => Ok((None, Vec::new())),
            };
        };
        match &object.mark {
            Mark::Set(owner) | Mark::RetainedFrom(owner) if owner == set => {}
            other => return Err(taken(other, set)),
        }
        if object.gone_at.is_some() {
            return Ok((Some(object.live(&live.id, set, facts, now)), Vec::new()));
        }
        if snapshot {
            state.bury(&live.id, &live.uid, true);
        }
        let mut changed = vec![live.id.clone()];
        if live.id.kind().as_str() == super::NAMESPACE {
            changed.extend(self.empty_namespace(&mut state, live.id.name().as_str(), now));
        }
        let gone_at = now.plus(self.delay(facts) / 4);
        let lag = self.lag(facts.create);
        state.change(&live.id, facts.create, &lag, now, |objects| {
            for object in objects.iter_mut().filter(|object| object.uid == live.uid) {
                object.gone_at = Some(gone_at);
                object.generation += 1;
            }
        });
        state.due.insert((gone_at, live.id.clone()));
        state.advance(now);
        let answer = incarnation(&state, &live.id, &live.uid).map(|object| object.live(&live.id, set, facts, now));
        Ok((answer, changed))
    }

    /// A namespace takes along whatever lies in it, whoever owns that.
    fn empty_namespace(&self, state: &mut WorldState, name: &str, now: Timestamp) -> Vec<ResourceId> {
        let inside: Vec<ResourceId> = state
            .slots
            .keys()
            .filter(|id| id.name().namespace() == Some(name))
            .cloned()
            .collect();
        for id in &inside {
            let creation = (self.shared.facts)(id.kind()).map_or(Creation::Exclusive, |facts| facts.create);
            let gone = state.change(id, creation, &self.lag(creation), now, std::mem::take);
            for object in gone {
                state.bury(id, &object.uid, false);
            }
        }
        inside
    }
}

/// Whether a step makes again what has ended or will soon.
fn renews(step: &Step, live: &Live) -> bool {
    let change = |renewal: &Renewal| {
        let mut changes = step.changes.iter();
        changes.any(|change| change.origin == Origin::Time && change.path == renewal.path)
    };
    live.renewal.as_deref().is_some_and(change)
}

fn ours(mark: &Mark, set: &SetId) -> bool {
    matches!(mark, Mark::Set(owner) | Mark::RetainedFrom(owner) if owner == set)
}

fn incarnation<'a>(state: &'a WorldState, id: &ResourceId, uid: &Uid) -> Option<&'a Object> {
    state.slots.get(id)?.objects.iter().find(|object| &object.uid == uid)
}

fn other_incarnation(object: &Object, live: &Live) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the uid in the precondition is {}, the object's is {}",
            live.uid, object.uid
        ),
    )
}

fn taken(mark: &Mark, set: &SetId) -> Error {
    let whose = match mark.owner(set) {
        crate::resource::Owner::Other(who) => who,
        _ => "nobody".to_owned(),
    };
    Error::new(ErrorKind::Foreign, format!("the name is taken by an object of {whose}"))
        .with_help("choose another name, or adopt the object by naming it")
}

/// A random id per secret value: copies share the original's, derived ones follow their parts.
fn make_secrets(
    state: &WorldState,
    desired: &Value,
    path: &mut String,
    uid: &Uid,
    into: &mut BTreeMap<String, String>,
) {
    if let Some(recipe) = Recipe::of_value(desired) {
        let fresh = || {
            Digest::of(&(uid, &*path, state.uids, state.sequence))
                .short(16)
                .to_owned()
        };
        let value = match recipe {
            Recipe::Copy { from, key, .. }
            | Recipe::Before { from, key, .. }
            | Recipe::Generate {
                promoted: Some(Promoted { from, key }),
                ..
            } => value_of(state, &from, &key).cloned().unwrap_or_else(fresh),
            Recipe::Supplied(supplied) => Digest::of(&supplied).short(16).to_owned(),
            Recipe::Literal { value } => format!("literal {value}"),
            Recipe::Derive { template } => format!("derived {template}"),
            _ => fresh(),
        };
        into.insert(path.clone(), value);
        return;
    }
    let length = path.len();
    let mut below = |key: fmt::Arguments<'_>, child| {
        // Writing to a text cannot fail.
        let _ = write!(path, ".{key}");
        make_secrets(state, child, path, uid, into);
        path.truncate(length);
    };
    match desired {
        Value::Object(map) => {
            for (key, child) in map {
                below(format_args!("{key}"), child);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                below(format_args!("{index}"), child);
            }
        }
        _ => {}
    }
}

/// What a key of another object stands for.
fn value_of<'a>(state: &'a WorldState, from: &str, key: &str) -> Option<&'a String> {
    let secrets = &state.object(&from.parse().ok()?)?.secrets;
    let suffix = format!(".{key}");
    let mut found = secrets
        .iter()
        .filter(|(path, _)| path.ends_with(&suffix) || path.ends_with(".*"));
    found.next().map(|(_, value)| value)
}

/// An update keeps every value whose recipe did not change, and generated ones in any case. Copies are made again
/// with any change of their object.
fn keep_secrets(
    state: &WorldState,
    fresh: &mut BTreeMap<String, String>,
    old: &BTreeMap<String, String>,
    before: &Value,
    after: &Value,
) {
    let (mut were, mut are) = (BTreeMap::new(), BTreeMap::new());
    find_recipes(before, "", &mut were);
    find_recipes(after, "", &mut are);
    for (path, value) in fresh {
        let Some(kept) = old.get(path) else { continue };
        let (was, is) = (were.get(path), are.get(path));
        let generated = is.is_some_and(|recipe| {
            let made_once = recipe.is_made_once() || matches!(recipe, Recipe::CertificateAuthority { .. });
            made_once && !recipe.replaces(was)
        });
        let copied = matches!(is, Some(Recipe::Copy { .. })) && before != after;
        let none_before = matches!(is, Some(Recipe::Before { from, key, .. }) if value_of(state, from, key).is_none());
        if (was == is && !copied) || generated || none_before {
            value.clone_from(kept);
        }
    }
}

/// The recipes in a value, by the paths of [`make_secrets`].
fn find_recipes(value: &Value, path: &str, into: &mut BTreeMap<String, Recipe>) {
    if let Some(recipe) = Recipe::of_value(value) {
        into.insert(path.to_owned(), recipe);
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                find_recipes(child, &format!("{path}.{key}"), into);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                find_recipes(child, &format!("{path}.{index}"), into);
            }
        }
        _ => {}
    }
}
