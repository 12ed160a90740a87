use super::velero::{self, GROUP, VERSION};
use super::{KubeKind, PLAIN, calls};
use platform_core::{Field, FieldChange, Holds, KindFacts, State};
use serde_json::Value;
use std::time::Duration;

/// One backup of Velero's: the record of what lies in the store. It never changes once it is made.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "Backup.velero.io",
        holds: Holds::Durable,
        rank: 88,
        patience: Duration::from_hours(4),
        usually: Duration::from_secs(30),
        outputs: &["started", "completed", "expires"],
        fields: &[Field::new("spec").changes(FieldChange::Never)],
        calls: calls!("backups.velero.io", watched),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "backups",
    namespaced: true,
    state,
};

fn state(object: &Value) -> State {
    velero::run(object, "itemsBackedUp", "totalItems")
}
