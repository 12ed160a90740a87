use super::status::{condition, condition_that_is, progressing};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Field, FieldChange, Holds, KindFacts, State};
use serde_json::Value;
use std::time::Duration;

/// A kind of somebody's. Its removal takes every object of that kind along, in every namespace.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "CustomResourceDefinition.apiextensions.k8s.io",
        holds: Holds::Durable,
        rank: 5,
        patience: Duration::from_mins(1),
        usually: Duration::from_secs(1),
        fields: &[
            Field::new("spec.group").changes(FieldChange::Never),
            Field::new("spec.scope").changes(FieldChange::Never),
            Field::new("spec.names").changes(FieldChange::Never),
        ],
        calls: calls!("customresourcedefinitions.apiextensions.k8s.io", watched),
        // The only ones that a platform makes are Velero's.
        taken: "one platform of a cluster makes them for all: write backup: { definitions: existing } in this one",
        ..PLAIN
    },
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    namespaced: false,
    state,
};

fn state(object: &Value) -> State {
    if let Some(refused) = condition_that_is(object, "NamesAccepted", "False") {
        return State::Failed { why: refused.text() };
    }
    match condition(object, "Established") {
        Some(_) => State::Ready,
        None => progressing("the API server to serve it"),
    }
}
