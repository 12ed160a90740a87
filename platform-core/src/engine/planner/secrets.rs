//! Generated secrets are made once, never again beside data that was made with them. Pure.

use super::super::plan::{Action, Blocked, PlanRequest, Step};
use crate::resource::Holds;
use crate::value::{Recipe, ResourceId};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// A generated secret that is gone while data made with it survives must not be made anew. Such data says so by
/// depending on the secret; a killed first run is no such case, because the secret is made first.
pub(super) fn block_lost_partners(steps: &mut [Step], request: &PlanRequest) {
    let alive: HashSet<&ResourceId> = steps
        .iter()
        .filter(|step| step.holds == Holds::Durable && step.uid.is_some())
        .map(|step| &step.id)
        .collect();
    let mut needed: HashMap<ResourceId, &ResourceId> = HashMap::new();
    for resource in request.resources.iter().filter(|resource| alive.contains(&resource.id)) {
        needed.extend(resource.dependencies().into_iter().map(|id| (id, &resource.id)));
    }
    let survivors: HashMap<&ResourceId, &ResourceId> = request
        .resources
        .iter()
        .filter_map(|resource| Some((resource, *needed.get(&resource.id)?)))
        .filter(|(resource, _)| generates(&resource.desired))
        .map(|(resource, survivor)| (&resource.id, survivor))
        .collect();
    for step in steps.iter_mut().filter(|step| step.action == Action::Create) {
        let Some(survivor) = survivors.get(&step.id) else {
            continue;
        };
        let why = format!(
            "it is gone while {} survives: a new one would lock you out of the data",
            survivor.label()
        );
        let help =
            "restore the secret from a backup, make it by hand with the passwords that the data knows and --adopt \
                    it, or release the data first"
                .to_owned();
        step.action = Action::Blocked;
        step.blocked = Some(Blocked { why, help });
    }
}

fn generates(value: &Value) -> bool {
    match Recipe::of_value(value) {
        Some(recipe) => recipe.is_made_once(),
        None => match value {
            Value::Object(map) => map.values().any(generates),
            Value::Array(items) => items.iter().any(generates),
            _ => false,
        },
    }
}
