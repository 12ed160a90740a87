//! Backups, and violations of the platform's policies.

use super::{Rule, any_of, critical, info, warning};
use crate::capability::monitoring::{Watched, job};
use crate::policy::DEFAULT_DENY;
use platform_core::value::Span;
use platform_core::{Capability, PodSecurity};

pub(super) fn backup(watched: &Watched<'_>) -> Vec<Rule> {
    let Some(scrape) = watched.scrape(Capability::Backup) else {
        return Vec::new();
    };
    let of_job = format!("job=\"{}\"", scrape.job);
    let age = watched.subject(Capability::Backup, "age");
    let of = match age {
        Some(age) => format!("{of_job}, schedule=\"{}\"", age.subject),
        None => format!("{of_job}, schedule!=\"\""),
    };
    let ended = |counter: &str| format!("sum by (schedule) (increase({counter}{{{of}}}[1h])) > 0");
    let mut rules = vec![
        critical("BackupFailed", "", ended("velero_backup_failure_total")).says(
            "A backup failed",
            "{{ $value | humanize }} backups of schedule {{ $labels.schedule }} failed within an hour.",
        ),
        critical("BackupPartiallyFailed", "", ended("velero_backup_partial_failure_total")).says(
            "A backup is not complete",
            "{{ $value | humanize }} backups of schedule {{ $labels.schedule }} ended with errors within an hour: what they miss cannot be restored.",
        ),
        critical("BackupInvalid", "", ended("velero_backup_validation_failure_total")).says(
            "A backup was refused",
            "{{ $value | humanize }} backups of schedule {{ $labels.schedule }} were refused before they began, within an hour.",
        ),
        critical(
            "BackupLastFailed",
            "15m",
            format!("min by (schedule) (velero_backup_last_status{{{of}}}) != 1"),
        )
        .says(
            "The last backup did not complete",
            "The last backup of schedule {{ $labels.schedule }} did not complete, and none has since.",
        ),
        critical(
            "BackupNeverSucceeded",
            "3h",
            format!(
                "max by (schedule) (velero_backup_attempt_total{{{of}}}) > 0 \
                 unless on (schedule) velero_backup_last_successful_timestamp{{{of}}} > 0"
            ),
        )
        .says(
            "There is no good backup",
            "Schedule {{ $labels.schedule }} has begun {{ $value }} backups and completed none.",
        ),
        critical(
            "BackupLocationUnavailable",
            "15m",
            format!("min by (backup_location_name) (velero_backup_location_status_gauge{{{of_job}}}) == 0"),
        )
        .says(
            "The backup store cannot be reached",
            "Velero cannot use backup location {{ $labels.backup_location_name }}: backups can neither be written nor restored.",
        ),
        critical(
            "BackupUnseen",
            "30m",
            format!("absent(velero_backup_attempt_total{{{of}}})"),
        )
        .says(
            "Nothing is known of backups",
            "Velero shows no figures of the backup schedule: it does not run, or the schedule is gone.",
        ),
    ];
    if let Some(limit) = age.and_then(|age| age.limit) {
        let span = Span::seconds(limit);
        rules.push(
            critical(
                "BackupStale",
                "1h",
                format!(
                    "time() - max by (schedule) (velero_backup_last_successful_timestamp{{{of}}}) > {}",
                    span.as_seconds()
                ),
            )
            .says(
                "The newest good backup is old",
                format!(
                    "The newest good backup of schedule {{{{ $labels.schedule }}}} is {{{{ $value | humanizeDuration }}}} old; the limit is {span}."
                ),
            ),
        );
    }
    rules
}

pub(super) fn security(watched: &Watched<'_>) -> Vec<Rule> {
    let api = format!("job=\"{}\"", job::API_SERVER);
    let mut rules = vec![
        warning(
            "PodSecurityDenied",
            "",
            format!(
                "sum by (policy_level, resource) (increase(pod_security_evaluations_total{{{api}, decision=\"deny\", mode=\"enforce\"}}[10m])) > 0"
            ),
        )
        .says(
            "Somebody tried to run what is not allowed",
            "Admission refused {{ $value | humanize }} requests for a {{ $labels.resource }} by the Pod Security Standard {{ $labels.policy_level }} within ten minutes, in any namespace of the cluster.",
        ),
        info(
            "PodSecurityWarned",
            "",
            format!(
                "sum by (policy_level, resource) (increase(pod_security_evaluations_total{{{api}, decision=\"deny\", mode=~\"audit|warn\"}}[1h])) > 0"
            ),
        )
        .says(
            "Something runs with more rights than it should need",
            "Within an hour {{ $value | humanize }} requests for a {{ $labels.resource }} were let in that break the Pod Security Standard {{ $labels.policy_level }}.",
        ),
        warning(
            "PodSecurityExempted",
            "",
            format!("sum by (request_operation, resource) (increase(pod_security_exemptions_total{{{api}}}[1h])) > 0"),
        )
        .says(
            "Somebody is exempt from Pod Security",
            "Within an hour {{ $value | humanize }} requests to {{ $labels.request_operation }} a {{ $labels.resource }} were let in unchecked, since the API server exempts who sent them.",
        ),
        warning(
            "AuthenticationsFailing",
            "10m",
            format!(
                "sum by (job) (rate(authentication_attempts{{{api}, result=~\"failure|error\"}}[5m])) > 1"
            ),
        )
        .says(
            "Somebody fails to log in to the API server",
            "{{ $value | humanize }} attempts a second to log in to the API servers fail, for ten minutes; the limit is 1.",
        ),
    ];
    if !watched.has(job::KUBE_STATE) {
        return rules;
    }
    let active = |namespaces: &str| {
        format!(
            "max by (namespace) (kube_namespace_status_phase{{job=\"{}\", namespace=~\"{namespaces}\", phase=\"Active\"}}) == 1",
            job::KUBE_STATE
        )
    };
    let unconfined: Vec<String> = watched
        .confined_namespaces()
        .into_iter()
        .map(|(wanted, namespaces)| {
            let levels = match wanted {
                PodSecurity::Baseline => "baseline|restricted",
                PodSecurity::Restricted => "restricted",
            };
            format!(
                "{} unless on (namespace) kube_namespace_labels{{job=\"{}\", label_pod_security_kubernetes_io_enforce=~\"{levels}\"}}",
                active(&any_of(namespaces)),
                job::KUBE_STATE
            )
        })
        .collect();
    rules.push(
        critical("NamespaceUnconfined", "5m", unconfined.join(" or ")).says(
            "A namespace of the platform enforces no Pod Security Standard",
            "Namespace {{ $labels.namespace }} does not enforce its Pod Security Standard: its label was changed or removed.",
        ),
    );
    rules.push(
        critical(
            "NamespaceOpen",
            "5m",
            format!(
                "{} unless on (namespace) kube_networkpolicy_created{{job=\"{}\", networkpolicy=\"{DEFAULT_DENY}\"}}",
                active(&any_of(watched.namespaces())),
                job::KUBE_STATE
            ),
        )
        .says(
            "A namespace of the platform lets every connection through",
            format!("Namespace {{{{ $labels.namespace }}}} has no NetworkPolicy {DEFAULT_DENY}: pods that no other policy selects talk to anybody."),
        ),
    );
    rules
}
