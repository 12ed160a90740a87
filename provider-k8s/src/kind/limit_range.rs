use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::KindFacts;

/// Limits of containers that state none.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "LimitRange",
        rank: 35,
        calls: calls!("limitranges"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "limitranges",
    namespaced: true,
    state: at_once,
};
