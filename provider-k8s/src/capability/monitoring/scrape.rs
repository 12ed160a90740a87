//! What Prometheus reads: the surfaces' scrapes, the API servers, the kubelets, and applications that ask for it.

use super::{Watched, job};
use platform_core::{Scrape, Workload};
use serde_json::{Value, json};

/// Folder of the rule files in Prometheus's pod; every `*.yml` in it is read.
pub const RULES: &str = "/etc/prometheus/rules";
/// The platform's CA certificate in Prometheus's pod.
pub const CA: &str = "/etc/prometheus/tls/ca.crt";
/// Prometheus's own token, which opens the API servers and the kubelets.
pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The cluster's CA certificate, beside the token.
pub const CLUSTER_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Seconds between two reads and between two evaluations.
const INTERVAL: &str = "30s";

/// What is kept of the API servers' metrics: they have thousands, most of them histograms.
pub const API_SERVER_METRICS: &[&str] = &[
    "apiserver_request_duration_seconds_bucket",
    "apiserver_request_total",
    "authentication_attempts",
    "pod_security_evaluations_total",
    "pod_security_exemptions_total",
];
/// What is kept of the kubelets' own metrics.
pub const KUBELET_METRICS: &[&str] = &[
    "kubelet_volume_stats_capacity_bytes",
    "kubelet_volume_stats_inodes",
    "kubelet_volume_stats_inodes_used",
    "kubelet_volume_stats_used_bytes",
];
/// What is kept of cAdvisor's metrics.
pub const CADVISOR_METRICS: &[&str] = &[
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
];

/// `prometheus.yml`.
///
/// Pods are looked for only in the namespaces that have a scrape, so Prometheus needs to list and watch pods there
/// alone; nodes and the Service `kubernetes` in `default` beside.
pub fn config(watched: &Watched<'_>) -> Value {
    let mut jobs: Vec<Value> = watched
        .scrapes()
        .map(|(scrape, workload)| of_workload(scrape, workload))
        .collect();
    jobs.push(api_servers());
    jobs.push(of_nodes(job::KUBELET, "/metrics", KUBELET_METRICS));
    jobs.push(of_nodes(job::CADVISOR, "/metrics/cadvisor", CADVISOR_METRICS));
    let namespaces = watched.application_namespaces();
    if !namespaces.is_empty() {
        jobs.push(applications(&json!(namespaces)));
    }
    let mut config = json!({
        "global": {
            "scrape_interval": INTERVAL,
            "evaluation_interval": INTERVAL,
            "external_labels": {
                "environment": watched.context.environment.as_str(),
                "platform": watched.context.name,
            },
        },
        "rule_files": [format!("{RULES}/*.yml")],
        "scrape_configs": jobs,
    });
    if let Some(alertmanager) = watched.endpoint(job::ALERTMANAGER) {
        let target = format!("{}:{}", alertmanager.host, alertmanager.port);
        let mut one = json!({ "static_configs": [{ "targets": [target] }] });
        if alertmanager.tls {
            one["scheme"] = json!("https");
            one["tls_config"] = json!({ "ca_file": CA });
        }
        config["alerting"] = json!({ "alertmanagers": [one] });
    }
    config
}

/// The pods of one workload, on its port of that name.
fn of_workload(scrape: &Scrape, workload: &Workload) -> Value {
    let selector: Vec<String> = workload
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut relabel = vec![
        keep("__meta_kubernetes_pod_container_port_name", &scrape.port),
        json!({ "source_labels": ["__meta_kubernetes_pod_phase"], "action": "drop", "regex": "Succeeded|Failed" }),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy("__meta_kubernetes_pod_node_name", "node"),
    ];
    if scrape.job == job::NODE {
        relabel.push(copy("__meta_kubernetes_pod_node_name", "instance"));
    }
    let mut config = json!({
        "job_name": scrape.job,
        "metrics_path": scrape.path,
        "kubernetes_sd_configs": [{
            "role": "pod",
            "namespaces": { "names": [workload.namespace] },
            "selectors": [{ "role": "pod", "label": selector.join(",") }],
        }],
        "relabel_configs": relabel,
    });
    if scrape.job == job::KUBE_STATE {
        // Its metrics are about other pods, whose namespace and name they bear.
        config["honor_labels"] = json!(true);
    }
    if scrape.tls {
        config["scheme"] = json!("https");
        // Targets are addresses of pods, which no certificate names.
        let name = format!("{}.{}.svc", workload.name, workload.namespace);
        config["tls_config"] = json!({ "ca_file": CA, "server_name": name });
    }
    config
}

fn api_servers() -> Value {
    json!({
        "job_name": job::API_SERVER,
        "scheme": "https",
        "tls_config": { "ca_file": CLUSTER_CA },
        "authorization": { "credentials_file": TOKEN },
        "kubernetes_sd_configs": [{ "role": "endpointslice", "namespaces": { "names": ["default"] } }],
        "relabel_configs": [{
            "source_labels": ["__meta_kubernetes_service_name", "__meta_kubernetes_endpointslice_port_name"],
            "action": "keep",
            "regex": "kubernetes;https",
        }],
        "metric_relabel_configs": [keep("__name__", &API_SERVER_METRICS.join("|"))],
    })
}

fn of_nodes(name: &str, path: &str, metrics: &[&str]) -> Value {
    json!({
        "job_name": name,
        "scheme": "https",
        "metrics_path": path,
        // Kubelets sign their own certificates unless a cluster is set up otherwise; the token opens metrics only.
        "tls_config": { "ca_file": CLUSTER_CA, "insecure_skip_verify": true },
        "authorization": { "credentials_file": TOKEN },
        "kubernetes_sd_configs": [{ "role": "node" }],
        "relabel_configs": [
            copy("__meta_kubernetes_node_name", "node"),
            copy("__meta_kubernetes_node_name", "instance"),
        ],
        "metric_relabel_configs": [keep("__name__", &metrics.join("|"))],
    })
}

/// Pods that carry `prometheus.io/scrape: "true"` and `prometheus.io/port`; `prometheus.io/path` and
/// `prometheus.io/scheme` where they differ from `/metrics` and `http`.
fn applications(namespaces: &Value) -> Value {
    let annotation = |name: &str| format!("__meta_kubernetes_pod_annotation_prometheus_io_{name}");
    let address = |regex: &str, replacement: &str| {
        json!({
            "source_labels": ["__meta_kubernetes_pod_ip", annotation("port")],
            "target_label": "__address__",
            "regex": regex,
            "replacement": replacement,
        })
    };
    let set = |name: &str, label: &str, regex: &str| json!({ "source_labels": [annotation(name)], "target_label": label, "regex": regex });
    json!({
        "job_name": job::APPLICATIONS,
        "tls_config": { "ca_file": CA },
        "kubernetes_sd_configs": [{ "role": "pod", "namespaces": { "names": namespaces } }],
        "relabel_configs": [
            { "source_labels": [annotation("scrape"), annotation("port")], "action": "keep", "regex": "true;[0-9]+" },
            { "source_labels": ["__meta_kubernetes_pod_phase"], "action": "drop", "regex": "Succeeded|Failed" },
            set("scheme", "__scheme__", "(https?)"),
            set("path", "__metrics_path__", "(.+)"),
            address("([^:;]+);([0-9]+)", "$1:$2"),
            address("(.*:.*);([0-9]+)", "[$1]:$2"),
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_label_app_kubernetes_io_name", "service"),
        ],
    })
}

fn keep(label: &str, regex: &str) -> Value {
    json!({ "source_labels": [label], "action": "keep", "regex": regex })
}

fn copy(from: &str, to: &str) -> Value {
    json!({ "source_labels": [from], "target_label": to })
}
