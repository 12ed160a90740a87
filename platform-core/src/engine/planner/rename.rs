//! Objects that an older version of the library made under another name. Pure.

use super::super::plan::{Action, Cause, PlanRequest, Step};
use super::verdict::blocked;
use crate::facts::KindFacts;
use crate::resource::{Holds, Live, Observation, Owner, Resource};
use crate::value::{Kind, Place, ResourceId};
use std::collections::{BTreeMap, HashMap};

/// Tells a rename from a new wish and a removal.
///
/// One object that shows under both ids is adopted under the new one. Two objects: what can be lost is made
/// under the new name and pruned under the old one; data is never left behind in silence, so its new name is blocked.
pub(super) fn rename(
    steps: &mut Vec<Step>,
    request: &PlanRequest,
    observations: &BTreeMap<Place, Observation>,
    facts: &dyn Fn(&ResourceId) -> Option<&'static KindFacts>,
) {
    let renamed = |resource: &&Resource| !resource.formerly.is_empty();
    if !request.resources.iter().any(|resource| renamed(&resource)) {
        return;
    }
    let positions: HashMap<ResourceId, usize> = steps
        .iter()
        .enumerate()
        .map(|(position, step)| (step.id.clone(), position))
        .collect();
    let mut same = Vec::new();
    for resource in request.resources.iter().filter(renamed) {
        let Some(&new) = positions.get(&resource.id) else {
            continue; // a targeted run leaves it alone
        };
        for id in &resource.formerly {
            let Some(seen) = observations.get(id.place()) else {
                continue;
            };
            let old = positions.get(id).copied();
            if steps[new].action == Action::Create && is_unreadable(seen, id.kind()) {
                let why = format!(
                    "{} cannot be read, and it may be there under that older name",
                    id.label()
                );
                steps[new] = blocked(steps[new].clone(), &why, "grant the right to read it");
                continue;
            }
            let Some(live) = seen.extra.get(id).filter(|live| is_ours(live)) else {
                continue;
            };
            let holds = live.holds.or_else(|| Some(facts(id)?.holds)).unwrap_or(Holds::Durable);
            if steps[new].uid.as_ref() == Some(&live.uid) {
                let step = &mut steps[new];
                if step.action == Action::Unchanged {
                    step.action = Action::Adopt;
                }
                step.cause = Cause::Renamed;
                same.extend(old);
                continue;
            }
            if let Some(step) = old.map(|old| &mut steps[old])
                && step.cause == Cause::Removed
            {
                step.cause = Cause::Renamed;
                step.warnings.push(format!("is called {} now", resource.id.label()));
            }
            let step = &mut steps[new];
            if step.action != Action::Create {
                continue;
            }
            if holds == Holds::Durable {
                let why = format!(
                    "{} holds its data under an older name: a new one would stand empty beside it",
                    id.label()
                );
                let help = "keep the old name (names: in the config); or move the data to another name by hand, \
                            delete the old object and plan again";
                *step = blocked(step.clone(), &why, help);
            } else {
                step.cause = Cause::Renamed;
                step.warnings.push(format!("was called {}", id.label()));
            }
        }
    }
    same.sort_unstable();
    for position in same.into_iter().rev() {
        steps.remove(position);
    }
}

fn is_ours(live: &Live) -> bool {
    matches!(live.owner, Owner::ThisSet | Owner::Retained)
}

fn is_unreadable(seen: &Observation, kind: &Kind) -> bool {
    seen.unreadable.iter().any(|(other, _)| other == kind)
}

#[cfg(test)]
mod tests {
    use super::rename;
    use crate::engine::{Action, Cause, PlanRequest, Step};
    use crate::resource::{Holds, Live, Observation, OnRemoval, Owner, Resource, State};
    use crate::value::{Place, ResourceId, SetId, Timestamp, Uid};
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    /// A provider that changed how it names a kind shows one object under both ids.
    #[test]
    fn one_object_under_both_ids_is_adopted_and_never_pruned() {
        let place = Place::new("aws/a").unwrap();
        let set = SetId::of("ml", "dev", "");
        let (old, new): (ResourceId, ResourceId) = (
            "aws/a:rds.DbInstance/main".parse().unwrap(),
            "aws/a:rds.Instance/main".parse().unwrap(),
        );
        let step = |id: &ResourceId, action, cause| Step {
            id: id.clone(),
            component: String::new(),
            action,
            cause,
            uid: Some(Uid::new("db-1")),
            holds: Holds::Durable,
            changes: Vec::new(),
            risks: BTreeSet::new(),
            deletable: false,
            kept_for: BTreeSet::new(),
            ready: true,
            unverified: None,
            blocked: None,
            warnings: Vec::new(),
        };
        let mut steps = vec![
            step(&new, Action::Unchanged, Cause::Settled),
            step(&old, Action::Release, Cause::Removed),
        ];
        let mut resource = Resource::new(new.clone(), "database", json!({}));
        resource.formerly.insert(old.clone());
        let request = PlanRequest {
            resources: vec![resource],
            outputs: Value::Null,
            ..PlanRequest::destroy(set.clone())
        };
        let mut seen = Observation::new(set, place.clone(), Timestamp::EPOCH);
        let live = Live {
            id: old.clone(),
            uid: Uid::new("db-1"),
            view: Arc::default(),
            outputs: BTreeMap::new(),
            state: State::Ready,
            owner: Owner::ThisSet,
            holds: None,
            on_removal: OnRemoval::Retain,
            component: String::new(),
            version: None,
            written_from: None,
            touched: Vec::new(),
            renewal: None,
        };
        seen.extra.insert(old, live);
        rename(&mut steps, &request, &BTreeMap::from([(place, seen)]), &|_| None);
        let left: Vec<_> = steps.iter().map(|step| (&step.id, step.action, step.cause)).collect();
        assert_eq!(left, [(&new, Action::Adopt, Cause::Renamed)]);
    }
}
