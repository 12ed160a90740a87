//! The JSON documents. Their shape is described in `docs/documents.md`; a new field is no new schema, a changed one is.

use super::super::plan::{Change, LIBRARY, Plan, SCHEMA, Step};
use super::super::report::{Outcome, Report};
use super::value::{masked, masked_sides};
use crate::Error;
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(super) fn plan(plan: &Plan) -> Value {
    let demands: Vec<Value> = plan
        .demands()
        .iter()
        .map(|demand| {
            json!({
                "token": demand.token(),
                "resource": demand.resource,
                "uid": demand.uid,
                "risk": demand.risk,
                "optional": demand.optional,
            })
        })
        .collect();
    json!({
        "document": "plan",
        "schema": SCHEMA,
        "library": LIBRARY,
        "set": plan.request.set,
        "as_of": plan.as_of,
        "digest": plan.digest(),
        "policy": plan.policy,
        "places": plan.places,
        "empty": plan.is_empty(),
        "counts": plan.counts(),
        "steps": plan.steps.iter().filter(|step| step.word() != "unchanged").map(step).collect::<Vec<_>>(),
        "demands": demands,
        "outputs": masked(&plan.outputs),
        "warnings": plan.warnings,
        "requests": plan.requests,
    })
}

fn step(step: &Step) -> Value {
    json!({
        "id": step.id,
        "component": step.component,
        "word": step.word(),
        "action": step.action,
        "cause": step.cause,
        "uid": step.uid,
        "holds": step.holds,
        "ready": step.ready,
        "changes": step.changes.iter().map(|one| change(step, one)).collect::<Vec<_>>(),
        "risks": step.risks,
        "deletable": step.deletable,
        "kept_for": step.kept_for,
        "unverified": step.unverified,
        "blocked": step.blocked,
        "warnings": step.warnings,
    })
}

fn change(step: &Step, change: &Change) -> Value {
    let (path, before, after, secret) = masked_sides(step, change);
    json!({
        "path": path,
        "before": before,
        "after": after,
        "secret": secret,
        "unknown": change.unknown,
        "effect": change.effect,
        "origin": change.origin,
        "actor": change.actor,
        "risk": change.risk,
    })
}

pub(super) fn report(report: &Report) -> Value {
    let (done, failed, skipped) = report.totals();
    let mut outcomes = Map::new();
    for (id, outcome) in &report.outcomes {
        let value = match outcome {
            Outcome::Unchanged => continue,
            Outcome::Done(action) => json!({"outcome": "done", "action": action}),
            Outcome::Failed(why) => json!({"outcome": "failed", "why": error(why)}),
            Outcome::Skipped(because) => json!({"outcome": "skipped", "because": because}),
        };
        outcomes.insert(id.to_string(), value);
    }
    let left: Vec<Value> = report
        .left
        .iter()
        .map(|live| json!({"id": live.id, "uid": live.uid, "owner": live.owner, "holds": live.holds}))
        .collect();
    json!({
        "document": "report",
        "schema": SCHEMA,
        "library": LIBRARY,
        "set": report.set,
        "success": report.is_success(),
        "counts": {"done": done, "failed": failed, "skipped": skipped},
        "outcomes": outcomes,
        "left": left,
        "unseen": report.unseen,
        "outputs": masked(&report.outputs),
        "seconds": number(report.took),
        "writes": report.writes,
    })
}

/// Kind, text and what to do.
pub(super) fn error(error: &Error) -> Value {
    let chain = error.report();
    let text = chain.split("\n  what to do: ").next().unwrap_or(&chain);
    json!({"kind": kebab(&format!("{:?}", error.kind())), "message": text, "help": error.help()})
}

/// Seconds with three decimals.
pub(super) fn number(duration: Duration) -> Value {
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    json!(f64::from(millis) / 1000.0)
}

fn kebab(camel: &str) -> String {
    let mut text = String::new();
    for character in camel.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(character.to_lowercase());
    }
    text
}
