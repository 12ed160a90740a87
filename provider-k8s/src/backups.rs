//! What Velero reads of a pod: which volume to copy, and what to run before.

use platform_core::{Capability, Context};
use serde_json::json;
use std::collections::BTreeMap;

/// Annotations by key.
pub(crate) type Annotations = BTreeMap<String, String>;

/// The volume that holds a consistent copy, where the server's own volume is none while it runs.
pub(crate) const COPY: &str = "backup";
/// Where that volume is mounted.
pub(crate) const COPY_PATH: &str = "/backup";

/// Whether the platform's backups hold the data of a capability.
pub(crate) fn wanted(context: &Context, capability: Capability) -> bool {
    context
        .surfaces
        .get(Capability::Backup)
        .is_some_and(|surface| surface.backs_up.contains(&capability))
}

/// Nothing to copy.
pub(crate) fn none() -> Annotations {
    Annotations::new()
}

/// Copies a volume as it is.
pub(crate) fn volume(name: &str) -> Annotations {
    Annotations::from([("backup.velero.io/backup-volumes".to_owned(), name.to_owned())])
}

/// Runs a script that fills [`COPY`], then copies that. A backup whose script fails is no success.
pub(crate) fn copied_by(container: &str, script: &str) -> Annotations {
    let mut annotations = volume(COPY);
    let mut hook = |key: &str, value: String| annotations.insert(format!("pre.hook.backup.velero.io/{key}"), value);
    hook("container", container.to_owned());
    hook("command", json!(["/bin/sh", script]).to_string());
    hook("on-error", "Fail".to_owned());
    // The default of 30 seconds would be over before a dump of any size.
    hook("timeout", "4h".to_owned());
    annotations
}
