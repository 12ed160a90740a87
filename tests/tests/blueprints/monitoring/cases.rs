//! For every alarm: when it must be raised, and when it must not.
//!
//! `promtool test rules` runs them. A series is written as its selector and its values a minute apart, in promtool's
//! notation: `0+6x9` grows by 6 nine times.

use super::{BACKUP_AGE, full, spec, watched};
use provider_k8s::monitoring::rules;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Raised always, by design.
pub(crate) const ALWAYS: &str = "Watchdog";

/// The cases of one alarm.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) alert: &'static str,
    /// When the alarms are looked at.
    at: &'static str,
    /// Series that raise it, the labels of the alarm, and its value as the description shows it.
    pub(crate) raised: Vec<(Vec<String>, String, &'static str)>,
    /// Series that do not.
    pub(crate) quiet: Vec<Vec<String>>,
}

fn case(alert: &'static str, at: &'static str) -> Case {
    Case {
        alert,
        at,
        raised: Vec::new(),
        quiet: Vec::new(),
    }
}

fn owned(series: &[&str]) -> Vec<String> {
    series.iter().map(|one| (*one).to_owned()).collect()
}

impl Case {
    fn raised(mut self, series: &[&str], labels: &str, value: &'static str) -> Self {
        self.raised.push((owned(series), labels.to_owned(), value));
        self
    }

    fn quiet(mut self, series: &[&str]) -> Self {
        self.quiet.push(owned(series));
        self
    }
}

const POSTGRES: &str = r#"job="postgres",namespace="database",pod="postgres-0""#;
const REDIS: &str = r#"job="redis",namespace="cache",pod="redis-0""#;
const MINIO: &str = r#"job="minio",namespace="storage",pod="minio-0""#;
const NODE: &str = r#"job="node-exporter",node="n1""#;
const STATE: &str = r#"job="kube-state-metrics",namespace="database""#;
const API: &str = r#"job="apiserver""#;
const VELERO: &str = r#"job="velero",schedule="ml-platform""#;

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = database();
    all.extend(cache());
    all.extend(storage_and_applications());
    all.extend(nodes_and_volumes());
    all.extend(containers());
    all.extend(workloads());
    all.extend(backup());
    all.extend(security());
    all.extend(monitoring());
    all
}

/// A part of requests that fails, at two rates a minute; `label` marks the failed ones.
fn share(failed: &str, all: &str, of_failed: u32, of_all: u32) -> [String; 2] {
    [format!("{failed} 0+{of_failed}x60"), format!("{all} 0+{of_all}x60")]
}

fn text(series: &[String]) -> Vec<&str> {
    series.iter().map(String::as_str).collect()
}

fn database() -> Vec<Case> {
    let connections = |app: u32| {
        [
            format!("pg_stat_database_numbackends{{{POSTGRES},datname=\"app\"}} {app}x30"),
            format!("pg_stat_database_numbackends{{{POSTGRES},datname=\"postgres\"}} 1x30"),
            format!("pg_settings_max_connections{{{POSTGRES}}} 100x30"),
            format!("pg_settings_superuser_reserved_connections{{{POSTGRES}}} 3x30"),
        ]
    };
    let transactions = |back: u32, done: u32| {
        share(
            &format!("pg_stat_database_xact_rollback{{{POSTGRES},datname=\"app\"}}"),
            &format!("pg_stat_database_xact_commit{{{POSTGRES},datname=\"app\"}}"),
            back,
            done,
        )
    };
    let pod = "namespace=database,pod=postgres-0";
    vec![
        case("DatabaseDown", "5m")
            .raised(
                &[&format!("pg_up{{{POSTGRES}}} 0x10")],
                "job=postgres,namespace=database,pod=postgres-0",
                "",
            )
            .raised(&["up{job=\"postgres\"} 1x10"], "job=postgres", "")
            .quiet(&[&format!("pg_up{{{POSTGRES}}} 1x10")]),
        case("DatabaseConnectionsHigh", "10m")
            .raised(&text(&connections(79)), pod, "82.47%")
            .quiet(&text(&connections(76))),
        case("DatabaseRollbacksHigh", "20m")
            .raised(&text(&transactions(60, 940)), pod, "6%")
            .quiet(&text(&transactions(40, 960)))
            .quiet(&text(&transactions(3, 3))),
        case("DatabaseDeadlocks", "15m")
            .raised(
                &[&format!("pg_stat_database_deadlocks{{{POSTGRES},datname=\"app\"}} 0x5 2x20")],
                "namespace=database,pod=postgres-0,datname=app",
                "2",
            )
            .quiet(&[&format!("pg_stat_database_deadlocks{{{POSTGRES},datname=\"app\"}} 3x30")]),
        case("DatabaseTransactionLong", "10m")
            .raised(
                &[&format!(
                    "pg_stat_activity_max_tx_duration{{{POSTGRES},datname=\"app\",state=\"idle in transaction\",backend_type=\"client backend\"}} 960x20"
                )],
                "namespace=database,pod=postgres-0,datname=app",
                "16m 0s",
            )
            .raised(
                &[&format!("pg_stat_activity_max_tx_duration{{{POSTGRES},datname=\"app\",state=\"active\"}} 960x20")],
                "namespace=database,pod=postgres-0,datname=app",
                "16m 0s",
            )
            .quiet(&[
                &format!("pg_stat_activity_max_tx_duration{{{POSTGRES},datname=\"app\",backend_type=\"client backend\"}} 800x20"),
                &format!("pg_stat_activity_max_tx_duration{{{POSTGRES},datname=\"app\",backend_type=\"autovacuum worker\"}} 9000x20"),
            ]),
    ]
}

fn cache() -> Vec<Case> {
    let of = |metric: &str, value: &str| format!("{metric}{{{REDIS}}} {value}");
    let clients = |n: u32| {
        [
            of("redis_connected_clients", &format!("{n}x20")),
            of("redis_config_maxclients", "10000x20"),
        ]
    };
    let memory = |used: u32, most: u32| {
        [
            of("redis_memory_used_bytes", &format!("{used}x30")),
            of("redis_memory_max_bytes", &format!("{most}x30")),
        ]
    };
    let commands = |failed: u32, all: u32| {
        share(
            &format!("redis_commands_failed_calls_total{{{REDIS},cmd=\"get\"}}"),
            &format!("redis_commands_total{{{REDIS},cmd=\"get\"}}"),
            failed,
            all,
        )
    };
    let follower = |pod: &str, value: &str| {
        let of =
            format!("job=\"redis\",namespace=\"cache\",pod=\"{pod}\",master_host=\"redis-0\",master_port=\"6379\"");
        format!("redis_master_link_up{{{of}}} {value}")
    };
    let pod = "namespace=cache,pod=redis-0";
    let whole = "job=redis,namespace=cache,pod=redis-0";
    vec![
        case("CacheDown", "5m")
            .raised(&[&of("redis_up", "0x10")], whole, "")
            .raised(&["up{job=\"redis\"} 1x10"], "job=redis", "")
            .quiet(&[&of("redis_up", "1x10")]),
        case("CacheConnectionsHigh", "10m")
            .raised(&text(&clients(8100)), pod, "81%")
            .quiet(&text(&clients(7900))),
        case("CacheConnectionsRefused", "10m")
            .raised(&[&of("redis_rejected_connections_total", "0x7 3x10")], pod, "3")
            .quiet(&[&of("redis_rejected_connections_total", "3x20")]),
        case("CacheMemoryHigh", "15m")
            .raised(&text(&memory(90, 100)), pod, "90%")
            .quiet(&text(&memory(80, 100)))
            .quiet(&text(&memory(80, 0))),
        case("CacheErrorsHigh", "15m")
            .raised(&text(&commands(60, 1000)), pod, "6%")
            .quiet(&text(&commands(40, 1000)))
            .quiet(&text(&commands(1, 2))),
        case("CacheReplicaUnlinked", "10m")
            .raised(
                &[
                    &follower("redis-1", "0x20"),
                    &follower("redis-2", "1x20"),
                    &of("redis_up", "1x20"),
                ],
                "namespace=cache,pod=redis-1",
                "",
            )
            .quiet(&[&follower("redis-1", "1x20"), &follower("redis-2", "1x20")])
            // A restart of the first server: the link is back after three minutes.
            .quiet(&[&follower("redis-1", "1x3 0x3 1x20")])
            // A replica that is gone, and a server that follows nobody.
            .quiet(&[&follower("redis-1", "0x3"), &of("redis_up", "1x20")]),
        case("CacheNotPersisted", "10m")
            .raised(
                &[
                    &of("redis_aof_last_write_status", "0x20"),
                    &of("redis_rdb_last_bgsave_status", "1x20"),
                ],
                whole,
                "",
            )
            .raised(
                &[
                    &of("redis_aof_last_write_status", "1x20"),
                    &of("redis_rdb_last_bgsave_status", "0x20"),
                ],
                whole,
                "",
            )
            .quiet(&[
                &of("redis_aof_last_write_status", "1x20"),
                &of("redis_rdb_last_bgsave_status", "1x20"),
            ]),
    ]
}

fn storage_and_applications() -> Vec<Case> {
    let capacity = |free: u32| {
        [
            format!("minio_cluster_capacity_usable_free_bytes{{{MINIO}}} {free}x30"),
            format!("minio_cluster_capacity_usable_total_bytes{{{MINIO}}} 100x30"),
        ]
    };
    let requests = |failed: u32, all: u32| {
        share(
            &format!("minio_s3_requests_5xx_errors_total{{{MINIO},api=\"getobject\"}}"),
            &format!("minio_s3_requests_total{{{MINIO},api=\"getobject\"}}"),
            failed,
            all,
        )
    };
    let api = |label: &str, failed: u32, good: u32| {
        let of = format!("job=\"applications\",namespace=\"ml-apps\",service=\"api\",{label}");
        share(
            &format!("http_requests_total{{{of}=\"503\"}}"),
            &format!("http_requests_total{{{of}=\"200\"}}"),
            failed,
            good,
        )
    };
    vec![
        case("ObjectStoreFull", "15m")
            .raised(&text(&capacity(10)), "namespace=storage", "90%")
            .quiet(&text(&capacity(20))),
        case("ObjectStoreDriveOffline", "10m")
            .raised(
                &[&format!("minio_cluster_drive_offline_total{{{MINIO}}} 1x20")],
                "namespace=storage",
                "1",
            )
            .quiet(&[&format!("minio_cluster_drive_offline_total{{{MINIO}}} 0x20")]),
        case("ObjectStoreErrorsHigh", "15m")
            .raised(&text(&requests(60, 1000)), "namespace=storage", "6%")
            .quiet(&text(&requests(40, 1000)))
            .quiet(&text(&requests(1, 2))),
        case("ApplicationErrorsHigh", "15m")
            .raised(&text(&api("code", 60, 940)), "namespace=ml-apps,service=api", "6%")
            .raised(&text(&api("status", 60, 940)), "namespace=ml-apps,service=api", "6%")
            .quiet(&text(&api("code", 40, 960)))
            .quiet(&text(&api("status", 1, 1))),
    ]
}

fn nodes_and_volumes() -> Vec<Case> {
    let idle = |seconds: u32| {
        [format!(
            "node_cpu_seconds_total{{{NODE},cpu=\"0\",mode=\"idle\"}} 0+{seconds}x60"
        )]
    };
    let memory = |free: u32| {
        [
            format!("node_memory_MemAvailable_bytes{{{NODE}}} {free}x30"),
            format!("node_memory_MemTotal_bytes{{{NODE}}} 100x30"),
        ]
    };
    let disk = |kind: &str, free: u32, readonly: u32| {
        let of = format!("{NODE},mountpoint=\"/data\",fstype=\"{kind}\"");
        [
            format!("node_filesystem_avail_bytes{{{of}}} {free}x30"),
            format!("node_filesystem_size_bytes{{{of}}} 100x30"),
            format!("node_filesystem_readonly{{{of}}} {readonly}x30"),
        ]
    };
    let volume = |namespace: &str, used: u32| {
        let of = format!("job=\"kubelet\",namespace=\"{namespace}\",persistentvolumeclaim=\"data-postgres-0\"");
        [
            format!("kubelet_volume_stats_used_bytes{{{of}}} {used}x30"),
            format!("kubelet_volume_stats_capacity_bytes{{{of}}} 100x30"),
        ]
    };
    vec![
        case("NodeCpuHigh", "30m")
            .raised(&text(&idle(6)), "node=n1", "90%")
            .quiet(&text(&idle(12))),
        case("NodeMemoryHigh", "15m")
            .raised(&text(&memory(10)), "node=n1", "90%")
            .quiet(&text(&memory(20))),
        case("NodeDiskHigh", "15m")
            .raised(&text(&disk("ext4", 10, 0)), "node=n1,mountpoint=/data", "90%")
            .quiet(&text(&disk("ext4", 20, 0)))
            .quiet(&text(&disk("ext4", 0, 1)))
            .quiet(&text(&disk("tmpfs", 0, 0))),
        case("VolumeHigh", "15m")
            .raised(
                &text(&volume("database", 90)),
                "namespace=database,persistentvolumeclaim=data-postgres-0",
                "90%",
            )
            .quiet(&text(&volume("database", 80)))
            .quiet(&text(&volume("elsewhere", 90))),
    ]
}

fn containers() -> Vec<Case> {
    let of = r#"namespace="database",pod="postgres-0",container="postgres""#;
    let labels = "namespace=database,pod=postgres-0,container=postgres";
    let limit = |resource: &str, value: u32| {
        format!(
            "kube_pod_container_resource_limits{{job=\"kube-state-metrics\",{of},resource=\"{resource}\"}} {value}x60"
        )
    };
    let cpu = |seconds: u32| {
        [
            format!("container_cpu_usage_seconds_total{{job=\"cadvisor\",{of}}} 0+{seconds}x60"),
            limit("cpu", 1),
        ]
    };
    let memory = |used: u32| {
        [
            format!("container_memory_working_set_bytes{{job=\"cadvisor\",{of}}} {used}x60"),
            limit("memory", 100),
        ]
    };
    let quota = |used: u32, hard: u32| {
        [
            format!(
                "kube_resourcequota{{{STATE},resourcequota=\"quota\",resource=\"limits.cpu\",type=\"used\"}} {used}x30"
            ),
            format!(
                "kube_resourcequota{{{STATE},resourcequota=\"quota\",resource=\"limits.cpu\",type=\"hard\"}} {hard}x30"
            ),
        ]
    };
    let restarts = |values: &str| {
        [format!(
            "kube_pod_container_status_restarts_total{{job=\"kube-state-metrics\",{of}}} {values}"
        )]
    };
    vec![
        case("ContainerCpuHigh", "40m")
            .raised(&text(&cpu(54)), labels, "90%")
            .quiet(&text(&cpu(48))),
        case("ContainerMemoryHigh", "20m")
            .raised(&text(&memory(90)), labels, "90%")
            .quiet(&text(&memory(80))),
        case("QuotaHigh", "15m")
            .raised(&text(&quota(9, 10)), "namespace=database,resource=limits.cpu", "90%")
            .quiet(&text(&quota(8, 10)))
            .quiet(&text(&quota(0, 0))),
        case("ContainerRestarting", "70m")
            .raised(&text(&restarts("0x20 5x60")), labels, "5")
            .quiet(&text(&restarts("0x20 2x60"))),
    ]
}

fn workloads() -> Vec<Case> {
    let replicas = |namespace: &str, wanted: &str, ready: &str, label: &str, n: u32| {
        let of = format!("job=\"kube-state-metrics\",namespace=\"{namespace}\",{label}=\"w\"");
        [format!("{wanted}{{{of}}} 1x30"), format!("{ready}{{{of}}} {n}x30")]
    };
    let stateful_set = |namespace: &str, n| {
        replicas(
            namespace,
            "kube_statefulset_replicas",
            "kube_statefulset_status_replicas_ready",
            "statefulset",
            n,
        )
    };
    let deployment = |n| {
        replicas(
            "monitoring",
            "kube_deployment_spec_replicas",
            "kube_deployment_status_replicas_available",
            "deployment",
            n,
        )
    };
    let daemon_set = |n| {
        replicas(
            "monitoring-node",
            "kube_daemonset_status_desired_number_scheduled",
            "kube_daemonset_status_number_ready",
            "daemonset",
            n,
        )
    };
    let failed = |n: u32| {
        [format!(
            "kube_job_failed{{{STATE},job_name=\"database-roles-1\",condition=\"true\"}} {n}x10"
        )]
    };
    let api = |failed: u32, good: u32| {
        share(
            &format!("apiserver_request_total{{{API},code=\"503\"}}"),
            &format!("apiserver_request_total{{{API},code=\"200\"}}"),
            failed,
            good,
        )
    };
    vec![
        case("StatefulSetUnavailable", "10m")
            .raised(
                &text(&stateful_set("storage", 0)),
                "namespace=storage,statefulset=w",
                "1",
            )
            .quiet(&text(&stateful_set("storage", 1)))
            .quiet(&text(&stateful_set("elsewhere", 0))),
        case("DeploymentUnavailable", "10m")
            .raised(&text(&deployment(0)), "namespace=monitoring,deployment=w", "1")
            .quiet(&text(&deployment(1))),
        case("DaemonSetUnavailable", "20m")
            .raised(&text(&daemon_set(0)), "namespace=monitoring-node,daemonset=w", "1")
            .quiet(&text(&daemon_set(1))),
        case("JobFailed", "5m")
            .raised(&text(&failed(1)), "namespace=database,job_name=database-roles-1", "1")
            .quiet(&text(&failed(0))),
        case("ApiServerErrorsHigh", "20m")
            .raised(&text(&api(60, 940)), "job=apiserver", "6%")
            .quiet(&text(&api(40, 960)))
            .quiet(&text(&api(1, 1))),
    ]
}

fn backup() -> Vec<Case> {
    let of = |metric: &str, values: &str| format!("velero_backup_{metric}{{{VELERO}}} {values}");
    let ended = |alert: &'static str, metric: &str| {
        case(alert, "70m")
            .raised(&[&of(metric, "0x60 1x30")], "schedule=ml-platform", "1")
            .quiet(&[&of(metric, "1x100")])
    };
    // The clock of promtool starts at 0, so a backup before it has a negative time.
    let last = |age: u64| format!("-{}x100", age - 70 * 60);
    let location = "velero_backup_location_status_gauge{job=\"velero\",backup_location_name=\"default\"}";
    vec![
        ended("BackupFailed", "failure_total"),
        ended("BackupPartiallyFailed", "partial_failure_total"),
        ended("BackupInvalid", "validation_failure_total"),
        case("BackupLastFailed", "30m")
            .raised(&[&of("last_status", "0x40")], "schedule=ml-platform", "0")
            .quiet(&[&of("last_status", "1x40")]),
        case("BackupNeverSucceeded", "200m")
            .raised(&[&of("attempt_total", "1x300")], "schedule=ml-platform", "1")
            .quiet(&[
                &of("attempt_total", "1x300"),
                &of("last_successful_timestamp", "100x300"),
            ])
            .quiet(&[&of("attempt_total", "0x300")]),
        case("BackupLocationUnavailable", "20m")
            .raised(&[&format!("{location} 0x30")], "backup_location_name=default", "0")
            .quiet(&[&format!("{location} 1x30")]),
        case("BackupUnseen", "40m")
            .raised(&["up{job=\"velero\"} 1x60"], "job=velero,schedule=ml-platform", "")
            .quiet(&[&of("attempt_total", "0x60")]),
        case("BackupStale", "70m")
            .raised(
                &[&of("last_successful_timestamp", &last(BACKUP_AGE + 7_200))],
                "schedule=ml-platform",
                "8d 2h 0m 0s",
            )
            .quiet(&[&of("last_successful_timestamp", &last(BACKUP_AGE - 60))]),
    ]
}

fn security() -> Vec<Case> {
    let refused = |mode: &str, decision: &str, values: &str| {
        format!(
            "pod_security_evaluations_total{{{API},decision=\"{decision}\",mode=\"{mode}\",policy_level=\"restricted\",policy_version=\"latest\",resource=\"pod\",request_operation=\"create\",subresource=\"\"}} {values}"
        )
    };
    let exempt = |values: &str| {
        format!(
            "pod_security_exemptions_total{{{API},request_operation=\"create\",resource=\"pod\",subresource=\"\"}} {values}"
        )
    };
    let logins = |result: &str, n: u32| format!("authentication_attempts{{{API},result=\"{result}\"}} 0+{n}x60");
    let active = |namespace: &str| {
        format!(
            "kube_namespace_status_phase{{job=\"kube-state-metrics\",namespace=\"{namespace}\",phase=\"Active\"}} 1x20"
        )
    };
    let labelled = |level: &str| {
        format!("kube_namespace_labels{{{STATE},label_pod_security_kubernetes_io_enforce=\"{level}\"}} 1x20")
    };
    let policy = |name: &str| format!("kube_networkpolicy_created{{{STATE},networkpolicy=\"{name}\"}} 1x20");
    vec![
        case("PodSecurityDenied", "15m")
            .raised(
                &[&refused("enforce", "deny", "0x5 2x20")],
                "policy_level=restricted,resource=pod",
                "2",
            )
            .quiet(&[&refused("enforce", "deny", "2x30")])
            .quiet(&[
                &refused("enforce", "allow", "0+9x30"),
                &refused("audit", "deny", "0+9x30"),
            ]),
        case("PodSecurityWarned", "70m")
            .raised(
                &[&refused("audit", "deny", "0x20 2x60")],
                "policy_level=restricted,resource=pod",
                "2",
            )
            .raised(
                &[&refused("warn", "deny", "0x20 2x60")],
                "policy_level=restricted,resource=pod",
                "2",
            )
            .quiet(&[&refused("enforce", "deny", "0+1x90")]),
        case("PodSecurityExempted", "70m")
            .raised(&[&exempt("0x20 2x60")], "request_operation=create,resource=pod", "2")
            .quiet(&[&exempt("2x90")]),
        case("AuthenticationsFailing", "30m")
            .raised(&[&logins("failure", 120)], "job=apiserver", "2")
            .raised(&[&logins("error", 120)], "job=apiserver", "2")
            .quiet(&[&logins("failure", 30), &logins("success", 9000)]),
        case("NamespaceUnconfined", "10m")
            .raised(&[&active("database")], "namespace=database", "")
            .raised(
                &[&active("database"), &labelled("privileged")],
                "namespace=database",
                "",
            )
            .quiet(&[&active("database"), &labelled("baseline")])
            .quiet(&[&active("database"), &labelled("restricted")])
            // Velero's agents and node-exporter reach into the node.
            .quiet(&[&active("backup"), &active("monitoring-node"), &active("elsewhere")]),
        case("NamespaceOpen", "10m")
            .raised(&[&active("database"), &policy("postgres")], "namespace=database", "")
            .raised(&[&active("monitoring-node")], "namespace=monitoring-node", "")
            .quiet(&[&active("database"), &policy("default-deny"), &active("elsewhere")]),
    ]
}

fn monitoring() -> Vec<Case> {
    let target = |up: u32| format!("up{{job=\"postgres\",instance=\"10.0.0.1:9187\",namespace=\"database\"}} {up}x10");
    let rules = |values: &str| {
        format!("prometheus_rule_evaluation_failures_total{{job=\"prometheus\",rule_group=\"database\"}} {values}")
    };
    let notifications = |values: &str| {
        format!("alertmanager_notifications_failed_total{{job=\"alertmanager\",integration=\"webhook\"}} {values}")
    };
    let mut missing = case("TargetMissing", "15m");
    let jobs = [
        "postgres",
        "redis",
        "minio",
        "velero",
        "node-agent",
        "prometheus",
        "alertmanager",
        "grafana",
        "kube-state-metrics",
        "node-exporter",
        "apiserver",
        "kubelet",
        "cadvisor",
    ];
    let up = |gone: &str| -> Vec<String> {
        jobs.iter()
            .filter(|job| **job != gone)
            .map(|job| format!("up{{job=\"{job}\",instance=\"i\"}} 0x30"))
            .collect()
    };
    for job in jobs {
        missing = missing.raised(&text(&up(job)), &format!("job={job}"), "");
    }
    missing = missing.quiet(&text(&up("")));
    vec![
        case(ALWAYS, "1m").raised(&["up{job=\"postgres\"} 1x10"], "", ""),
        case("TargetDown", "10m")
            .raised(
                &[&target(0)],
                "job=postgres,instance=10.0.0.1:9187,namespace=database",
                "",
            )
            .quiet(&[&target(1)]),
        missing,
        case("RulesFailing", "15m")
            .raised(&[&rules("0x5 2x20")], "job=prometheus", "2")
            .quiet(&[&rules("2x30")]),
        case("NotificationsFailing", "30m")
            .raised(&[&notifications("0+1x60")], "job=alertmanager,integration=webhook", "")
            .quiet(&[&notifications("5x60")]),
    ]
}

/// What `promtool test rules` reads, for each group of rules a file that wants `<group>.rules.yml` beside it; and how
/// often alarms must be raised and be quiet.
pub(crate) fn test_files() -> (BTreeMap<&'static str, Value>, usize, usize) {
    let (spec, context) = (spec(), full());
    let groups = rules::groups(&watched(&spec, &context));
    let mut tests: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let (mut raised, mut quiet) = (0, 0);
    for case in cases() {
        let (group, rule) = groups
            .iter()
            .find_map(|group| Some((group, group.rules.iter().find(|rule| rule.alert == case.alert)?)))
            .unwrap_or_else(|| panic!("no rule {}", case.alert));
        let tests = tests.entry(group.name).or_default();
        for (series, labels, value) in &case.raised {
            raised += 1;
            let labels: Vec<(&str, &str)> = labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
            let mut expected: Map<String, Value> = labels
                .iter()
                .map(|(name, text)| ((*name).to_owned(), json!(text)))
                .collect();
            expected.insert("capability".to_owned(), json!(group.name));
            expected.insert("severity".to_owned(), json!(rule.severity.as_str()));
            let annotations = json!({
                "summary": filled_in(rule.summary, &labels, value),
                "description": filled_in(&rule.description, &labels, value),
                "runbook": group.runbook(rule),
            });
            let alert = json!({ "exp_labels": expected, "exp_annotations": annotations });
            tests.push(test(&case, series, &json!([alert])));
        }
        for series in &case.quiet {
            quiet += 1;
            tests.push(test(&case, series, &json!([])));
        }
    }
    let files = tests
        .into_iter()
        .map(|(group, tests)| {
            let rules = format!("{group}.rules.yml");
            (
                group,
                json!({ "rule_files": [rules], "evaluation_interval": "1m", "tests": tests }),
            )
        })
        .collect();
    (files, raised, quiet)
}

fn test(case: &Case, series: &[String], alerts: &Value) -> Value {
    let series: Vec<Value> = series
        .iter()
        .map(|line| {
            let (selector, values) = line.rsplit_once("} ").unwrap();
            json!({ "series": format!("{selector}}}"), "values": values })
        })
        .collect();
    json!({
        "name": format!("{} {}", case.alert, series.iter().map(Value::to_string).collect::<String>()),
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [{ "eval_time": case.at, "alertname": case.alert, "exp_alerts": alerts }],
    })
}

/// A template with its labels and its value filled in as they must come out.
fn filled_in(template: &str, labels: &[(&str, &str)], value: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (field, behind) = after.split_once("}}").unwrap();
        text.push_str(before);
        if let Some(name) = field.trim().strip_prefix("$labels.") {
            let found = labels.iter().find(|(label, _)| *label == name);
            text.push_str(found.map(|(_, value)| *value).unwrap_or_default());
        } else {
            assert!(field.trim().starts_with("$value") && !value.is_empty(), "{template}");
            text.push_str(value);
        }
        rest = behind;
    }
    text + rest
}
