use super::status::progressing;
use super::velero::{GROUP, VERSION, texts};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Equal, Field, KindFacts, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// Backups that recur.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Schedule.velero.io",
        rank: 87,
        patience: Duration::from_mins(2),
        usually: Duration::from_secs(1),
        removal: Some(Risk::LowersProtection),
        fields: &[
            // `spec.template.ttl` as an amount: days until a backup goes.
            Field::new("metadata.annotations.\"mlplat.dev/retention-hours\"")
                .risk(RiskRule::Shrinks(Risk::LowersProtection)),
            Field::new("spec.template.includedNamespaces")
                .equal(Equal::Set)
                .risk(RiskRule::Removed(Risk::LowersProtection)),
        ],
        calls: calls!("schedules.velero.io", watched),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "schedules",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Enabled") => State::Ready,
        Some("FailedValidation") => State::Failed {
            why: texts(&status["validationErrors"]).collect::<Vec<_>>().join("; "),
        },
        _ => progressing("Velero has not seen it yet"),
    }
}
