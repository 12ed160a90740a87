//! Nodes, volumes, containers, workloads, the API servers; and whether monitoring itself works.

use super::{LEAST_REQUESTS, Rule, any_of, critical, info, ratio, warning};
use crate::capability::monitoring::{Watched, job};
use std::collections::BTreeSet;

/// File systems that hold no data of their own.
pub(in super::super) const NO_DATA: &str = "fstype!~\"tmpfs|ramfs|overlay|squashfs|iso9660|vfat\"";

pub(super) fn infrastructure(watched: &Watched<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    if watched.has(job::NODE) {
        rules.extend(nodes(watched));
    }
    rules.push(volumes(watched));
    if watched.has(job::KUBE_STATE) {
        rules.extend(containers(watched));
        rules.extend(workloads(watched));
    }
    rules.push(api_servers(watched));
    rules
}

fn nodes(watched: &Watched<'_>) -> Vec<Rule> {
    let of = format!("job=\"{}\"", job::NODE);
    let limit = watched.spec.utilisation;
    let at = ratio(limit);
    vec![
        warning(
            "NodeCpuHigh",
            "10m",
            format!("1 - avg by (node) (rate(node_cpu_seconds_total{{{of}, mode=\"idle\"}}[5m])) > {at}"),
        )
        .says(
            "A node is busy",
            format!("Node {{{{ $labels.node }}}} uses {{{{ $value | humanizePercentage }}}} of its CPU; the limit is {limit}."),
        ),
        warning(
            "NodeMemoryHigh",
            "10m",
            format!(
                "1 - max by (node) (node_memory_MemAvailable_bytes{{{of}}}) / max by (node) (node_memory_MemTotal_bytes{{{of}}}) > {at}"
            ),
        )
        .says(
            "A node runs out of memory",
            format!("Node {{{{ $labels.node }}}} uses {{{{ $value | humanizePercentage }}}} of its memory; the limit is {limit}."),
        ),
        warning(
            "NodeDiskHigh",
            "10m",
            format!(
                "1 - max by (node, mountpoint) (node_filesystem_avail_bytes{{{of}, {NO_DATA}}}) \
                 / max by (node, mountpoint) (node_filesystem_size_bytes{{{of}, {NO_DATA}}}) > {at} \
                 and max by (node, mountpoint) (node_filesystem_readonly{{{of}, {NO_DATA}}}) == 0"
            ),
        )
        .says(
            "A disk of a node is nearly full",
            format!(
                "{{{{ $labels.mountpoint }}}} of node {{{{ $labels.node }}}} is {{{{ $value | humanizePercentage }}}} full; the limit is {limit}."
            ),
        ),
    ]
}

fn volumes(watched: &Watched<'_>) -> Rule {
    let limit = watched.spec.utilisation;
    let of = format!(
        "job=\"{}\", namespace=~\"{}\"",
        job::KUBELET,
        any_of(watched.namespaces())
    );
    warning(
        "VolumeHigh",
        "10m",
        format!(
            "max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_used_bytes{{{of}}}) \
             / max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes{{{of}}}) > {}",
            ratio(limit)
        ),
    )
    .says(
        "A volume is nearly full",
        format!(
            "The volume {{{{ $labels.persistentvolumeclaim }}}} in {{{{ $labels.namespace }}}} is {{{{ $value | humanizePercentage }}}} full; the limit is {limit}."
        ),
    )
}

fn containers(watched: &Watched<'_>) -> Vec<Rule> {
    let limit = watched.spec.utilisation;
    let at = ratio(limit);
    let namespaces = any_of(watched.namespaces());
    let used = format!(
        "job=\"{}\", namespace=~\"{namespaces}\", container!=\"\"",
        job::CADVISOR
    );
    let state = format!("job=\"{}\", namespace=~\"{namespaces}\"", job::KUBE_STATE);
    let by = "by (namespace, pod, container)";
    let says = |what: &str| {
        format!(
            "Container {{{{ $labels.container }}}} of {{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} uses {{{{ $value | humanizePercentage }}}} of the {what} that it may; the limit is {limit}."
        )
    };
    vec![
        warning(
            "ContainerCpuHigh",
            "15m",
            format!(
                "sum {by} (rate(container_cpu_usage_seconds_total{{{used}}}[5m])) \
                 / max {by} (kube_pod_container_resource_limits{{{state}, resource=\"cpu\"}}) > {at}"
            ),
        )
        .says("A container is about to be throttled", says("CPU")),
        warning(
            "ContainerMemoryHigh",
            "10m",
            format!(
                "max {by} (container_memory_working_set_bytes{{{used}}}) \
                 / max {by} (kube_pod_container_resource_limits{{{state}, resource=\"memory\"}}) > {at}"
            ),
        )
        .says("A container is about to be killed for its memory", says("memory")),
        warning(
            "QuotaHigh",
            "10m",
            format!(
                "max by (namespace, resource) (kube_resourcequota{{{state}, type=\"used\"}}) \
                 / (max by (namespace, resource) (kube_resourcequota{{{state}, type=\"hard\"}}) > 0) > {at}"
            ),
        )
        .says(
            "A quota is nearly used up",
            format!(
                "{{{{ $labels.namespace }}}} uses {{{{ $value | humanizePercentage }}}} of its quota of {{{{ $labels.resource }}}}; the limit is {limit}."
            ),
        ),
        warning(
            "ContainerRestarting",
            "",
            format!("sum {by} (increase(kube_pod_container_status_restarts_total{{{state}}}[1h])) > 3"),
        )
        .says(
            "A container starts again and again",
            "Container {{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} started {{ $value | humanize }} times within an hour.",
        ),
    ]
}

fn workloads(watched: &Watched<'_>) -> Vec<Rule> {
    let of = format!(
        "job=\"{}\", namespace=~\"{}\"",
        job::KUBE_STATE,
        any_of(watched.namespaces())
    );
    let lacking = |kind: &str, wanted: &str, ready: &str| {
        format!("max by (namespace, {kind}) ({wanted}{{{of}}}) - max by (namespace, {kind}) ({ready}{{{of}}}) > 0")
    };
    vec![
        critical(
            "StatefulSetUnavailable",
            "5m",
            lacking("statefulset", "kube_statefulset_replicas", "kube_statefulset_status_replicas_ready"),
        )
        .says(
            "A server is not ready",
            "{{ $value }} pods of StatefulSet {{ $labels.namespace }}/{{ $labels.statefulset }} are not ready for five minutes.",
        ),
        warning(
            "DeploymentUnavailable",
            "5m",
            lacking("deployment", "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available"),
        )
        .says(
            "A service is not available",
            "{{ $value }} pods of Deployment {{ $labels.namespace }}/{{ $labels.deployment }} are not available for five minutes.",
        ),
        warning(
            "DaemonSetUnavailable",
            "15m",
            lacking(
                "daemonset",
                "kube_daemonset_status_desired_number_scheduled",
                "kube_daemonset_status_number_ready",
            ),
        )
        .says(
            "An agent does not run on every node",
            "{{ $value }} pods of DaemonSet {{ $labels.namespace }}/{{ $labels.daemonset }} are not ready for 15 minutes.",
        ),
        warning(
            "JobFailed",
            "",
            format!("max by (namespace, job_name) (kube_job_failed{{{of}, condition=\"true\"}}) == 1"),
        )
        .says(
            "A job gave up",
            "Job {{ $labels.namespace }}/{{ $labels.job_name }} failed as often as it may: what it sets up is not set up.",
        ),
    ]
}

fn api_servers(watched: &Watched<'_>) -> Rule {
    let of = format!("job=\"{}\"", job::API_SERVER);
    let limit = watched.spec.errors;
    critical(
        "ApiServerErrorsHigh",
        "10m",
        format!(
            "sum by (job) (rate(apiserver_request_total{{{of}, code=~\"5..\"}}[5m])) \
             / sum by (job) (rate(apiserver_request_total{{{of}}}[5m])) > {} \
             and sum by (job) (rate(apiserver_request_total{{{of}}}[5m])) > {LEAST_REQUESTS}",
            ratio(limit)
        ),
    )
    .says(
        "Many requests to the API servers fail",
        format!("{{{{ $value | humanizePercentage }}}} of the requests to the API servers fail with 5xx; the limit is {limit}."),
    )
}

pub(super) fn monitoring(watched: &Watched<'_>) -> Vec<Rule> {
    let mut rules = vec![
        info("Watchdog", "", "vector(1)".to_owned()).says(
            "Alarms reach their receivers",
            "Always raised: that it is missing at the receiver is the alarm.",
        ),
        warning("TargetDown", "5m", "up == 0".to_owned()).says(
            "A target cannot be read",
            "{{ $labels.job }} at {{ $labels.instance }} did not answer for five minutes: alarms about it are blind.",
        ),
        critical("TargetMissing", "10m", missing(watched)).says(
            "Nothing is read of what should be there",
            "Job {{ $labels.job }} has had no target for ten minutes: alarms about it are blind.",
        ),
    ];
    if watched.has(job::PROMETHEUS) {
        rules.push(
            critical(
                "RulesFailing",
                "",
                format!(
                    "sum by (job) (increase(prometheus_rule_evaluation_failures_total{{job=\"{}\"}}[10m])) > 0",
                    job::PROMETHEUS
                ),
            )
            .says(
                "Rules cannot be evaluated",
                "Prometheus failed to evaluate rules {{ $value | humanize }} times within ten minutes: their alarms are blind.",
            ),
        );
    }
    if watched.has(job::ALERTMANAGER) {
        rules.push(
            critical(
                "NotificationsFailing",
                "10m",
                format!(
                    "sum by (job, integration) (rate(alertmanager_notifications_failed_total{{job=\"{}\"}}[10m])) > 0",
                    job::ALERTMANAGER
                ),
            )
            .says(
                "Alarms do not reach a receiver",
                "For ten minutes notifications by {{ $labels.integration }} have failed.",
            ),
        );
    }
    rules
}

/// One guard for each job: what no longer has a target is not down, it is gone.
fn missing(watched: &Watched<'_>) -> String {
    let jobs: BTreeSet<&str> = watched
        .scrapes()
        .map(|(scrape, _)| scrape.job.as_str())
        .chain([job::API_SERVER, job::KUBELET, job::CADVISOR])
        .collect();
    let guards: Vec<String> = jobs
        .into_iter()
        .map(|job| format!("absent(up{{job=\"{job}\"}})"))
        .collect();
    guards.join(" or ")
}
