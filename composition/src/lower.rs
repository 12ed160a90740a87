//! From the text shape to what providers take: specs and the context. Pure.

use crate::config::{
    AllowConfig, ApplicationConfig, BackupConfig, BackupStoreConfig, BucketConfig, CacheConfig, CredentialsConfig,
    DatabaseConfig, DatabaseSourceConfig, DefinitionsFrom, LimitConfig, MonitoringConfig, PeopleConfig, PlatformConfig,
    QuotaConfig, ReceiverConfig, SecurityConfig, StorageConfig, SubjectsConfig,
};
use platform_core::value::{FieldPath, Supplied};
use platform_core::{
    AllowRule, ApplicationSpec, BackupSpec, BackupStore, BucketSpec, CacheSpec, Capability, Channel, Context,
    DatabaseSource, DatabaseSpec, Definitions, LimitSpec, MonitoringSpec, PeopleSpec, QuotaSpec, Receiver, RestoreFrom,
    SecuritySpec, StorageSpec, Subjects,
};

/// What a config asks for, capability by capability; an absent one is not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Specs {
    /// PostgreSQL.
    pub database: Option<DatabaseSpec>,
    /// Valkey or Redis.
    pub cache: Option<CacheSpec>,
    /// S3.
    pub storage: Option<StorageSpec>,
    /// Metrics, alarms, dashboards.
    pub monitoring: Option<MonitoringSpec>,
    /// Policies and secrets.
    pub security: Option<SecuritySpec>,
    /// Scheduled backups.
    pub backup: Option<BackupSpec>,
}

/// The specs of a config.
pub fn specs(config: &PlatformConfig) -> Specs {
    let name = config.name.as_str();
    Specs {
        database: config.database.as_ref().map(|block| database(name, block)),
        cache: config.cache.as_ref().map(|block| cache(name, block)),
        storage: config.storage.as_ref().map(|block| storage(name, block)),
        monitoring: config.monitoring.as_ref().map(|block| monitoring(name, block)),
        security: config.security.as_ref().map(|block| security(name, block)),
        backup: config.backup.as_ref().map(|block| backup(config, block)),
    }
}

/// The context of a config, before any surface is stated.
pub fn context(config: &PlatformConfig, specs: &Specs) -> Context {
    let mut context = Context::new(&config.name, config.environment, &config.namespace_prefix);
    context.security = specs
        .security
        .clone()
        .unwrap_or_else(|| SecuritySpec::new(config.name.as_str()));
    context.names = config.names.clone();
    let left = config.leave.iter();
    context.leave = left
        .map(|(object, fields)| {
            let paths = fields.iter().map(|field| FieldPath::from(field.as_str()));
            (object.clone(), paths.collect())
        })
        .collect();
    context.tags = config.tags.clone();
    if let Some(backup) = specs.backup.as_ref().filter(|backup| backup.restore_from.is_some()) {
        context.restored.clone_from(&backup.scope);
    }
    let several = |capability: &Capability| config.placed(*capability).len() > 1;
    context.several = specs.wanted().filter(several).collect();
    context
}

impl Specs {
    /// The capabilities that are asked for.
    pub fn wanted(&self) -> impl Iterator<Item = Capability> {
        [
            (Capability::Database, self.database.is_some()),
            (Capability::Cache, self.cache.is_some()),
            (Capability::Storage, self.storage.is_some()),
            (Capability::Monitoring, self.monitoring.is_some()),
            (Capability::Security, self.security.is_some()),
            (Capability::Backup, self.backup.is_some()),
        ]
        .into_iter()
        .filter_map(|(capability, wanted)| wanted.then_some(capability))
    }
}

fn database(name: &str, block: &DatabaseConfig) -> DatabaseSpec {
    let mut spec = DatabaseSpec::new(name)
        .with_version(block.version.as_str())
        .with_storage(block.storage)
        .with_max_connections(block.max_connections);
    if let Some(cpu) = block.cpu {
        spec.cpu_milli = cpu.milli();
    }
    if let Some(memory) = block.memory {
        spec.memory = memory;
    }
    spec.password_length = block.password_length;
    spec.storage_class.clone_from(&block.storage_class);
    spec.instance_class.clone_from(&block.instance_class);
    spec.multi_az = block.multi_az.unwrap_or(spec.multi_az);
    spec.deletion_protection = block.deletion_protection.unwrap_or(spec.deletion_protection);
    spec.restore_from = block.restore_from.as_ref().and_then(database_source);
    spec
}

/// The copy that is named; the config has been checked to name exactly one.
fn database_source(block: &DatabaseSourceConfig) -> Option<DatabaseSource> {
    let snapshot = block.snapshot.clone().map(DatabaseSource::Snapshot);
    snapshot.or_else(|| {
        let point = block.point_in_time.as_ref()?;
        Some(DatabaseSource::PointInTime {
            of: point.of.clone(),
            // Whatever is no time is `latest`.
            at: point.at.parse().ok(),
        })
    })
}

fn cache(name: &str, block: &CacheConfig) -> CacheSpec {
    let mut spec = CacheSpec::new(name).with_engine(block.engine);
    spec.version.clone_from(&block.version);
    if let Some(memory) = block.memory {
        spec.memory = memory;
    }
    if let Some(storage) = block.storage {
        spec.storage = storage;
    }
    spec.persistence = block.persistence.unwrap_or(spec.persistence);
    spec.replicas = block.replicas;
    spec.storage_class.clone_from(&block.storage_class);
    spec.node_type.clone_from(&block.node_type);
    spec
}

fn storage(name: &str, block: &StorageConfig) -> StorageSpec {
    let mut spec = StorageSpec::new(name);
    if let Some(capacity) = block.capacity {
        spec.capacity = capacity;
    }
    if let Some(memory) = block.memory {
        spec.memory = memory;
    }
    spec.storage_class.clone_from(&block.storage_class);
    spec.buckets = block.buckets.iter().map(bucket).collect();
    spec.request_metrics = block.request_metrics.unwrap_or(spec.request_metrics);
    spec
}

fn bucket(block: &BucketConfig) -> BucketSpec {
    BucketSpec::new(block.name.as_str())
        .with_versioning(block.versioning)
        .with_expire(block.expire)
        .with_expire_noncurrent(block.expire_noncurrent)
}

fn monitoring(name: &str, block: &MonitoringConfig) -> MonitoringSpec {
    let limits = &block.alerts;
    let mut spec = MonitoringSpec::new(name, limits.connections, limits.errors, limits.utilisation)
        .with_retention(block.retention);
    spec.storage = block.storage.unwrap_or(spec.storage);
    spec.memory = block.memory.unwrap_or(spec.memory);
    spec.storage_class.clone_from(&block.storage_class);
    spec.node_exporter = block.node_exporter.unwrap_or(spec.node_exporter);
    spec.heartbeat = block.heartbeat.as_ref().map(supplied);
    for (name, receiver) in &block.receivers {
        if let Some(channel) = channel(receiver) {
            let from = receiver.severity;
            spec = spec.with_receiver(name, Receiver { channel, from });
        }
    }
    spec
}

/// The way that a receiver is told; the config has been checked to name exactly one.
fn channel(block: &ReceiverConfig) -> Option<Channel> {
    let webhook = block
        .webhook
        .as_ref()
        .map(|url| Channel::Webhook { url: supplied(url) });
    let slack = block.slack.as_ref().map(|slack| Channel::Slack {
        url: supplied(&slack.access),
        channel: slack.channel.clone(),
    });
    let email = block.email.as_ref().map(|email| Channel::Email {
        to: email.to.clone(),
        from: email.from.clone(),
        server: email.server.clone(),
        user: email.user.clone(),
        password: supplied(&email.access),
    });
    let pagerduty = block.pagerduty.as_ref().map(|key| Channel::PagerDuty {
        routing_key: supplied(key),
    });
    webhook.or(slack).or(email).or(pagerduty)
}

fn supplied(block: &CredentialsConfig) -> Supplied {
    Supplied {
        supplied: block.supplied.clone(),
        revision: block.revision,
    }
}

fn security(name: &str, block: &SecurityConfig) -> SecuritySpec {
    let mut spec = SecuritySpec::new(name).with_pod_security(block.pod_security);
    spec.allow = block.allow.iter().map(allow).collect();
    spec.quotas = block
        .quotas
        .iter()
        .map(|(namespace, block)| (namespace.clone(), quota(block)))
        .collect();
    spec.pod_security_overrides.clone_from(&block.pod_security_overrides);
    spec.quota_factor = block.quota_factor;
    spec.default_limits = limits(&block.default_limits);
    spec.limits = block
        .limits
        .iter()
        .map(|(namespace, block)| (namespace.clone(), limits(block)))
        .collect();
    spec.default_quota = quota(&block.default_quota);
    spec.applications = block.applications.iter().map(application).collect();
    spec.people = block.people.as_ref().map(people).unwrap_or_default();
    if let Some(revisions) = &block.revisions {
        spec.revisions.authority = revisions.authority;
        spec.revisions.database = revisions.database;
        spec.revisions.cache = revisions.cache;
        spec.revisions.storage = revisions.storage;
        spec.revisions.monitoring = revisions.monitoring;
    }
    for secret in &block.secrets {
        let supplied = Supplied {
            supplied: secret.supplied.clone(),
            revision: secret.revision,
        };
        spec = spec.with_secret(secret.name.as_str(), supplied);
    }
    spec
}

fn backup(config: &PlatformConfig, block: &BackupConfig) -> BackupSpec {
    let data = [Capability::Database, Capability::Cache, Capability::Storage];
    let wanted = config.wanted();
    let scope = block
        .scope
        .clone()
        .unwrap_or_else(|| data.into_iter().filter(|one| wanted.contains(one)).collect());
    let mut spec = BackupSpec::new(config.name.as_str(), block.schedule.clone(), block.retention);
    spec.restore_from = block.restore_from.as_deref().map(|name| match name {
        RestoreFrom::LATEST => RestoreFrom::latest(),
        name => RestoreFrom::backup(name),
    });
    spec.copy_to = block.second_region().map(str::to_owned);
    spec.with_scope(scope)
        .with_lock(block.lock.unwrap_or_default())
        .with_store(block.store.as_ref().map(backup_store).unwrap_or_default())
        .with_definitions(match block.definitions {
            Some(DefinitionsFrom::Existing) => Definitions::Existing,
            Some(DefinitionsFrom::Own) | None => Definitions::Own,
        })
}

fn backup_store(block: &BackupStoreConfig) -> BackupStore {
    if let (Some(endpoint), Some(bucket), Some(credentials)) = (&block.endpoint, &block.bucket, &block.access) {
        return BackupStore::External {
            endpoint: endpoint.clone(),
            region: block.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            bucket: bucket.clone(),
            credentials: supplied(credentials),
        };
    }
    let mut store = BackupStore::default();
    if let BackupStore::Own {
        capacity,
        memory,
        storage_class,
    } = &mut store
    {
        *capacity = block.capacity.unwrap_or(*capacity);
        *memory = block.memory.unwrap_or(*memory);
        storage_class.clone_from(&block.storage_class);
    }
    store
}

fn allow(block: &AllowConfig) -> AllowRule {
    AllowRule {
        namespace: block.from.namespace.clone(),
        labels: block.from.labels.clone(),
        to: block.to.clone(),
    }
}

fn application(block: &ApplicationConfig) -> ApplicationSpec {
    // The range of ports is checked.
    let port = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
    let mut spec = ApplicationSpec::new(block.name.as_str());
    spec.pod_security = block.pod_security;
    spec.uses = block.uses.iter().copied().collect();
    spec.outside = block.outside.iter().copied().map(port).collect();
    spec.metrics = block.metrics.map(port);
    spec.quota = block.quota.as_ref().map(quota).unwrap_or_default();
    spec.limits = block.limits.as_ref().map(limits).unwrap_or_default();
    spec
}

fn people(block: &PeopleConfig) -> PeopleSpec {
    let who = |block: &Option<SubjectsConfig>| block.as_ref().map(subjects).unwrap_or_default();
    PeopleSpec::default()
        .with_viewers(who(&block.viewers))
        .with_operators(who(&block.operators))
}

fn subjects(block: &SubjectsConfig) -> Subjects {
    let mut subjects = Subjects::default();
    subjects.groups = block.groups.iter().cloned().collect();
    subjects.users = block.users.iter().cloned().collect();
    subjects
}

fn limits(block: &LimitConfig) -> LimitSpec {
    LimitSpec {
        cpu_milli: block.cpu.map(crate::config::Cpu::milli),
        memory: block.memory,
        max_cpu_milli: block.max_cpu.map(crate::config::Cpu::milli),
        max_memory: block.max_memory,
    }
}

fn quota(block: &QuotaConfig) -> QuotaSpec {
    QuotaSpec {
        cpu_milli: block.cpu.map(crate::config::Cpu::milli),
        memory: block.memory,
        pods: block.pods,
        storage: block.storage,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{context, specs};
    use crate::config::PlatformConfig;
    use platform_core::value::{Percent, Size, Span, Supplied};
    use platform_core::{
        BackupStore, CacheEngine, Capability, Channel, DatabaseSource, Definitions, Environment, LimitSpec, PeopleSpec,
        PodSecurity, Receiver, RestoreFrom, Severity, Subjects,
    };
    use std::collections::BTreeMap;

    const EVERYTHING: &str = "
name: demo
environment: local
namespace_prefix: team-a-
tags: { team: a }
names: { postgres: pg }
leave: { rds.DbInstance/pg: [username] }
database: { version: '16', storage: 11Gi, max_connections: 50, cpu: 700m, memory: 2Gi, password_length: 32, storage_class: fast }
cache: { engine: redis, version: '8', memory: 128Mi, persistence: false, storage: 6Gi, replicas: 2, storage_class: fast }
storage:
  capacity: 21Gi
  memory: 2Gi
  storage_class: slow
  buckets: [{ name: data-sets, versioning: true, expire: 90d, expire_noncurrent: 30d }]
monitoring:
  alerts: { connections: 70%, errors: 4%, utilisation: 90% }
  retention: 30d
  storage: 12Gi
  memory: 3Gi
  storage_class: fast
  node_exporter: false
  heartbeat: { supplied: switch, revision: 4 }
  receivers:
    hook: { webhook: { supplied: hook, revision: 5 }, severity: info }
    chat: { slack: { channel: '#alarms', access: { supplied: chat, revision: 6 } } }
    mail: { email: { to: a@b, from: c@d, server: 'smtp:587', user: me, access: { supplied: smtp, revision: 7 } } }
    pager: { pagerduty: { supplied: pager, revision: 8 }, severity: critical }
security:
  pod_security: restricted
  allow: [{ from: { namespace: apps, labels: { app: web } }, to: [database] }]
  pod_security_overrides: { cache: baseline }
  quotas: { database: { cpu: 4, memory: 8Gi, pods: 20, storage: 100Gi } }
  quota_factor: 4
  default_quota: { cpu: 3, pods: 30 }
  applications:
    - name: ml-apps
      pod_security: baseline
      uses: [storage, database]
      outside: [443]
      metrics: 8080
      quota: { pods: 9 }
      limits: { memory: 96Mi }
  people:
    viewers: { groups: [ml-team], users: [ann@example.com] }
    operators: { groups: [ml-oncall], users: [bob] }
  limits: { cache: { cpu: 200m, memory: 96Mi, max_cpu: 2, max_memory: 1Gi } }
  default_limits: { cpu: 300m, memory: 128Mi, max_cpu: 3, max_memory: 3Gi }
  secrets: [{ name: smtp, supplied: vault-smtp, revision: 3 }]
  revisions: { authority: 2, database: 3, cache: 4, storage: 1, monitoring: 6 }
backup:
  schedule: 0 4 * * *
  retention: 3d
  scope: [database, storage]
  definitions: existing
  restore_from: demo-20260101
  store: { endpoint: 'https://s3.example.com', bucket: backups, region: eu-west-1, access: { supplied: s3, revision: 2 } }
";

    #[test]
    fn every_key_reaches_its_spec() {
        let config = PlatformConfig::parse(EVERYTHING, "demo.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        let specs = specs(&config);
        let database = specs.database.as_ref().unwrap();
        assert_eq!((database.name.as_str(), database.version.as_str()), ("demo", "16"));
        assert_eq!((database.storage, database.memory), (Size::gib(11), Size::gib(2)));
        assert_eq!(
            (database.max_connections, database.cpu_milli, database.password_length),
            (50, 700, 32)
        );
        assert_eq!(database.storage_class.as_deref(), Some("fast"));
        let cache = specs.cache.as_ref().unwrap();
        assert_eq!(
            (cache.engine, cache.version.as_deref()),
            (CacheEngine::Redis, Some("8"))
        );
        assert_eq!(
            (cache.memory, cache.persistence, cache.storage, cache.replicas),
            (Size::mib(128), false, Size::gib(6), 2)
        );
        let storage = specs.storage.as_ref().unwrap();
        assert_eq!((storage.capacity, storage.memory), (Size::gib(21), Size::gib(2)));
        assert_eq!(storage.storage_class.as_deref(), Some("slow"));
        let bucket = &storage.buckets[0];
        assert_eq!((bucket.name.as_str(), bucket.versioning), ("data-sets", true));
        assert_eq!(
            (bucket.expire, bucket.expire_noncurrent),
            (Some(Span::days(90)), Some(Span::days(30)))
        );
        let security = specs.security.as_ref().unwrap();
        assert_eq!(security.pod_security, PodSecurity::Restricted);
        assert_eq!(
            (security.allow[0].namespace.as_str(), &security.allow[0].to[..]),
            ("apps", &[Capability::Database][..])
        );
        assert_eq!(security.allow[0].labels["app"], "web");
        assert_eq!(security.pod_security_of("cache"), PodSecurity::Baseline);
        assert_eq!(security.pod_security_of("database"), PodSecurity::Restricted);
        let limits = |cpu, memory, max_cpu, max_memory| LimitSpec {
            cpu_milli: Some(cpu),
            memory: Some(memory),
            max_cpu_milli: Some(max_cpu),
            max_memory: Some(max_memory),
        };
        assert_eq!(security.limits["cache"], limits(200, Size::mib(96), 2000, Size::gib(1)));
        assert_eq!(security.default_limits, limits(300, Size::mib(128), 3000, Size::gib(3)));
        assert_eq!(security.quota_factor, 4);
        let revisions = &security.revisions;
        assert_eq!((revisions.authority, revisions.database, revisions.cache), (2, 3, 4));
        assert_eq!((revisions.storage, revisions.monitoring), (1, 6));
        assert_eq!(security.default_quota.pods, Some(30));
        let application = &security.applications[0];
        assert_eq!(
            (application.name.as_str(), application.pod_security, application.metrics),
            ("ml-apps", Some(PodSecurity::Baseline), Some(8080))
        );
        assert_eq!(application.uses, [Capability::Database, Capability::Storage].into());
        assert_eq!(application.outside, [443].into());
        assert_eq!(
            (application.quota.pods, application.limits.memory),
            (Some(9), Some(Size::mib(96)))
        );
        let who = |group: &str, user: &str| Subjects::default().with_group(group).with_user(user);
        let people = PeopleSpec::default()
            .with_viewers(who("ml-team", "ann@example.com"))
            .with_operators(who("ml-oncall", "bob"));
        assert_eq!(security.people, people);
        let quota = &security.quotas["database"];
        assert_eq!((quota.cpu_milli, quota.pods), (Some(4000), Some(20)));
        assert_eq!(
            (quota.memory, quota.storage),
            (Some(Size::gib(8)), Some(Size::gib(100)))
        );
        assert_eq!(
            (
                security.secrets["smtp"].supplied.as_str(),
                security.secrets["smtp"].revision
            ),
            ("vault-smtp", 3)
        );

        let backup = specs.backup.as_ref().unwrap();
        assert_eq!(
            (backup.schedule.as_str(), backup.retention),
            ("0 4 * * *", Span::days(3))
        );
        assert_eq!(backup.scope, [Capability::Database, Capability::Storage].into());
        assert_eq!(backup.definitions, Definitions::Existing);
        assert_eq!(backup.restore_from, Some(RestoreFrom::backup("demo-20260101")));
        assert_eq!(
            backup.store,
            BackupStore::External {
                endpoint: "https://s3.example.com".to_owned(),
                region: "eu-west-1".to_owned(),
                bucket: "backups".to_owned(),
                credentials: Supplied {
                    supplied: "s3".to_owned(),
                    revision: 2,
                },
            }
        );

        let monitoring = specs.monitoring.as_ref().unwrap();
        assert_eq!(
            [monitoring.connections, monitoring.errors, monitoring.utilisation].map(Percent::get),
            [70, 4, 90]
        );
        assert_eq!(
            (monitoring.retention, monitoring.storage, monitoring.memory),
            (Span::days(30), Size::gib(12), Size::gib(3))
        );
        assert_eq!(
            (monitoring.storage_class.as_deref(), monitoring.node_exporter),
            (Some("fast"), false)
        );
        let secret = |name: &str, revision| Supplied {
            supplied: name.to_owned(),
            revision,
        };
        assert_eq!(monitoring.heartbeat, Some(secret("switch", 4)));
        let receiver = |channel, from| Receiver { channel, from };
        assert_eq!(
            monitoring.receivers,
            BTreeMap::from([
                (
                    "hook".to_owned(),
                    receiver(Channel::Webhook { url: secret("hook", 5) }, Severity::Info)
                ),
                (
                    "chat".to_owned(),
                    receiver(
                        Channel::Slack {
                            url: secret("chat", 6),
                            channel: "#alarms".to_owned(),
                        },
                        Severity::Warning
                    )
                ),
                (
                    "mail".to_owned(),
                    receiver(
                        Channel::Email {
                            to: "a@b".to_owned(),
                            from: "c@d".to_owned(),
                            server: "smtp:587".to_owned(),
                            user: "me".to_owned(),
                            password: secret("smtp", 7),
                        },
                        Severity::Warning
                    )
                ),
                (
                    "pager".to_owned(),
                    receiver(
                        Channel::PagerDuty {
                            routing_key: secret("pager", 8),
                        },
                        Severity::Critical
                    )
                ),
            ])
        );

        let context = context(&config, &specs);
        assert_eq!(
            (context.environment, context.namespace("cache").as_str()),
            (Environment::Local, "team-a-cache")
        );
        assert_eq!(
            (context.name_of("postgres"), context.tags["team"].as_str()),
            ("pg", "a")
        );
        assert_eq!(&context.security, security);
        assert_eq!(context.restored, backup.scope);
        assert!(!context.alone);
    }

    #[test]
    fn a_database_starts_from_the_copy_that_is_named() {
        let of = |source: &str| {
            let text = format!("name: demo\nenvironment: dev\ndatabase: {{ restore_from: {source} }}\n");
            let config = PlatformConfig::parse(&text, "demo.yaml").unwrap_or_else(|errors| panic!("{errors}"));
            specs(&config).database.unwrap().restore_from.unwrap()
        };
        let point = |at: Option<&str>| DatabaseSource::PointInTime {
            of: "demo-dev".to_owned(),
            at: at.map(|at| at.parse().unwrap()),
        };
        assert_eq!(of("{ snapshot: kept }"), DatabaseSource::Snapshot("kept".to_owned()));
        assert_eq!(of("{ point_in_time: { of: demo-dev } }"), point(None));
        let at = "2026-11-29T02:00:00Z";
        assert_eq!(
            of(&format!("{{ point_in_time: {{ of: demo-dev, at: \"{at}\" }} }}")),
            point(Some(at))
        );
    }

    #[test]
    fn backups_are_of_what_is_there_and_go_into_a_store_of_their_own() {
        let text = "name: demo\nenvironment: local\ncache: {}\nbackup: { store: { capacity: 9Gi, memory: 512Mi, storage_class: slow } }\n";
        let config = PlatformConfig::parse(text, "demo.yaml").unwrap_or_else(|errors| panic!("{errors}"));
        let backup = specs(&config).backup.unwrap();
        assert_eq!(
            (backup.schedule.as_str(), backup.retention),
            ("0 3 * * 0", Span::days(8))
        );
        assert_eq!(backup.scope, [Capability::Cache].into());
        let store = BackupStore::Own {
            capacity: Size::gib(9),
            memory: Size::mib(512),
            storage_class: Some("slow".to_owned()),
        };
        assert_eq!((backup.store, backup.definitions), (store, Definitions::Own));
    }

    #[test]
    fn an_absent_block_is_not_wanted() {
        let config = PlatformConfig::parse("name: demo\nenvironment: local\ncache: {}\n", "demo.yaml")
            .unwrap_or_else(|errors| panic!("{errors}"));
        let specs = specs(&config);
        assert_eq!(specs.wanted().collect::<Vec<_>>(), [Capability::Cache]);
        assert_eq!(context(&config, &specs).security.pod_security, PodSecurity::Baseline);
    }
}
