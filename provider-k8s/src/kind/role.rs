use super::{KubeKind, PLAIN, at_once};
use platform_core::{Calls, Charset, Field, KindFacts, NameRule, Risk, RiskRule};

/// Rights within a namespace. Who makes one has to hold its rights or may `escalate`.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Role.rbac.authorization.k8s.io",
        rank: 31,
        name: NameRule {
            max: 253,
            charset: Charset::PathSegment,
        },
        fields: &[Field::new("rules").risk(RiskRule::Widens(Risk::Exposes))],
        calls: Calls {
            read: &[
                "get roles.rbac.authorization.k8s.io",
                "list roles.rbac.authorization.k8s.io",
            ],
            create: &[
                "create roles.rbac.authorization.k8s.io",
                "escalate roles.rbac.authorization.k8s.io",
            ],
            update: &[
                "get roles.rbac.authorization.k8s.io",
                "patch roles.rbac.authorization.k8s.io",
                "escalate roles.rbac.authorization.k8s.io",
            ],
            delete: &[
                "get roles.rbac.authorization.k8s.io",
                "delete roles.rbac.authorization.k8s.io",
            ],
        },
        ..PLAIN
    },
    group: "rbac.authorization.k8s.io",
    version: "v1",
    plural: "roles",
    namespaced: true,
    state: at_once,
};
