//! The text shape of a platform: what a config file can say.

mod aws;

pub use aws::{
    AwsConfig, ClusterConfig, ExistingNetworkConfig, NatConfig, NetworkConfig, NewClusterConfig, NewNetworkConfig,
    NodeGroupConfig,
};

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use platform_core::value::image::{Image, RegistryPrefix};
use platform_core::value::{Percent, Schedule, Size, Span};
use platform_core::{CacheEngine, Capability, Environment, PodSecurity, Severity};
use serde_json::{Value as Json, json};

use super::block::{Read, Reader, block};
use super::load::Origin;
use super::yaml::{Node, Value};

block! {
    /// A platform as its config file describes it, with every default filled in.
    ///
    /// A block that is absent is not wanted; an empty one (`cache: {}`) is wanted with the values of the
    /// environment's built-in profile.
    PlatformConfig {
        /// Name of the platform: 1 to 40 lower-case letters, digits and hyphens, starting with a letter. Part of every
        /// derived name; a changed name is another platform.
        name: String;
        /// Which built-in profile fills in what the file leaves out, and which changes need an approval:
        /// `local` (Kind), `dev`, `staging` or `prod`.
        environment: Environment;
        /// Where capabilities live unless `placement` says otherwise. Default: `kubernetes` for local, `aws` for dev,
        /// staging and prod.
        provider: ProviderName;
        /// Put before every namespace, so that a second platform fits into one cluster, such as `team-a-`. Default:
        /// empty. A changed prefix is another platform.
        namespace_prefix: String = String::new();
        /// Labels (Kubernetes) or tags (AWS) for every object. Default: none. A change updates every object in place.
        tags: BTreeMap<String, String>;
        /// Names to use instead of computed ones, computed name -> wanted name, so that the platform can adopt what
        /// other tools made; on AWS of one kind: `rds.DbInstance/ml-platform-prod: orders`. Default: none.
        names: BTreeMap<String, String>;
        /// Fields of objects on AWS that stay as they are found, object -> fields, such as
        /// `rds.DbInstance/orders: [username, kms_key]`: for what other tools made. Default: none. An object that is made
        /// anew gets the platform's values; a field that is taken out of the list is changed by the next plan.
        leave: BTreeMap<String, Vec<String>>;
        /// Where a capability lives, if not where `provider` says: capability -> list of providers. Default: none.
        placement: BTreeMap<String, Vec<ProviderName>>;
        /// Where container images come from.
        images: ImagesConfig = ImagesConfig::default();
        /// The account and region, and what the platform shares there. Default: as the embedding program says.
        aws: Option<AwsConfig>;
        /// PostgreSQL.
        database: Option<DatabaseConfig>;
        /// Valkey or Redis.
        cache: Option<CacheConfig>;
        /// Object storage with the S3 API.
        storage: Option<StorageConfig>;
        /// Metrics, alarms and dashboards.
        monitoring: Option<MonitoringConfig>;
        /// Network policies, Pod Security, quotas, TLS and supplied secrets.
        security: Option<SecurityConfig>;
        /// Scheduled backups, and drills that prove them.
        backup: Option<BackupConfig>;
    } with origin: Origin

    /// Where container images come from.
    ImagesConfig {
        /// A registry, with a path if there is one, that takes the place of the original registries. Default: none. A
        /// change restarts the pods.
        registry: Option<RegistryPrefix>;
        /// Names of Secrets of type `kubernetes.io/dockerconfigjson` that exist in the platform's namespaces. Default:
        /// none. A change restarts the pods.
        pull_secrets: Vec<String>;
        /// Whether images are pinned by content digest (`on`) or found by tag alone (`off`, for images loaded into
        /// Kind nodes by name). Default: off for local, on otherwise. A change restarts the pods.
        digests: DigestPolicy = DigestPolicy::On;
        /// Other images than the catalogue's, catalogue name -> reference: `postgres`, `valkey`, `redis`, `rustfs`,
        /// `minio`, `mc`, `postgres-exporter`, `redis-exporter`, `velero`, `velero-plugin-for-aws`, `prometheus`,
        /// `alertmanager`, `grafana`, `kube-state-metrics`, `node-exporter`. Neither `registry` nor `digests` touches
        /// them. Default: none. A change restarts the pods that use it.
        overrides: BTreeMap<String, Image>;
    }

    /// PostgreSQL.
    DatabaseConfig {
        /// Major version: "16", "17" or "18", with quotes. Default: "17". A higher one on existing data is refused with
        /// the upgrade's steps.
        version: String;
        /// Size of the volume, at least 1Gi. Default: 10Gi for local, 20Gi for dev, 50Gi for staging, 100Gi for prod.
        /// Grows online, never shrinks.
        storage: Size;
        /// Connections at most, 10 to 10,000; each needs about 4Mi of memory. Default: 100. A change restarts the server.
        max_connections: u32;
        /// CPU limit in cores (`2`) or thousandths (`500m`), at least 100m. Kubernetes only. Default: 1 for local, 2
        /// otherwise. A change restarts the server.
        cpu: Option<Cpu>;
        /// Memory limit, at least 256Mi. Kubernetes only. Default: 1Gi for local, 4Gi otherwise. A change restarts the
        /// server.
        memory: Option<Size>;
        /// Characters of generated passwords, 16 to 128. Default: 24. Counts for passwords yet to be made.
        password_length: u32;
        /// StorageClass of the volume. Kubernetes only. Default: the cluster's. Counts for volumes yet to be made.
        storage_class: Option<String>;
        /// Instance class, such as `db.t4g.medium`. AWS only. Default: the environment's. A change means downtime.
        instance_class: Option<String>;
        /// A standby in a second zone. AWS only. Default: off for dev, on for staging and prod.
        multi_az: Option<bool>;
        /// Refuses deletion until switched off in a plan of its own. AWS only. Default: off for dev, on for staging and
        /// prod.
        deletion_protection: Option<bool>;
        /// The copy that a new database starts from. AWS only. Default: none, and it starts empty. Counts when the server is
        /// made: from then on it tells where the data came from, and another value is refused.
        restore_from: Option<DatabaseSourceConfig>;
    }

    /// A copy of a database: exactly one of the two.
    DatabaseSourceConfig {
        /// A snapshot of this account and region: its identifier, or its ARN. What AWS Backup took of a database is one
        /// (`arn:aws:rds:eu-west-1:111111111111:snapshot:awsbackup:job-...`).
        snapshot: Option<String>;
        /// A moment of a server of this account and region, as long as its automated backups are kept.
        point_in_time: Option<PointInTimeConfig>;
    }

    /// A moment of a database.
    PointInTimeConfig {
        /// The server's identifier, or its resource id (`db-...`) where several had that name. It may be gone.
        of: String;
        /// When, such as `2026-11-29T02:00:00Z`, or `latest` for the newest moment that can be restored. Default: latest.
        at: String = "latest".to_owned();
    }

    /// Valkey or Redis.
    CacheConfig {
        /// The server: `valkey` or `redis`. Default: valkey. A change restarts the server and keeps the volume.
        engine: CacheEngine;
        /// Major version, with quotes: "8" or "9" for Valkey, "7" or "8" for Redis. Default: the catalogue's newest. A
        /// change restarts the server.
        version: Option<String>;
        /// Memory limit, at least 64Mi; data may take 75 % of it. Kubernetes only. Default: 512Mi for local, 1Gi
        /// otherwise. A change restarts the server.
        memory: Option<Size>;
        /// Whether what it holds survives a restart. Kubernetes only. Default: true. `false` keeps data in memory alone,
        /// without a volume. To change it, take the block out, apply, and put it back.
        persistence: Option<bool>;
        /// Size of the volume of the append-only file, at least 1Gi; counts with `persistence` only. Kubernetes only.
        /// Default: 5Gi. Grows online, never shrinks.
        storage: Option<Size>;
        /// Read replicas, 0 to 5, for reading under a name of their own. Default: 0 for local and dev, 1 for staging and prod.
        /// A change adds or removes replicas online. On Kubernetes none takes the first server's place: while that restarts,
        /// nothing can be written.
        replicas: u32;
        /// StorageClass of the volume. Kubernetes only. Default: the cluster's. Counts for volumes yet to be made.
        storage_class: Option<String>;
        /// Node type, such as `cache.t4g.small`. AWS only. Default: the environment's. A change moves the data online.
        node_type: Option<String>;
    }

    /// Object storage with the S3 API.
    StorageConfig {
        /// Size of the volume, at least 1Gi. Kubernetes only. Default: 20Gi for local, 50Gi otherwise. Grows online,
        /// never shrinks.
        capacity: Option<Size>;
        /// Memory limit of the server, at least 256Mi. Kubernetes only. Default: 1Gi. A change restarts the server.
        memory: Option<Size>;
        /// StorageClass of the volume. Kubernetes only. Default: the cluster's. Counts for volumes yet to be made.
        storage_class: Option<String>;
        /// The S3 server: `rustfs`, `minio`, or a description of another one. Kubernetes only. Default: rustfs. A change
        /// on existing data is refused: servers do not read each other's volumes.
        flavour: Option<StorageFlavour>;
        /// Whether requests to each bucket are counted, and so whether there is an alarm about those that fail: 16 custom
        /// metrics a bucket at CloudWatch's price. AWS only. Default: true. `false` also for an emulator that has none.
        request_metrics: Option<bool>;
        /// Buckets to make. Default: none. A bucket that is taken out of the list keeps its objects.
        buckets: Vec<BucketConfig>;
    }

    /// A bucket.
    BucketConfig {
        /// Its name: 3 to 63 lower-case letters, digits and hyphens.
        name: String;
        /// Whether overwritten and deleted objects are kept as versions. Default: false. Switching it off lowers
        /// protection and needs an approval.
        versioning: bool = false;
        /// Age at which objects are deleted, in whole days. Default: never. A shorter one needs an approval.
        expire: Option<Span>;
        /// Age at which overwritten versions are deleted, in whole days; needs versioning. Default: never. A shorter
        /// one needs an approval.
        expire_noncurrent: Option<Span>;
    }

    /// An S3 server that is not in the catalogue. It finds the volume at `/data`, its certificate in `/etc/store/tls`
    /// and the files `access-key` and `secret-key` in `/etc/store/credentials`; secrets reach it as files only.
    CustomStorage {
        /// Its image, with tag or digest. A change restarts the server.
        image: Image;
        /// Arguments. Default: none. A change restarts the server.
        args: Vec<String>;
        /// Environment variables: paths and switches, never a secret value. Default: none. A change restarts the server.
        env: BTreeMap<String, String>;
        /// Port of the S3 API in the pod, 1024 to 65535; clients use 9000 whatever it is. Default: 9000. A change
        /// restarts the server.
        s3_port: u32 = 9000;
        /// Port of the web console in the pod, if there is one, 1024 to 65535; clients use 9001 whatever it is. Default:
        /// none. A change restarts the server.
        console_port: Option<u32>;
        /// The files in which it wants its certificate, file name -> `tls.crt`, `tls.key` or `ca.crt`. The first two are
        /// needed: the server speaks TLS only. A change restarts the server.
        certificates: BTreeMap<String, String>;
        /// HTTPS path that answers 200 while the server lives. A change restarts the server.
        live: String;
        /// HTTPS path that answers 200 when the server can serve. A change restarts the server.
        ready: String;
        /// HTTPS path of Prometheus metrics, if there is one. Default: none.
        metrics: Option<String>;
        /// Directories besides `/data` and `/tmp` that it must be able to write. Default: none. A change restarts the
        /// server.
        scratch: Vec<String>;
        /// Text before the base64 key in the file `encryption-key`, for servers that encrypt at rest. Default: no such
        /// file. Counts for stores yet to be made.
        encryption_key_prefix: Option<String>;
        /// Whether it knows users by MinIO's admin API, so that applications get a key that reaches the described buckets
        /// only. Default: false, and they get the server's own key. Counts for stores yet to be made.
        users: bool = false;
    }

    /// Metrics, alarms and dashboards.
    MonitoringConfig {
        /// When an alarm is raised.
        alerts: AlertsConfig;
        /// How long metrics are kept, at least 1d. Default: 15d. A change restarts Prometheus.
        retention: Span;
        /// Size of the volume of the metrics, at least 1Gi; the oldest go when it is four fifths full. Kubernetes only.
        /// Default: 10Gi for local, 20Gi for dev, 50Gi otherwise. Grows online, never shrinks.
        storage: Option<Size>;
        /// Memory limit of Prometheus, at least 256Mi. Kubernetes only. Default: 1Gi for local, 2Gi otherwise. A change
        /// restarts it.
        memory: Option<Size>;
        /// StorageClass of the volumes. Kubernetes only. Default: the cluster's. Counts for volumes yet to be made.
        storage_class: Option<String>;
        /// Whether an agent on every node reads CPU, memory, disks and network of the node itself, which takes a namespace
        /// without Pod Security, `monitoring-node`. Kubernetes only. Default: true.
        node_exporter: Option<bool>;
        /// Who is told, by a name of lower-case letters, digits and hyphens. Default: nobody, and alarms are only shown.
        receivers: BTreeMap<String, ReceiverConfig>;
        /// URL of a dead man's switch, from a `SecretSource`: called every five minutes while the way from a rule to a
        /// receiver works. Default: none.
        heartbeat: Option<CredentialsConfig>;
    }

    /// When an alarm is raised. A change reloads the rules, and nothing restarts.
    AlertsConfig {
        /// Share of the allowed connections in use. Default: 80%.
        connections: Percent;
        /// Share of requests that fail. Default: 5%.
        errors: Percent;
        /// Share of CPU, memory or volume in use. Default: 85%.
        utilisation: Percent;
    }

    /// Somebody who is told of alarms, in one of four ways.
    ReceiverConfig {
        /// The least severity of what is sent: `info`, `warning` or `critical`. Default: warning.
        severity: Severity = Severity::Warning;
        /// Posts JSON to this URL, from a `SecretSource`.
        webhook: Option<CredentialsConfig>;
        /// Posts to a Slack channel.
        slack: Option<SlackConfig>;
        /// Sends mail.
        email: Option<EmailConfig>;
        /// Opens incidents at PagerDuty with this integration key of its events API, version 2, from a `SecretSource`.
        pagerduty: Option<CredentialsConfig>;
    }

    /// A Slack channel.
    SlackConfig {
        /// The channel, such as `"#alarms"`, with quotes.
        channel: String;
        /// URL of the incoming webhook, from a `SecretSource`.
        access: CredentialsConfig;
    }

    /// Mail over STARTTLS.
    EmailConfig {
        /// Address of the receiver.
        to: String;
        /// Address of the sender.
        from: String;
        /// The mail server with its port, such as `smtp.example.com:587`.
        server: String;
        /// User at the mail server.
        user: String;
        /// The user's password, from a `SecretSource`.
        access: CredentialsConfig;
    }

    /// Network policies, Pod Security, quotas, TLS and supplied secrets.
    SecurityConfig {
        /// Pod Security Standard of the platform's namespaces: `baseline` or `restricted`. Default: baseline for local
        /// and dev, restricted for staging and prod. Lowering it needs an approval.
        pod_security: PodSecurity;
        /// Namespaces under another Pod Security Standard, namespace -> `baseline` or `restricted`, without the prefix:
        /// `database`, `cache`, `storage`, `monitoring`, `security`, `backup-store`. Default: none. Lowering one needs an
        /// approval.
        pod_security_overrides: BTreeMap<String, PodSecurity>;
        /// Who may connect to what; everything not listed is denied. Default: nobody. A new rule needs an approval.
        allow: Vec<AllowConfig>;
        /// What a namespace may use, namespace -> limits; the same namespaces. Default: `quota_factor` times what the
        /// platform's own pods in it need, and ten pods more. Less than once that is refused. Changes in place.
        quotas: BTreeMap<String, QuotaConfig>;
        /// How often the platform's own pods fit into the quota of their namespace where `quotas` says nothing, 1 to 10.
        /// Default: 2 for local and dev, 3 for staging and prod. Changes in place.
        quota_factor: u32;
        /// What a container may use, namespace -> limits; the same namespaces. Default: `default_limits`. Counts for pods
        /// yet to be made.
        limits: BTreeMap<String, LimitConfig>;
        /// What a container may use where `limits` says nothing. Default: 500m and 256Mi for a container that states
        /// nothing, and no most for local and dev; 1 and 512Mi for staging and prod.
        default_limits: LimitConfig;
        /// Namespaces for applications that use the platform, each closed but for what it says. Default: none. A new use
        /// needs an approval; a namespace that is taken out of the list stays, closed, with everything in it.
        applications: Vec<ApplicationConfig>;
        /// What an application's namespace may use where its `quota` says nothing. Default: 2 cores, 4Gi of memory, 20 pods
        /// and 20Gi of volumes for local; 4, 8Gi, 50, 50Gi for dev; 8, 16Gi, 50, 100Gi for staging; 16, 32Gi, 100, 200Gi
        /// for prod. Changes in place.
        default_quota: QuotaConfig;
        /// Who, logged in as themselves, may look into the platform's namespaces, those of applications among them. Default:
        /// nobody.
        people: Option<PeopleConfig>;
        /// Who signs certificates inside the cluster: `own`, an authority that the platform makes. Default: own.
        tls: TlsIssuer = TlsIssuer::Own;
        /// Secrets that the caller supplies through a `SecretSource`. Default: none.
        secrets: Vec<SuppliedConfig>;
        /// What the platform generated and shall be replaced: raise its number. Default: nothing.
        revisions: Option<RevisionsConfig>;
    }

    /// Numbers of what the platform generated; raising one replaces it.
    RevisionsConfig {
        /// The authority that signs certificates, from 1; a number higher than the present one's, which plans and the
        /// annotation `mlplat.dev/certificates` show, replaces it. It takes three applies, a day apart; each restarts the
        /// servers. Default: 1. It is replaced by itself two years before its end.
        authority: u32 = 1;
        /// What applications log in to the database with, from 1: raised by one, they get another user and password, and
        /// the ones before work until it is raised again. Kubernetes only. Default: 1. Applications have to read them again.
        database: u32 = 1;
        /// The same for the password of the cache; its user stays. Kubernetes only. Default: 1.
        cache: u32 = 1;
        /// The same for the keys of the object store. Flavour minio only, since RustFS knows no users. Default: 1.
        storage: u32 = 1;
        /// The password of Grafana's administrator, from 1: raised, it gets another one at once and Grafana restarts.
        /// Kubernetes only. Default: 1.
        monitoring: u32 = 1;
    }

    /// Scheduled backups, and drills that prove them.
    BackupConfig {
        /// When, as five cron fields in UTC: minute, hour, day of month, month, day of week. Default: "0 3 * * 0" for local,
        /// "0 2 * * 0" for dev, "0 2 * * *" for staging and prod. Changes in place.
        schedule: Schedule;
        /// How long a backup is kept, in whole hours or days: at least the schedule's longest interval and a day. Default: 8d
        /// for local and dev, 7d for staging, 30d for prod. A shorter one needs an approval.
        retention: Span;
        /// Whose data: `database`, `cache`, `storage`. Default: those of the three that the config asks for. A change restarts
        /// the pods that join or leave; one that leaves needs an approval.
        scope: Option<Vec<Capability>>;
        /// Where backups are kept. Kubernetes only. Default: an S3 server of the platform's own in the namespace
        /// `backup-store`, which does not outlive the cluster.
        store: Option<BackupStoreConfig>;
        /// Who makes the cluster-wide kinds that Velero brings: `own`, this platform, or `existing`, another platform or Velero
        /// in this cluster. Kubernetes only. Default: own. They stay when the platform goes.
        definitions: Option<DefinitionsFrom>;
        /// A second region that gets a copy of each backup, such as eu-central-1, or `none`. AWS only. Default: none for dev and
        /// staging; prod has to say. Copies end with another region or `none`, which needs an approval; what is there stays.
        copy_to: Option<String>;
        /// Whether the vaults refuse backups that go before `retention` is over. AWS only. Default: false for dev and staging,
        /// true for prod. Taking it away needs an approval.
        lock: Option<bool>;
        /// The backup that a new platform starts from: its name, or `latest` for the newest complete one that the schedule
        /// made. Needs a store outside. Kubernetes only. Default: none, and it starts empty. Counts once: from then on it
        /// tells where the data came from, and another value is refused.
        restore_from: Option<String>;
    }

    /// Where backups are kept: in the cluster (`capacity`, `memory`, `storage_class`), or in a bucket outside of it
    /// (`endpoint`, `bucket`, `region`, `access`). A change from one to the other needs an approval.
    BackupStoreConfig {
        /// Size of the store's volume, at least 1Gi. Default: 20Gi. Grows online, never shrinks.
        capacity: Option<Size>;
        /// Memory limit of the store's server, at least 256Mi. Default: 1Gi. A change restarts it.
        memory: Option<Size>;
        /// StorageClass of the store's volume. Default: the cluster's. Counts for volumes yet to be made.
        storage_class: Option<String>;
        /// Address of the S3 API outside, starting with `https://`. Default: a store in the cluster.
        endpoint: Option<String>;
        /// The bucket outside; it must be there, and several platforms may share it. A change needs an approval.
        bucket: Option<String>;
        /// The bucket's region. Default: us-east-1.
        region: Option<String>;
        /// The file of AWS credentials with the profile `default` that opens the bucket, from a `SecretSource`.
        access: Option<CredentialsConfig>;
    }

    /// Credentials that the caller supplies; their value is never in a config file.
    CredentialsConfig {
        /// The name under which the `SecretSource` knows the value.
        supplied: String;
        /// Raised by the caller when the value changed, from 1.
        revision: u64;
    }

    /// A namespace for an application: with Pod Security, default-deny, DNS and the capabilities that it uses, a quota,
    /// limits of containers, the ServiceAccount `application` without a token, the Secret `ca-certificate`, and for each
    /// used capability the Secret `<capability>-client` with what clients log in with.
    ApplicationConfig {
        /// Name of the namespace, without the prefix. A changed name is another namespace.
        name: String;
        /// Its Pod Security Standard: `baseline` or `restricted`. Default: the platform's. Lowering it needs an approval.
        pod_security: Option<PodSecurity>;
        /// The capabilities that its pods may connect to: `database`, `cache`, `storage`. Default: none. A new one needs an
        /// approval.
        uses: Vec<Capability>;
        /// TCP ports on which its pods may connect to any address, in the cluster too where that lets them in, such as
        /// `[443]`. Default: none. A new one needs an approval.
        outside: Vec<u32>;
        /// TCP port on which Prometheus may read its pods' metrics. Default: none. A new one needs an approval.
        metrics: Option<u32>;
        /// What the namespace may use. Default: `default_quota`, limit by limit. Changes in place.
        quota: Option<QuotaConfig>;
        /// What each container in it may use. Default: `default_limits`, limit by limit. Counts for pods yet to be made.
        limits: Option<LimitConfig>;
    }

    /// Rights of people in each namespace of the platform. Neither role reads Secrets, runs something in a container or
    /// changes a setting.
    PeopleConfig {
        /// They read everything but Secrets and logs. Default: nobody. Another one needs an approval.
        viewers: Option<SubjectsConfig>;
        /// They read what viewers read and logs, forward ports, and delete or evict pods, so that they are made anew.
        /// Default: nobody. Another one needs an approval.
        operators: Option<SubjectsConfig>;
    }

    /// Groups and users, by the names that the cluster's login gives them, at least one.
    SubjectsConfig {
        /// Groups. Default: none.
        groups: Vec<String>;
        /// Users. Default: none.
        users: Vec<String>;
    }

    /// Lets pods of a namespace connect to capabilities.
    AllowConfig {
        /// The pods that may connect.
        from: PeerConfig;
        /// The capabilities they may connect to: `database`, `cache`, `storage`, `monitoring`.
        to: Vec<Capability>;
    }

    /// Pods of a namespace.
    PeerConfig {
        /// The namespace, by its `kubernetes.io/metadata.name`.
        namespace: String;
        /// Labels that the pods must have. Default: every pod of the namespace.
        labels: BTreeMap<String, String>;
    }

    /// Limits of what a namespace may use.
    QuotaConfig {
        /// Sum of CPU limits in cores or thousandths. Default: no limit.
        cpu: Option<Cpu>;
        /// Sum of memory limits. Default: no limit.
        memory: Option<Size>;
        /// Number of pods, at least 1. Default: no limit.
        pods: Option<u32>;
        /// Sum of volume sizes. Default: no limit.
        storage: Option<Size>;
    }

    /// Limits of each container of a namespace.
    LimitConfig {
        /// CPU limit of a container that states none; a tenth of it is requested. Default: the environment's, at most
        /// `max_cpu`.
        cpu: Option<Cpu>;
        /// Memory limit of a container that states none; a quarter of it is requested. Default: the environment's, at
        /// most `max_memory`.
        memory: Option<Size>;
        /// The most CPU that a container may state. Default: no limit. Less than the platform's own containers state is
        /// refused.
        max_cpu: Option<Cpu>;
        /// The most memory that a container may state. Default: no limit. Less than the platform's own containers state
        /// is refused.
        max_memory: Option<Size>;
    }

    /// A secret that the caller supplies; its value is never in a config file.
    SuppliedConfig {
        /// Name of the Secret that is made.
        name: String;
        /// The name under which the `SecretSource` knows the value.
        supplied: String;
        /// Raised by the caller when the value changed, from 1.
        revision: u64;
    }
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            registry: None,
            pull_secrets: Vec::new(),
            digests: DigestPolicy::On,
            overrides: BTreeMap::new(),
        }
    }
}

impl PlatformConfig {
    /// The providers that a capability lives on: what `placement` says, else `provider`.
    pub fn placed(&self, capability: Capability) -> Vec<ProviderName> {
        self.placement
            .get(capability.as_str())
            .cloned()
            .unwrap_or_else(|| vec![self.provider])
    }

    /// The capabilities that have a block.
    pub fn wanted(&self) -> Vec<Capability> {
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
        .collect()
    }
}

impl BackupConfig {
    /// What says that no region gets copies.
    pub(in crate::config) const NO_COPIES: &'static str = "none";

    /// The region that gets copies.
    pub fn second_region(&self) -> Option<&str> {
        self.copy_to.as_deref().filter(|region| *region != Self::NO_COPIES)
    }

    /// Whether backups go into an S3 server of the platform's own.
    pub(in crate::config) fn keeps_its_own_store(&self) -> bool {
        self.store.as_ref().is_none_or(|store| store.endpoint.is_none())
    }
}

/// Where a capability lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderName {
    /// A Kubernetes cluster.
    Kubernetes,
    /// An AWS account and region, with EKS.
    Aws,
}

impl ProviderName {
    /// `kubernetes` or `aws`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Aws => "aws",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether images are pinned by content digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestPolicy {
    /// By digest, where the catalogue or the reference has one.
    On,
    /// By tag alone.
    Off,
}

/// Who signs certificates inside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsIssuer {
    /// An authority that the platform makes.
    Own,
}

/// Who makes the cluster-wide kinds that Velero brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionsFrom {
    /// This platform.
    Own,
    /// Somebody else in the cluster.
    Existing,
}

/// Which S3 server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageFlavour {
    /// RustFS (Apache-2.0).
    Rustfs,
    /// MinIO (AGPLv3, no longer maintained).
    Minio,
    /// Another one, described.
    Custom(Box<CustomStorage>),
}

impl Read for StorageFlavour {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Map(_)) {
            return CustomStorage::read(node, reader).map(|custom| Self::Custom(Box::new(custom)));
        }
        Some(match reader.word(node, &["rustfs", "minio"])? {
            "minio" => Self::Minio,
            _ => Self::Rustfs,
        })
    }
    fn schema() -> Json {
        json!({ "oneOf": [{ "enum": ["rustfs", "minio"] }, CustomStorage::schema()] })
    }
}

/// An amount of CPU in thousandths of a core, at least one: `500m`, `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(u32);

impl Cpu {
    /// Thousandths of a core.
    pub const fn milli(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl FromStr for Cpu {
    type Err = InvalidCpu;

    fn from_str(text: &str) -> Result<Self, InvalidCpu> {
        let (number, factor) = text.strip_suffix('m').map_or((text, 1000), |number| (number, 1));
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let milli = number
            .parse::<u32>()
            .ok()
            .filter(|_| digits)
            .and_then(|n| n.checked_mul(factor));
        milli
            .filter(|n| *n > 0)
            .map(Self)
            .ok_or_else(|| InvalidCpu { text: text.to_owned() })
    }
}

/// A text that is not an amount of CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an amount of CPU")]
pub struct InvalidCpu {
    text: String,
}

impl InvalidCpu {
    /// What to write instead, such as `write 500m`.
    pub fn help(&self) -> String {
        let number = self
            .text
            .trim()
            .trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
        match number.parse::<f64>() {
            Ok(cores) if (0.001..=1000.0).contains(&cores) => {
                format!("write {:.0}m, thousandths of a core", cores * 1000.0)
            }
            _ => "write cores (2) or thousandths of a core (500m)".to_owned(),
        }
    }
}
