use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Field, KindFacts, Risk, RiskRule};

/// Whom pods act as.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "ServiceAccount",
        rank: 30,
        // Absent means that every pod gets a token.
        fields: &[Field::new("automountServiceAccountToken").risk(RiskRule::Always(Risk::Exposes))],
        calls: calls!("serviceaccounts"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "serviceaccounts",
    namespaced: true,
    state: at_once,
};
