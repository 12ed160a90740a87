use super::velero::{GROUP, VERSION};
use super::{KubeKind, PLAIN, calls};
use platform_core::{KindFacts, State};
use serde_json::Value;

/// Where the copies of one namespace's volumes lie, encrypted. Velero makes these; this crate only lists them.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "BackupRepository.velero.io",
        rank: 88,
        calls: calls!("backuprepositories.velero.io"),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "backuprepositories",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Ready") => State::Ready,
        Some("NotReady") => match status["message"].as_str().unwrap_or("Velero does not say why") {
            // after a start of Velero and after a change of the store, till it has looked again
            again if again.starts_with("re-establish") => State::Progressing { what: again.to_owned() },
            why => State::Failed { why: why.to_owned() },
        },
        phase => State::Progressing {
            what: phase.unwrap_or("New").to_owned(),
        },
    }
}
