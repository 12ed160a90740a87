//! What becomes of objects that nobody asks for any more. Pure.

use super::super::plan::{Action, Cause, Step};
use crate::facts::{KindFacts, Risk};
use crate::resource::{Holds, Live, Observation, OnRemoval, Owner, State};
use crate::value::{Place, ResourceId};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to an object of the set that nobody wants any more; `ends` when nobody wants anything of it. Pure.
pub(super) fn removal(live: &Live, facts: &'static KindFacts, ends: bool) -> Step {
    let holds = live.holds.unwrap_or(facts.holds);
    let deleting = matches!(live.state, State::Deleting { .. });
    let snapshot = live.on_removal == OnRemoval::Snapshot;
    let keep = !deleting && (live.on_removal == OnRemoval::Retain || holds == Holds::Durable) && !snapshot;
    // The snapshot keeps the data; the running instance does not come back.
    let risky = snapshot && holds == Holds::Durable && !deleting;
    let unguarded = facts.removal.filter(|_| !ends && !deleting);
    Step {
        id: live.id.clone(),
        component: live.component.clone(),
        action: if keep { Action::Release } else { Action::Delete },
        cause: if deleting { Cause::Unfinished } else { Cause::Removed },
        uid: Some(live.uid.clone()),
        holds,
        changes: Vec::new(),
        risks: risky
            .then_some(Risk::Irreversible)
            .into_iter()
            .chain(unguarded)
            .collect(),
        deletable: keep && holds != Holds::Nothing,
        ready: false,
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

/// A namespace takes along whatever lies in it, so one that holds something kept is kept too.
pub(super) fn keep_homes(steps: &mut [Step], observations: &BTreeMap<Place, Observation>) {
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
