use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Charset, Field, KindFacts, NameRule, Risk, RiskRule};

/// Rights in every namespace and beyond. Who makes one has to hold its rights or may `escalate`.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ClusterRole.rbac.authorization.k8s.io",
        rank: 31,
        name: NameRule {
            max: 253,
            charset: Charset::PathSegment,
        },
        fields: &[Field::new("rules").risk(RiskRule::Widens(Risk::Exposes))],
        calls: calls!(
            "clusterroles.rbac.authorization.k8s.io",
            granting "escalate clusterroles.rbac.authorization.k8s.io"
        ),
        ..PLAIN
    },
    group: "rbac.authorization.k8s.io",
    version: "v1",
    plural: "clusterroles",
    namespaced: false,
    state: at_once,
};
