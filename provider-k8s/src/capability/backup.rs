//! Velero, and the store that it keeps backups in: never the store that it backs up.

mod crds;
mod drill;
mod found;
mod location;
mod run;
mod server;
mod start;

use super::object_store::{ObjectStore, check};
use super::stateful::{claim, selector};
use crate::backups;
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::{STARTED_FROM, Scope};
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::{
    AlarmSubject, Backup, BackupFeatures, BackupOutputs, BackupRecord, BackupRun, BackupSpec, BackupStatus,
    BackupStore, Blueprint, BucketSpec, Call, Capability, Context, DataAsset, Definitions, Error, ErrorKind, Holds,
    Remade, RestoreProof, Result, Scrape, Start, StorageSpec, Surface, Workload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Velero looks for its own Deployment under this name.
const SERVER: &str = "velero";
/// Copies volumes, on every node.
const NODE_AGENT: &str = "node-agent";
/// Pods that Velero makes for single volumes and for the upkeep of its repositories.
const WORKERS: &str = "velero-workers";
/// Namespace and name of the platform's own store.
const STORE: &str = "backup-store";
const STORE_SETUP: &str = "backup-bucket-setup";
const METRICS: u16 = 8085;
/// What marks the record of a drill.
const PROOF: &str = "restore-proof";
const VELERO_BACKUP: &str = "Backup.velero.io";
const VELERO_RESTORE: &str = "Restore.velero.io";

/// Velero.
#[derive(Debug)]
pub(crate) struct KubernetesBackup(pub(crate) Arc<Shared>);

#[async_trait]
impl Backup for KubernetesBackup {
    fn features(&self) -> BackupFeatures {
        let mut features = BackupFeatures::default();
        features.drill = true;
        features
    }

    fn surface(&self, spec: &BackupSpec, context: &Context) -> Result<Surface> {
        refuse(spec, context)?;
        let scope = Scope::new(self.0.place(), context, Capability::Backup)?;
        let mut calls = vec![Call::Dns, Call::ApiServer];
        let mut surface = Surface::default();
        match &spec.store {
            BackupStore::Own { .. } => {
                let store = OwnStore::new(&self.0, spec, context)?;
                calls.push(Call::Workload {
                    name: store.name.clone(),
                    port: "s3".to_owned(),
                });
                surface.workloads = store.object_store(&self.0).workloads();
                surface.data.push(DataAsset {
                    id: store.scope.id("PersistentVolumeClaim", &claim(&store.name))?,
                    holds: Holds::Durable,
                    workload: Some(store.name.clone()),
                });
            }
            BackupStore::External { endpoint, .. } => calls.push(Call::Outside {
                port: location::port_of(endpoint),
            }),
        }
        let namespace = scope.namespace();
        let workload = |name: &str, labels, metrics: bool| Workload {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            labels,
            ports: metrics.then(|| ("metrics".to_owned(), METRICS)).into_iter().collect(),
            calls: calls.clone(),
        };
        surface.workloads.extend([
            workload(SERVER, selector(SERVER), true),
            workload(NODE_AGENT, selector(NODE_AGENT), true),
            // Every pod of the namespace: Velero gives these names and labels of its own.
            workload(WORKERS, BTreeMap::new(), false),
        ]);
        surface.scrapes = [SERVER, NODE_AGENT]
            .map(|name| Scrape {
                job: name.to_owned(),
                workload: name.to_owned(),
                port: "metrics".to_owned(),
                path: "/metrics".to_owned(),
                tls: false,
            })
            .to_vec();
        surface.subjects.push(AlarmSubject {
            what: "age".to_owned(),
            capability: Capability::Backup,
            limit: Some(BackupSpec::shortest_retention(&spec.schedule).as_seconds()),
            subject: context.name.clone(),
        });
        surface.backs_up = spec.scope.iter().copied().collect();
        Ok(surface)
    }

    fn blueprint(&self, spec: &BackupSpec, context: &Context) -> Result<Blueprint<BackupOutputs>> {
        let surface = self.surface(spec, context)?;
        let scope = Scope::new(self.0.place(), context, Capability::Backup)?;
        let mut resources = match spec.definitions {
            Definitions::Own => crds::resources(self.0.place())?,
            Definitions::Existing => Vec::new(),
        };
        let definitions: BTreeSet<_> = resources.iter().map(|one| one.id.clone()).collect();
        let own = own_store(&self.0, spec, context)?;
        if let Some(store) = &own {
            // Retained: its removal would take the backups along.
            resources.push(foundation::namespace(
                &store.scope,
                STORE,
                context.security.pod_security_of(STORE).as_str(),
            )?);
            resources.push(crate::policy::default_deny(
                &store.scope.under(Capability::Security.as_str()),
            )?);
            resources.extend(crate::people::rights(&store.scope)?);
            resources.extend(store.object_store(&self.0).resources(surface.clone())?);
        }
        let store_ready: Vec<_> = resources
            .iter()
            .filter(|one| matches!(one.id.kind().as_str(), "StatefulSet.apps" | "Job.batch"))
            .map(|one| one.id.clone())
            .collect();
        let target = location::Target::new(spec, context, own.as_ref().map(|store| store.object_store(&self.0)))?;
        let mut server = server::resources(&self.0, &scope, surface, &target)?;
        for one in &mut server {
            if matches!(one.id.kind().as_str(), "Deployment.apps" | "DaemonSet.apps") {
                one.after.extend(definitions.iter().cloned());
            }
        }
        let running: Vec<_> = server
            .iter()
            .filter(|one| matches!(one.id.kind().as_str(), "Deployment.apps" | "DaemonSet.apps" | "Secret"))
            .map(|one| one.id.clone())
            .collect();
        resources.extend(server);
        let mut location = target.location(&scope, spec)?;
        location.after.extend(store_ready.into_iter().chain(running));
        let mut schedule = location::schedule(&scope, spec)?;
        schedule.after.insert(location.id.clone());
        if let Some(from) = &spec.restore_from {
            resources.extend(start::resources(&scope, spec, from)?);
            // An empty platform is no backup to start from.
            schedule.after.insert(scope.id("ConfigMap", STARTED_FROM)?);
        }
        let outputs = BackupOutputs {
            store: target.shown(),
            schedule: schedule.id.label(),
            cron: spec.schedule.as_str().to_owned(),
            retention: spec.retention,
        };
        resources.extend([location, schedule]);
        Blueprint::new(resources, &outputs)
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn run(&self, spec: &BackupSpec, name: &str, context: &Context) -> Result<Blueprint<BackupRun>> {
        refuse(spec, context)?;
        run::backup(&Scope::new(self.0.place(), context, Capability::Backup)?, spec, name)
    }

    async fn remade(&self, _spec: &BackupSpec, _backup: &BackupRecord, _context: &Context) -> Result<Remade> {
        // Velero makes servers itself, with their volumes.
        Ok(Remade::default())
    }

    async fn restore(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<BackupRun>> {
        refuse(spec, context)?;
        let scope = Scope::new(self.0.place(), context, Capability::Backup)?;
        run::restore(&scope, spec, &backup.name)
    }

    async fn drill(
        &self,
        spec: &BackupSpec,
        backup: &BackupRecord,
        context: &Context,
    ) -> Result<Blueprint<RestoreProof>> {
        refuse(spec, context)?;
        drill::blueprint(&self.0, spec, backup, context)
    }

    async fn status(&self, spec: &BackupSpec, context: &Context) -> Result<BackupStatus> {
        refuse(spec, context)?;
        found::status(&self.0, spec, context).await
    }

    async fn in_the_way(&self, spec: &BackupSpec, context: &Context) -> Result<Vec<String>> {
        refuse(spec, context)?;
        found::in_the_way(&self.0, spec, context).await
    }

    async fn started(&self, spec: &BackupSpec, context: &Context) -> Result<Option<Start>> {
        refuse(spec, context)?;
        start::started(&self.0, spec, context).await
    }

    async fn said(&self, spec: &BackupSpec, context: &Context) -> Result<Vec<String>> {
        refuse(spec, context)?;
        found::said(&self.0, context).await
    }
}

/// Refuses what this provider cannot do.
fn refuse(spec: &BackupSpec, context: &Context) -> Result<()> {
    spec.check()?;
    let refuse = |kind, what: &str, help: &str| Err(Error::new(kind, what).with_help(help));
    if context.alone {
        return refuse(
            ErrorKind::Unsupported,
            "backups alone have nothing to back up",
            "ask for them in a platform, with the capabilities whose data they hold",
        );
    }
    if spec.copy_to.is_some() {
        return refuse(
            ErrorKind::Unsupported,
            "copies to a second region cannot be had from Velero",
            "leave copy_to out, or place the backup on AWS",
        );
    }
    if spec.restore_from.is_some() && matches!(spec.store, BackupStore::Own { .. }) {
        return refuse(
            ErrorKind::Invalid,
            "a new platform has a new store, in which no backup is",
            "name a store outside of the cluster, or leave restore_from out",
        );
    }
    if let BackupStore::External { endpoint, .. } = &spec.store
        && !endpoint.starts_with("https://")
    {
        return refuse(
            ErrorKind::Invalid,
            "the backup store must be reached by https",
            "write endpoint: https://...",
        );
    }
    Ok(())
}

/// Where the backups go.
fn target(shared: &Shared, spec: &BackupSpec, context: &Context) -> Result<location::Target> {
    let own = own_store(shared, spec, context)?;
    location::Target::new(spec, context, own.as_ref().map(|store| store.object_store(shared)))
}

fn own_store<'a>(shared: &'a Shared, spec: &BackupSpec, context: &'a Context) -> Result<Option<OwnStore<'a>>> {
    match &spec.store {
        BackupStore::Own { .. } => OwnStore::new(shared, spec, context).map(Some),
        BackupStore::External { .. } => Ok(None),
    }
}

/// The platform's own backup store: an S3 server of its own, in a namespace of its own.
#[derive(Debug)]
struct OwnStore<'a> {
    scope: Scope<'a>,
    name: String,
    spec: StorageSpec,
    annotations: backups::Annotations,
}

impl<'a> OwnStore<'a> {
    fn new(shared: &'a Shared, wanted: &BackupSpec, context: &'a Context) -> Result<Self> {
        let scope = Scope::of(shared.place(), context, STORE, Capability::Backup.as_str())?;
        let name = scope.name(STORE)?;
        let mut spec = StorageSpec::new(wanted.name.as_str()).with_bucket(BucketSpec::new(location::BUCKET));
        if let BackupStore::Own {
            capacity,
            memory,
            storage_class,
        } = &wanted.store
        {
            spec.capacity = *capacity;
            spec.memory = *memory;
            spec.storage_class.clone_from(storage_class);
        }
        check(&spec)?;
        Ok(Self {
            scope,
            name,
            spec,
            annotations: backups::none(),
        })
    }

    fn object_store(&'a self, shared: &'a Shared) -> ObjectStore<'a> {
        ObjectStore {
            scope: &self.scope,
            shared,
            capability: Capability::Backup,
            name: &self.name,
            setup: STORE_SETUP,
            spec: &self.spec,
            // Velero alone uses it.
            revision: 1,
            pod_annotations: &self.annotations,
        }
    }
}
