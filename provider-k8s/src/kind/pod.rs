use super::{KubeKind, PLAIN, calls};
use platform_core::{KindFacts, State};
use serde_json::Value;

/// What controllers make. This crate only lists them, for what they said when they failed.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Pod",
        rank: 91,
        calls: calls!("pods"),
        ..PLAIN
    },
    group: "",
    version: "v1",
    plural: "pods",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    match object["status"]["phase"].as_str() {
        Some("Failed") => State::Failed {
            why: object["status"]["message"].as_str().unwrap_or("Failed").to_owned(),
        },
        Some("Running" | "Succeeded") => State::Ready,
        phase => State::Progressing {
            what: phase.unwrap_or("Pending").to_owned(),
        },
    }
}
