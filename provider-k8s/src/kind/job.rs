use super::status::{condition, progressing};
use super::{KubeKind, LABEL, PLAIN, calls};
use platform_core::{Field, FieldChange, KindFacts, State};
use serde_json::Value;
use std::time::Duration;

/// Work that runs once. Its name carries a hash of its template, so a change is another Job.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Job.batch",
        rank: 90,
        name: LABEL,
        patience: Duration::from_mins(15),
        usually: Duration::from_secs(10),
        outputs: &["completed"],
        fields: &[
            Field::new("spec.template").changes(FieldChange::NewName),
            Field::new("spec.selector").changes(FieldChange::Never),
            Field::new("spec.completions").changes(FieldChange::NewName),
            Field::new("spec.completionMode").changes(FieldChange::NewName),
        ],
        calls: calls!("jobs.batch", watched),
        ..PLAIN
    },
    group: "batch",
    version: "v1",
    plural: "jobs",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    if let Some(failed) = condition(object, "Failed").or_else(|| condition(object, "FailureTarget")) {
        return State::Failed { why: failed.text() };
    }
    if condition(object, "Complete").is_some() || object["spec"]["suspend"] == true {
        return State::Ready;
    }
    let failed = object["status"]["failed"].as_i64().unwrap_or(0);
    if failed > 0 {
        return progressing(&format!("completion, after {failed} failed tries"));
    }
    progressing("completion")
}
