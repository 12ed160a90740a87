use super::{KubeKind, PLAIN, at_once};
use platform_core::{Calls, Charset, Field, KindFacts, NameRule, Risk, RiskRule};

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
        calls: Calls {
            read: &[
                "get clusterroles.rbac.authorization.k8s.io",
                "list clusterroles.rbac.authorization.k8s.io",
            ],
            create: &[
                "create clusterroles.rbac.authorization.k8s.io",
                "escalate clusterroles.rbac.authorization.k8s.io",
            ],
            update: &[
                "get clusterroles.rbac.authorization.k8s.io",
                "patch clusterroles.rbac.authorization.k8s.io",
                "escalate clusterroles.rbac.authorization.k8s.io",
            ],
            delete: &[
                "get clusterroles.rbac.authorization.k8s.io",
                "delete clusterroles.rbac.authorization.k8s.io",
            ],
        },
        ..PLAIN
    },
    group: "rbac.authorization.k8s.io",
    version: "v1",
    plural: "clusterroles",
    namespaced: false,
    state: at_once,
};
