//! An S3 server in a pod and a Job that sets it up: for the platform's objects, and for its backups.

mod setup;

use super::login::{Login, internal, login_revision};
use super::stateful::{Server, certificate, selector};
use crate::flavour::{CERTIFICATES, CREDENTIALS, DATA, S3Server};
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, scratch_volume, secret_volume};
use platform_core::value::{Recipe, Size};
use platform_core::{Call, Capability, Error, ErrorKind, Holds, Resource, Result, StorageSpec, Surface, Workload};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Port of the S3 API that clients use.
pub(crate) const PORT: u16 = 9000;
/// Port of the console that clients use.
pub(crate) const CONSOLE: u16 = 9001;
const BUCKETS: &str = "/etc/store/buckets";
/// Access key of the server itself, which may do everything: a name, no secret.
pub(crate) const ROOT: &str = "platform";
/// Access key of the applications.
const APPLICATION: &str = "app";
/// Characters of a secret key.
const KEY_LENGTH: u32 = 40;

/// The Secrets with the keys of a store.
struct Keys<'a> {
    /// The server's own, for the server and the set-up Job.
    server: String,
    /// The applications', where the server knows users.
    application: Option<Login<'a>>,
}

/// Whether something is left to do once the server runs.
fn has_setup(spec: &StorageSpec, s3: &S3Server) -> bool {
    s3.users || !spec.buckets.is_empty()
}

/// One S3 server with its buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectStore<'a> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) shared: &'a Shared,
    pub(crate) capability: Capability,
    /// Name of the server and of its Service.
    pub(crate) name: &'a str,
    /// Name of the Job that sets it up.
    pub(crate) setup: &'static str,
    pub(crate) spec: &'a StorageSpec,
    /// Of the keys of its clients and of its own.
    pub(crate) revision: u32,
    /// What backups have to know of its pods.
    pub(crate) pod_annotations: &'a BTreeMap<String, String>,
}

impl ObjectStore<'_> {
    pub(crate) fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.scope.namespace())
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://{}:{PORT}", self.host())
    }

    /// The Secret with the key of its clients, and that access key: the server's own where it knows no users.
    pub(crate) fn client_key(&self) -> (String, String) {
        let keys = self.keys(&self.shared.options.s3.server());
        match keys.application {
            Some(login) => (login.credentials(), self.access_key()),
            None => (keys.server, ROOT.to_owned()),
        }
    }

    /// Access key of the applications.
    fn access_key(&self) -> String {
        match self.revision {
            0 | 1 => APPLICATION.to_owned(),
            later => format!("{APPLICATION}-r{later}"),
        }
    }

    fn keys(&self, s3: &S3Server) -> Keys<'_> {
        let login = || Login {
            scope: self.scope,
            name: self.name,
            revision: self.revision,
            constants: BTreeMap::from([("access-key", self.access_key())]),
            key: "secret-key",
            length: KEY_LENGTH,
            inside: &[],
            users: BTreeMap::new(),
        };
        Keys {
            server: internal(self.name),
            application: s3.users.then(login),
        }
    }

    /// The server, and the Job if there is something to set up.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let server = self.shared.options.s3.server();
        let mut ports = BTreeMap::from([("s3".to_owned(), server.s3_port)]);
        ports.extend(server.console_port.map(|port| ("console".to_owned(), port)));
        let workload = |name: &str, ports, calls| Workload {
            name: name.to_owned(),
            namespace: self.scope.namespace().to_owned(),
            labels: selector(name),
            ports,
            calls,
        };
        let mut workloads = vec![workload(self.name, ports, Vec::new())];
        if has_setup(self.spec, &server) {
            let server = Call::Workload {
                name: self.name.to_owned(),
                port: "s3".to_owned(),
            };
            workloads.push(workload(self.setup, BTreeMap::new(), vec![server, Call::Dns]));
        }
        workloads
    }

    /// Every object, in an order that a person can read.
    pub(crate) fn resources(&self, surface: Surface) -> Result<Vec<Resource>> {
        let s3 = self.shared.options.s3.server();
        let flavour = self.shared.options.s3.catalogue_name().unwrap_or("described");
        let keys = self.keys(&s3);
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
            secret_volume("tls", &format!("{}-tls", self.name), &certificates),
            scratch_volume("tmp", Size::mib(256), false),
        ];
        volumes.extend(
            (0..s3.scratch.len()).map(|index| scratch_volume(&format!("scratch-{index}"), Size::mib(256), false)),
        );
        let mut secrets = vec![self.server_secret(&keys, &s3)?];
        if let Some(application) = &keys.application {
            secrets.extend(application.first()?);
        }
        secrets.push(certificate(self.scope, self.name)?);
        let jobs = if has_setup(self.spec, &s3) {
            vec![setup::job(self, &keys)?]
        } else {
            Vec::new()
        };
        let mut pod_annotations = self.pod_annotations.clone();
        if self.revision > 1 {
            // It takes its own key when it starts.
            pod_annotations.insert(login_revision(), self.revision.to_string());
        }
        let mut resources = Server {
            scope: self.scope,
            shared: self.shared,
            capability: self.capability,
            name: self.name,
            serves,
            followers: None,
            volume: Some(self.spec.capacity),
            storage_class: self.shared.storage_class(self.spec.storage_class.as_ref()),
            holds: Holds::Durable,
            format: flavour.to_owned(),
            config: BTreeMap::from([("server", flavour.to_owned())]),
            grace: 60,
            containers: vec![self.server(&s3)?],
            volumes,
            pod_annotations,
            secrets,
            jobs,
        }
        .into_resources(surface)?;
        if let Some(application) = &keys.application {
            application.promote(self.setup, &mut resources)?;
        }
        Ok(resources)
    }

    fn server_secret(&self, keys: &Keys<'_>, s3: &S3Server) -> Result<Resource> {
        let key = Recipe::Generate {
            length: KEY_LENGTH,
            revision: self.revision.max(1),
            promoted: None,
        };
        let root = Recipe::Literal { value: ROOT.to_owned() };
        let mut recipes = BTreeMap::from([("access-key", root), ("secret-key", key)]);
        if let Some(application) = &keys.application {
            application.persist(&mut recipes);
        }
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
        self.scope.kept_secret(&keys.server, self.name, &recipes)
    }

    fn server(&self, s3: &S3Server) -> Result<Container> {
        let images = &self.shared.options.images;
        let image = match (&s3.image, self.shared.options.s3.catalogue_name()) {
            (Some(image), _) => images.placed(image.clone()),
            (None, Some(name)) => images.image(name, None)?,
            (None, None) => return Err(Error::new(ErrorKind::Invalid, "the S3 server names no image")),
        };
        let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "s3", "scheme": "HTTPS" } });
        let mut ports = BTreeMap::from([("s3".to_owned(), s3.s3_port)]);
        ports.extend(s3.console_port.map(|port| ("console".to_owned(), port)));
        let mut container = Container::new("s3", image, Resources::server(1000, self.spec.memory))
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

pub(crate) fn check(spec: &StorageSpec) -> Result<()> {
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
