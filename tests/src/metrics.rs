//! Names of metrics that suites of different binaries prove.

/// What rules and panels name of Velero; proved on the real one after a backup of the schedule.
pub const VELERO: &[&str] = &[
    "velero_backup_attempt_total",
    "velero_backup_failure_total",
    "velero_backup_last_status",
    "velero_backup_last_successful_timestamp",
    "velero_backup_location_status_gauge",
    "velero_backup_partial_failure_total",
    "velero_backup_success_total",
    "velero_backup_tarball_size_bytes",
    "velero_backup_validation_failure_total",
];

/// What rules and panels name of kube-state-metrics; proved beside the real API server.
pub const KUBE_STATE: &[&str] = &[
    "kube_daemonset_status_desired_number_scheduled",
    "kube_daemonset_status_number_ready",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
    "kube_job_failed",
    "kube_namespace_labels",
    "kube_namespace_status_phase",
    "kube_networkpolicy_created",
    "kube_pod_container_resource_limits",
    "kube_pod_container_status_restarts_total",
    "kube_pod_status_phase",
    "kube_resourcequota",
    "kube_statefulset_replicas",
    "kube_statefulset_status_replicas_ready",
];
