//! An S3 server in a pod, and a Job that makes the buckets.

mod setup;

use super::stateful::{Server, certificate, claim, selector};
use crate::flavour::{CERTIFICATES, CREDENTIALS, DATA, S3Server};
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, scratch_volume, secret_volume};
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{Recipe, Size};
use platform_core::{
    AlarmSubject, Blueprint, Call, Capability, Context, Credentials, DataAsset, Endpoint, Error, ErrorKind, Holds,
    Resource, Result, Scrape, Storage, StorageFeatures, StorageOutputs, StorageSpec, Surface, Workload,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NAME: &str = "minio";
const PORT: u16 = 9000;
const CONSOLE: u16 = 9001;
const SETUP: &str = "bucket-setup";
const BUCKETS: &str = "/etc/store/buckets";

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
        check(spec)?;
        let server = self.0.options.s3.server();
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        let endpoint = |port_name: &str, port| Endpoint {
            name: port_name.to_owned(),
            host: format!("{name}.{}.svc", scope.namespace()),
            port,
            tls: true,
            workload: Some(name.clone()),
        };
        let mut ports = BTreeMap::from([("s3".to_owned(), server.s3_port)]);
        let mut endpoints = vec![endpoint("s3", PORT)];
        if let Some(port) = server.console_port {
            ports.insert("console".to_owned(), port);
            endpoints.push(endpoint("console", CONSOLE));
        }
        let mut workloads = vec![Workload {
            name: name.clone(),
            namespace: scope.namespace().to_owned(),
            labels: selector(&name),
            ports,
            calls: Vec::new(),
        }];
        if has_setup(spec, &server) {
            workloads.push(Workload {
                name: SETUP.to_owned(),
                namespace: scope.namespace().to_owned(),
                labels: selector(SETUP),
                ports: BTreeMap::new(),
                calls: vec![
                    Call::Workload {
                        name: name.clone(),
                        port: "s3".to_owned(),
                    },
                    Call::Dns,
                ],
            });
        }
        Ok(Surface {
            endpoints,
            workloads,
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
        })
    }

    fn blueprint(&self, spec: &StorageSpec, context: &Context) -> Result<Blueprint<StorageOutputs>> {
        let surface = self.surface(spec, context)?;
        let s3 = self.0.options.s3.server();
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        let keys = Keys::new(&name, &s3);
        let mut serves = BTreeMap::from([(PORT, "s3")]);
        if s3.console_port.is_some() {
            serves.insert(CONSOLE, "console");
        }
        let certificates: Vec<(&str, &str)> = s3
            .certificates
            .iter()
            .map(|(path, key)| (key.as_str(), path.as_str()))
            .collect();
        let mut volumes = vec![
            secret_volume("credentials", &keys.server, &[]),
            secret_volume("tls", &format!("{name}-tls"), &certificates),
            scratch_volume("tmp", Size::mib(256), false),
        ];
        volumes.extend(
            (0..s3.scratch.len()).map(|index| scratch_volume(&format!("scratch-{index}"), Size::mib(256), false)),
        );
        let mut secrets = vec![server_secret(&scope, &name, &keys.server, &s3)?];
        if let Some(application) = &keys.application {
            secrets.push(scope.kept_secret(application, &name, &key_pair(APPLICATION))?);
        }
        secrets.push(certificate(&scope, &name)?);
        let jobs = if has_setup(spec, &s3) {
            vec![setup::job(&self.0.options.images, &scope, &name, &keys, &spec.buckets)?]
        } else {
            Vec::new()
        };
        let resources = Server {
            scope: &scope,
            shared: &self.0,
            capability: Capability::Storage,
            name: &name,
            serves,
            volume: Some(spec.capacity),
            storage_class: self.0.storage_class(spec.storage_class.as_ref()),
            holds: Holds::Durable,
            format: self.0.options.s3.catalogue_name().unwrap_or("described").to_owned(),
            config: BTreeMap::from([(
                "server",
                self.0.options.s3.catalogue_name().unwrap_or("described").to_owned(),
            )]),
            grace: 60,
            containers: vec![self.server(spec, &s3)?],
            volumes,
            secrets,
            jobs,
        }
        .into_resources(surface)?;
        let host = format!("{name}.{}.svc", scope.namespace());
        let (credentials, username) = match &keys.application {
            Some(application) => (application, APPLICATION),
            None => (&keys.server, ROOT),
        };
        Blueprint::new(
            resources,
            &StorageOutputs {
                endpoint: format!("https://{host}:{PORT}"),
                console: s3.console_port.map(|_| format!("https://{host}:{CONSOLE}")),
                buckets: spec.buckets.iter().map(|bucket| bucket.name.clone()).collect(),
                credentials: Some(Credentials {
                    location: scope.id("Secret", credentials)?.label(),
                    username: username.to_owned(),
                    password_key: "secret-key".to_owned(),
                    ca: foundation::ca_location(self.0.place(), context)?,
                }),
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// Access key of the server itself, which may do everything: a name, no secret.
const ROOT: &str = "platform";
/// Access key of the applications.
const APPLICATION: &str = "app";

/// The Secrets with the keys of a store.
struct Keys {
    /// The server's own, for the server and the set-up Job.
    server: String,
    /// The applications', where the server knows users.
    application: Option<String>,
}

impl Keys {
    fn new(name: &str, s3: &S3Server) -> Self {
        Self {
            server: format!("{name}-internal"),
            application: s3.users.then(|| format!("{name}-credentials")),
        }
    }
}

/// Whether something is left to do once the server runs.
fn has_setup(spec: &StorageSpec, s3: &S3Server) -> bool {
    s3.users || !spec.buckets.is_empty()
}

impl KubernetesStorage {
    fn scope<'a>(&'a self, context: &'a Context) -> Result<Scope<'a>> {
        Scope::new(self.0.place(), context, Capability::Storage)
    }

    fn server(&self, spec: &StorageSpec, s3: &S3Server) -> Result<Container> {
        let images = &self.0.options.images;
        let image = match (&s3.image, self.0.options.s3.catalogue_name()) {
            (Some(image), _) => images.placed(image.clone()),
            (None, Some(name)) => images.image(name, None)?,
            (None, None) => return Err(Error::new(ErrorKind::Invalid, "the S3 server names no image")),
        };
        let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "s3", "scheme": "HTTPS" } });
        let mut ports = BTreeMap::from([("s3".to_owned(), s3.s3_port)]);
        ports.extend(s3.console_port.map(|port| ("console".to_owned(), port)));
        let mut container = Container::new("s3", image, Resources::server(1000, spec.memory))
            .args(s3.args.clone())
            .env(&s3.env)
            .ports(&ports)
            .probes(&probe(&s3.ready), &probe(&s3.live), 600)
            .mount("data", DATA)
            .mount("tmp", "/tmp")
            .mount_read_only("credentials", CREDENTIALS)
            .mount_read_only("tls", CERTIFICATES);
        for (index, path) in s3.scratch.iter().enumerate() {
            container = container.mount(&format!("scratch-{index}"), path);
        }
        Ok(container)
    }
}

fn key_pair(access_key: &str) -> BTreeMap<&'static str, Recipe> {
    BTreeMap::from([
        (
            "access-key",
            Recipe::Literal {
                value: access_key.to_owned(),
            },
        ),
        ("secret-key", Recipe::Generate { length: 40 }),
    ])
}

fn server_secret(scope: &Scope<'_>, name: &str, secret: &str, s3: &S3Server) -> Result<Resource> {
    let mut recipes = key_pair(ROOT);
    if let Some(prefix) = &s3.encryption_key_prefix {
        // Losing it loses every object.
        recipes.insert(
            "encryption-key",
            Recipe::GenerateBytes {
                bytes: 32,
                prefix: prefix.clone(),
            },
        );
    }
    scope.kept_secret(secret, name, &recipes)
}

fn check(spec: &StorageSpec) -> Result<()> {
    let invalid = |what: String, help: &str| Err(Error::new(ErrorKind::Invalid, what).with_help(help.to_owned()));
    let mut names = BTreeSet::new();
    for bucket in &spec.buckets {
        let name = bucket.name.as_str();
        if !is_bucket_name(name) {
            return invalid(
                format!("{name:?} is no bucket name"),
                "write 3 to 63 lower-case letters, digits, dots and hyphens that begin and end with a letter or digit",
            );
        }
        if !names.insert(name) {
            return invalid(format!("bucket {name} is named twice"), "name it once");
        }
        if bucket.expire_noncurrent.is_some() && !bucket.versioning {
            return invalid(
                format!("bucket {name} keeps no versions that could expire"),
                "switch versioning on, or leave expire_noncurrent out",
            );
        }
    }
    if spec.memory < Size::mib(256) {
        return invalid(
            "an S3 server needs at least 256Mi of memory".to_owned(),
            "raise its memory",
        );
    }
    Ok(())
}

/// The rules of S3; they also make a name safe in a path and in a script.
fn is_bucket_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| inner(b) || matches!(b, b'.' | b'-'))
        && name
            .split('.')
            .all(|part| part.bytes().next().is_some_and(inner) && part.bytes().last().is_some_and(inner))
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

fn subject(what: &str, limit: Option<u64>, name: &str) -> AlarmSubject {
    AlarmSubject {
        what: what.to_owned(),
        capability: Capability::Storage,
        limit,
        subject: name.to_owned(),
    }
}
