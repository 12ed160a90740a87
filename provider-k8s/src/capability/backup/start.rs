//! A platform that starts from a backup: what the backup holds comes back before anything is made that could hold data.
//!
//! Velero makes the pods that volumes come back into, and with them the servers, Secrets and volumes of the backup. They
//! are members of the set, as they were when the backup was taken: what the plan wants to create is found to be there.
//! A record is written before anything else of the platform's data is: with it, nothing is ever restored again.

use super::location::{self, LOCATION};
use super::run::{object, output, restore_name};
use super::{VELERO_RESTORE, found};
use crate::kubernetes::Shared;
use crate::object::{STARTED_FROM, Scope};
use platform_core::{
    BackupSpec, Capability, Context, Error, ErrorKind, Holds, Live, OnRemoval, Resource, RestoreFrom, Result, Start,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What Velero brings back. What else the namespaces have is made anew, as the config says now.
const RESTORED: [&str; 5] = [
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "secrets",
    "statefulsets",
];

/// The restore and its record.
pub(super) fn resources(scope: &Scope<'_>, spec: &BackupSpec, from: &RestoreFrom) -> Result<Vec<Resource>> {
    let name = restore_name("start", from.wanted())?;
    let source = match &from.backup {
        Some(backup) => ("backupName", backup.as_str()),
        None => ("scheduleName", scope.context().name.as_str()),
    };
    let mut body = json!({
        "includedNamespaces": location::some_namespaces(scope.context(), spec)?,
        "includedResources": RESTORED,
        "existingResourcePolicy": "none",
        "itemOperationTimeout": "4h0m0s",
    });
    body[source.0] = json!(source.1);
    let mut restore = object(scope, VELERO_RESTORE, &name, "start", json!({ "spec": body }))?;
    restore
        .after
        .insert(scope.id("BackupStorageLocation.velero.io", LOCATION)?);
    let data = match &from.done {
        Some(start) => json!(start.record),
        None => json!({
            "wanted": from.wanted(),
            "backup": from.backup.as_ref().map_or_else(|| output(&restore.id, "backup"), |name| json!(name)),
            "at": output(&restore.id, "completed"),
        }),
    };
    let mut record = object(scope, "ConfigMap", STARTED_FROM, STARTED_FROM, json!({ "data": data }))?
        .with_on_removal(OnRemoval::Retain)
        .with_holds(Holds::Rebuildable);
    record.after.insert(restore.id.clone());
    Ok(match &from.done {
        Some(start) if !start.restore_stands => {
            record.after.remove(&restore.id);
            vec![record]
        }
        _ => vec![restore, record],
    })
}

pub(super) async fn started(shared: &Shared, spec: &BackupSpec, context: &Context) -> Result<Option<Start>> {
    let Some(from) = &spec.restore_from else {
        return Ok(None);
    };
    let scope = Scope::new(shared.place(), context, Capability::Backup)?;
    let here = found::Here { shared, context };
    let restores = here.list(VELERO_RESTORE, scope.namespace()).await?;
    let name = restore_name("start", from.wanted())?;
    let restore_stands = restores.iter().any(|live| live.id.name().base() == name);
    let records = here.list("ConfigMap", scope.namespace()).await?;
    if let Some(record) = records.iter().find(|live| live.id.name().base() == STARTED_FROM) {
        let record = read(record);
        let before = record.get("wanted").map_or("", String::as_str);
        return if before == from.wanted() {
            Ok(Some(Start { record, restore_stands }))
        } else {
            let message = format!("this platform started from {before:?}, and nothing is restored over its data");
            let help = format!("write {before} again, or remove the key; a drill shows what another backup holds");
            Err(refused(message, &help))
        };
    }
    if restore_stands {
        return Ok(None);
    }
    let mut standing = found::in_the_way(shared, spec, context).await?;
    for namespace in location::namespaces(context, spec) {
        let volumes = here.list("PersistentVolumeClaim", &namespace).await?;
        standing.extend(volumes.into_iter().map(|live| live.id.label()));
    }
    match standing.first() {
        None => Ok(None),
        Some(first) => {
            let message = format!("only a new platform starts from a backup, and this one has data: {first}");
            Err(refused(
                message,
                "remove the key; `backup restore` puts back what is missing",
            ))
        }
    }
}

fn refused(message: String, help: &str) -> Error {
    Error::new(ErrorKind::Blocked, message)
        .with_context("config", "backup.restore_from")
        .with_help(help)
}

fn read(record: &Live) -> BTreeMap<String, String> {
    let data = record.view["data"].as_object().into_iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), Value::as_str(value)?.to_owned())))
        .collect()
}
