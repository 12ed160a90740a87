//! What reads answer.

use super::World;
use super::state::{Object, WorldState};
use crate::provider::{Finding, PlannedWrite, Preview, Verb};
use crate::resource::{Live, Observation, Owner, Resource};
use crate::value::{Digest, Kind, Name, ResourceId, SetId};
use crate::{Error, ErrorKind, Result};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

impl World {
    /// Own and retained objects, as a list by label shows them; others are met by previews only.
    pub(super) fn look(&self, set: &SetId, wanted: &[Resource]) -> Observation {
        self.advance();
        let now = self.shared.clock.now();
        let mut kinds: BTreeSet<&Kind> = wanted.iter().map(|resource| resource.id.kind()).collect();
        let wanted = LazyCell::new(|| {
            let by_id = wanted.iter().map(|resource| (&resource.id, resource));
            by_id.collect::<HashMap<_, _>>()
        });
        let state = self.state();
        let mut seen = Observation::new(set.clone(), self.shared.place.clone(), now);
        let (mut live, mut extra) = (Vec::new(), Vec::new());
        for (id, slot) in &state.slots {
            let Some(facts) = (self.shared.facts)(id.kind()) else {
                continue;
            };
            let Some(object) = state.visible(slot, &self.lag(facts.create), now).first() else {
                continue;
            };
            if !matches!(object.mark.owner(set), Owner::ThisSet | Owner::Retained) {
                continue;
            }
            kinds.insert(id.kind());
            if state.forbidden.contains(&(id.kind().clone(), None)) {
                continue;
            }
            let mut found = object.live(id, set, facts, now);
            if let Some(wish) = wanted.get(id) {
                found.renewal = object.renewal(&wish.desired, facts).map(Box::new);
                live.push((id.clone(), found));
            } else {
                extra.push((id.clone(), found));
            }
        }
        seen.live = live.into_iter().collect();
        seen.extra = extra.into_iter().collect();
        for kind in &kinds {
            if state.forbidden.contains(&((*kind).clone(), None)) {
                let why = Error::new(ErrorKind::Forbidden, format!("cannot list {kind}")).with_operation("observe");
                seen.unreadable.push(((*kind).clone(), why));
            }
        }
        seen.requests = u32::try_from(kinds.len() + 2).unwrap_or(u32::MAX);
        seen.recorded = state.homes.contains(set);
        if let Some(record) = state.leases.get(set) {
            seen.open.clone_from(&record.open);
        }
        seen
    }

    /// Every object of a kind in a namespace, whoever made it.
    pub(super) fn all_of(&self, set: &SetId, kind: &Kind, within: &Name) -> Result<Vec<Live>> {
        self.advance();
        let now = self.shared.clock.now();
        let state = self.state();
        if state.forbidden.contains(&(kind.clone(), None)) {
            return Err(Error::new(ErrorKind::Forbidden, format!("cannot list {kind}")).with_operation("list"));
        }
        let Some(facts) = (self.shared.facts)(kind) else {
            return Ok(Vec::new());
        };
        let inside = |id: &&ResourceId| id.kind() == kind && id.name().namespace() == Some(within.as_str());
        let slots = state.slots.iter().filter(|(id, _)| inside(id));
        let objects = slots.filter_map(|(id, slot)| {
            let object = state.visible(slot, &self.lag(facts.create), now).first()?;
            let mut live = object.live(id, set, facts, now);
            live.view = Arc::new(object.fields().into_owned());
            Some(live)
        });
        Ok(objects.collect())
    }

    /// Judges by what was seen; only for an absent object it asks whether somebody has the name.
    pub(super) fn foresee(&self, wanted: &Resource, seen: &Observation) -> Result<Preview> {
        let facts = self.known(&wanted.id)?;
        if let Some(live) = seen.get(&wanted.id) {
            let owned = live.owner == Owner::ThisSet;
            let wanted = wanted.left_as(&live.view);
            return Ok(if owned && live.view == wanted.desired {
                Preview::Unchanged
            } else {
                change(&wanted, None, None)
            });
        }
        self.advance();
        let state = self.state();
        let now = self.shared.clock.now();
        if let Some(slot) = state.slots.get(&wanted.id) {
            let strange = state
                .visible(slot, &self.lag(facts.create), now)
                .first()
                .filter(|object| !matches!(object.mark.owner(&seen.set), Owner::ThisSet | Owner::Retained));
            if let Some(object) = strange {
                let mut live = object.live(&wanted.id, &seen.set, facts, now);
                live.view = Arc::new(super::fields::owned_part(&object.fields(), &wanted.desired));
                return Ok(change(wanted, None, Some(live)));
            }
        }
        let unverified = match within(self, &state, &wanted.id) {
            Within::Missing(namespace) => Some(format!("namespace {namespace} does not exist yet")),
            Within::Nothing | Within::Namespace(_) => None,
        };
        Ok(change(wanted, unverified, None))
    }

    /// What would fail for want of a right or a quota.
    pub(super) fn foresee_refusals(&self, writes: &[PlannedWrite]) -> Vec<Finding> {
        let state = self.state();
        let mut findings = Vec::new();
        let mut more: BTreeMap<(&Kind, Option<&str>), usize> = BTreeMap::new();
        for write in writes {
            if state.forbidden.contains(&(write.id.kind().clone(), Some(write.verb))) {
                findings.push(Finding {
                    id: Some(write.id.clone()),
                    message: format!("not allowed to {} {}", word(write.verb), write.id.kind()),
                    help: format!("grant {} on {}", word(write.verb), write.id.kind()),
                });
            }
            if write.verb == Verb::Create {
                *more.entry((write.id.kind(), write.id.name().namespace())).or_insert(0) += 1;
            }
        }
        for limit in &state.limits {
            let creates: usize = more
                .iter()
                .filter(|((kind, namespace), _)| {
                    **kind == limit.kind && (limit.namespace.is_none() || limit.namespace.as_deref() == *namespace)
                })
                .map(|(_, count)| count)
                .sum();
            let used = usage(&state, &limit.kind, limit.namespace.as_deref());
            if creates > 0 && used + creates > limit.max {
                findings.push(Finding {
                    id: None,
                    message: format!(
                        "{creates} more {} exceed the quota: {used} of {} used",
                        limit.kind, limit.max
                    ),
                    help: "raise the quota or ask for less".to_owned(),
                });
            }
        }
        findings
    }
}

fn change(wanted: &Resource, unverified: Option<String>, found: Option<Live>) -> Preview {
    Preview::Change {
        after: Arc::clone(&wanted.desired),
        unverified,
        warnings: Vec::new(),
        found: found.map(Box::new),
    }
}

/// How many objects count against a quota.
pub(super) fn usage(state: &WorldState, kind: &Kind, namespace: Option<&str>) -> usize {
    state
        .slots
        .iter()
        .filter(|(id, _)| id.kind() == kind && (namespace.is_none() || id.name().namespace() == namespace))
        .map(|(_, slot)| slot.objects.len())
        .sum()
}

/// The namespace that an object lies in.
pub(super) enum Within<'a> {
    /// None, or this world has no namespaces.
    Nothing,
    /// One that is not there.
    Missing(&'a str),
    /// This one.
    Namespace(&'a Object),
}

pub(super) fn within<'a>(world: &World, state: &'a WorldState, id: &'a ResourceId) -> Within<'a> {
    let (Ok(kind), Some(name)) = (Kind::new(super::NAMESPACE), id.name().namespace()) else {
        return Within::Nothing;
    };
    let (Some(_), Ok(parsed)) = ((world.shared.facts)(&kind), name.parse()) else {
        return Within::Nothing;
    };
    state
        .object(&ResourceId::new(id.place().clone(), kind, parsed))
        .map_or(Within::Missing(name), Within::Namespace)
}

pub(super) fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Adopt => "adopt",
        Verb::Release => "release",
        Verb::Delete => "delete",
    }
}

/// The digest that marks what an object was written from.
pub(super) fn digest(resource: &Resource) -> String {
    Digest::of_value(&resource.desired).as_str().to_owned()
}
