//! The platform's objects: an S3 server in a pod.

use super::object_store::{self, CONSOLE, ObjectStore, PORT};
use super::stateful::claim;
use crate::backups;
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::{
    AlarmSubject, Blueprint, Capability, ClientSecret, Context, Credentials, DataAsset, Endpoint, Error, ErrorKind,
    Holds, Result, Scrape, Storage, StorageFeatures, StorageOutputs, StorageSpec, Surface,
};
use std::sync::Arc;

const NAME: &str = "minio";
const SETUP: &str = "bucket-setup";

/// An S3 server in a pod.
#[derive(Debug)]
pub(crate) struct KubernetesStorage(pub(crate) Arc<Shared>);

#[async_trait]
impl Storage for KubernetesStorage {
    fn features(&self) -> StorageFeatures {
        let mut features = StorageFeatures::default();
        features.versioning = true;
        features.expiry = true;
        features
    }

    fn surface(&self, spec: &StorageSpec, context: &Context) -> Result<Surface> {
        object_store::check(spec)?;
        let server = self.0.options.s3.server();
        if context.security.revisions.storage > 1 && !server.users {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this S3 server knows no users, so applications have its own key, which cannot be rotated",
            )
            .with_help("leave security.revisions.storage at 1, or use the flavour minio"));
        }
        let scope = Scope::new(self.0.place(), context, Capability::Storage)?;
        let name = scope.name(NAME)?;
        let endpoint = |port_name: &str, port| Endpoint {
            name: port_name.to_owned(),
            host: format!("{name}.{}.svc", scope.namespace()),
            port,
            tls: true,
            workload: Some(name.clone()),
        };
        let mut endpoints = vec![endpoint("s3", PORT)];
        if server.console_port.is_some() {
            endpoints.push(endpoint("console", CONSOLE));
        }
        let annotations = backups::none();
        let store = self.store(spec, &scope, &name, &annotations);
        Ok(Surface {
            endpoints,
            client: Some(ClientSecret {
                secret: scope.id("Secret", &store.client_key().0)?,
                keys: ["access-key", "secret-key"].map(str::to_owned).into(),
                revision: context.security.revisions.storage,
            }),
            workloads: store.workloads(),
            scrapes: server
                .metrics
                .iter()
                .map(|path| Scrape {
                    job: name.clone(),
                    workload: name.clone(),
                    port: "s3".to_owned(),
                    path: path.clone(),
                    tls: true,
                })
                .collect(),
            data: vec![DataAsset {
                id: scope.id("PersistentVolumeClaim", &claim(&name))?,
                holds: Holds::Durable,
                workload: Some(name.clone()),
            }],
            subjects: vec![
                subject("utilisation", Some(spec.capacity.bytes()), &name),
                subject("errors", None, &name),
            ],
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &StorageSpec, context: &Context) -> Result<Blueprint<StorageOutputs>> {
        let surface = self.surface(spec, context)?;
        let s3 = self.0.options.s3.server();
        let scope = Scope::new(self.0.place(), context, Capability::Storage)?;
        let name = scope.name(NAME)?;
        // Objects are files that never change once they are written, so the volume itself is copied.
        let annotations = if backups::wanted(context, Capability::Storage) {
            backups::volume("data")
        } else {
            backups::none()
        };
        let store = self.store(spec, &scope, &name, &annotations);
        let (credentials, username) = store.client_key();
        Blueprint::new(
            store.resources(surface)?,
            &StorageOutputs {
                endpoint: store.endpoint(),
                console: s3.console_port.map(|_| format!("https://{}:{CONSOLE}", store.host())),
                buckets: spec.buckets.iter().map(|bucket| bucket.name.clone()).collect(),
                credentials: Some(Credentials {
                    location: scope.id("Secret", &credentials)?.label(),
                    username,
                    password_key: "secret-key".to_owned(),
                    ca: Some(foundation::ca_location(self.0.place(), context)?),
                }),
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

impl KubernetesStorage {
    fn store<'a>(
        &'a self,
        spec: &'a StorageSpec,
        scope: &'a Scope<'a>,
        name: &'a str,
        pod_annotations: &'a std::collections::BTreeMap<String, String>,
    ) -> ObjectStore<'a> {
        ObjectStore {
            scope,
            shared: &self.0,
            capability: Capability::Storage,
            name,
            setup: SETUP,
            spec,
            revision: scope.context().security.revisions.storage,
            pod_annotations,
        }
    }
}

fn subject(what: &str, limit: Option<u64>, name: &str) -> AlarmSubject {
    AlarmSubject {
        what: what.to_owned(),
        capability: Capability::Storage,
        limit,
        subject: name.to_owned(),
    }
}
