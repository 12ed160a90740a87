use super::velero::{self, GROUP, VERSION};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Field, FieldChange, KindFacts, State};
use serde_json::Value;
use std::time::Duration;

/// One restore of Velero's. Its removal leaves what it restored.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Restore.velero.io",
        rank: 89,
        patience: Duration::from_hours(4),
        usually: Duration::from_secs(30),
        outputs: &["backup", "started", "completed"],
        fields: &[Field::new("spec").changes(FieldChange::Never)],
        calls: calls!("restores.velero.io", watched),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "restores",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    match velero::run(object, "itemsRestored", "totalItems") {
        // It counts its items as soon as it has read the backup.
        State::Failed { why } if !object["status"]["progress"]["totalItems"].is_u64() => State::Failed {
            why: format!("{why}: the backup cannot be read from the store; the log of Velero says why"),
        },
        state => state,
    }
}
