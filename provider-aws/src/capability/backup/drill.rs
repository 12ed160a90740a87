//! A restore beside the platform: the newest proof that a backup of its database is one.
//!
//! RDS makes a second server of the recovery point, in the place and with the settings of the first one, but for what a
//! server needs that only shows that it comes up. It is in the drill's set and goes with it, without a final snapshot.
//! That it became available is what is proved; its rows are not looked at.

use super::found::standing;
use super::restore::part;
use super::{SERVER, assets, name};
use crate::capability::database::snapshot_name;
use crate::draft::Draft;
use crate::kind::backup_restore_job;
use crate::kind::backup_restore_proof::Proof;
use crate::kind::rds_db_instance::MAX_NAME;
use crate::names;
use platform_core::value::{Reference, ResourceId};
use platform_core::{
    BackupRecord, BackupSpec, Blueprint, Capability, Error, ErrorKind, Holds, Live, OnRemoval, Resource, RestoreProof,
    Result,
};
use serde_json::{Value, json};

/// What the platform's server has and its copy does not need.
const LEFT_OUT: [&str; 6] = [
    "secret_key",
    "insights_key",
    "monitoring",
    "parameters_applied",
    "restore",
    "tags",
];

pub(super) async fn blueprint(
    draft: &Draft<'_>,
    spec: &BackupSpec,
    backup: &BackupRecord,
) -> Result<Blueprint<RestoreProof>> {
    let taken = backup.started.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("backup {} never began", backup.name))
            .with_help("choose one that is complete")
    })?;
    let mut assets = assets(draft, spec)?;
    assets.retain(|asset| asset.kind().as_str() == SERVER);
    let there = standing(draft, &assets).await?;
    let Some(server) = assets.first() else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a drill on AWS restores a database, and none is backed up",
        )
        .with_help("restore a bucket's recovery point into a new bucket: aws backup start-restore-job"));
    };
    let Some(live) = there.get(server) else {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} is gone, beside which a copy would be brought up", server.label()),
        )
        .with_help("restore it: backup restore"));
    };
    let point = part(draft, backup, server)?;
    let began = draft.shared.engine.clock().now();
    let copy = copy(draft, server, live, snapshot_name(draft, point)?)?;
    let of = |key: &str| {
        let value = &live.view[key];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    let checks = vec![format!(
        "database: a server of PostgreSQL {} with {} GiB came up from {point}; its rows were not looked at",
        of("engine_version"),
        of("storage_gib"),
    )];
    let run = backup_restore_job::run(&backup.name, began.seconds());
    let proof = draft.id(Proof::KIND, &format!("{}/{run}", name(draft)))?;
    let desired = json!({
        "backup": backup.name,
        "taken": taken,
        "began": began,
        "checks": checks,
        "seen_on": Reference::new(copy.id.clone(), "resource_id").to_value(),
    });
    let outputs = json!({
        "backup": backup.name,
        "taken": taken,
        "began": began,
        "at": Reference::new(proof.clone(), "completed").to_value(),
        "checks": checks,
    });
    let proof = Resource::new(proof, Capability::Backup.as_str(), desired)
        .with_after(copy.id.clone())
        .with_on_removal(OnRemoval::Retain);
    Ok(Blueprint::with_references(vec![copy, proof], outputs))
}

/// The server beside the platform's.
fn copy(draft: &Draft<'_>, server: &ResourceId, live: &Live, snapshot: &str) -> Result<Resource> {
    let mut desired = Value::clone(&live.view);
    let Some(settings) = desired.as_object_mut() else {
        return Err(Error::new(ErrorKind::Internal, "a server without settings"));
    };
    settings.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    for (key, value) in [
        ("restore", json!({ "snapshot": snapshot })),
        ("multi_az", json!(false)),
        ("deletion_protection", json!(false)),
        ("backup_days", json!(0)),
        ("log_exports", json!([])),
    ] {
        settings.insert(key.to_owned(), value);
    }
    let id = draft.id(SERVER, &names::fit(&format!("{}-drill", server.name()), MAX_NAME))?;
    // Whatever it holds is in the backup.
    let copy = Resource::new(id, Capability::Backup.as_str(), desired).with_holds(Holds::Rebuildable);
    Ok(copy.with_on_removal(OnRemoval::Delete))
}
