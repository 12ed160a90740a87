//! `rds.DbInstance`: a PostgreSQL server. Its identity is its lower-case identifier, its incarnation the `DbiResourceId`.
//!
//! What AWS resolves stays out of the view: the minor version floats below the major one that is asked for. Changes that
//! somebody left for the maintenance window count as made, and a plan says so. A restore is a way to be made: it stands
//! in a tag, and asks for nothing once the instance is there.

mod create;
mod facts;
mod read;
mod restore;
mod update;
mod windows;

use super::rds::{tag, tags_of};
use super::{AwsKind, Found, Reach, Room, yes};
use crate::error::Outcome;
use crate::provider::Scope;
use crate::tags::{self, Tags};
use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance as SdkInstance;
use facts::FACTS;
use platform_core::value::{Digest, SetId};
use platform_core::{Error, ErrorKind, KindFacts, Result, State};
use read::{describe, final_snapshots, found, instances};
pub(crate) use restore::LATEST;
use restore::Restore;
use serde::{Deserialize, Serialize};

const ENGINE: &str = "postgres";
const ABSENT: &[&str] = &["DBInstanceNotFound"];
/// The smallest gp3 volume of RDS for PostgreSQL.
pub(crate) const SMALLEST_GIB: i32 = 20;
/// The longest name; that of its final snapshot may have 255.
pub(crate) const MAX_NAME: usize = 63;

#[derive(Debug)]
pub(crate) struct DbInstance;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Desired {
    /// Major version. A new server gets RDS's default minor version of it, a restored one that of its copy.
    engine_version: String,
    /// `db.m7g.large`.
    class: String,
    /// Size of the volume, 20 at least. Only grows, by a tenth at least.
    storage_gib: i32,
    #[serde(default = "gp3")]
    storage_type: String,
    /// Key ARN of volume, backups and snapshots; absent on an instance that is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    /// The database that is made with the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// The master user, whose password RDS makes, rotates and keeps in Secrets Manager.
    username: String,
    /// Key ARN of that secret; absent where somebody else keeps the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
    subnet_group: String,
    security_groups: Vec<String>,
    parameter_group: String,
    /// Shown as false while static parameters wait for a restart.
    #[serde(default = "yes")]
    parameters_applied: bool,
    #[serde(default = "port")]
    port: i32,
    /// No address outside of its network.
    #[serde(default = "yes")]
    private: bool,
    #[serde(default)]
    multi_az: bool,
    #[serde(default = "yes")]
    deletion_protection: bool,
    #[serde(default = "yes")]
    iam_authentication: bool,
    /// Certificate authority of the server's certificate.
    #[serde(default = "authority")]
    ca: String,
    /// Key ARN of Performance Insights; absent turns them off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    insights_key: Option<String>,
    /// Enhanced monitoring; absent turns it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitoring: Option<Monitoring>,
    /// Logs that go to CloudWatch.
    #[serde(default = "logs")]
    log_exports: Vec<String>,
    #[serde(default = "yes")]
    copy_tags_to_snapshots: bool,
    #[serde(default = "yes")]
    minor_upgrades: bool,
    /// Days that automated backups are kept, 0 to 35; 0 turns them and restores to a point in time off.
    #[serde(default = "week")]
    backup_days: i32,
    /// UTC, half an hour at least.
    #[serde(default = "backup_window")]
    backup_window: String,
    /// UTC, half an hour at least, apart from the backup window.
    #[serde(default = "maintenance_window")]
    maintenance_window: String,
    /// What it is made from. Absent: an empty database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restore: Option<Restore>,
}

/// Enhanced monitoring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Monitoring {
    /// ARN of the role by which RDS writes to CloudWatch Logs.
    role: String,
    /// 1, 5, 10, 15, 30 or 60.
    #[serde(default = "minute")]
    seconds: i32,
}

fn gp3() -> String {
    "gp3".to_owned()
}
fn port() -> i32 {
    5432
}
fn authority() -> String {
    "rds-ca-rsa2048-g1".to_owned()
}
fn minute() -> i32 {
    60
}
fn logs() -> Vec<String> {
    ["postgresql", "upgrade"].map(str::to_owned).to_vec()
}
fn week() -> i32 {
    7
}
fn backup_window() -> String {
    "02:00-03:00".to_owned()
}
fn maintenance_window() -> String {
    "sun:03:30-sun:04:30".to_owned()
}

/// The name of the final snapshot of an incarnation: the same for every try to delete it, another for the next one.
pub(crate) fn final_snapshot(name: &str, resource_id: &str) -> String {
    format!("{}{}", final_prefix(name), Digest::of_text(resource_id).short(8))
}

fn final_prefix(name: &str) -> String {
    format!("{name}-final-")
}

#[async_trait]
impl AwsKind for DbInstance {
    const FACTS: &'static KindFacts = &FACTS;
    const REACH: Reach = Reach::of(&["rds:{region}:{account}:db:{name}"]).beside(&[
        (
            "rds:CreateDBInstance",
            &[
                "rds:{region}:{account}:og:*",
                "rds:{region}:{account}:pg:*",
                "rds:{region}:{account}:subgrp:*",
            ],
        ),
        (
            "rds:ModifyDBInstance",
            &[
                "rds:{region}:{account}:og:*",
                "rds:{region}:{account}:pg:*",
                "rds:{region}:{account}:subgrp:*",
            ],
        ),
        (
            "rds:RestoreDBInstanceFromDBSnapshot",
            &[
                "rds:{region}:{account}:og:*",
                "rds:{region}:{account}:pg:*",
                "rds:{region}:{account}:subgrp:*",
                "rds:{region}:{account}:snapshot:*",
            ],
        ),
        (
            "rds:RestoreDBInstanceToPointInTime",
            &[
                "rds:{region}:{account}:og:*",
                "rds:{region}:{account}:pg:*",
                "rds:{region}:{account}:subgrp:*",
                "rds:{region}:{account}:auto-backup:*",
                "rds:{region}:{account}:db:*",
            ],
        ),
        (
            "rds:DescribeDBInstanceAutomatedBackups",
            &["rds:{region}:{account}:auto-backup:*", "rds:{region}:{account}:db:*"],
        ),
        ("rds:DescribeDBSnapshots", &["rds:{region}:{account}:snapshot:*"]),
        ("rds:CreateDBSnapshot", &["rds:{region}:{account}:snapshot:*"]),
        ("rds:AddTagsToResource", &["rds:{region}:{account}:snapshot:*"]),
    ]);
    const MADE_BY: &'static [&'static str] = &["restore"];
    type Desired = Desired;

    fn normal(mut wanted: Desired) -> Result<Desired> {
        wanted.security_groups.sort();
        wanted.log_exports.sort();
        wanted.maintenance_window.make_ascii_lowercase();
        let major = !wanted.engine_version.is_empty() && wanted.engine_version.chars().all(|c| c.is_ascii_digit());
        let seconds = wanted.monitoring.as_ref().map_or(60, |monitoring| monitoring.seconds);
        let problem = if !major {
            Some((
                "engine_version",
                "write the major version, such as 17: RDS keeps the minor one up to date",
            ))
        } else if wanted.storage_gib < SMALLEST_GIB || wanted.storage_gib > 65_536 {
            Some(("storage_gib", "write 20 to 65536"))
        } else if !(0..=35).contains(&wanted.backup_days) {
            Some(("backup_days", "write 0 to 35"))
        } else if windows::daily(&wanted.backup_window).is_none() {
            Some((
                "backup_window",
                "write UTC times such as 02:00-03:00, half an hour at least",
            ))
        } else if windows::weekly(&wanted.maintenance_window).is_none() {
            Some((
                "maintenance_window",
                "write UTC days and times such as sun:03:30-sun:04:30",
            ))
        } else if windows::overlap(&wanted.backup_window, &wanted.maintenance_window) {
            Some((
                "maintenance_window",
                "write another time than that of the backup window",
            ))
        } else if ![1, 5, 10, 15, 30, 60].contains(&seconds) {
            Some(("monitoring.seconds", "write 1, 5, 10, 15, 30 or 60"))
        } else if ["postgres", "admin", "rdsadmin"].contains(&wanted.username.as_str()) {
            Some(("username", "choose a name that is not guessed at once"))
        } else if !wanted.parameters_applied {
            Some((
                "parameters_applied",
                "leave it out: parameters that are never applied are none",
            ))
        } else {
            None
        };
        if let Some((field, help)) = problem {
            return Err(Error::new(ErrorKind::Invalid, format!("{field} of a database cannot be")).with_help(help));
        }
        if let Some(restore) = &wanted.restore {
            restore.check()?;
        }
        Ok(wanted)
    }

    async fn traces(scope: &Scope<'_>, name: &str) -> Result<Option<String>> {
        let Some(snapshot) = final_snapshots(scope, name).await?.pop() else {
            return Ok(None);
        };
        Ok(Some(format!(
            "it starts empty, though an earlier {name} left the snapshot {snapshot}: to start from that, say \
             restore_from: {{ snapshot: {snapshot} }} under `database` in the config"
        )))
    }

    async fn read(scope: &Scope<'_>, name: &str) -> Result<Option<Found<Desired>>> {
        let is_it = |instance: &SdkInstance| instance.db_instance_identifier() == Some(name);
        let by_name = describe(scope, name);
        let instance = scope.find(FACTS.kind, instances(scope), is_it, by_name).await?;
        Ok(instance.map(|instance| found(scope, name, &instance)))
    }

    async fn room(scope: &Scope<'_>) -> Result<Option<Room>> {
        let used = instances(scope).await?.len();
        scope.room("rds", "L-7B6409FD", "DB instances", used).await
    }

    async fn list(scope: &Scope<'_>, set: &SetId) -> Result<Vec<String>> {
        let all = scope.once(FACTS.kind, instances(scope)).await?;
        let ours = all
            .iter()
            .filter(|instance| tags::concerns(&tags_of(instance.tag_list()), set));
        Ok(ours
            .filter_map(|instance| instance.db_instance_identifier().map(str::to_owned))
            .collect())
    }

    async fn create(scope: &Scope<'_>, name: &str, wanted: &Desired, tags: &Tags, _token: &str) -> Result<()> {
        match &wanted.restore {
            None => create::new(scope, name, wanted, tags).await,
            Some(restore) => restore::restored(scope, name, wanted, restore, tags).await,
        }
    }

    async fn update(scope: &Scope<'_>, name: &str, found: &Found<Desired>, wanted: &Desired) -> Result<()> {
        // A restart only where this change is one.
        update::converge(scope, name, wanted, !found.settings.parameters_applied).await
    }

    async fn tag(scope: &Scope<'_>, found: &Found<Desired>, put: &Tags, remove: &[String]) -> Result<()> {
        tag(scope, &found.handle, put, remove).await
    }

    async fn delete(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        delete(scope, found, None).await
    }

    async fn delete_with_snapshot(scope: &Scope<'_>, found: &Found<Desired>) -> Result<()> {
        let name = name_of(found);
        delete(scope, found, Some(final_snapshot(name, found.uid.as_str()))).await
    }
}

/// The identifier behind the ARN.
fn name_of(found: &Found<Desired>) -> &str {
    found.handle.rsplit(':').next().unwrap_or(&found.handle)
}

/// Deletes; automated backups stay for as long as they are kept.
#[allow(clippy::disallowed_methods)] // the home of this call
async fn delete(scope: &Scope<'_>, found: &Found<Desired>, snapshot: Option<String>) -> Result<()> {
    // An earlier try got through.
    if matches!(found.state, State::Deleting { .. }) {
        return Ok(());
    }
    if found.settings.deletion_protection {
        return Err(super::protected());
    }
    let outcome = scope
        .clients
        .rds
        .delete_db_instance()
        .db_instance_identifier(name_of(found))
        .skip_final_snapshot(snapshot.is_none())
        .set_final_db_snapshot_identifier(snapshot)
        .delete_automated_backups(false)
        .send()
        .await
        .absent("rds:DeleteDBInstance", ABSENT);
    match outcome {
        // Its own snapshot by its name: an earlier try made it, and is deleting by now.
        Err(error) if error.kind() == ErrorKind::Conflict => match describe(scope, name_of(found)).await? {
            Some(instance) if instance.db_instance_status() != Some("deleting") => Err(error.with_help(
                "its final snapshot is there while it still runs: remove or copy and remove that snapshot, then run again",
            )),
            _ => Ok(()),
        },
        other => other.map(drop),
    }
}
