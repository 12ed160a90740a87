//! What Grafana shows: four dashboards, with panels for what exists.

mod data;
mod panel;

use super::rules::{NO_DATA, any_of, minio};
use super::{Watched, job};
use panel::{Dashboard, Panel, Unit};
use platform_core::Capability;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Folder of the dashboards in Grafana's pod.
pub const FOLDER: &str = "/etc/grafana/dashboards";
/// Uid of the data source that every panel reads.
pub const DATA_SOURCE: &str = "prometheus";

/// The dashboards as files in [`FOLDER`]: name -> JSON. One of which nothing exists is left out.
pub fn files(watched: &Watched<'_>) -> BTreeMap<String, String> {
    [
        infrastructure(watched),
        applications(watched),
        data::database(watched),
        data::storage(watched),
    ]
    .into_iter()
    .filter(|dashboard| !dashboard.is_empty())
    .map(|dashboard| {
        let file = dashboard.file();
        // `{:#}` of a value is its indented JSON.
        (file, format!("{:#}\n", dashboard.into_value()))
    })
    .collect()
}

/// `provisioning/datasources/*.yaml`: the platform's Prometheus, unless monitoring's surface has no endpoint `prometheus`; and
/// CloudWatch of a region, by the role of Grafana's service account.
pub fn data_sources(watched: &Watched<'_>, cloudwatch: Option<&str>) -> Value {
    let cloudwatch = cloudwatch.map(|region| {
        json!({
            "name": "CloudWatch",
            "uid": "cloudwatch",
            "type": "cloudwatch",
            "access": "proxy",
            "editable": false,
            "jsonData": { "authType": "default", "defaultRegion": region },
        })
    });
    let sources: Vec<Value> = watched
        .endpoint(job::PROMETHEUS)
        .map(|endpoint| {
            let scheme = if endpoint.tls { "https" } else { "http" };
            json!({
                "name": "Prometheus",
                "uid": DATA_SOURCE,
                "type": "prometheus",
                "access": "proxy",
                "url": format!("{scheme}://{}:{}", endpoint.host, endpoint.port),
                "isDefault": true,
                "editable": false,
                "jsonData": { "httpMethod": "POST", "timeInterval": "30s" },
            })
        })
        .into_iter()
        .chain(cloudwatch)
        .collect();
    json!({ "apiVersion": 1, "datasources": sources })
}

/// `provisioning/dashboards/*.yaml`: reads [`FOLDER`].
pub fn provider(watched: &Watched<'_>) -> Value {
    json!({ "apiVersion": 1, "providers": [{
        "name": "platform",
        "folder": watched.context.name,
        "type": "file",
        "allowUiUpdates": false,
        "disableDeletion": true,
        "options": { "path": FOLDER },
    }]})
}

fn infrastructure(watched: &Watched<'_>) -> Dashboard {
    Dashboard::new("infrastructure", "Infrastructure")
        .section(
            "Alarms",
            vec![
                Panel::faults("Alarms").query(
                    "alarms",
                    "count(ALERTS{alertstate=\"firing\", alertname!=\"Watchdog\"}) or vector(0)",
                ),
                Panel::faults("Targets that do not answer").query("targets", "count(up == 0) or vector(0)"),
                Panel::lines("Refused by Pod Security in ten minutes", Unit::Count).query(
                    "{{policy_level}} {{resource}}",
                    format!(
                        "sum by (policy_level, resource) (increase(pod_security_evaluations_total{{job=\"{}\", decision=\"deny\", mode=\"enforce\"}}[10m]))",
                        job::API_SERVER
                    ),
                ),
            ],
        )
        .section("Nodes", nodes(watched))
        .section("Containers", containers(&any_of(watched.namespaces())))
        .section("Workloads", workloads(watched))
        .section("API servers", api_servers(watched))
        .section("Monitoring", monitoring(watched))
}

fn nodes(watched: &Watched<'_>) -> Vec<Panel> {
    if !watched.has(job::NODE) {
        return Vec::new();
    }
    let of = format!("job=\"{}\"", job::NODE);
    let limit = watched.spec.utilisation;
    let rate = |metric: &str, more: &str| format!("sum by (node) (rate({metric}{{{of}{more}}}[5m]))");
    vec![
        Panel::lines("CPU", Unit::Share).limit(limit).query(
            "{{node}}",
            format!("1 - avg by (node) (rate(node_cpu_seconds_total{{{of}, mode=\"idle\"}}[5m]))"),
        ),
        Panel::lines("Memory", Unit::Share).limit(limit).query(
            "{{node}}",
            format!(
                "1 - max by (node) (node_memory_MemAvailable_bytes{{{of}}}) / max by (node) (node_memory_MemTotal_bytes{{{of}}})"
            ),
        ),
        Panel::lines("Disks", Unit::Share).limit(limit).query(
            "{{node}} {{mountpoint}}",
            format!(
                "1 - max by (node, mountpoint) (node_filesystem_avail_bytes{{{of}, {NO_DATA}}}) / max by (node, mountpoint) (node_filesystem_size_bytes{{{of}, {NO_DATA}}})"
            ),
        ),
        Panel::lines("Load per core", Unit::Count).query(
            "{{node}}",
            format!(
                "max by (node) (node_load5{{{of}}}) / count by (node) (node_cpu_seconds_total{{{of}, mode=\"idle\"}})"
            ),
        ),
        Panel::lines("Network", Unit::BytesPerSecond)
            .query("{{node}} in", rate("node_network_receive_bytes_total", ", device!=\"lo\""))
            .query("{{node}} out", rate("node_network_transmit_bytes_total", ", device!=\"lo\"")),
        Panel::lines("Disk traffic", Unit::BytesPerSecond)
            .query("{{node}} read", rate("node_disk_read_bytes_total", ""))
            .query("{{node}} written", rate("node_disk_written_bytes_total", "")),
    ]
}

/// What the containers of some namespaces use.
fn containers(namespaces: &str) -> Vec<Panel> {
    let of = format!("job=\"{}\", namespace=~\"{namespaces}\"", job::CADVISOR);
    let rate = |metric: &str, more: &str| format!("sum by (namespace, pod) (rate({metric}{{{of}{more}}}[5m]))");
    vec![
        Panel::lines("CPU", Unit::Cores).query(
            "{{namespace}}/{{pod}}",
            rate("container_cpu_usage_seconds_total", ", container!=\"\""),
        ),
        Panel::lines("Memory", Unit::Bytes).query(
            "{{namespace}}/{{pod}}",
            format!("sum by (namespace, pod) (container_memory_working_set_bytes{{{of}, container!=\"\"}})"),
        ),
        Panel::lines("Network", Unit::BytesPerSecond)
            .query(
                "{{namespace}}/{{pod}} in",
                rate("container_network_receive_bytes_total", ""),
            )
            .query(
                "{{namespace}}/{{pod}} out",
                rate("container_network_transmit_bytes_total", ""),
            ),
    ]
}

fn workloads(watched: &Watched<'_>) -> Vec<Panel> {
    if !watched.has(job::KUBE_STATE) {
        return Vec::new();
    }
    let namespaces = any_of(watched.namespaces());
    let of = format!("job=\"{}\", namespace=~\"{namespaces}\"", job::KUBE_STATE);
    let limit = watched.spec.utilisation;
    vec![
        Panel::lines("Pods by phase", Unit::Count).query(
            "{{namespace}} {{phase}}",
            format!("sum by (namespace, phase) (kube_pod_status_phase{{{of}}}) > 0"),
        ),
        Panel::lines("Restarts in an hour", Unit::Count).query(
            "{{namespace}}/{{pod}} {{container}}",
            format!(
                "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total{{{of}}}[1h]))"
            ),
        ),
        Panel::lines("Quotas", Unit::Share).limit(limit).query(
            "{{namespace}} {{resource}}",
            format!(
                "max by (namespace, resource) (kube_resourcequota{{{of}, type=\"used\"}}) / (max by (namespace, resource) (kube_resourcequota{{{of}, type=\"hard\"}}) > 0)"
            ),
        ),
    ]
}

fn api_servers(watched: &Watched<'_>) -> Vec<Panel> {
    let of = format!("job=\"{}\"", job::API_SERVER);
    vec![
        Panel::lines("Requests", Unit::PerSecond).query(
            "{{verb}} {{code}}",
            format!("sum by (verb, code) (rate(apiserver_request_total{{{of}}}[5m]))"),
        ),
        Panel::lines("Failed requests", Unit::Share).limit(watched.spec.errors).query(
            "5xx",
            format!(
                "sum(rate(apiserver_request_total{{{of}, code=~\"5..\"}}[5m])) / sum(rate(apiserver_request_total{{{of}}}[5m]))"
            ),
        ),
        Panel::lines("Slowest hundredth", Unit::Seconds).query(
            "{{verb}}",
            format!(
                "histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket{{{of}, verb!~\"WATCH|CONNECT\"}}[5m])))"
            ),
        ),
    ]
}

fn monitoring(watched: &Watched<'_>) -> Vec<Panel> {
    if !watched.has(job::PROMETHEUS) {
        return Vec::new();
    }
    let of = format!("job=\"{}\"", job::PROMETHEUS);
    vec![
        Panel::lines("Series", Unit::Count).query("series", format!("sum(prometheus_tsdb_head_series{{{of}}})")),
        Panel::lines("Samples", Unit::PerSecond).query(
            "samples",
            format!("sum(rate(prometheus_tsdb_head_samples_appended_total{{{of}}}[5m]))"),
        ),
        Panel::lines("Size of the blocks", Unit::Bytes)
            .query("blocks", format!("sum(prometheus_tsdb_storage_blocks_bytes{{{of}}})")),
    ]
}

fn applications(watched: &Watched<'_>) -> Dashboard {
    let dashboard = Dashboard::new("application", "Applications");
    let namespaces = watched.application_namespaces();
    let dashboard = if namespaces.is_empty() {
        dashboard
    } else {
        dashboard
            .section("Requests", requests(watched))
            .section("Containers", containers(&any_of(namespaces)))
    };
    dashboard.section("What they use", used_services(watched))
}

/// Of applications that count requests and their time as Prometheus's own libraries do.
fn requests(watched: &Watched<'_>) -> Vec<Panel> {
    let of = format!("job=\"{}\"", job::APPLICATIONS);
    vec![
        Panel::lines("Requests", Unit::PerSecond).query(
            "{{namespace}}/{{service}}",
            format!("sum by (namespace, service) (rate(http_requests_total{{{of}}}[5m]))"),
        ),
        Panel::lines("Failed requests", Unit::Share).limit(watched.spec.errors).query(
            "{{namespace}}/{{service}}",
            format!(
                "sum by (namespace, service) (rate(http_requests_total{{{of}, code=~\"5..\"}}[5m]) or rate(http_requests_total{{{of}, status=~\"5..\"}}[5m])) / sum by (namespace, service) (rate(http_requests_total{{{of}}}[5m]))"
            ),
        ),
        Panel::lines("Slowest twentieth", Unit::Seconds).query(
            "{{namespace}}/{{service}}",
            format!(
                "histogram_quantile(0.95, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{{{of}}}[5m])))"
            ),
        ),
    ]
}

/// The services as their clients see them.
fn used_services(watched: &Watched<'_>) -> Vec<Panel> {
    let mut panels = Vec::new();
    let mut calls = Panel::lines("Calls", Unit::PerSecond);
    let mut failed = Panel::lines("Failed calls", Unit::Share).limit(watched.spec.errors);
    let mut any = false;
    if let Some(scrape) = watched.scrape(Capability::Database) {
        let of = format!("job=\"{}\"", scrape.job);
        let all = format!(
            "(sum(rate(pg_stat_database_xact_commit{{{of}}}[5m])) + sum(rate(pg_stat_database_xact_rollback{{{of}}}[5m])))"
        );
        calls = calls.query("database transactions", all.clone());
        failed = failed.query(
            "database transactions",
            format!("sum(rate(pg_stat_database_xact_rollback{{{of}}}[5m])) / {all}"),
        );
        any = true;
    }
    if let Some(scrape) = watched.scrape(Capability::Cache) {
        let of = format!("job=\"{}\"", scrape.job);
        calls = calls.query("cache commands", format!("sum(rate(redis_commands_total{{{of}}}[5m]))"));
        failed = failed.query(
            "cache commands",
            format!(
                "sum(rate(redis_commands_failed_calls_total{{{of}}}[5m])) / sum(rate(redis_commands_total{{{of}}}[5m]))"
            ),
        );
        any = true;
    }
    if let Some(of) = minio(watched) {
        calls = calls.query(
            "object store requests",
            format!("sum(rate(minio_s3_requests_total{{{of}}}[5m]))"),
        );
        failed = failed.query(
            "object store requests",
            format!(
                "sum(rate(minio_s3_requests_5xx_errors_total{{{of}}}[5m])) / sum(rate(minio_s3_requests_total{{{of}}}[5m]))"
            ),
        );
        any = true;
    }
    if any {
        panels.extend([calls, failed]);
    }
    panels
}
