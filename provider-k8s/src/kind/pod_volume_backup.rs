use super::velero::{GROUP, VERSION};
use super::{KubeKind, PLAIN, calls};
use platform_core::{KindFacts, State};
use serde_json::Value;

/// One volume in one backup, copied by the node agent. Velero makes these; this crate only lists them.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "PodVolumeBackup.velero.io",
        rank: 88,
        calls: calls!("podvolumebackups.velero.io"),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "podvolumebackups",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Completed") => State::Ready,
        Some(phase @ ("Failed" | "Canceled" | "Canceling")) => State::Failed {
            why: match status["message"].as_str().unwrap_or_default() {
                "" => phase.to_owned(),
                message => format!("{phase}: {message}"),
            },
        },
        phase => State::Progressing {
            what: phase.unwrap_or("New").to_owned(),
        },
    }
}
