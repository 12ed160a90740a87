//! What becomes of objects that nobody asks for any more. Pure.

use super::super::plan::{Action, Cause, Step};
use crate::facts::{KindFacts, Risk};
use crate::resource::{Holds, Live, OnRemoval, State};
use std::collections::BTreeSet;

/// What happens to an object of the set that nobody wants any more; `ends` when nobody wants anything of it. Pure.
pub(super) fn removal(live: &Live, facts: &'static KindFacts, ends: bool) -> Step {
    let holds = live.holds_by(facts);
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
        kept_for: BTreeSet::new(),
        ready: false,
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}
