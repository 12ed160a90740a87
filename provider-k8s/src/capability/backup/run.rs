//! One-off resources: a backup taken by hand, a restore into what is missing.

use super::location;
use super::{VELERO_BACKUP, VELERO_RESTORE};
use crate::object::Scope;
use platform_core::value::ResourceId;
use platform_core::{BackupRun, BackupSpec, Blueprint, Capability, Error, ErrorKind, OnRemoval, Resource, Result};
use serde_json::{Value, json};

/// An object of Velero's in its namespace, which is there already.
pub(super) fn object(scope: &Scope<'_>, kind: &str, name: &str, app: &str, body: Value) -> Result<Resource> {
    let mut object = scope.object(kind, name, app, body)?;
    object.after.remove(&scope.namespace_id()?);
    Ok(object)
}

/// The same as the schedule makes.
pub(super) fn backup(scope: &Scope<'_>, spec: &BackupSpec, name: &str) -> Result<Blueprint<BackupRun>> {
    let body = json!({ "spec": location::template(scope, spec)? });
    let backup =
        object(scope, VELERO_BACKUP, name, Capability::Backup.as_str(), body)?.with_on_removal(OnRemoval::Retain);
    named(vec![backup], name)
}

/// What the backup holds and the cluster does not: Velero leaves alone what is there.
pub(super) fn restore(scope: &Scope<'_>, spec: &BackupSpec, backup: &str) -> Result<Blueprint<BackupRun>> {
    let name = restore_name("restore", backup)?;
    let body = json!({ "spec": {
        "backupName": backup,
        "includedNamespaces": location::some_namespaces(scope.context(), spec)?,
        "existingResourcePolicy": "none",
        "itemOperationTimeout": "4h0m0s",
    }});
    named(vec![object(scope, VELERO_RESTORE, &name, "restore", body)?], &name)
}

/// A name of a restore; checked, since the backup's is typed.
pub(super) fn restore_name(verb: &str, backup: &str) -> Result<String> {
    let name = format!("{verb}-{backup}");
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if backup.is_empty() || !backup.bytes().all(plain) || name.len() > 200 {
        return Err(
            Error::new(ErrorKind::Invalid, format!("{backup:?} is no name of a backup"))
                .with_help("take one from the list of backups"),
        );
    }
    Ok(name)
}

fn named(resources: Vec<Resource>, name: &str) -> Result<Blueprint<BackupRun>> {
    Blueprint::new(resources, &BackupRun::new(name))
}

/// A reference to an output.
pub(super) fn output(id: &ResourceId, output: &str) -> Value {
    json!({ "$ref": format!("{id}#{output}") })
}
