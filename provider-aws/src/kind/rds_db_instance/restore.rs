//! Making a server from a copy of another.

use super::create::alike;
use super::read::describe;
use super::{Desired, ENGINE};
use crate::error::Outcome;
use crate::kind::rds::{incomplete, sdk_tags};
use crate::provider::Scope;
use crate::tags::{self, Tags};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use platform_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The newest moment that can be restored.
pub(crate) const LATEST: &str = "latest";

/// What a server is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Restore {
    Snapshot(Snapshot),
    Point(Point),
}

/// A snapshot of this account and region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    /// Its identifier.
    snapshot: String,
}

/// A moment of another server, which may be gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    /// Its identifier, or its `DbiResourceId` (`db-...`), which tells apart those that had one name.
    source: String,
    /// RFC 3339, or `latest`.
    time: String,
}

/// What a copy says of the server that is made from it.
struct Copy {
    engine: Option<String>,
    version: Option<String>,
    key: Option<String>,
    storage: Option<i32>,
    username: Option<String>,
}

impl Restore {
    pub(super) fn check(&self) -> Result<()> {
        let text = self.to_tag();
        let legal = text.len() <= 256
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c));
        let named = match self {
            Self::Snapshot(copy) => !copy.snapshot.is_empty(),
            Self::Point(copy) => !copy.source.is_empty() && (copy.time == LATEST || copy.moment().is_ok()),
        };
        if legal && named {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, "restore names no copy").with_help(
            "write restore: { snapshot: ID }, or restore: { source: NAME, time: latest } with an RFC 3339 time",
        ))
    }

    /// As it stands in a tag.
    fn to_tag(&self) -> String {
        match self {
            Self::Snapshot(copy) => format!("snapshot {}", copy.snapshot),
            Self::Point(copy) => format!("{} at {}", copy.source, copy.time),
        }
    }

    pub(super) fn of_tag(text: &str) -> Option<Self> {
        if let Some(snapshot) = text.strip_prefix("snapshot ") {
            return Some(Self::Snapshot(Snapshot {
                snapshot: snapshot.to_owned(),
            }));
        }
        let (source, time) = text.split_once(" at ")?;
        Some(Self::Point(Point {
            source: source.to_owned(),
            time: time.to_owned(),
        }))
    }
}

impl Point {
    fn moment(&self) -> Result<DateTime> {
        DateTime::from_str(&self.time, Format::DateTime)
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("{:?} is no RFC 3339 time", self.time)))
    }
}

/// Makes a server from a copy. What a restore does not take is changed once the server is there.
pub(super) async fn restored(
    scope: &Scope<'_>,
    name: &str,
    wanted: &Desired,
    restore: &Restore,
    tags: &Tags,
) -> Result<()> {
    let mut tags = tags.clone();
    tags.insert(tags::key(tags::RESTORED), restore.to_tag());
    match restore {
        Restore::Snapshot(copy) => of_snapshot(scope, name, wanted, &copy.snapshot, &tags).await,
        Restore::Point(copy) => of_moment(scope, name, wanted, copy, &tags).await,
    }
}

async fn of_snapshot(scope: &Scope<'_>, name: &str, wanted: &Desired, snapshot: &str, tags: &Tags) -> Result<()> {
    let rds = &scope.clients.rds;
    let answer = rds
        .describe_db_snapshots()
        .db_snapshot_identifier(snapshot)
        .set_snapshot_type(kept_by(snapshot).map(str::to_owned))
        .send()
        .await
        .during("rds:DescribeDBSnapshots")?;
    let copy = answer
        .db_snapshots()
        .first()
        .ok_or_else(|| incomplete("rds:DescribeDBSnapshots"))?;
    fits(
        wanted,
        &Copy {
            engine: copy.engine().map(str::to_owned),
            version: copy.engine_version().map(str::to_owned),
            key: copy.kms_key_id().map(str::to_owned),
            storage: copy.allocated_storage(),
            username: copy.master_username().map(str::to_owned),
        },
    )?;
    alike!(rds.restore_db_instance_from_db_snapshot(), wanted, sdk_tags(tags))
        .db_instance_identifier(name)
        .db_snapshot_identifier(snapshot)
        .send()
        .await
        .during("rds:RestoreDBInstanceFromDBSnapshot")?;
    Ok(())
}

/// The type of a snapshot that nobody took by hand: RDS finds it by its name and that alone.
fn kept_by(snapshot: &str) -> Option<&'static str> {
    match snapshot.split_once(':')?.0 {
        "awsbackup" => Some("awsbackup"),
        "rds" => Some("automated"),
        _ => None,
    }
}

async fn of_moment(scope: &Scope<'_>, name: &str, wanted: &Desired, point: &Point, tags: &Tags) -> Result<()> {
    let (copy, resource_id) = source(scope, &point.source).await?;
    fits(wanted, &copy)?;
    let call = alike!(
        scope.clients.rds.restore_db_instance_to_point_in_time(),
        wanted,
        sdk_tags(tags)
    )
    .target_db_instance_identifier(name);
    let call = match resource_id {
        Some(id) => call.source_dbi_resource_id(id),
        None => call.source_db_instance_identifier(&point.source),
    };
    let call = if point.time == LATEST {
        call.use_latest_restorable_time(true)
    } else {
        call.restore_time(point.moment()?)
    };
    call.send().await.during("rds:RestoreDBInstanceToPointInTime")?;
    Ok(())
}

/// What is known of a source, and its `DbiResourceId` where only its backups are left.
async fn source(scope: &Scope<'_>, source: &str) -> Result<(Copy, Option<String>)> {
    let is_resource_id = source.starts_with("db-") && source.chars().any(|c| c.is_ascii_uppercase());
    if !is_resource_id && let Some(instance) = describe(scope, source).await? {
        let copy = Copy {
            engine: instance.engine().map(str::to_owned),
            version: instance.engine_version().map(str::to_owned),
            key: instance.kms_key_id().map(str::to_owned),
            storage: instance.allocated_storage(),
            username: instance.master_username().map(str::to_owned),
        };
        return Ok((copy, None));
    }
    let call = scope.clients.rds.describe_db_instance_automated_backups();
    let call = if is_resource_id {
        call.dbi_resource_id(source)
    } else {
        call.db_instance_identifier(source)
    };
    let answer = call.send().await.during("rds:DescribeDBInstanceAutomatedBackups")?;
    match answer.db_instance_automated_backups() {
        [backup] => {
            let copy = Copy {
                engine: backup.engine().map(str::to_owned),
                version: backup.engine_version().map(str::to_owned),
                key: backup.kms_key_id().map(str::to_owned),
                storage: backup.allocated_storage(),
                username: backup.master_username().map(str::to_owned),
            };
            Ok((copy, backup.dbi_resource_id().map(str::to_owned)))
        }
        [] => Err(
            Error::new(ErrorKind::NotFound, format!("{source} has no automated backups"))
                .with_help("aws rds describe-db-instance-automated-backups lists those that are kept"),
        ),
        several => {
            let ids: Vec<&str> = several.iter().filter_map(|backup| backup.dbi_resource_id()).collect();
            Err(
                Error::new(ErrorKind::Invalid, format!("several servers were called {source}"))
                    .with_help(format!("name one by its DbiResourceId: {}", ids.join(", "))),
            )
        }
    }
}

/// Refuses a copy of which no such server can be made.
fn fits(wanted: &Desired, copy: &Copy) -> Result<()> {
    let refuse = |why: String, help: &str| Err(Error::new(ErrorKind::Invalid, why).with_help(help));
    let unknown = || "unknown".to_owned();
    let engine = copy.engine.clone().unwrap_or_else(unknown);
    if engine != ENGINE {
        return refuse(
            format!("the copy is of {engine}"),
            "choose a copy of a PostgreSQL server",
        );
    }
    let version = copy.version.clone().unwrap_or_else(unknown);
    if version.split('.').next() != Some(wanted.engine_version.as_str()) {
        return refuse(
            format!(
                "the copy is of version {version}, the config asks for {}",
                wanted.engine_version
            ),
            "ask for the copy's version; upgrade once it is restored",
        );
    }
    if copy.key != wanted.kms_key {
        return refuse(
            format!(
                "the copy is encrypted with {}",
                copy.key.clone().unwrap_or_else(|| "no key".to_owned())
            ),
            "copy the snapshot with the platform's key first: aws rds copy-db-snapshot --kms-key-id",
        );
    }
    if copy.storage.is_some_and(|storage| storage > wanted.storage_gib) {
        return refuse(
            format!("the copy needs {} GiB", copy.storage.unwrap_or_default()),
            "raise `storage`",
        );
    }
    if copy.username.as_ref().is_some_and(|name| *name != wanted.username) {
        return refuse(
            format!(
                "the copy's master user is {}",
                copy.username.clone().unwrap_or_else(unknown)
            ),
            "a restored server keeps its master user: restore a copy of a platform's server",
        );
    }
    Ok(())
}
