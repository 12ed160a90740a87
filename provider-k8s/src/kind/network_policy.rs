use super::{KubeKind, PLAIN, at_once, calls};
use platform_core::{Field, KindFacts, Risk, RiskRule};

/// Who may talk to whom. It has no status: it is ready when it exists.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "NetworkPolicy.networking.k8s.io",
        // After the pods that it fences in.
        rank: 36,
        fields: &[
            Field::new("spec.ingress").risk(RiskRule::Widens(Risk::Exposes)),
            Field::new("spec.egress").risk(RiskRule::Widens(Risk::Exposes)),
            // The fence moves to other pods.
            Field::new("spec.podSelector").risk(RiskRule::Always(Risk::Exposes)),
            Field::new("spec.policyTypes").risk(RiskRule::Always(Risk::Exposes)),
        ],
        calls: calls!("networkpolicies.networking.k8s.io"),
        ..PLAIN
    },
    group: "networking.k8s.io",
    version: "v1",
    plural: "networkpolicies",
    namespaced: true,
    state: at_once,
};
