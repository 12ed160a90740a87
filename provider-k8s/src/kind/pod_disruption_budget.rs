use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::KindFacts;

/// How many pods may be away at a time.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "PodDisruptionBudget.policy",
        rank: 65,
        calls: calls!("poddisruptionbudgets.policy"),
        ..PLAIN
    },
    group: "policy",
    version: "v1",
    plural: "poddisruptionbudgets",
    namespaced: true,
    state: at_once,
};
