use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Field, FieldChange, KindFacts, Risk, RiskRule};

/// Settings and scripts: ready at once.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ConfigMap",
        rank: 25,
        // An immutable one is made anew; it holds nothing.
        fields: &[
            Field::new("immutable").changes(FieldChange::Replace),
            // What the record of a bucket says of it: days until its objects go, and whether they can come back.
            Field::new("metadata.annotations.\"mlplat.dev/versioning\"")
                .risk(RiskRule::TurnsOff(Risk::LowersProtection)),
            Field::new("metadata.annotations.\"mlplat.dev/expire-days\"")
                .risk(RiskRule::Shrinks(Risk::LowersProtection)),
            Field::new("metadata.annotations.\"mlplat.dev/expire-noncurrent-days\"")
                .risk(RiskRule::Shrinks(Risk::LowersProtection)),
        ],
        calls: calls!("configmaps"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "configmaps",
    namespaced: true,
    state: at_once,
};
