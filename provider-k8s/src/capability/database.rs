//! PostgreSQL in a pod: one server, one volume, roles by a Job.

mod settings;

use super::login::{Login, accepted, credentials, internal};
use super::stateful::{Job, Server, certificate, claim, selector};
use crate::backups;
use crate::catalogue;
use crate::foundation;
use crate::kubernetes::Shared;
use crate::object::Scope;
use crate::pod::{Container, Resources, config_volume, scratch_volume, secret_volume};
use async_trait::async_trait;
use platform_core::engine::Engine;
use platform_core::value::{Recipe, Size};
use platform_core::{
    AlarmSubject, Blueprint, Call, Capability, ClientSecret, Context, Credentials, DataAsset, Database,
    DatabaseFeatures, DatabaseOutputs, DatabaseSpec, Endpoint, Error, ErrorKind, Holds, Result, Scrape, Surface,
    Workload,
};
use serde_json::{Value, json};
use settings::{PG_HBA, postgresql_conf};
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "postgres";
const PORT: u16 = 5432;
const METRICS: u16 = 9187;
const ROLES: &str = "database-roles";
/// The application's database and the role that owns it.
const APP: &str = "app";
/// The superuser, for the roles Job and backups only.
const ADMIN: &str = "platform_admin";
const EXPORTER: &str = "postgres_exporter";
/// Their passwords, and those of the roles that a rotation makes in their place.
const INSIDE: [(&str, &str); 2] = [("admin-password", "admin-next"), ("exporter-password", "exporter-next")];
const SECRETS: &str = "/etc/postgres/secret";
const TLS: &str = "/etc/postgres/tls";
const CONFIG: &str = "/etc/postgres/conf";
/// Connections that PostgreSQL and the exporter keep for themselves.
const RESERVED_CONNECTIONS: u32 = 8;

/// Seconds that a start may take: recovery after a crash; or loading a restored copy, which nothing may cut short.
const STARTING: u32 = 600;
const LOADING: u32 = 6 * 3600;

/// PostgreSQL in a pod.
#[derive(Debug)]
pub(crate) struct KubernetesDatabase(pub(crate) Arc<Shared>);

#[async_trait]
impl Database for KubernetesDatabase {
    fn features(&self) -> DatabaseFeatures {
        let mut features = DatabaseFeatures::default();
        features.versions = catalogue::majors(NAME);
        features
    }

    fn surface(&self, spec: &DatabaseSpec, context: &Context) -> Result<Surface> {
        self.check(spec)?;
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        Ok(Surface {
            endpoints: vec![Endpoint {
                name: "postgres".to_owned(),
                host: format!("{name}.{}.svc", scope.namespace()),
                port: PORT,
                tls: true,
                workload: Some(name.clone()),
            }],
            client: Some(ClientSecret {
                secret: scope.id("Secret", &credentials(&name))?,
                keys: ["username", "database", "password"].map(str::to_owned).into(),
                revision: context.security.revisions.database,
            }),
            workloads: vec![
                Workload {
                    name: name.clone(),
                    namespace: scope.namespace().to_owned(),
                    labels: selector(&name),
                    ports: BTreeMap::from([("postgres".to_owned(), PORT), ("metrics".to_owned(), METRICS)]),
                    calls: Vec::new(),
                },
                Workload {
                    name: ROLES.to_owned(),
                    namespace: scope.namespace().to_owned(),
                    labels: selector(ROLES),
                    ports: BTreeMap::new(),
                    calls: vec![
                        Call::Workload {
                            name: name.clone(),
                            port: "postgres".to_owned(),
                        },
                        Call::Dns,
                    ],
                },
            ],
            scrapes: vec![Scrape {
                job: name.clone(),
                workload: name.clone(),
                port: "metrics".to_owned(),
                path: "/metrics".to_owned(),
                tls: false,
            }],
            data: vec![DataAsset {
                id: scope.id("PersistentVolumeClaim", &claim(&name))?,
                holds: Holds::Durable,
                workload: Some(name.clone()),
            }],
            subjects: vec![
                subject("connections", u64::from(spec.max_connections), &name),
                subject("utilisation", spec.storage.bytes(), &name),
            ],
            ..Surface::default()
        })
    }

    fn blueprint(&self, spec: &DatabaseSpec, context: &Context) -> Result<Blueprint<DatabaseOutputs>> {
        let surface = self.surface(spec, context)?;
        let scope = self.scope(context)?;
        let name = scope.name(NAME)?;
        let internal = internal(&name);
        let password = || Recipe::generate(spec.password_length);
        let login = login(&scope, &name, spec);
        let mut own = BTreeMap::from([("admin-password", password()), ("exporter-password", password())]);
        login.persist(&mut own);
        let mut secrets = Vec::from_iter(login.first()?);
        secrets.extend([scope.kept_secret(&internal, &name, &own)?, certificate(&scope, &name)?]);
        let copied = backups::wanted(context, Capability::Database);
        let mut config = BTreeMap::from([
            ("postgresql.conf", postgresql_conf(spec)),
            ("pg_hba.conf", PG_HBA.to_owned()),
            ("start.sh", include_str!("database/start.sh").to_owned()),
            ("exporter.sh", include_str!("database/exporter.sh").to_owned()),
            (
                "99-first-start-done.sh",
                include_str!("database/first-start-done.sh").to_owned(),
            ),
        ]);
        let mut first_start = vec!["99-first-start-done.sh"];
        if copied {
            config.extend([
                ("admin.sh", include_str!("database/admin.sh").to_owned()),
                ("backup.sh", include_str!("database/backup.sh").to_owned()),
                ("backup.sql", include_str!("database/backup.sql").to_owned()),
                ("rows.sql", include_str!("database/rows.sql").to_owned()),
                ("50-restore.sh", include_str!("database/restore.sh").to_owned()),
            ]);
            first_start.insert(0, "50-restore.sh");
        }
        let settings: Vec<&str> = config
            .keys()
            .copied()
            .filter(|key| !first_start.contains(key))
            .collect();
        let mut volumes = vec![
            config_volume("config", &config_name(&name), &settings),
            config_volume("first-start", &config_name(&name), &first_start),
            own_volume("admin", &own_login(&name, "admin")),
            own_volume("exporter", &own_login(&name, "exporter")),
            secret_volume("tls", &format!("{name}-tls"), &[]),
            secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
            scratch_volume("run", Size::mib(16), true),
            scratch_volume("tmp", Size::mib(256), false),
            scratch_volume("shm", Size::mib(256), true),
        ];
        let mut server = self.server(spec, if copied { LOADING } else { STARTING })?;
        if copied {
            // A dump is smaller than the database it is of.
            volumes.push(scratch_volume(backups::COPY, spec.storage, false));
            server = server.mount(backups::COPY, backups::COPY_PATH);
        }
        let mut resources = Server {
            scope: &scope,
            shared: &self.0,
            capability: Capability::Database,
            name: &name,
            serves: BTreeMap::from([(PORT, "postgres")]),
            followers: None,
            volume: Some(spec.storage),
            storage_class: self.0.storage_class(spec.storage_class.as_ref()),
            holds: Holds::Durable,
            format: format!("postgresql-{}", spec.version),
            config,
            // Time to write what is in memory; SIGINT, which the image asks for, ends sessions at once.
            grace: 120,
            containers: vec![server, self.exporter()?],
            volumes,
            pod_annotations: if copied {
                backups::copied_by("postgres", "/etc/postgres/conf/backup.sh")
            } else {
                backups::none()
            },
            secrets,
            jobs: vec![self.roles(&scope, &name, spec, &login)?],
        }
        .into_resources(surface)?;
        login.promote(ROLES, &mut resources)?;
        Blueprint::new(
            resources,
            &DatabaseOutputs {
                host: format!("{name}.{}.svc", scope.namespace()),
                port: PORT,
                database: APP.to_owned(),
                credentials: Credentials {
                    location: scope.id("Secret", &login.credentials())?.label(),
                    username: role(&scope),
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

impl KubernetesDatabase {
    fn scope<'a>(&'a self, context: &'a Context) -> Result<Scope<'a>> {
        Scope::new(self.0.place(), context, Capability::Database)
    }

    /// Refuses what this provider cannot do.
    fn check(&self, spec: &DatabaseSpec) -> Result<()> {
        let unsupported = |what: String, help: String| Err(Error::new(ErrorKind::Unsupported, what).with_help(help));
        let versions = self.features().versions;
        if !versions.contains(&spec.version.as_str()) {
            return unsupported(
                format!("PostgreSQL {} does not run on Kubernetes here", spec.version),
                format!("choose one of {}", versions.join(", ")),
            );
        }
        let on_aws = [
            ("a standby in another zone", spec.multi_az),
            ("deletion protection", spec.deletion_protection),
            ("an instance class", spec.instance_class.is_some()),
            ("a start from a snapshot of RDS", spec.restore_from.is_some()),
        ];
        if let Some((what, _)) = on_aws.iter().find(|(_, wanted)| *wanted) {
            return unsupported(
                format!("{what} cannot be had for PostgreSQL in a pod"),
                "leave it out, or place the database on AWS".to_owned(),
            );
        }
        if spec.max_connections <= RESERVED_CONNECTIONS || spec.max_connections > 10_000 {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("PostgreSQL cannot serve {} connections", spec.max_connections),
            )
            .with_help(format!(
                "write {} to 10000: {RESERVED_CONNECTIONS} are kept for administration and metrics",
                RESERVED_CONNECTIONS + 1
            )));
        }
        if !(12..=128).contains(&spec.password_length) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("a password of {} characters is refused", spec.password_length),
            )
            .with_help("write 12 to 128"));
        }
        if spec.memory < Size::mib(128) || spec.cpu_milli == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "PostgreSQL needs at least 128Mi of memory and some CPU",
            )
            .with_help("raise its memory or CPU"));
        }
        Ok(())
    }

    fn server(&self, spec: &DatabaseSpec, startup_seconds: u32) -> Result<Container> {
        let (volume, data) = paths(&spec.version);
        let env = [
            ("BACKUP", backups::COPY_PATH),
            ("PGDATA", data.as_str()),
            ("PG_MAJOR", &spec.version),
            ("POSTGRES_DB", APP),
            (
                "POSTGRES_INITDB_ARGS",
                "--data-checksums --auth-host=scram-sha-256 --auth-local=scram-sha-256",
            ),
            ("POSTGRES_PASSWORD_FILE", "/etc/postgres/secret/admin-password"),
            ("POSTGRES_USER", ADMIN),
            ("SCRIPTS", CONFIG),
            ("SECRETS", SECRETS),
            ("SOCKETS", "/var/run/postgresql"),
            ("VOLUME", volume),
        ];
        // By TCP: the first start listens on the socket only, and is not ready.
        let ready = json!({ "exec": { "command": [
            "pg_isready", "--quiet", "--host=127.0.0.1", "--port=5432", format!("--username={ADMIN}"), format!("--dbname={APP}"),
        ]}});
        let image = self.0.options.images.image(NAME, Some(&spec.version))?;
        Ok(
            Container::new("postgres", image, Resources::server(spec.cpu_milli, spec.memory))
                .command(["/bin/sh", "/etc/postgres/conf/start.sh"])
                .args(["postgres", "-c", "config_file=/etc/postgres/conf/postgresql.conf"])
                .env(env)
                .ports(&BTreeMap::from([("postgres".to_owned(), PORT)]))
                .probes(&ready, &ready, startup_seconds)
                .mount("data", volume)
                .mount("run", "/var/run/postgresql")
                .mount("tmp", "/tmp")
                .mount("shm", "/dev/shm")
                .mount_read_only("config", CONFIG)
                .mount_read_only("first-start", "/docker-entrypoint-initdb.d")
                .mount_read_only("admin", SECRETS)
                .mount_read_only("tls", TLS),
        )
    }

    fn exporter(&self) -> Result<Container> {
        let env = [
            (
                "DATA_SOURCE_URI",
                "localhost:5432/postgres?sslmode=verify-full&sslrootcert=/etc/postgres/tls/ca.crt",
            ),
            ("FIRST_USER", EXPORTER),
            ("SECRETS", SECRETS),
        ];
        let alive = json!({ "httpGet": { "path": "/", "port": "metrics", "scheme": "HTTP" } });
        let image = self.0.options.images.image("postgres-exporter", None)?;
        Ok(Container::new("exporter", image, Resources::small())
            .command(["/bin/sh", "/etc/postgres/conf/exporter.sh", "/bin/postgres_exporter"])
            .args([
                "--collector.long_running_transactions",
                "--collector.stat_statements",
                "--collector.postmaster",
            ])
            .env(env)
            .ports(&BTreeMap::from([("metrics".to_owned(), METRICS)]))
            .probes(&alive, &alive, 60)
            .mount_read_only("config", CONFIG)
            .mount_read_only("exporter", SECRETS)
            .mount_read_only("ca", TLS))
    }

    fn roles(&self, scope: &Scope<'_>, name: &str, spec: &DatabaseSpec, login: &Login<'_>) -> Result<Job> {
        let host = format!("{name}.{}.svc", scope.namespace());
        let port = PORT.to_string();
        let role = role(scope);
        let (made_in, made_as) = login.source();
        let env = [
            ("LOGIN", role.as_str()),
            ("PGDATABASE", APP),
            ("PGHOST", host.as_str()),
            ("PGPORT", &port),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/etc/postgres/tls/ca.crt"),
            ("PGUSER", ADMIN),
            ("SCRIPTS", "/etc/postgres/scripts"),
            ("SECRETS", SECRETS),
        ];
        let scripts = scope.object(
            "ConfigMap",
            ROLES,
            ROLES,
            json!({ "data": {
                "admin.sh": include_str!("database/admin.sh"),
                "roles.sh": include_str!("database/roles.sh"),
                "roles.sql": include_str!("database/roles.sql"),
            }}),
        )?;
        let mut passwords = own_login(name, "admin").to_vec();
        passwords.extend(own_login(name, "exporter"));
        if !login.is_first() {
            let next = INSIDE.map(|(_, next)| (next, next));
            passwords.push(source(&internal(name), &next));
        }
        passwords.push(source(&made_in, &[(made_as, "app-password")]));
        let image = self.0.options.images.image(NAME, Some(&spec.version))?;
        Ok(Job {
            name: ROLES,
            containers: vec![
                Container::new("roles", image, Resources::small())
                    .command(["/bin/sh", "/etc/postgres/scripts/roles.sh"])
                    .env(env)
                    .mount("tmp", "/tmp")
                    .mount_read_only("scripts", "/etc/postgres/scripts")
                    .mount_read_only("secret", SECRETS)
                    .mount_read_only("ca", TLS),
            ],
            volumes: vec![
                scratch_volume("tmp", Size::mib(16), true),
                config_volume("scripts", ROLES, &[]),
                own_volume("secret", &passwords),
                secret_volume("ca", &format!("{name}-tls"), &[("ca.crt", "ca.crt")]),
            ],
            inputs: vec![scripts],
        })
    }
}

fn config_name(name: &str) -> String {
    format!("{name}-config")
}

/// Where the volume is mounted, and the data directory on it. From 18 on the image refuses a volume at the old place.
fn paths(version: &str) -> (&'static str, String) {
    if version.parse::<u32>().is_ok_and(|major| major >= 18) {
        ("/var/lib/postgresql", format!("/var/lib/postgresql/{version}/docker"))
    } else {
        ("/var/lib/postgresql/data", "/var/lib/postgresql/data/pgdata".to_owned())
    }
}

/// Who applications log in as: the role that owns the database, or after a rotation one of its own that acts as that.
fn role(scope: &Scope<'_>) -> String {
    rotated(scope, APP)
}

/// The role of this revision that stands for another one.
fn rotated(scope: &Scope<'_>, role: &str) -> String {
    match scope.context().security.revisions.database {
        0 | 1 => role.to_owned(),
        later => format!("{role}_r{later}"),
    }
}

fn login<'a>(scope: &'a Scope<'a>, name: &'a str, spec: &DatabaseSpec) -> Login<'a> {
    Login {
        scope,
        name,
        revision: scope.context().security.revisions.database,
        constants: BTreeMap::from([("username", role(scope)), ("database", APP.to_owned())]),
        key: "password",
        length: spec.password_length,
        inside: &INSIDE,
        users: BTreeMap::from([
            ("admin-user", rotated(scope, ADMIN)),
            ("exporter-user", rotated(scope, EXPORTER)),
        ]),
    }
}

/// A password of the server's own Secret and, once a rotation was accepted, who came in the place of its user.
fn own_login(name: &str, who: &str) -> [Value; 2] {
    let (user, password) = (format!("{who}-user"), format!("{who}-password"));
    let first = source(&internal(name), &[(&password, &password)]);
    let (its_user, its_password) = (format!("accepted/{user}"), format!("accepted/{password}"));
    let mut later = source(&accepted(name), &[(&user, &its_user), (&password, &its_password)]);
    later["secret"]["optional"] = json!(true);
    [first, later]
}

/// Keys of a Secret under their paths, as a part of a volume.
fn source(secret: &str, keys: &[(&str, &str)]) -> Value {
    let items: Vec<Value> = keys
        .iter()
        .map(|(key, path)| json!({ "key": key, "path": path }))
        .collect();
    json!({ "secret": { "name": secret, "items": items } })
}

fn own_volume(name: &str, sources: &[Value]) -> Value {
    json!({ "name": name, "projected": { "defaultMode": 0o440, "sources": sources } })
}

fn subject(what: &str, limit: u64, name: &str) -> AlarmSubject {
    AlarmSubject {
        what: what.to_owned(),
        capability: Capability::Database,
        limit: Some(limit),
        subject: name.to_owned(),
    }
}
