use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Equal, Field, FieldChange, KindFacts};

/// What a namespace may use at most.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ResourceQuota",
        rank: 35,
        fields: &[
            Field::new("spec.hard.*").equal(Equal::Quantity),
            Field::new("spec.scopes").changes(FieldChange::Replace),
        ],
        calls: calls!("resourcequotas"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "resourcequotas",
    namespaced: true,
    state: at_once,
};
