//! Database, cache, object store, applications.

use super::{LEAST_REQUESTS, Rule, critical, ratio, warning};
use crate::capability::monitoring::{Watched, job};
use platform_core::Capability;

pub(super) fn database(watched: &Watched<'_>) -> Vec<Rule> {
    let Some(scrape) = watched.scrape(Capability::Database) else {
        return Vec::new();
    };
    let of = format!("job=\"{}\"", scrape.job);
    let (connections, errors) = (watched.spec.connections, watched.spec.errors);
    vec![
        critical(
            "DatabaseDown",
            "2m",
            format!("pg_up{{{of}}} == 0 or absent(pg_up{{{of}}})"),
        )
        .says(
            "PostgreSQL does not answer",
            "For two minutes the exporter of {{ $labels.job }} could not log in, or showed nothing at all.",
        ),
        warning(
            "DatabaseConnectionsHigh",
            "5m",
            format!(
                "sum by (namespace, pod) (pg_stat_database_numbackends{{{of}}}) \
                 / (max by (namespace, pod) (pg_settings_max_connections{{{of}}}) \
                 - max by (namespace, pod) (pg_settings_superuser_reserved_connections{{{of}}})) > {}",
                ratio(connections)
            ),
        )
        .says(
            "PostgreSQL runs out of connections",
            format!(
                "{{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} uses {{{{ $value | humanizePercentage }}}} of the connections that are not reserved; the limit is {connections}."
            ),
        ),
        warning(
            "DatabaseRollbacksHigh",
            "10m",
            format!(
                "sum by (namespace, pod) (rate(pg_stat_database_xact_rollback{{{of}}}[5m])) \
                 / (sum by (namespace, pod) (rate(pg_stat_database_xact_commit{{{of}}}[5m])) \
                 + sum by (namespace, pod) (rate(pg_stat_database_xact_rollback{{{of}}}[5m]))) > {} \
                 and sum by (namespace, pod) (rate(pg_stat_database_xact_rollback{{{of}}}[5m])) > {LEAST_REQUESTS}",
                ratio(errors)
            ),
        )
        .says(
            "PostgreSQL rolls many transactions back",
            format!(
                "{{{{ $value | humanizePercentage }}}} of the transactions of {{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} fail; the limit is {errors}."
            ),
        ),
        warning(
            "DatabaseDeadlocks",
            "",
            format!("sum by (namespace, pod, datname) (increase(pg_stat_database_deadlocks{{{of}}}[10m])) > 0"),
        )
        .says(
            "Transactions of PostgreSQL wait for each other",
            "{{ $value | humanize }} deadlocks in database {{ $labels.datname }} of {{ $labels.namespace }}/{{ $labels.pod }} within ten minutes.",
        ),
        warning(
            "DatabaseTransactionLong",
            "5m",
            format!(
                "max by (namespace, pod, datname) (pg_stat_activity_max_tx_duration{{{of}, backend_type=~\"client backend|\"}}) > 900"
            ),
        )
        .says(
            "A transaction of PostgreSQL stays open",
            "A transaction in database {{ $labels.datname }} of {{ $labels.namespace }}/{{ $labels.pod }} is open for {{ $value | humanizeDuration }}; the limit is 15 minutes.",
        ),
    ]
}

pub(super) fn cache(watched: &Watched<'_>) -> Vec<Rule> {
    let Some(scrape) = watched.scrape(Capability::Cache) else {
        return Vec::new();
    };
    let of = format!("job=\"{}\"", scrape.job);
    let spec = watched.spec;
    let mut rules = vec![
        critical(
            "CacheDown",
            "2m",
            format!("redis_up{{{of}}} == 0 or absent(redis_up{{{of}}})"),
        )
        .says(
            "The cache does not answer",
            "For two minutes the exporter of {{ $labels.job }} could not log in, or showed nothing at all.",
        ),
        warning(
            "CacheConnectionsHigh",
            "5m",
            format!(
                "max by (namespace, pod) (redis_connected_clients{{{of}}}) \
                 / max by (namespace, pod) (redis_config_maxclients{{{of}}}) > {}",
                ratio(spec.connections)
            ),
        )
        .says(
            "The cache runs out of connections",
            format!(
                "{{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} serves {{{{ $value | humanizePercentage }}}} of the clients that it may; the limit is {}.",
                spec.connections
            ),
        ),
        critical(
            "CacheConnectionsRefused",
            "",
            format!("sum by (namespace, pod) (increase(redis_rejected_connections_total{{{of}}}[5m])) > 0"),
        )
        .says(
            "The cache refuses clients",
            "{{ $labels.namespace }}/{{ $labels.pod }} refused {{ $value | humanize }} connections within five minutes: it serves as many clients as it may.",
        ),
        warning(
            "CacheMemoryHigh",
            "10m",
            format!(
                "max by (namespace, pod) (redis_memory_used_bytes{{{of}}}) \
                 / (max by (namespace, pod) (redis_memory_max_bytes{{{of}}}) > 0) > {}",
                ratio(spec.utilisation)
            ),
        )
        .says(
            "The cache is nearly full",
            format!(
                "{{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} uses {{{{ $value | humanizePercentage }}}} of its memory for data; the limit is {}.",
                spec.utilisation
            ),
        ),
        warning(
            "CacheErrorsHigh",
            "5m",
            format!(
                "sum by (namespace, pod) (rate(redis_commands_failed_calls_total{{{of}}}[5m])) \
                 / sum by (namespace, pod) (rate(redis_commands_total{{{of}}}[5m])) > {} \
                 and sum by (namespace, pod) (rate(redis_commands_total{{{of}}}[5m])) > {LEAST_REQUESTS}",
                ratio(spec.errors)
            ),
        )
        .says(
            "Many commands of the cache fail",
            format!(
                "{{{{ $value | humanizePercentage }}}} of the commands of {{{{ $labels.namespace }}}}/{{{{ $labels.pod }}}} fail; the limit is {}.",
                spec.errors
            ),
        ),
        critical(
            "CacheNotPersisted",
            "5m",
            format!("redis_aof_last_write_status{{{of}}} == 0 or redis_rdb_last_bgsave_status{{{of}}} == 0"),
        )
        .says(
            "The cache cannot write to its volume",
            "The last write of {{ $labels.namespace }}/{{ $labels.pod }} to its volume failed: a restart loses what came since.",
        ),
    ];
    if watched.subject(Capability::Cache, "replicas").is_some() {
        rules.push(
            warning(
                "CacheReplicaUnlinked",
                "5m",
                format!("max by (namespace, pod) (redis_master_link_up{{{of}}}) == 0"),
            )
            .says(
                "A replica of the cache no longer follows",
                "For five minutes {{ $labels.namespace }}/{{ $labels.pod }} has had no link to the server that is written to: it answers with what it had then.",
            ),
        );
    }
    rules
}

/// Of a server whose metrics are MinIO's.
pub(super) fn storage(watched: &Watched<'_>) -> Vec<Rule> {
    let Some(of) = minio(watched) else {
        return Vec::new();
    };
    let spec = watched.spec;
    vec![
        warning(
            "ObjectStoreFull",
            "10m",
            format!(
                "1 - max by (namespace) (minio_cluster_capacity_usable_free_bytes{{{of}}}) \
                 / max by (namespace) (minio_cluster_capacity_usable_total_bytes{{{of}}}) > {}",
                ratio(spec.utilisation)
            ),
        )
        .says(
            "The object store is nearly full",
            format!(
                "The object store in {{{{ $labels.namespace }}}} is {{{{ $value | humanizePercentage }}}} full; the limit is {}.",
                spec.utilisation
            ),
        ),
        critical(
            "ObjectStoreDriveOffline",
            "5m",
            format!("max by (namespace) (minio_cluster_drive_offline_total{{{of}}}) > 0"),
        )
        .says(
            "The object store has lost a drive",
            "{{ $value }} drives of the object store in {{ $labels.namespace }} are offline.",
        ),
        critical(
            "ObjectStoreErrorsHigh",
            "5m",
            format!(
                "sum by (namespace) (rate(minio_s3_requests_5xx_errors_total{{{of}}}[5m])) \
                 / sum by (namespace) (rate(minio_s3_requests_total{{{of}}}[5m])) > {} \
                 and sum by (namespace) (rate(minio_s3_requests_total{{{of}}}[5m])) > {LEAST_REQUESTS}",
                ratio(spec.errors)
            ),
        )
        .says(
            "Many requests to the object store fail",
            format!(
                "{{{{ $value | humanizePercentage }}}} of the requests to the object store in {{{{ $labels.namespace }}}} fail with 5xx; the limit is {}.",
                spec.errors
            ),
        ),
    ]
}

/// The selector of the object store, if its metrics are MinIO's.
pub(in super::super) fn minio(watched: &Watched<'_>) -> Option<String> {
    let scrape = watched.scrape(Capability::Storage)?;
    scrape
        .path
        .starts_with("/minio/v2/metrics/")
        .then(|| format!("job=\"{}\"", scrape.job))
}

/// Of applications that count requests as Prometheus's own libraries do: `http_requests_total` with `code` or `status`.
pub(super) fn applications(watched: &Watched<'_>) -> Vec<Rule> {
    if watched.application_namespaces().is_empty() {
        return Vec::new();
    }
    let of = format!("job=\"{}\"", job::APPLICATIONS);
    let errors = watched.spec.errors;
    vec![
        critical(
            "ApplicationErrorsHigh",
            "5m",
            format!(
                "sum by (namespace, service) (rate(http_requests_total{{{of}, code=~\"5..\"}}[5m]) or rate(http_requests_total{{{of}, status=~\"5..\"}}[5m])) \
                 / sum by (namespace, service) (rate(http_requests_total{{{of}}}[5m])) > {} \
                 and sum by (namespace, service) (rate(http_requests_total{{{of}}}[5m])) > {LEAST_REQUESTS}",
                ratio(errors)
            ),
        )
        .says(
            "Many requests to an application fail",
            format!(
                "{{{{ $value | humanizePercentage }}}} of the requests to {{{{ $labels.namespace }}}}/{{{{ $labels.service }}}} fail with 5xx; the limit is {errors}."
            ),
        ),
    ]
}
