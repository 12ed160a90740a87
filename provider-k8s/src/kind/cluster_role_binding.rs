use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Charset, Field, FieldChange, KindFacts, NameRule, Risk, RiskRule};

/// Who has the rights of a role in every namespace. Who makes one has to hold those rights or may `bind`.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ClusterRoleBinding.rbac.authorization.k8s.io",
        rank: 32,
        name: NameRule {
            max: 253,
            charset: Charset::PathSegment,
        },
        fields: &[
            Field::new("subjects").risk(RiskRule::Widens(Risk::Exposes)),
            Field::new("roleRef")
                .changes(FieldChange::Replace)
                .risk(RiskRule::Always(Risk::Exposes)),
        ],
        calls: calls!(
            "clusterrolebindings.rbac.authorization.k8s.io",
            granting "bind clusterroles.rbac.authorization.k8s.io"
        ),
        ..PLAIN
    },
    group: "rbac.authorization.k8s.io",
    version: "v1",
    plural: "clusterrolebindings",
    namespaced: false,
    state: at_once,
};
