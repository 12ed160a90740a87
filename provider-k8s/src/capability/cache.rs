//! Valkey or Redis in a pod: TLS only, users by ACL, an append-only file on a volume if data is to survive a restart.

use super::login::{Login, NEXT, accepted, credentials, internal};
use super::stateful::{Job, Server, certificate_for, claim, dns_names, pod, read_name, selector};
use crate::backups;
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume};
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{Recipe, Size};
use platform_core::{
    AlarmSubject, Blueprint, Cache, CacheEngine, CacheFeatures, CacheOutputs, CacheSpec, Call, Capability,
    ClientSecret, Context, Credentials, DataAsset, Endpoint, Error, ErrorKind, Holds, Resource, Result, Scrape,
    Surface, Workload,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "redis";
const PORT: u16 = 6379;
const METRICS: u16 = 9121;
/// Ordinals stay digits, by which the scripts tell replicas.
const MAX_REPLICAS: u32 = 5;
const APP: &str = "app";
const CONFIG: &str = "/etc/redis/conf";
const SECRETS: &str = "/etc/redis/secret";
const TLS: &str = "/etc/redis/tls";

/// Users as the server reads them: hashes only. `app` may use every key and command that cannot harm other
/// users or the server; `probe` may ask whether it lives; `exporter` may read figures; `replica` may follow, `reload`
/// may have the users read again. They are there before the first replica or rotation is, which needs no restart then.
const USERS: &str = "\
user default off
user app on #{sha256:app-password} ~* &* +@all -@admin -@dangerous +info +client -client|kill -client|pause -client|unpause -client|no-evict
user probe on #{sha256:probe-password} resetkeys resetchannels -@all +ping +role
user exporter on #{sha256:exporter-password} resetkeys resetchannels -@all +ping +info +config|get +client +slowlog +latency +memory +select +cluster|info +dbsize
user replica on #{sha256:replica-password} resetkeys resetchannels -@all +ping +psync +replconf
user reload on #{sha256:reload-password} resetkeys resetchannels -@all +ping +acl|load
";

/// Passwords of those inside, and beside each the next one of a rotation. Those who log in go on with the one before: the
/// servers accept it whether they have read their users again or not.
const INSIDE: [(&str, &str); 5] = [
    // Also without backups: taken away with them, it would pass for the loss of a password that opens data.
    ("backup-password", "backup-next"),
    ("exporter-password", "exporter-next"),
    ("probe-password", "probe-next"),
    ("reload-password", "reload-next"),
    ("replica-password", "replica-next"),
];

/// What a rotation has to do besides: tell replicas, which took their password when they started, another one.
const TELLS_REPLICAS: (&str, &str) = ("+acl|load", "+acl|load +config|set");

/// The Job that makes the servers accept another password.
const USERS_JOB: &str = "cache-users";

/// Who makes snapshots for backups.
const BACKUP_USER: &str = "\
user backup on #{sha256:backup-password} resetkeys resetchannels -@all +ping +bgsave +lastsave +info
";

/// Valkey or Redis in a pod.
#[derive(Debug)]
pub(crate) struct KubernetesCache(pub(crate) Arc<Shared>);

#[async_trait]
impl Cache for KubernetesCache {
    fn features(&self) -> CacheFeatures {
        let mut features = CacheFeatures::default();
        features.engines = vec![CacheEngine::Valkey, CacheEngine::Redis];
        features.max_replicas = MAX_REPLICAS;
        features
    }

    fn surface(&self, spec: &CacheSpec, context: &Context) -> Result<Surface> {
        self.check(spec)?;
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        let workload = |own: &str, ports, calls| Workload {
            name: own.to_owned(),
            namespace: scope.namespace().to_owned(),
            labels: selector(own),
            ports,
            calls,
        };
        let to_server = vec![
            Call::Dns,
            Call::Workload {
                name: name.clone(),
                port: "redis".to_owned(),
            },
        ];
        let ports = BTreeMap::from([("redis".to_owned(), PORT), ("metrics".to_owned(), METRICS)]);
        let follows = if spec.replicas > 0 {
            to_server.clone()
        } else {
            Vec::new()
        };
        // The Job is let in before the first rotation needs it: a way that opens later is one more to approve.
        let workloads = vec![
            workload(&name, ports, follows),
            workload(USERS_JOB, BTreeMap::new(), to_server),
        ];
        Ok(Surface {
            endpoints: vec![Endpoint {
                name: "redis".to_owned(),
                host: format!("{name}.{}.svc", scope.namespace()),
                port: PORT,
                tls: true,
                workload: Some(name.clone()),
            }],
            client: Some(ClientSecret {
                secret: scope.id("Secret", &credentials(&name))?,
                keys: ["username", "password"].map(str::to_owned).into(),
                revision: context.security.revisions.cache,
            }),
            workloads,
            scrapes: vec![Scrape {
                job: name.clone(),
                workload: name.clone(),
                port: "metrics".to_owned(),
                path: "/metrics".to_owned(),
                tls: false,
            }],
            data: if spec.persistence {
                vec![DataAsset {
                    id: scope.id("PersistentVolumeClaim", &claim(&name))?,
                    holds: Holds::Rebuildable,
                    workload: Some(name.clone()),
                }]
            } else {
                Vec::new()
            },
            subjects: subjects(spec, &name),
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &CacheSpec, context: &Context) -> Result<Blueprint<CacheOutputs>> {
        let surface = self.surface(spec, context)?;
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        let internal = internal(&name);
        let config = format!("{name}-config");
        // A cache that keeps nothing has nothing to copy.
        let copied = spec.persistence && backups::wanted(context, Capability::Cache);
        let mut config_files = BTreeMap::from([
            ("redis.conf", redis_conf(spec)),
            ("start.sh", include_str!("cache/start.sh").to_owned()),
            ("probe.sh", include_str!("cache/probe.sh").to_owned()),
        ]);
        let mut keys = vec![
            ("users.acl", "users.acl"),
            ("probe-password", "probe-password"),
            ("replica-password", "replica-password"),
        ];
        let mut server = self.server(spec, &pod(&scope, &name, 0))?;
        if copied {
            config_files.insert("backup.sh", include_str!("cache/backup.sh").to_owned());
            keys.push(("backup-password", "backup-password"));
            server = server.mount(backups::COPY, backups::COPY_PATH);
        }
        let mut volumes = vec![
            config_volume("config", &config, &[]),
            secret_volume("users", &internal, &keys),
            secret_volume("exporter", &internal, &[("exporter.json", "exporter.json")]),
            secret_volume("tls", &format!("{name}-tls"), &[]),
            secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
            scratch_volume("tmp", Size::mib(64), false),
        ];
        if copied {
            // A snapshot is smaller than the memory it is of.
            volumes.push(scratch_volume(backups::COPY, spec.memory, false));
        }
        let login = login(&scope, &name);
        let jobs = if login.is_first() {
            Vec::new()
        } else {
            vec![self.users(&scope, &name, spec, &login)?]
        };
        let mut resources = Server {
            scope: &scope,
            shared: &self.0,
            capability: Capability::Cache,
            name: &name,
            serves: BTreeMap::from([(PORT, "redis")]),
            followers: Some(spec.replicas),
            volume: spec.persistence.then_some(spec.storage),
            storage_class: self.0.storage_class(spec.storage_class.as_ref()),
            holds: Holds::Rebuildable,
            // Either server starts on the volume of the other, in a folder of its own: see start.sh.
            format: "cache".to_owned(),
            config: config_files,
            // It saves before it leaves.
            grace: 60,
            containers: vec![server, self.exporter()?],
            volumes,
            pod_annotations: if copied {
                backups::copied_by("redis", "/etc/redis/conf/backup.sh")
            } else {
                backups::none()
            },
            secrets: secrets(&scope, &name, &login, &internal, copied)?,
            jobs,
        }
        .into_resources(surface)?;
        login.promote(USERS_JOB, &mut resources)?;
        Blueprint::new(
            resources,
            &CacheOutputs {
                host: format!("{name}.{}.svc", scope.namespace()),
                read_host: (spec.replicas > 0).then(|| format!("{}.{}.svc", read_name(&name), scope.namespace())),
                port: PORT,
                credentials: Credentials {
                    location: scope.id("Secret", &login.credentials())?.label(),
                    username: APP.to_owned(),
                    password_key: "password".to_owned(),
                    ca: Some(foundation::ca_location(self.0.place(), context)?),
                },
            },
        )
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

impl KubernetesCache {
    fn scope<'a>(&'a self, context: &'a Context) -> Result<Scope<'a>> {
        Scope::new(self.0.place(), context, Capability::Cache)
    }

    fn check(&self, spec: &CacheSpec) -> Result<()> {
        let wrong = |kind, what: &str, help: &str| Err(Error::new(kind, what).with_help(help));
        if spec.replicas > MAX_REPLICAS {
            return wrong(
                ErrorKind::Invalid,
                "a cache has at most 5 read replicas",
                "lower its replicas",
            );
        }
        if spec.node_type.is_some() {
            return wrong(
                ErrorKind::Unsupported,
                "a node type cannot be had for a cache in a pod",
                "leave it out, or place the cache on AWS",
            );
        }
        if spec.memory < Size::mib(32) {
            return wrong(
                ErrorKind::Invalid,
                "a cache needs at least 32Mi of memory",
                "raise its memory",
            );
        }
        self.0
            .options
            .images
            .image(server_name(spec.engine), spec.version.as_deref())
            .map(|_| ())
    }

    fn server(&self, spec: &CacheSpec, first: &str) -> Result<Container> {
        let name = server_name(spec.engine);
        let client = format!("{name}-cli");
        let server = format!("{name}-server");
        let data = format!("/data/{name}");
        let env = [
            ("BACKUP", backups::COPY_PATH),
            ("CA", "/etc/redis/tls/ca.crt"),
            ("CLIENT", client.as_str()),
            ("CONFIG", "/etc/redis/conf/redis.conf"),
            ("DATA", data.as_str()),
            ("PRIMARY", first),
            ("SCRATCH", "/tmp"),
            ("SECRETS", SECRETS),
            ("SERVER", server.as_str()),
        ];
        let probe = json!({ "exec": { "command": ["/bin/sh", "/etc/redis/conf/probe.sh"] } });
        let image = self.0.options.images.image(name, spec.version.as_deref())?;
        Ok(Container::new("redis", image, Resources::server(500, spec.memory))
            // Past the image's entrypoint, which would want to be root.
            .command(["/bin/sh", "/etc/redis/conf/start.sh"])
            .env(env)
            .ports(&BTreeMap::from([("redis".to_owned(), PORT)]))
            .probes(&probe, &probe, 600)
            .mount("data", "/data")
            .mount("tmp", "/tmp")
            .mount_read_only("config", CONFIG)
            .mount_read_only("users", SECRETS)
            .mount_read_only("tls", TLS))
    }

    /// The Job that has every server read its users again.
    fn users(&self, scope: &Scope<'_>, name: &str, spec: &CacheSpec, login: &Login<'_>) -> Result<Job> {
        let client = format!("{}-cli", server_name(spec.engine));
        let hosts: Vec<String> = (0..=spec.replicas).map(|ordinal| pod(scope, name, ordinal)).collect();
        let hosts = hosts.join(" ");
        // Another number is another Job.
        let revision = login.revision.to_string();
        let env = [
            ("CA", "/etc/redis/tls/ca.crt"),
            ("CLIENT", client.as_str()),
            ("HOSTS", hosts.as_str()),
            ("REVISION", revision.as_str()),
            ("SECRETS", SECRETS),
        ];
        let scripts = scope.object(
            "ConfigMap",
            USERS_JOB,
            USERS_JOB,
            json!({ "data": { "users.sh": include_str!("cache/users.sh") } }),
        )?;
        let passwords = [
            ("reload-password", "reload-password"),
            ("replica-password", "replica-password"),
            (NEXT, "app-password"),
        ];
        let image = self
            .0
            .options
            .images
            .image(server_name(spec.engine), spec.version.as_deref())?;
        Ok(Job {
            name: USERS_JOB,
            containers: vec![
                Container::new("users", image, Resources::small())
                    .command(["/bin/sh", "/etc/redis/scripts/users.sh"])
                    .env(env)
                    .mount_read_only("scripts", "/etc/redis/scripts")
                    .mount_read_only("secret", SECRETS)
                    .mount_read_only("ca", TLS),
            ],
            volumes: vec![
                config_volume("scripts", USERS_JOB, &[]),
                secret_volume("secret", &internal(name), &passwords),
                secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
            ],
            inputs: vec![scripts],
        })
    }

    fn exporter(&self) -> Result<Container> {
        let get = |path: &str| json!({ "httpGet": { "path": path, "port": "metrics", "scheme": "HTTP" } });
        let image = self.0.options.images.image("redis-exporter", None)?;
        Ok(Container::new("exporter", image, Resources::small())
            .args([
                "--redis.addr=rediss://localhost:6379",
                "--redis.user=exporter",
                "--redis.password-file=/etc/redis/secret/exporter.json",
                "--tls-ca-cert-file=/etc/redis/tls/ca.crt",
            ])
            .ports(&BTreeMap::from([("metrics".to_owned(), METRICS)]))
            // It reads its password when it starts, and whenever it is asked to.
            .probes(&get("/health"), &get("/-/reload"), 60)
            .mount_read_only("exporter", SECRETS)
            .mount_read_only("ca", TLS))
    }
}

fn subjects(spec: &CacheSpec, name: &str) -> Vec<AlarmSubject> {
    let subject = |what: &str, limit: u64| AlarmSubject {
        what: what.to_owned(),
        capability: Capability::Cache,
        limit: Some(limit),
        subject: name.to_owned(),
    };
    let replicas = (spec.replicas > 0).then(|| subject("replicas", u64::from(spec.replicas)));
    [subject("utilisation", max_memory(spec))]
        .into_iter()
        .chain(replicas)
        .collect()
}

fn login<'a>(scope: &'a Scope<'a>, name: &'a str) -> Login<'a> {
    Login {
        scope,
        name,
        revision: scope.context().security.revisions.cache,
        constants: BTreeMap::from([("username", APP.to_owned())]),
        key: "password",
        length: 32,
        inside: &INSIDE,
        users: BTreeMap::new(),
    }
}

fn secrets(scope: &Scope<'_>, name: &str, login: &Login<'_>, internal: &str, copied: bool) -> Result<Vec<Resource>> {
    let derive = |template: &str| Recipe::Derive {
        template: template.to_owned(),
    };
    let mut users = USERS.to_owned();
    if copied {
        users.push_str(BACKUP_USER);
    }
    if !login.is_first() {
        for (before, next) in INSIDE.into_iter().chain([("app-password", NEXT)]) {
            let before = format!("#{{sha256:{before}}}");
            users = users.replace(&before, &format!("{before} #{{sha256:{next}}}"));
        }
        users = users.replace(TELLS_REPLICAS.0, TELLS_REPLICAS.1);
    }
    let before = |secret: &str, key: &str, length| -> Result<Recipe> {
        Ok(Recipe::Before {
            from: scope.id("Secret", secret)?.to_string(),
            key: key.to_owned(),
            revision: login.revision,
            length,
        })
    };
    let app = if login.is_first() {
        Recipe::Copy {
            from: scope.id("Secret", &login.credentials())?.to_string(),
            key: login.key.to_owned(),
            revision: 1,
        }
    } else {
        before(&login.credentials(), login.key, None)?
    };
    let mut own = BTreeMap::from([
        ("app-password", app),
        ("users.acl", derive(&users)),
        (
            "exporter.json",
            derive(r#"{"rediss://exporter@localhost:6379":"{exporter-password}"}"#),
        ),
    ]);
    for (key, _) in INSIDE {
        let recipe = if login.is_first() {
            Recipe::generate(login.length)
        } else {
            before(&accepted(name), key, Some(login.length))?
        };
        own.insert(key, recipe);
    }
    login.persist(&mut own);
    let mut dns = dns_names(scope, name);
    let read = read_name(name);
    let namespace = scope.namespace();
    dns.extend([format!("{read}.{namespace}"), format!("{read}.{namespace}.svc"), read]);
    let mut secrets = Vec::from_iter(login.first()?);
    secrets.extend([
        scope.kept_secret(internal, name, &own)?,
        certificate_for(scope, name, dns)?,
    ]);
    Ok(secrets)
}

/// The catalogue's name, and the start of the binaries' names.
fn server_name(engine: CacheEngine) -> &'static str {
    match engine {
        CacheEngine::Valkey => "valkey",
        CacheEngine::Redis => "redis",
    }
}

/// Three quarters of the pod's memory, in bytes: the rest is for connections and for rewriting the file.
fn max_memory(spec: &CacheSpec) -> u64 {
    spec.memory.bytes() / 4 * 3
}

fn redis_conf(spec: &CacheSpec) -> String {
    let persistence = if spec.persistence {
        "appendonly yes\nappendfsync everysec\nsave 900 1 300 10\nshutdown-on-sigterm save"
    } else {
        "appendonly no\nsave \"\"\nshutdown-on-sigterm nosave"
    };
    format!(
        "\
bind * -::*
port 0
tls-port 6379
tls-cert-file /etc/redis/tls/tls.crt
tls-key-file /etc/redis/tls/tls.key
tls-ca-cert-file /etc/redis/tls/ca.crt
tls-auth-clients no
tls-replication yes
tls-protocols \"TLSv1.2 TLSv1.3\"
protected-mode yes
aclfile /etc/redis/secret/users.acl
dir /data/{folder}
maxmemory {maxmemory}
maxmemory-policy volatile-lru
tcp-keepalive 60
{persistence}
",
        folder = server_name(spec.engine),
        maxmemory = max_memory(spec),
    )
}
