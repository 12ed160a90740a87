//! What CloudWatch shows: four dashboards, with widgets for what exists.

use super::MAX_NAME;
use super::alarms::{Alarm, members, metric, of_bucket, subjects};
use crate::draft::Draft;
use platform_core::{AlarmSubject, Capability, Resource, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const WIDTH: u64 = 12;
const HEIGHT: u64 = 6;
const PERIOD: u32 = 60;
const DAY: u32 = 86_400;

/// A dashboard.
pub(super) struct Dashboard {
    /// `database`: the end of its name.
    pub(super) name: &'static str,
    widgets: Vec<Value>,
}

impl Dashboard {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            widgets: Vec::new(),
        }
    }

    /// Puts a widget into the next free place: two beside each other.
    fn put(mut self, kind: &str, properties: &Value) -> Self {
        let at = self.widgets.len() as u64;
        self.widgets.push(json!({
            "type": kind, "x": at % 2 * WIDTH, "y": at / 2 * HEIGHT, "width": WIDTH, "height": HEIGHT,
            "properties": properties,
        }));
        self
    }

    /// The state of alarms.
    fn states(self, title: &str, arns: &[String]) -> Self {
        if arns.is_empty() {
            return self;
        }
        self.put("alarm", &json!({ "title": title, "alarms": arns }))
    }

    /// Metrics over time.
    fn graph(self, draft: &Draft<'_>, title: &str, metrics: &[Value]) -> Self {
        if metrics.is_empty() {
            return self;
        }
        let rows: Vec<Value> = metrics.iter().map(row).collect();
        let properties = json!({
            "title": title, "region": draft.shared.region(), "view": "timeSeries", "stacked": false, "metrics": rows,
        });
        self.put("metric", &properties)
    }

    pub(super) fn resource(&self, draft: &Draft<'_>) -> Result<Resource> {
        let id = draft.id("cloudwatch.Dashboard", &draft.name(self.name, MAX_NAME))?;
        Ok(draft.resource(id, json!({ "widgets": self.widgets, "start": "-PT6H" })))
    }
}

/// A metric as a widget writes it: namespace, name, dimensions in pairs, options.
fn row(metric: &Value) -> Value {
    let mut row = vec![metric["namespace"].clone(), metric["name"].clone()];
    for (name, value) in metric["dimensions"].as_object().into_iter().flatten() {
        row.extend([json!(name), value.clone()]);
    }
    row.push(json!({ "stat": metric["stat"], "period": metric["period"] }));
    Value::Array(row)
}

/// The dashboards of which anything exists.
pub(super) fn all(draft: &Draft<'_>, alarms: &[Alarm], composites: &[String]) -> Vec<Dashboard> {
    let arns = |of: &dyn Fn(&Alarm) -> bool| -> Vec<String> {
        alarms
            .iter()
            .filter(|alarm| of(alarm))
            .map(|alarm| alarm_arn(draft, &alarm.name(draft)))
            .collect()
    };
    let of = |capability: Capability| arns(&|alarm| alarm.capability == capability);
    let whole: Vec<String> = composites.iter().map(|name| alarm_arn(draft, name)).collect();
    let sites = Sites::of(draft);
    [
        infrastructure(draft, &sites, &whole, &arns(&|_| true)),
        applications(draft, &sites),
        database(draft, &sites, &of(Capability::Database), &of(Capability::Cache)),
        storage(draft, &sites, &of(Capability::Storage), &of(Capability::Backup)),
    ]
    .into_iter()
    .filter(|dashboard| !dashboard.widgets.is_empty())
    .collect()
}

fn alarm_arn(draft: &Draft<'_>, name: &str) -> String {
    draft.arn("cloudwatch", &format!("alarm:{name}"))
}

/// What there is to show, by the names that CloudWatch knows.
struct Sites {
    databases: Vec<String>,
    caches: Vec<String>,
    buckets: Vec<String>,
    vaults: Vec<String>,
}

impl Sites {
    fn of(draft: &Draft<'_>) -> Self {
        let names = |capability| -> Vec<String> {
            let all = subjects(draft.context, capability).map(|subject: &AlarmSubject| subject.subject.clone());
            all.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Self {
            databases: names(Capability::Database),
            caches: names(Capability::Cache)
                .iter()
                .flat_map(|group| members(draft.context, group))
                .collect(),
            buckets: names(Capability::Storage),
            vaults: names(Capability::Backup),
        }
    }

    fn database(&self, name: &str, stat: &str) -> Vec<Value> {
        each(&self.databases, "AWS/RDS", "DBInstanceIdentifier", name, stat, PERIOD)
    }

    fn cache(&self, name: &str, stat: &str) -> Vec<Value> {
        each(&self.caches, "AWS/ElastiCache", "CacheClusterId", name, stat, PERIOD)
    }

    fn bucket(&self, name: &str, stat: &str) -> Vec<Value> {
        self.buckets
            .iter()
            .map(|bucket| of_bucket(name, bucket, stat, PERIOD))
            .collect()
    }

    fn size(&self, name: &str, kind: &str) -> Vec<Value> {
        self.buckets
            .iter()
            .map(|bucket| {
                let dimensions = [("BucketName", bucket.as_str()), ("StorageType", kind)];
                metric("AWS/S3", name, &dimensions, "Average", DAY)
            })
            .collect()
    }

    fn vault(&self, name: &str) -> Vec<Value> {
        each(&self.vaults, "AWS/Backup", "BackupVaultName", name, "Sum", DAY)
    }
}

fn each(names: &[String], namespace: &str, dimension: &str, name: &str, stat: &str, period: u32) -> Vec<Value> {
    names
        .iter()
        .map(|of| metric(namespace, name, &[(dimension, of)], stat, period))
        .collect()
}

fn infrastructure(draft: &Draft<'_>, sites: &Sites, whole: &[String], alarms: &[String]) -> Dashboard {
    let cpu = [
        sites.database("CPUUtilization", "Average"),
        sites.cache("EngineCPUUtilization", "Average"),
    ]
    .concat();
    let memory = sites.database("FreeableMemory", "Minimum");
    let network = [
        sites.database("NetworkReceiveThroughput", "Average"),
        sites.database("NetworkTransmitThroughput", "Average"),
        sites.cache("NetworkBytesIn", "Average"),
        sites.cache("NetworkBytesOut", "Average"),
    ]
    .concat();
    let disks = [
        sites.database("ReadIOPS", "Average"),
        sites.database("WriteIOPS", "Average"),
        sites.database("DiskQueueDepth", "Average"),
    ]
    .concat();
    Dashboard::new("infrastructure")
        .states("The platform", whole)
        .states("Alarms", alarms)
        .graph(draft, "CPU (%)", &cpu)
        .graph(draft, "Free memory (bytes)", &memory)
        .graph(draft, "Network (bytes)", &network)
        .graph(draft, "Disks", &disks)
}

fn applications(draft: &Draft<'_>, sites: &Sites) -> Dashboard {
    Dashboard::new("application")
        .graph(draft, "Requests to buckets", &sites.bucket("AllRequests", "Sum"))
        .graph(
            draft,
            "Share of requests that fail",
            &sites.bucket("5xxErrors", "Average"),
        )
        .graph(
            draft,
            "Time to the first byte, 99 % (ms)",
            &sites.bucket("FirstByteLatency", "p99"),
        )
        .graph(
            draft,
            "Database connections",
            &sites.database("DatabaseConnections", "Maximum"),
        )
        .graph(draft, "Cache clients", &sites.cache("CurrConnections", "Maximum"))
        .graph(draft, "Cache hits (%)", &sites.cache("CacheHitRate", "Average"))
}

fn database(draft: &Draft<'_>, sites: &Sites, database: &[String], cache: &[String]) -> Dashboard {
    let latency = [
        sites.database("ReadLatency", "Average"),
        sites.database("WriteLatency", "Average"),
    ]
    .concat();
    Dashboard::new("database")
        .states("Database", database)
        .graph(draft, "Connections", &sites.database("DatabaseConnections", "Maximum"))
        .graph(
            draft,
            "Free storage (bytes)",
            &sites.database("FreeStorageSpace", "Minimum"),
        )
        .graph(draft, "Latency (s)", &latency)
        .graph(draft, "Load (sessions)", &sites.database("DBLoad", "Average"))
        .graph(
            draft,
            "Used transaction ids",
            &sites.database("MaximumUsedTransactionIDs", "Maximum"),
        )
        .states("Cache", cache)
        .graph(
            draft,
            "Cache memory (%)",
            &sites.cache("DatabaseMemoryUsagePercentage", "Maximum"),
        )
        .graph(draft, "Cache evictions", &sites.cache("Evictions", "Sum"))
        .graph(draft, "Replication lag (s)", &sites.cache("ReplicationLag", "Maximum"))
}

fn storage(draft: &Draft<'_>, sites: &Sites, storage: &[String], backup: &[String]) -> Dashboard {
    let moved = [
        sites.bucket("BytesDownloaded", "Sum"),
        sites.bucket("BytesUploaded", "Sum"),
    ]
    .concat();
    Dashboard::new("storage")
        .states("Buckets", storage)
        .graph(draft, "Size (bytes)", &sites.size("BucketSizeBytes", "StandardStorage"))
        .graph(draft, "Objects", &sites.size("NumberOfObjects", "AllStorageTypes"))
        .graph(draft, "Bytes moved", &moved)
        .graph(draft, "Latency, 99 % (ms)", &sites.bucket("TotalRequestLatency", "p99"))
        .states("Backups", backup)
        .graph(draft, "Backups completed", &sites.vault("NumberOfBackupJobsCompleted"))
        .graph(draft, "Backups failed", &sites.vault("NumberOfBackupJobsFailed"))
}
