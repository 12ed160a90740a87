//! Putting back what is gone: a server of RDS is made again as the config says, from the recovery point, by a plan of the
//! platform; AWS Backup puts objects back into buckets, over nothing that is there.

use super::found::standing;
use super::{BUCKET, PART, SERVER, arn, assets, name};
use crate::capability::database::snapshot_name;
use crate::draft::Draft;
use crate::kind::backup_restore_job::{self, RestoreJob};
use platform_core::value::{Kind, Name, ResourceId};
use platform_core::{
    BackupRecord, BackupRun, BackupSpec, Blueprint, Capability, DatabaseSource, Error, ErrorKind, Live, OnRemoval,
    Remade, Resource, Result, State,
};
use serde_json::json;

/// The recovery point of one thing.
pub(super) fn part<'a>(draft: &Draft<'_>, backup: &'a BackupRecord, asset: &ResourceId) -> Result<&'a str> {
    backup.parts.get(&arn(draft, asset)).map(String::as_str).ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("backup {} has no copy of {}", backup.name, asset.label()),
        )
        .with_help("choose one that is complete: the list of backups says what is missing")
    })
}

pub(super) async fn in_the_way(draft: &Draft<'_>, spec: &BackupSpec) -> Result<Vec<String>> {
    let assets = assets(draft, spec)?;
    // Where there are buckets, what they lost can be put back at any time.
    if assets.iter().any(|asset| asset.kind().as_str() == BUCKET) {
        return Ok(Vec::new());
    }
    let there = standing(draft, &assets).await?;
    let there = there
        .values()
        .filter(|live| !matches!(live.state, State::Progressing { .. }));
    Ok(there.map(|live| live.id.label()).collect())
}

pub(super) async fn remade(draft: &Draft<'_>, spec: &BackupSpec, backup: &BackupRecord) -> Result<Remade> {
    let assets = assets(draft, spec)?;
    let there = standing(draft, &assets).await?;
    let mut remade = Remade::default();
    for asset in &assets {
        let live = there.get(asset);
        remade = match asset.kind().as_str() {
            BUCKET if live.is_none() => remade.with_storage(),
            SERVER if live.is_none_or(|live| is_on_its_way(draft, live, backup)) => {
                remade.with_database(DatabaseSource::Snapshot(part(draft, backup, asset)?.to_owned()))
            }
            _ => remade,
        };
    }
    Ok(remade)
}

/// Whether an earlier run, which was cut short, makes this server of the backup: it is waited for.
fn is_on_its_way(draft: &Draft<'_>, live: &Live, backup: &BackupRecord) -> bool {
    let point = part(draft, backup, &live.id).and_then(|point| snapshot_name(draft, point));
    let of_it = point.is_ok_and(|name| live.view["restore"]["snapshot"] == *name);
    of_it && matches!(live.state, State::Progressing { .. })
}

pub(super) async fn blueprint(
    draft: &Draft<'_>,
    spec: &BackupSpec,
    backup: &BackupRecord,
) -> Result<Blueprint<BackupRun>> {
    let assets = assets(draft, spec)?;
    let (buckets, servers): (Vec<_>, Vec<_>) = assets.into_iter().partition(|asset| asset.kind().as_str() == BUCKET);
    let left = standing(draft, &servers).await?;
    let vault = name(draft);
    let provider = draft.shared.provider();
    let kind = Kind::new(RestoreJob::KIND)?;
    let under_way = provider.list(&draft.context.set, &kind, &Name::new(&vault)?).await?;
    let now = draft.shared.engine.clock().now();
    let run = backup_restore_job::run(&backup.name, now.seconds());
    let mut resources = Vec::new();
    for bucket in &buckets {
        let Some(point) = backup.parts.get(&arn(draft, bucket)) else {
            continue;
        };
        // A run that was cut short is gone on with.
        let begun = under_way
            .iter()
            .find(|job| job.view["point"] == **point && matches!(job.state, State::Progressing { .. }));
        let id = match begun {
            Some(job) => job.id.clone(),
            None => draft.id(RestoreJob::KIND, &format!("{vault}/{run}/s3/{}", bucket.name()))?,
        };
        let desired = json!({ "point": point, "role": draft.role_arn(PART) });
        let job = Resource::new(id, Capability::Backup.as_str(), desired);
        resources.push(job.with_on_removal(OnRemoval::Retain));
    }
    let left = left.keys().filter(|id| id.kind().as_str() == SERVER);
    let left = left.map(ResourceId::label).collect();
    Blueprint::new(resources, &BackupRun::new(&backup.name).with_left(left))
}
