//! AWS Backup: a vault with a key of its own, a plan that fills it, and copies in a second region.
//!
//! It holds what RDS and S3 hold. It cannot take ElastiCache, whose own daily snapshots are there.

mod drill;
mod found;
mod restore;

use crate::aws::Shared;
use crate::cron;
use crate::draft::Draft;
use crate::kind::backup::MAX_NAME;
use crate::kind::backup_recovery_point::{self, RecoveryPoint};
use crate::roles;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{Place, Reference, ResourceId};
use platform_core::{
    AlarmSubject, Backup, BackupFeatures, BackupOutputs, BackupRecord, BackupRun, BackupSpec, BackupStatus,
    BackupStore, Blueprint, Capability, Context, DataAsset, Definitions, Error, ErrorKind, Holds, OnRemoval, Remade,
    Resource, RestoreProof, Result, Start, Surface,
};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const VAULT: &str = "backup.Vault";
const PLAN: &str = "backup.Plan";
const POINT: &str = RecoveryPoint::KIND;
const SERVER: &str = "rds.DbInstance";
const BUCKET: &str = "s3.Bucket";
/// The key of the vault, and the role that AWS Backup acts by.
const PART: &str = "backup";

/// AWS Backup.
#[derive(Debug)]
pub(crate) struct AwsBackup(pub(crate) Arc<Shared>);

impl AwsBackup {
    fn draft<'a>(&'a self, context: &'a Context) -> Draft<'a> {
        Draft::new(&self.0, context, Capability::Backup.as_str())
    }

    /// Where copies go.
    fn second(&self, region: &str) -> Result<&Place> {
        let refuse = |what: String, help: &str| {
            Err(Error::new(ErrorKind::Invalid, what)
                .with_context("config", "backup.copy_to")
                .with_help(help))
        };
        if region == self.0.region() {
            return refuse(
                format!("{region} is where the backups are already"),
                "name another region",
            );
        }
        match self.0.second() {
            Some(place) if place.to_string() == format!("aws/{region}") => Ok(place),
            Some(place) => refuse(
                format!("{region} is not where the second connection goes: {place}"),
                "connect to that region, or correct it here",
            ),
            None => refuse(
                format!("there is no connection to {region}"),
                "give one with Aws::with_second_region, or leave copy_to out",
            ),
        }
    }
}

#[async_trait]
impl Backup for AwsBackup {
    fn features(&self) -> BackupFeatures {
        let mut features = BackupFeatures::default();
        features.copies = true;
        features.drill = true;
        features
    }

    fn surface(&self, spec: &BackupSpec, context: &Context) -> Result<Surface> {
        check(spec, context)?;
        let draft = self.draft(context);
        let vault = draft.id(VAULT, &name(&draft))?;
        Ok(Surface {
            subjects: vec![AlarmSubject {
                what: "age".to_owned(),
                capability: Capability::Backup,
                limit: Some(BackupSpec::shortest_retention(&spec.schedule).as_seconds()),
                subject: vault.name().to_string(),
            }],
            data: vec![DataAsset {
                id: vault,
                holds: Holds::Durable,
                workload: None,
            }],
            backs_up: spec
                .scope
                .iter()
                .copied()
                .filter(|one| *one != Capability::Cache)
                .collect(),
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &BackupSpec, context: &Context) -> Result<Blueprint<BackupOutputs>> {
        check(spec, context)?;
        let draft = self.draft(context);
        let assets = assets(&draft, spec)?;
        let days = days(spec);
        let mut resources = vec![key(&draft)?, vault(&draft, spec)?, role(&draft, &assets)?];
        let mut copies = Map::new();
        if let Some(region) = &spec.copy_to {
            let there = draft.at(self.second(region)?);
            resources.extend([key(&there)?, vault(&there, spec)?]);
            copies.insert(vault_arn(&there), json!({ "delete_after_days": days }));
        }
        let id = draft.id(PLAN, &name(&draft))?;
        let plan = draft.resource(
            id.clone(),
            json!({
                "rules": { "scheduled": {
                    "vault": name(&draft),
                    "schedule": cron::of(&spec.schedule).map_err(|error| error.with_context("config", "backup.schedule"))?,
                    "delete_after_days": days,
                    "copies": copies,
                } },
                "selections": { "platform": {
                    "role": draft.role_arn(PART),
                    "resources": assets.iter().map(|asset| arn(&draft, asset)).collect::<Vec<_>>(),
                } },
            }),
        );
        let stands_on = resources.iter().map(|one| one.id.clone()).chain(assets.iter().cloned());
        resources.push(
            stands_on
                .collect::<Vec<_>>()
                .into_iter()
                .fold(plan, Resource::with_after),
        );
        Blueprint::new(
            resources,
            &BackupOutputs {
                store: vault_arn(&draft),
                schedule: id.label(),
                cron: spec.schedule.as_str().to_owned(),
                retention: spec.retention,
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn run(&self, spec: &BackupSpec, name: &str, context: &Context) -> Result<Blueprint<BackupRun>> {
        check(spec, context)?;
        let draft = self.draft(context);
        let mut resources = Vec::new();
        for asset in assets(&draft, spec)? {
            let resource = arn(&draft, &asset);
            let Some(point) = backup_recovery_point::name_of(&self::name(&draft), name, &resource) else {
                continue;
            };
            let desired =
                json!({ "resource": resource, "role": draft.role_arn(PART), "delete_after_days": days(spec) });
            let point = Resource::new(draft.id(POINT, &point)?, Capability::Backup.as_str(), desired);
            resources.push(point.with_on_removal(OnRemoval::Retain));
        }
        Blueprint::new(resources, &BackupRun::new(name))
    }

    async fn remade(&self, spec: &BackupSpec, backup: &BackupRecord, context: &Context) -> Result<Remade> {
        check(spec, context)?;
        restore::remade(&self.draft(context), spec, backup).await
    }

    async fn restore(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<BackupRun>> {
        check(spec, context)?;
        restore::blueprint(&self.draft(context), spec, backup).await
    }

    async fn drill(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<RestoreProof>> {
        check(spec, context)?;
        drill::blueprint(&self.draft(context), spec, backup).await
    }

    async fn status(&self, spec: &BackupSpec, context: &Context) -> Result<BackupStatus> {
        check(spec, context)?;
        found::status(&self.draft(context), spec).await
    }

    async fn in_the_way(&self, spec: &BackupSpec, context: &Context) -> Result<Vec<String>> {
        check(spec, context)?;
        restore::in_the_way(&self.draft(context), spec).await
    }

    async fn started(&self, _spec: &BackupSpec, _context: &Context) -> Result<Option<Start>> {
        Ok(None)
    }

    async fn said(&self, _spec: &BackupSpec, _context: &Context) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Refuses what AWS Backup cannot do.
fn check(spec: &BackupSpec, context: &Context) -> Result<()> {
    spec.check()?;
    let refuse = |what: &str, help: &str| Err(Error::new(ErrorKind::Unsupported, what).with_help(help));
    if context.alone {
        return refuse(
            "backups alone have nothing to back up",
            "ask for them in a platform, with the capabilities whose data they hold",
        );
    }
    if spec.store != BackupStore::default() || spec.definitions != Definitions::default() {
        return refuse(
            "AWS Backup keeps backups in vaults alone",
            "leave store and definitions out",
        );
    }
    if spec.restore_from.is_some() {
        return refuse(
            "a platform on AWS starts from a backup server by server",
            "name the database's copy in database.restore_from; backup restore puts objects back into buckets",
        );
    }
    if cron::an_hour(&spec.schedule) > 1 {
        return Err(
            Error::new(ErrorKind::Unsupported, "AWS Backup takes a backup an hour at most")
                .with_context("config", "backup.schedule")
                .with_help("write one minute"),
        );
    }
    cron::of(&spec.schedule)
        .map(drop)
        .map_err(|error| error.with_context("config", "backup.schedule"))
}

/// Of the vault, wherever it is, and of the plan.
fn name(draft: &Draft<'_>) -> String {
    draft.called(VAULT, &draft.name("", MAX_NAME)).to_owned()
}

fn vault_arn(draft: &Draft<'_>) -> String {
    draft.arn("backup", &format!("backup-vault:{}", name(draft)))
}

/// Days that a backup is kept.
fn days(spec: &BackupSpec) -> u64 {
    spec.retention.as_days_rounded_up()
}

/// What is backed up: everything in the scope that holds data here and that AWS Backup can take.
fn assets(draft: &Draft<'_>, spec: &BackupSpec) -> Result<Vec<ResourceId>> {
    let surfaces = &draft.context.surfaces;
    let here = spec.scope.iter().filter_map(|capability| surfaces.get(*capability));
    let assets: Vec<ResourceId> = here
        .clone()
        .flat_map(|surface| &surface.data)
        .map(|asset| asset.id.clone())
        .filter(|id| [SERVER, BUCKET].contains(&id.kind().as_str()))
        .collect();
    let known: BTreeSet<&str> = assets.iter().map(|id| id.name().as_str()).collect();
    let mut subjects = here.flat_map(|surface| &surface.subjects);
    if let Some(bucket) =
        subjects.find(|one| one.capability == Capability::Storage && !known.contains(one.subject.as_str()))
    {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the bucket {} keeps no versions, without which AWS Backup takes none",
                bucket.subject
            ),
        )
        .with_help("write versioning: true for it, or leave storage out of backup.scope"));
    }
    if assets.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "AWS Backup takes nothing of what is in the scope",
        )
        .with_context("config", "backup")
        .with_help("a cache has daily snapshots of its own: take the block out, or add a database or storage"));
    }
    Ok(assets)
}

fn arn(draft: &Draft<'_>, asset: &ResourceId) -> String {
    let name = asset.name().as_str();
    match asset.kind().as_str() {
        BUCKET => draft.global_arn("s3", "", name),
        _ => draft.arn("rds", &format!("db:{name}")),
    }
}

fn key_id(draft: &Draft<'_>) -> Result<ResourceId> {
    draft.id("kms.Key", &draft.path(PART))
}

/// A key of its own: backups outlive the data's key.
fn key(draft: &Draft<'_>) -> Result<Resource> {
    Ok(draft.resource(
        key_id(draft)?,
        json!({ "description": format!("backups of {}", draft.context.set) }),
    ))
}

fn vault(draft: &Draft<'_>, spec: &BackupSpec) -> Result<Resource> {
    let mut desired = json!({ "kms_key": Reference::new(key_id(draft)?, "arn").to_value() });
    if spec.lock {
        desired["lock"] = json!({ "min_days": days(spec) });
    }
    Ok(draft
        .resource(draft.id(VAULT, &name(draft))?, desired)
        .with_on_removal(OnRemoval::Retain))
}

/// The role that AWS Backup reads the data, writes copies, and puts objects back by.
fn role(draft: &Draft<'_>, assets: &[ResourceId]) -> Result<Resource> {
    let mut managed = vec![draft.managed_policy("service-role/AWSBackupServiceRolePolicyForBackup")];
    if assets.iter().any(|asset| asset.kind().as_str() == BUCKET) {
        managed.push(draft.managed_policy("AWSBackupServiceRolePolicyForS3Backup"));
        managed.push(draft.managed_policy("AWSBackupServiceRolePolicyForS3Restore"));
    }
    draft.role(PART, &roles::services(&["backup.amazonaws.com"]), &[], &managed)
}
