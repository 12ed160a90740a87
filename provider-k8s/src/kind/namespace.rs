use super::status::progressing;
use super::{KubeKind, LABEL, PLAIN, calls};
use platform_core::{Field, KindFacts, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// Everything else lies in one; its deletion takes all of that along.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Namespace",
        rank: 0,
        name: LABEL,
        patience: Duration::from_mins(5),
        fields: &[
            Field::new("metadata.labels.\"pod-security.kubernetes.io/enforce\"").risk(RiskRule::Lowers(
                &["privileged", "baseline", "restricted"],
                Risk::LowersProtection,
            )),
            Field::new("metadata.labels.\"pod-security.kubernetes.io/enforce-version\"")
                .risk(RiskRule::Removed(Risk::LowersProtection)),
        ],
        calls: calls!("namespaces", watched),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "namespaces",
    namespaced: false,
    state,
};

fn state(object: &Value) -> State {
    match object["status"]["phase"].as_str() {
        Some("Active") | None => State::Ready,
        Some(phase) => progressing(phase),
    }
}
