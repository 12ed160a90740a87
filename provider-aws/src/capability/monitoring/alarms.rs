//! When an alarm is raised: about the subjects that the other capabilities state, by the thresholds of the spec.

use super::MAX_NAME;
use super::receivers::{topic_arn, topic_name};
use crate::draft::Draft;
use crate::kind::s3_bucket;
use crate::names;
use platform_core::{AlarmSubject, Capability, Context, MonitoringSpec, Resource, Result, Severity};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Connections that a node of ElastiCache takes.
const CACHE_CONNECTIONS: u64 = 65_000;
/// Transaction ids of PostgreSQL after which its next vacuum cannot wait; it stops at 2,100,000,000.
const TRANSACTION_IDS: f64 = 1e9;
/// Seconds that a replica may be behind.
const LAG: f64 = 30.0;
/// Refused logins and commands within five minutes that are no slip of the hand.
const REFUSALS: f64 = 10.0;
const DAY: u64 = 86_400;
const HOUR: u32 = 3600;
const FIVE_MINUTES: u32 = 300;

/// One alarm.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    /// `DatabaseConnectionsHigh`: its heading in `docs/runbooks/aws.md`.
    pub(super) alert: &'static str,
    pub(super) capability: Capability,
    severity: Severity,
    /// What it is about, as CloudWatch calls it.
    pub(super) subject: String,
    /// One sentence, with the limit.
    says: String,
    measure: Measure,
    comparison: &'static str,
    threshold: f64,
    periods: u64,
    missing: &'static str,
}

/// What is compared.
#[derive(Clone, Debug)]
enum Measure {
    Metric(Value),
    /// The sum of several.
    Sum(Vec<Value>),
}

/// A metric; as the widgets of dashboards ask for it, too.
pub(super) fn metric(namespace: &str, name: &str, dimensions: &[(&str, &str)], stat: &str, period: u32) -> Value {
    let dimensions: Map<String, Value> = dimensions
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    json!({ "namespace": namespace, "name": name, "dimensions": dimensions, "stat": stat, "period": period })
}

/// A capability's subjects.
pub(super) fn subjects(context: &Context, capability: Capability) -> impl Iterator<Item = &AlarmSubject> {
    let surface = context.surfaces.get(capability);
    surface.into_iter().flat_map(|surface| &surface.subjects)
}

/// Names of the nodes of a replication group.
pub(super) fn members(context: &Context, group: &str) -> Vec<String> {
    let replicas = subjects(context, Capability::Cache)
        .find(|subject| subject.what == "replicas" && subject.subject == group)
        .and_then(|subject| subject.limit)
        .unwrap_or_default();
    (1..=replicas + 1).map(|n| format!("{group}-{n:03}")).collect()
}

/// Every alarm whose subject exists.
pub(super) fn all(draft: &Draft<'_>, spec: &MonitoringSpec) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    for capability in Capability::ALL {
        for subject in subjects(draft.context, capability) {
            let found = match (capability, subject.what.as_str()) {
                (Capability::Database, "connections") => database_connections(spec, subject),
                (Capability::Database, "utilisation") => database_utilisation(spec, subject),
                (Capability::Cache, "connections") => cache_connections(draft.context, spec, subject),
                (Capability::Cache, "utilisation") => cache_utilisation(draft.context, spec, subject),
                (Capability::Cache, "replicas") => cache_replicas(draft.context, subject),
                (Capability::Storage, "errors") => storage_errors(spec, subject),
                (Capability::Backup, "age") => backups(subject),
                _ => Vec::new(),
            };
            alarms.extend(found);
        }
    }
    let mut seen = BTreeSet::new();
    alarms.retain(|alarm| seen.insert((alarm.alert, alarm.subject.clone())));
    alarms
}

#[allow(clippy::cast_precision_loss)] // limits are far below 2^53
fn number(limit: u64) -> f64 {
    limit as f64
}

impl Alarm {
    /// An alarm about a metric that is beyond a threshold for five minutes.
    fn on(alert: &'static str, capability: Capability, subject: &str, metric: Value) -> Self {
        Self {
            alert,
            capability,
            severity: Severity::Warning,
            subject: subject.to_owned(),
            says: String::new(),
            measure: Measure::Metric(metric),
            comparison: ">",
            threshold: 0.0,
            periods: 1,
            missing: "missing",
        }
    }

    fn critical(mut self) -> Self {
        self.severity = Severity::Critical;
        self
    }

    fn over(mut self, threshold: f64, periods: u64) -> Self {
        (self.comparison, self.threshold, self.periods) = (">", threshold, periods);
        self
    }

    fn under(mut self, threshold: f64, periods: u64) -> Self {
        (self.comparison, self.threshold, self.periods) = ("<", threshold, periods);
        self
    }

    fn missing(mut self, missing: &'static str) -> Self {
        self.missing = missing;
        self
    }

    fn says(mut self, says: String) -> Self {
        self.says = says;
        self
    }

    /// `ml-platform-prod-database-connections-high`; with what is left of the subject's name where there can be several.
    pub(super) fn name(&self, draft: &Draft<'_>) -> String {
        let tail = s3_bucket::account_tail(&draft.shared.options.account, draft.shared.region());
        let stem = names::stem(draft.context);
        let subject = draft.computed(&self.subject);
        let subject = subject.strip_suffix(&tail).unwrap_or(&subject);
        let rest = subject.strip_prefix(&stem).unwrap_or(subject).trim_start_matches('-');
        let alert = kebab(self.alert);
        let part = if rest.is_empty() || rest == self.capability.as_str() {
            alert
        } else {
            format!("{alert}-{rest}")
        };
        draft.name(&part, MAX_NAME)
    }

    pub(super) fn resource(&self, draft: &Draft<'_>) -> Result<Resource> {
        let topic = topic_arn(draft, self.severity);
        let runbook = format!("docs/runbooks/aws.md#{}", self.alert.to_lowercase());
        let mut desired = json!({
            "description": format!("{}: {} Runbook: {runbook}", self.alert, self.says),
            "comparison": self.comparison,
            "threshold": self.threshold,
            "periods": self.periods,
            "missing_data": self.missing,
            "alarm_actions": [topic],
            "ok_actions": [topic],
        });
        match &self.measure {
            Measure::Metric(metric) => desired["metric"] = metric.clone(),
            Measure::Sum(metrics) => desired["queries"] = sum(metrics),
        }
        let id = draft.id("cloudwatch.Alarm", &self.name(draft))?;
        let topic = draft.id("sns.Topic", &topic_name(draft, self.severity))?;
        Ok(draft.resource(id, desired).with_after(topic))
    }
}

/// The sum of metrics, where one without data counts for nothing.
fn sum(metrics: &[Value]) -> Value {
    let mut queries: BTreeMap<String, Value> = metrics
        .iter()
        .enumerate()
        .map(|(at, metric)| (format!("m{at}"), json!({ "metric": metric })))
        .collect();
    let terms: Vec<String> = queries.keys().map(|id| format!("FILL({id}, 0)")).collect();
    queries.insert(
        "total".to_owned(),
        json!({ "expression": terms.join(" + "), "label": "total", "compared": true }),
    );
    json!(queries)
}

/// `DatabaseConnectionsHigh` as `database-connections-high`.
fn kebab(alert: &str) -> String {
    let mut text = String::new();
    for c in alert.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn of_database(name: &str, instance: &str, stat: &str, period: u32) -> Value {
    metric("AWS/RDS", name, &[("DBInstanceIdentifier", instance)], stat, period)
}

fn database_connections(spec: &MonitoringSpec, subject: &AlarmSubject) -> Vec<Alarm> {
    let (instance, share) = (subject.subject.as_str(), spec.connections);
    // Without a limit that is set nobody knows how many there may be.
    let Some(limit) = subject.limit else {
        return Vec::new();
    };
    let metric = of_database("DatabaseConnections", instance, "Maximum", 60);
    vec![
        Alarm::on("DatabaseConnectionsHigh", Capability::Database, instance, metric)
            .over(number(share.of(limit)), 5)
            .says(format!(
                "{instance} uses more than {share} of the {limit} connections that it may have."
            )),
    ]
}

fn database_utilisation(spec: &MonitoringSpec, subject: &AlarmSubject) -> Vec<Alarm> {
    let (instance, share) = (subject.subject.as_str(), spec.utilisation);
    let on = |alert, metric| Alarm::on(alert, Capability::Database, instance, metric);
    let mut alarms = vec![
        on(
            "DatabaseCpuHigh",
            of_database("CPUUtilization", instance, "Average", FIVE_MINUTES),
        )
        .over(f64::from(share.get()), 3)
        .says(format!("{instance} uses more than {share} of its CPU.")),
        on(
            "DatabaseTransactionIdsLow",
            of_database("MaximumUsedTransactionIDs", instance, "Maximum", HOUR),
        )
        .critical()
        .over(TRANSACTION_IDS, 1)
        .says(format!(
            "{instance} has used a billion transaction ids since its last vacuum; at two billion it stops."
        )),
    ];
    if let Some(storage) = subject.limit {
        let least = storage.saturating_sub(share.of(storage));
        alarms.push(
            on(
                "DatabaseStorageHigh",
                of_database("FreeStorageSpace", instance, "Minimum", FIVE_MINUTES),
            )
            .critical()
            .under(number(least), 3)
            .says(format!(
                "{instance} uses more than {share} of the storage that is set: fewer than {least} bytes are free."
            )),
        );
    }
    alarms
}

fn of_cache(name: &str, member: &str, stat: &str, period: u32) -> Value {
    metric("AWS/ElastiCache", name, &[("CacheClusterId", member)], stat, period)
}

fn cache_connections(context: &Context, spec: &MonitoringSpec, subject: &AlarmSubject) -> Vec<Alarm> {
    let (share, limit) = (spec.connections, subject.limit.unwrap_or(CACHE_CONNECTIONS));
    let mut alarms = Vec::new();
    for member in members(context, &subject.subject) {
        let metric = of_cache("CurrConnections", &member, "Maximum", 60);
        alarms.push(
            Alarm::on("CacheConnectionsHigh", Capability::Cache, &member, metric)
                .over(number(share.of(limit)), 5)
                .says(format!(
                    "{member} serves more than {share} of the {limit} clients that it may."
                )),
        );
    }
    alarms
}

fn cache_utilisation(context: &Context, spec: &MonitoringSpec, subject: &AlarmSubject) -> Vec<Alarm> {
    let (share, limit) = (spec.utilisation, f64::from(spec.utilisation.get()));
    let mut alarms = Vec::new();
    for member in members(context, &subject.subject) {
        let on = |alert, metric| Alarm::on(alert, Capability::Cache, &member, metric);
        let refused = [
            "AuthenticationFailures",
            "CommandAuthorizationFailures",
            "KeyAuthorizationFailures",
        ];
        let mut refusals = on("CacheAccessRefused", Value::Null)
            .over(REFUSALS, 1)
            .missing("notBreaching")
            .says(format!(
                "{member} refused logins, commands or keys more than ten times in five minutes."
            ));
        refusals.measure = Measure::Sum(
            refused
                .iter()
                .map(|name| of_cache(name, &member, "Sum", FIVE_MINUTES))
                .collect(),
        );
        alarms.extend([
            on(
                "CacheCpuHigh",
                of_cache("EngineCPUUtilization", &member, "Average", FIVE_MINUTES),
            )
            .over(limit, 3)
            .says(format!("The engine of {member} uses more than {share} of its CPU.")),
            on(
                "CacheMemoryHigh",
                of_cache("DatabaseMemoryUsagePercentage", &member, "Maximum", FIVE_MINUTES),
            )
            .over(limit, 3)
            .says(format!("{member} uses more than {share} of its memory for data.")),
            on("CacheEvicts", of_cache("Evictions", &member, "Sum", FIVE_MINUTES))
                .over(0.0, 3)
                .missing("notBreaching")
                .says(format!("{member} throws entries away to make room.")),
            refusals,
        ]);
    }
    alarms
}

fn cache_replicas(context: &Context, subject: &AlarmSubject) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    // The first member is the primary to begin with; after a failover it is a replica as well.
    for member in members(context, &subject.subject) {
        let metric = of_cache("ReplicationLag", &member, "Maximum", 60);
        alarms.push(
            Alarm::on("CacheReplicaLags", Capability::Cache, &member, metric)
                .over(LAG, 5)
                // A primary has no lag to tell of.
                .missing("notBreaching")
                .says(format!("{member} is more than half a minute behind its primary.")),
        );
    }
    alarms
}

fn storage_errors(spec: &MonitoringSpec, subject: &AlarmSubject) -> Vec<Alarm> {
    let (bucket, share) = (subject.subject.as_str(), spec.errors);
    // Each request counts as 0 or 1, so the average is the share that failed.
    let metric = of_bucket("5xxErrors", bucket, "Average", 60);
    vec![
        Alarm::on("StorageErrorsHigh", Capability::Storage, bucket, metric)
            .critical()
            .over(f64::from(share.get()) / 100.0, 5)
            .missing("notBreaching")
            .says(format!("More than {share} of the requests to {bucket} fail with 5xx.")),
    ]
}

/// A request metric of a bucket.
pub(super) fn of_bucket(name: &str, bucket: &str, stat: &str, period: u32) -> Value {
    let dimensions = [("BucketName", bucket), ("FilterId", s3_bucket::WHOLE_BUCKET)];
    metric("AWS/S3", name, &dimensions, stat, period)
}

fn backups(subject: &AlarmSubject) -> Vec<Alarm> {
    let vault = subject.subject.as_str();
    let of = |name: &str, period: u32| metric("AWS/Backup", name, &[("BackupVaultName", vault)], "Sum", period);
    let on = |alert, metric| Alarm::on(alert, Capability::Backup, vault, metric).critical();
    let mut failed = on("BackupFailed", Value::Null)
        .over(0.0, 1)
        .missing("notBreaching")
        .says(format!(
            "Backups or copies into {vault} failed, were aborted or ran out of time within an hour."
        ));
    failed.measure = Measure::Sum(
        [
            "NumberOfBackupJobsFailed",
            "NumberOfBackupJobsAborted",
            "NumberOfBackupJobsExpired",
            "NumberOfCopyJobsFailed",
        ]
        .iter()
        .map(|name| of(name, HOUR))
        .collect(),
    );
    // CloudWatch looks back a week at most.
    let days = subject.limit.unwrap_or(DAY).div_ceil(DAY).clamp(1, 7);
    let stale = on("BackupStale", of("NumberOfBackupJobsCompleted", 24 * HOUR))
        .under(1.0, days)
        .missing("breaching")
        .says(format!("No backup into {vault} was completed within {days} days."));
    vec![failed, stale]
}
