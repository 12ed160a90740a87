//! What has to be made again by now. Pure.

use super::super::plan::{Action, Origin, Plan, Step};
use super::Wishes;
use crate::resource::{Observation, Owner, Renewal, Resource};
use crate::value::{Place, ResourceId, Timestamp, references};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is made again in a plan, by object.
pub(super) type Due<'a> = BTreeMap<&'a ResourceId, &'a Renewal>;

/// Renewals whose time has come, and those that may come only once what refers to them is settled.
///
/// A plan that is verified knows already which are its own: no other comes in, however late it is.
pub(super) fn due<'a>(
    wishes: &Wishes,
    observations: &'a BTreeMap<Place, Observation>,
    planned: Option<&Plan>,
    as_of: Timestamp,
) -> (Due<'a>, Due<'a>) {
    let of_plan: Option<BTreeSet<&ResourceId>> = planned.map(|plan| {
        let renews = |step: &&Step| step.changes.iter().any(|change| change.origin == Origin::Time);
        plan.steps.iter().filter(renews).map(|step| &step.id).collect()
    });
    let mut now = Due::new();
    let mut settled = Due::new();
    let seen = observations.values().flat_map(|seen| &seen.live);
    for (id, live) in seen.filter(|(_, live)| live.owner == Owner::ThisSet) {
        let Some(renewal) = live.renewal.as_deref().filter(|_| wishes.position(id).is_some()) else {
            continue;
        };
        let planned = of_plan.as_ref().is_none_or(|ids| ids.contains(id));
        if renewal.from.is_some_and(|from| from > as_of || !planned) {
            continue;
        }
        let waits = renewal.settled && of_plan.is_none();
        let list = if waits { &mut settled } else { &mut now };
        list.insert(id, renewal);
    }
    (now, settled)
}

/// What refers to an object, itself or through others, and does not stand as wished: one of it, if there is any.
pub(super) fn unsettled<'a>(id: &ResourceId, request: &'a [Resource], steps: &[Step]) -> Option<&'a ResourceId> {
    let mut users: HashMap<ResourceId, Vec<&'a ResourceId>> = HashMap::new();
    for resource in request {
        for reference in references(&resource.desired) {
            users.entry(reference.id).or_default().push(&resource.id);
        }
    }
    let settled: BTreeSet<&ResourceId> = steps
        .iter()
        .filter(|step| step.action == Action::Unchanged && step.ready)
        .map(|step| &step.id)
        .collect();
    let mut seen = BTreeSet::new();
    let mut queue = vec![id];
    while let Some(next) = queue.pop() {
        for user in users.get(next).into_iter().flatten() {
            if !settled.contains(user) {
                return Some(user);
            }
            if seen.insert(*user) {
                queue.push(user);
            }
        }
    }
    None
}
