use super::status::progressing;
use super::velero::{GROUP, VERSION};
use super::{KubeKind, PLAIN, calls};
use crate::set::READ_FIRST;
use platform_core::{Field, KindFacts, Risk, RiskRule, State};
use serde_json::Value;
use std::time::Duration;

/// Where Velero keeps backups.
pub(super) static KIND: KubeKind = KubeKind {
    facts: &KindFacts {
        kind: "BackupStorageLocation.velero.io",
        rank: 86,
        patience: Duration::from_mins(5),
        usually: Duration::from_secs(3),
        // Elsewhere means: the backups that are there are seen no more.
        fields: &[
            Field::new("spec.objectStorage.bucket").risk(RiskRule::Always(Risk::LowersProtection)),
            Field::new("spec.objectStorage.prefix").risk(RiskRule::Always(Risk::LowersProtection)),
            Field::new("spec.config.s3Url").risk(RiskRule::Always(Risk::LowersProtection)),
            Field::new("spec.config.region").risk(RiskRule::Always(Risk::LowersProtection)),
        ],
        calls: calls!("backupstoragelocations.velero.io", watched),
        ..PLAIN
    },
    group: GROUP,
    version: VERSION,
    plural: "backupstoragelocations",
    namespaced: true,
    state,
};

/// Velero asks the store again every minute, so an unavailable one may come back by itself.
fn state(object: &Value) -> State {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Available") if awaits_reading(object) => {
            progressing("Velero has not read yet which backups the store has")
        }
        Some("Available") => State::Ready,
        Some(phase) => progressing(&format!(
            "{phase}: {}",
            status["message"].as_str().unwrap_or("Velero does not say why")
        )),
        None => progressing("Velero has not asked the store yet"),
    }
}

/// Where a platform starts from a backup, what the store has must be known before one is restored.
fn awaits_reading(object: &Value) -> bool {
    object["metadata"]["annotations"][READ_FIRST].is_string() && !object["status"]["lastSyncedTime"].is_string()
}
