//! Platforms on Kubernetes as resources, and those as the documents that a cluster and its judges read.
#![allow(clippy::unwrap_used, clippy::panic)]

use platform_core::testing::{ManualClock, World};
use platform_core::value::{Percent, Place, Recipe, Span, Supplied, gib, mib, resolve};
use platform_core::{
    AllowRule, ApplicationSpec, BackupSpec, BackupStore, BucketSpec, CacheEngine, CacheSpec, Capability, Channel,
    Context, DatabaseSpec, Definitions, Environment, LimitSpec, MonitoringSpec, PeopleSpec, PodSecurity, QuotaSpec,
    Receiver, Resource, Result, SecuritySpec, Severity, Stack, StorageSpec, Subjects,
};
use provider_k8s::{ImageOptions, Kubernetes, KubernetesOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One wanted platform.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its context; surfaces are filled in by [`resources`].
    pub context: Context,
    /// Its database.
    pub database: DatabaseSpec,
    /// Its cache.
    pub cache: CacheSpec,
    /// Its store.
    pub storage: StorageSpec,
    /// Its backups.
    pub backup: BackupSpec,
    /// Its monitoring.
    pub monitoring: MonitoringSpec,
    /// How it is put on the cluster.
    pub options: KubernetesOptions,
}

impl Wanted {
    /// The defaults under a name.
    pub fn new(name: &str, environment: Environment, prefix: &str) -> Self {
        let mut context = Context::new(name, environment, prefix);
        context.security = SecuritySpec::new(name);
        Self {
            context,
            database: DatabaseSpec::new(name),
            cache: CacheSpec::new(name),
            storage: StorageSpec::new(name),
            backup: BackupSpec::new(name, "0 3 * * 0".parse().unwrap(), Span::days(8)),
            monitoring: MonitoringSpec::new(name, percent(80), percent(5), percent(85)),
            options: KubernetesOptions::default(),
        }
    }

    /// What `examples/config/local.yaml` asks for.
    pub fn local() -> Self {
        let mut wanted = Self::new("ml-platform", Environment::Local, "");
        wanted.database = wanted.database.with_max_connections(200);
        wanted.cache = wanted.cache.with_memory(mib(256));
        wanted.storage = wanted
            .storage
            .with_bucket(
                BucketSpec::new("datasets")
                    .with_versioning(true)
                    .with_expire_noncurrent(Some(Span::days(30))),
            )
            .with_bucket(BucketSpec::new("models"));
        wanted.context.security = wanted.context.security.with_allow(AllowRule {
            namespace: "ml-apps".to_owned(),
            labels: BTreeMap::new(),
            to: vec![Capability::Database, Capability::Cache, Capability::Storage],
        });
        wanted
    }

    /// A strict one that uses what `local` does not: another PostgreSQL, Redis, MinIO, a prefix, a mirror, tags,
    /// quotas, supplied secrets.
    pub fn strict() -> Self {
        let mut wanted = Self::new("ml-platform", Environment::Prod, "two-");
        wanted.database = wanted.database.with_version("18").with_storage(gib(100));
        wanted.cache = wanted.cache.with_engine(CacheEngine::Redis);
        wanted.storage = wanted.storage.with_bucket(
            BucketSpec::new("raw.events")
                .with_versioning(true)
                .with_expire(Some(Span::days(90)))
                .with_expire_noncurrent(Some(Span::days(7))),
        );
        wanted.context.tags = BTreeMap::from([
            ("team".to_owned(), "ml".to_owned()),
            ("cost centre".to_owned(), "4711 / research".to_owned()),
        ]);
        wanted.context.security = wanted
            .context
            .security
            .with_pod_security(PodSecurity::Restricted)
            .with_allow(AllowRule {
                namespace: "ml-apps".to_owned(),
                labels: BTreeMap::from([("role".to_owned(), "trainer".to_owned())]),
                to: vec![Capability::Storage],
            })
            .with_allow(AllowRule {
                namespace: "ml-api".to_owned(),
                labels: BTreeMap::new(),
                to: vec![Capability::Database, Capability::Cache],
            })
            .with_quota(
                "database",
                QuotaSpec {
                    pods: Some(7),
                    memory: Some(gib(16)),
                    ..QuotaSpec::default()
                },
            )
            .with_application(
                ApplicationSpec::new("training")
                    .with_use(Capability::Database)
                    .with_use(Capability::Cache)
                    .with_use(Capability::Storage),
            )
            .with_application(batch())
            .with_people(
                PeopleSpec::default()
                    .with_viewers(Subjects::default().with_group("ml-team").with_user("ann@example.com"))
                    .with_operators(Subjects::default().with_group("ml-oncall")),
            )
            .with_secret(
                "model-registry",
                Supplied {
                    supplied: "MODEL_REGISTRY_TOKEN".to_owned(),
                    revision: 3,
                },
            );
        wanted.backup = BackupSpec::new("ml-platform", "0 2 * * *".parse().unwrap(), Span::days(30))
            .with_definitions(Definitions::Existing)
            .with_store(BackupStore::External {
                endpoint: "https://s3.eu-west-1.amazonaws.com".to_owned(),
                region: "eu-west-1".to_owned(),
                bucket: "backups".to_owned(),
                credentials: Supplied {
                    supplied: "BACKUP_STORE".to_owned(),
                    revision: 1,
                },
            });
        let secret = |name: &str| Supplied {
            supplied: name.to_owned(),
            revision: 1,
        };
        let receiver = |channel, from| Receiver { channel, from };
        wanted.monitoring = wanted
            .monitoring
            .with_node_exporter(false)
            .with_storage(gib(50))
            .with_retention(Span::days(30))
            .with_heartbeat(secret("HEARTBEAT_URL"))
            .with_receiver(
                "everybody",
                receiver(
                    Channel::Slack {
                        url: secret("SLACK_URL"),
                        channel: "#alarms".to_owned(),
                    },
                    Severity::Warning,
                ),
            )
            .with_receiver(
                "oncall",
                receiver(
                    Channel::Email {
                        to: "oncall@example.com".to_owned(),
                        from: "platform@example.com".to_owned(),
                        server: "smtp.example.com:587".to_owned(),
                        user: "platform".to_owned(),
                        password: secret("SMTP_PASSWORD"),
                    },
                    Severity::Critical,
                ),
            );
        wanted.options = KubernetesOptions::default()
            .with_images(
                ImageOptions::default()
                    .with_registry("registry.example.com/mirror".parse().unwrap())
                    .with_pull_secret("mirror"),
            )
            .with_s3(provider_k8s::Flavour::Known(provider_k8s::KnownFlavour::Minio))
            .with_storage_class("fast");
        wanted
    }
}

/// An application that states everything.
fn batch() -> ApplicationSpec {
    let mut batch = ApplicationSpec::new("batch").with_use(Capability::Storage);
    batch.pod_security = Some(PodSecurity::Baseline);
    batch.outside = BTreeSet::from([443]);
    batch.metrics = Some(8080);
    batch.quota = QuotaSpec {
        cpu_milli: Some(16_000),
        pods: Some(50),
        ..QuotaSpec::default()
    };
    batch.limits = LimitSpec {
        max_memory: Some(gib(8)),
        ..LimitSpec::default()
    };
    batch
}

fn percent(n: u8) -> Percent {
    Percent::new(n).unwrap()
}

/// A stack over an empty world.
pub fn stack(options: &KubernetesOptions) -> Kubernetes {
    let clock = Arc::new(ManualClock::new());
    let world = World::new(
        Place::kubernetes("main").unwrap(),
        |_| None,
        Arc::<ManualClock>::clone(&clock),
    );
    Kubernetes::on(Arc::new(world), clock)
        .with_options(options.clone())
        .unwrap()
}

/// The context with every capability's surface in it: the first of the two passes.
///
/// # Errors
/// When a spec is refused.
pub fn context(wanted: &Wanted) -> Result<Context> {
    let stack = stack(&wanted.options);
    let mut context = wanted.context.clone();
    let surfaces = [
        (
            Capability::Database,
            stack.database().unwrap().surface(&wanted.database, &context)?,
        ),
        (
            Capability::Cache,
            stack.cache().unwrap().surface(&wanted.cache, &context)?,
        ),
        (
            Capability::Storage,
            stack.storage().unwrap().surface(&wanted.storage, &context)?,
        ),
        (
            Capability::Security,
            stack.security().unwrap().surface(&context.security, &context)?,
        ),
        (
            Capability::Backup,
            stack.backup().unwrap().surface(&wanted.backup, &context)?,
        ),
        (
            Capability::Monitoring,
            stack.monitoring().unwrap().surface(&wanted.monitoring, &context)?,
        ),
    ];
    context.surfaces.0.extend(surfaces);
    Ok(context)
}

/// Every resource of a whole platform.
///
/// # Errors
/// When a spec is refused.
pub fn resources(wanted: &Wanted) -> Result<Vec<Resource>> {
    let context = context(wanted)?;
    let stack = stack(&wanted.options);
    let all = BTreeSet::from([
        Capability::Database,
        Capability::Cache,
        Capability::Storage,
        Capability::Security,
        Capability::Backup,
        Capability::Monitoring,
    ]);
    let mut resources = stack.foundation(&all, &context)?;
    resources.extend(
        stack
            .security()
            .unwrap()
            .blueprint(&context.security, &context)?
            .resources,
    );
    resources.extend(
        stack
            .database()
            .unwrap()
            .blueprint(&wanted.database, &context)?
            .resources,
    );
    resources.extend(stack.cache().unwrap().blueprint(&wanted.cache, &context)?.resources);
    resources.extend(stack.storage().unwrap().blueprint(&wanted.storage, &context)?.resources);
    resources.extend(stack.backup().unwrap().blueprint(&wanted.backup, &context)?.resources);
    resources.extend(
        stack
            .monitoring()
            .unwrap()
            .blueprint(&wanted.monitoring, &context)?
            .resources,
    );
    Ok(resources)
}

/// The document that a cluster would be sent, with `example` in the place of every secret value.
pub fn manifest(resource: &Resource) -> Value {
    let kind = resource.id.kind().as_str();
    let (short, group) = kind.split_once('.').unwrap_or((kind, ""));
    let version = match group {
        "" => "v1".to_owned(),
        group => format!("{group}/v1"),
    };
    let mut document = resolve(&resource.desired, &|_| Some(json!("1.example")));
    document["apiVersion"] = json!(version);
    document["kind"] = json!(short);
    document["metadata"]["name"] = json!(resource.id.name().base());
    if let Some(namespace) = resource.id.name().namespace() {
        document["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(data) = document.get_mut("data").and_then(Value::as_object_mut) {
        if data.remove("*").is_some() {
            data.extend(["tls.crt", "tls.key", "ca.crt"].map(|key| (key.to_owned(), json!("ZXhhbXBsZQ=="))));
        }
        for value in data.values_mut() {
            if Recipe::of_value(value).is_some() {
                *value = json!("ZXhhbXBsZQ==");
            }
        }
    }
    document
}

/// The pod template in a document, if it makes pods.
pub fn pod_template(document: &Value) -> Option<&Value> {
    document
        .pointer("/spec/template")
        .filter(|template| template["spec"]["containers"].is_array())
}
