use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Field, FieldChange, KindFacts};

/// Settings and scripts: ready at once.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ConfigMap",
        rank: 25,
        // An immutable one is made anew; it holds nothing.
        fields: &[Field::new("immutable").changes(FieldChange::Replace)],
        calls: calls!("configmaps"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "configmaps",
    namespaced: true,
    state: at_once,
};
