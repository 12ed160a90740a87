//! Where backups go, and when.

use crate::capability::object_store::ObjectStore;
use crate::foundation;
use crate::object::{Scope, labels, namespace_of};
use crate::set::READ_FIRST;
use platform_core::value::{DOMAIN, Recipe, ResourceId, Span};
use platform_core::{BackupSpec, BackupStore, Capability, Context, Error, ErrorKind, Resource, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The bucket in the platform's own store.
pub(super) const BUCKET: &str = "velero";
/// Name of the location that backups go to unless they say otherwise.
pub(super) const LOCATION: &str = "default";
const CREDENTIALS: &str = "velero-s3";
const AUTHORITY: &str = "velero-s3-ca";
/// The only name under which Velero looks for it.
const REPOSITORY: &str = "velero-repo-credentials";

/// A bucket and how it is reached.
#[derive(Debug)]
pub(super) struct Target {
    endpoint: String,
    region: String,
    bucket: String,
    prefix: String,
    credentials: BTreeMap<&'static str, Recipe>,
    /// Whether its certificate is signed by the platform's authority.
    own: bool,
}

impl Target {
    pub(super) fn new(spec: &BackupSpec, context: &Context, own: Option<ObjectStore<'_>>) -> Result<Self> {
        // Several platforms may share a bucket.
        let prefix = context.set.as_str().to_owned();
        match (&spec.store, own) {
            (
                BackupStore::External {
                    endpoint,
                    region,
                    bucket,
                    credentials,
                },
                _,
            ) => Ok(Self {
                endpoint: endpoint.clone(),
                region: region.clone(),
                bucket: bucket.clone(),
                prefix,
                credentials: BTreeMap::from([("cloud", Recipe::Supplied(credentials.clone()))]),
                own: false,
            }),
            (BackupStore::Own { .. }, store) => {
                let (endpoint, from, user) = match store {
                    Some(store) => {
                        let (secret, user) = store.client_key();
                        (store.endpoint(), store.scope.id("Secret", &secret)?.to_string(), user)
                    }
                    None => (String::new(), String::new(), String::new()),
                };
                let key = "secret-key".to_owned();
                let template = format!("[default]\naws_access_key_id={user}\naws_secret_access_key={{secret-key}}\n");
                Ok(Self {
                    endpoint,
                    region: "us-east-1".to_owned(),
                    bucket: BUCKET.to_owned(),
                    prefix,
                    credentials: BTreeMap::from([
                        ("secret-key", Recipe::Copy { from, key, revision: 1 }),
                        ("cloud", Recipe::Derive { template }),
                    ]),
                    own: true,
                })
            }
        }
    }

    /// As people read it.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}/{}", self.endpoint, self.bucket, self.prefix)
    }

    /// The Secrets that Velero needs before its first backup.
    pub(super) fn secrets(&self, scope: &Scope<'_>, app: &str) -> Result<Vec<Resource>> {
        let mut secrets = vec![
            // It opens what is in the store: without it every backup is lost. Velero's own default is public.
            scope.kept_secret(
                REPOSITORY,
                app,
                &BTreeMap::from([("repository-password", Recipe::generate(32))]),
            )?,
            scope.remade_secret(CREDENTIALS, app, &self.credentials)?,
        ];
        if self.own {
            secrets.push(foundation::certificate_of_authority(scope, AUTHORITY, app)?);
        }
        Ok(secrets)
    }

    /// Where else a live location leads than it should: what is kept here is not seen there.
    pub(super) fn strays(&self, live: &Value) -> Option<String> {
        let spec = &live["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let storage = &spec["objectStorage"];
        let there = format!(
            "{}/{}/{}",
            text(&spec["config"]["s3Url"]),
            text(&storage["bucket"]),
            text(&storage["prefix"])
        );
        (there != self.shown()).then(|| {
            format!(
                "backups go to {there}, not to {} as the config says; apply the platform",
                self.shown()
            )
        })
    }

    pub(super) fn location(&self, scope: &Scope<'_>, spec: &BackupSpec) -> Result<Resource> {
        let authority = self.own.then(|| json!({ "name": AUTHORITY, "key": "ca.crt" }));
        let read_first = spec
            .restore_from
            .as_ref()
            .map(|_| (READ_FIRST.to_owned(), "true".to_owned()));
        scope.annotated(
            "BackupStorageLocation.velero.io",
            LOCATION,
            LOCATION,
            read_first.into_iter().collect(),
            json!({ "spec": {
                "provider": "velero.io/aws",
                "default": true,
                "accessMode": "ReadWrite",
                "validationFrequency": "1m0s",
                "credential": { "name": CREDENTIALS, "key": "cloud" },
                "objectStorage": { "bucket": self.bucket, "prefix": self.prefix, "caCertRef": authority },
                "config": {
                    "region": self.region,
                    "s3Url": self.endpoint,
                    // Other S3 servers than AWS know neither bucket names in host names nor its newest checksums.
                    "s3ForcePathStyle": "true",
                    "checksumAlgorithm": "",
                },
            }}),
        )
    }
}

/// The port of an endpoint.
pub(super) fn port_of(endpoint: &str) -> u16 {
    let host = endpoint.split("//").nth(1).unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    host.rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(443)
}

/// What a backup of the platform holds.
pub(super) fn template(scope: &Scope<'_>, spec: &BackupSpec) -> Result<Value> {
    Ok(json!({
        "storageLocation": LOCATION,
        "includedNamespaces": some_namespaces(scope.context(), spec)?,
        // Only the volumes that a pod's annotation names are copied, by the node agent.
        "defaultVolumesToFsBackup": false,
        "snapshotVolumes": false,
        "itemOperationTimeout": "4h0m0s",
        "ttl": ttl(spec.retention),
    }))
}

/// [`namespaces`], at least one (to Velero, none means all of the cluster), and the one with the authority that signed
/// what servers show: without it clients of a restored one would trust another.
pub(super) fn some_namespaces(context: &Context, spec: &BackupSpec) -> Result<BTreeSet<String>> {
    let mut namespaces = namespaces(context, spec);
    if namespaces.is_empty() {
        return Err(
            Error::new(ErrorKind::Invalid, "nothing in the scope of the backups keeps data")
                .with_help("add a database, a storage or a cache with persistence to it, or ask for no backups"),
        );
    }
    namespaces.insert(namespace_of(context, Capability::Security.as_str())?);
    Ok(namespaces)
}

/// Where the data lies, by what the capabilities show.
pub(super) fn namespaces(context: &Context, spec: &BackupSpec) -> BTreeSet<String> {
    spec.scope
        .iter()
        .filter_map(|capability| context.surfaces.get(*capability))
        .flat_map(|surface| &surface.data)
        .filter_map(|asset| asset.id.name().namespace().map(str::to_owned))
        .collect()
}

/// A span as Velero's API prints it.
fn ttl(retention: Span) -> String {
    let seconds = retention.as_seconds();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub(super) fn schedule_id(scope: &Scope<'_>) -> Result<ResourceId> {
    scope.id("Schedule.velero.io", &scope.context().name)
}

pub(super) fn schedule(scope: &Scope<'_>, spec: &BackupSpec) -> Result<Resource> {
    let name = scope.context().name.clone();
    let mut template = template(scope, spec)?;
    // Without labels here, Velero gives every backup those of the Schedule: it would look like a member of the set,
    // and the next plan would take it for one that nobody wants any more.
    template["metadata"] = json!({ "labels": labels(scope.context(), Capability::Backup.as_str(), "backup") });
    let hours = (spec.retention.as_seconds() / 3600).to_string();
    let mut schedule = scope.annotated(
        "Schedule.velero.io",
        &name,
        "schedule",
        BTreeMap::from([(format!("{DOMAIN}/retention-hours"), hours)]),
        json!({ "spec": {
            "schedule": spec.schedule,
            // The removal of the schedule must not take its backups along.
            "useOwnerReferencesInBackup": false,
            "template": template,
        }}),
    )?;
    schedule.id = schedule_id(scope)?;
    Ok(schedule)
}
