//! The verdict on one wanted resource: what its wish means for what is there. Pure.

use super::super::diff::{amount, diff};
use super::super::plan::{Action, Blocked, Cause, Change, Origin, PlanRequest, Step};
use crate::facts::{FieldChange, KindFacts, Risk};
use crate::provider::Preview;
use crate::resource::{Holds, Live, OnRemoval, Owner, Renewal, Resource, State};
use crate::value::{Digest, FieldPath, references};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The verdict on one wanted resource. Pure.
pub(super) fn decide(
    request: &PlanRequest,
    resource: &Resource,
    facts: &'static KindFacts,
    live: Option<&Live>,
    preview: Preview,
    renewal: Option<&Renewal>,
) -> (Step, Option<Live>) {
    let (after, unverified, warnings, found) = match preview {
        Preview::Unchanged => (None, None, Vec::new(), None),
        Preview::Change {
            after,
            unverified,
            warnings,
            found,
        } => (Some(after), unverified, warnings, found.map(|live| *live)),
        Preview::Refused { why } => {
            let help = why
                .help()
                .unwrap_or("change the config so that the API accepts it")
                .to_owned();
            return (blocked(step(resource, facts, live), &why.to_string(), &help), None);
        }
    };
    let live = live.or(found.as_ref());
    let mut step = step(resource, facts, live);
    step.unverified = unverified;
    step.warnings = warnings;
    let Some(live) = live else {
        step.action = Action::Create;
        step.cause = Cause::Wish;
        return (step, None);
    };
    let step = decide_existing(request, resource, live, after.as_deref(), facts, renewal, step);
    (step, found)
}

fn decide_existing(
    request: &PlanRequest,
    resource: &Resource,
    live: &Live,
    after: Option<&Value>,
    facts: &KindFacts,
    renewal: Option<&Renewal>,
    mut step: Step,
) -> Step {
    match &live.owner {
        Owner::Other(who) => {
            let why = format!("the name is taken by {who}");
            let help = match facts.taken {
                "" => "choose another name in the config (names:), or remove it there first",
                taken => taken,
            };
            return blocked(step, &why, help);
        }
        Owner::Nobody if !request.adopt.contains(&resource.id) => {
            let help = format!(
                "to take it over: --adopt {}/{}",
                resource.id.kind().short(),
                resource.id.name()
            );
            return blocked(step, "it exists and belongs to nobody", &help);
        }
        Owner::Nobody | Owner::Retained => step.action = Action::Adopt,
        Owner::ThisSet => {}
    }
    if let State::Deleting { blocked_by } = &live.state {
        if step.holds == Holds::Durable {
            let why = format!("it holds data and is being deleted{}", held_by(blocked_by));
            return blocked(step, &why, "save the data now; plan again when it is gone");
        }
        // A killed replacement, or somebody's delete: made again as soon as it is gone.
        step.action = Action::Create;
        step.cause = Cause::Unfinished;
        step.uid = None;
        step.ready = false;
        return step;
    }
    let mut forbidden = false;
    let mut instead = BTreeSet::new();
    if let Some(after) = after {
        let digest = Digest::of_value(&resource.desired);
        let same_wish = live.written_from.as_deref() == Some(digest.as_str());
        let differences = diff(&live.view, after, facts.fields);
        forbidden = differences.iter().any(|found| found.forbidden);
        instead = differences.iter().filter_map(|found| found.instead).collect();
        step.changes = differences
            .into_iter()
            .map(|difference| {
                let touch = live
                    .touched
                    .iter()
                    .find(|(path, _)| path.is_within(&difference.path) || difference.path.is_within(path));
                let origin = match (same_wish, touch) {
                    (true, _) => Origin::Drift,
                    (false, Some(_)) => Origin::Conflict,
                    (false, None) => Origin::Wish,
                };
                let unknown = difference
                    .after
                    .as_ref()
                    .is_some_and(|value| !references(value).is_empty());
                Change {
                    path: difference.path,
                    before: difference.before,
                    after: difference.after,
                    effect: difference.effect,
                    risk: difference.risk,
                    origin,
                    actor: touch.map(|(_, actor)| actor.clone()),
                    unknown,
                }
            })
            .collect();
    }
    step.changes.extend(stamp_changes(resource, live, facts));
    step.changes.extend(renewal.map(renewal_change));
    step.risks.extend(step.changes.iter().filter_map(|change| change.risk));
    if forbidden {
        return blocked_by_fields(step, &instead);
    }
    if step.action == Action::Adopt {
        step.cause = Cause::Wish;
        if step.changes.iter().any(|change| change.effect == FieldChange::Replace) {
            return blocked(
                step,
                "adopting it would need a replacement",
                "change the config to what it is",
            );
        }
        return step;
    }
    if step.changes.is_empty() {
        step.action = Action::Unchanged;
        step.cause = if step.ready { Cause::Settled } else { Cause::Unfinished };
        return step;
    }
    let all = |origin| step.changes.iter().all(|change| change.origin == origin);
    step.cause = if all(Origin::Drift) {
        Cause::Drift
    } else if all(Origin::Time) {
        Cause::Time
    } else {
        Cause::Wish
    };
    step.action = Action::Update;
    if step.changes.iter().any(|change| change.effect == FieldChange::Replace) {
        step.action = Action::Replace;
        match step.holds {
            Holds::Durable => return blocked_by_fields(step, &instead),
            Holds::Rebuildable => {
                step.risks.insert(Risk::Downtime);
            }
            Holds::Nothing => {}
        }
    }
    step
}

/// Another protection than the live object's own stamp says, or no stamp, is a change of its own; a weaker one a risk.
fn stamp_changes(resource: &Resource, live: &Live, facts: &KindFacts) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |key: &str, before: Option<Value>, after: Value, lowers: bool| {
        changes.push(Change {
            path: FieldPath::root().key(crate::value::DOMAIN).key(key),
            before,
            after: Some(after),
            effect: FieldChange::InPlace,
            risk: lowers.then_some(Risk::LowersProtection),
            origin: Origin::Wish,
            actor: None,
            unknown: false,
        });
    };
    let holds = resource.holds.unwrap_or(facts.holds);
    match (live.holds, resource.holds) {
        (Some(stamped), _) if stamped != holds => {
            change("holds", Some(json!(stamped)), json!(holds), holds < stamped);
        }
        (None, Some(holds)) if live.owner == Owner::ThisSet => {
            change("holds", None, json!(holds), holds < facts.holds);
        }
        _ => {}
    }
    if live.owner == Owner::ThisSet && live.on_removal != resource.on_removal {
        let lowers = resource.on_removal == OnRemoval::Delete && live.holds_by(facts) != Holds::Nothing;
        change(
            "on-removal",
            Some(json!(live.on_removal)),
            json!(resource.on_removal),
            lowers,
        );
    }
    changes
}

fn renewal_change(renewal: &Renewal) -> Change {
    Change {
        path: renewal.path.clone(),
        before: Some(json!(renewal.before)),
        after: Some(json!(renewal.after)),
        effect: FieldChange::InPlace,
        risk: None,
        origin: if renewal.from.is_some() {
            Origin::Time
        } else {
            Origin::Wish
        },
        actor: None,
        unknown: false,
    }
}

pub(super) fn step(resource: &Resource, facts: &KindFacts, live: Option<&Live>) -> Step {
    Step {
        id: resource.id.clone(),
        component: resource.component.clone(),
        action: Action::Unchanged,
        cause: Cause::Settled,
        uid: live.map(|live| live.uid.clone()),
        holds: holds(resource, facts, live),
        changes: Vec::new(),
        risks: BTreeSet::new(),
        deletable: false,
        kept_for: BTreeSet::new(),
        ready: live.is_some_and(|live| live.state == State::Ready),
        unverified: None,
        blocked: None,
        warnings: Vec::new(),
    }
}

/// The stamp of the live object counts: a wish cannot make it hold less within the same plan. Without a stamp
/// it is the stricter of wish and kind.
fn holds(resource: &Resource, facts: &KindFacts, live: Option<&Live>) -> Holds {
    let wished = resource.holds.unwrap_or(facts.holds);
    live.map_or(wished, |live| live.holds.unwrap_or(wished.max(facts.holds)))
}

pub(in crate::engine) fn blocked(mut step: Step, why: &str, help: &str) -> Step {
    step.action = Action::Blocked;
    step.blocked = Some(Blocked {
        why: why.to_owned(),
        help: help.to_owned(),
    });
    step
}

fn blocked_by_fields(step: Step, instead: &BTreeSet<&str>) -> Step {
    let fields: Vec<String> = step
        .changes
        .iter()
        .filter(|change| !matches!(change.effect, FieldChange::InPlace | FieldChange::Restart))
        .map(|change| match change.effect {
            FieldChange::GrowOnly if change.before.as_ref().is_some_and(|before| amount(before).is_some()) => {
                let text = |value: &Option<Value>| match value {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => "nothing".to_owned(),
                };
                let (from, to) = (text(&change.before), text(&change.after));
                format!("{} only grows: {from} cannot become {to}", change.path)
            }
            _ => format!(
                "{} cannot change on an object that {}",
                change.path,
                holding(step.holds)
            ),
        })
        .collect();
    let help = if instead.is_empty() {
        "set the field back to what it is, or make a new object beside it and move the data".to_owned()
    } else {
        instead.iter().copied().collect::<Vec<_>>().join("; ")
    };
    blocked(step, &fields.join("; "), &help)
}

fn holding(holds: Holds) -> &'static str {
    match holds {
        Holds::Durable => "holds data",
        _ => "exists",
    }
}

fn held_by(finalizers: &[String]) -> String {
    if finalizers.is_empty() {
        String::new()
    } else {
        format!(" (held by {})", finalizers.join(", "))
    }
}
