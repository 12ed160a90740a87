//! What holds data: database, cache, object store, volumes, backups.

use super::containers;
use super::panel::{Dashboard, Panel, Unit};
use crate::capability::monitoring::rules::{any_of, minio};
use crate::capability::monitoring::{Watched, job};
use platform_core::Capability;

pub(super) fn database(watched: &Watched<'_>) -> Dashboard {
    Dashboard::new("database", "Database and cache")
        .section("PostgreSQL", postgres(watched))
        .section("Cache", cache(watched))
}

fn postgres(watched: &Watched<'_>) -> Vec<Panel> {
    let Some(scrape) = watched.scrape(Capability::Database) else {
        return Vec::new();
    };
    let of = format!("job=\"{}\"", scrape.job);
    let rate = |metric: &str| format!("sum by (datname) (rate(pg_stat_database_{metric}{{{of}}}[5m]))");
    vec![
        Panel::lines("Connections by state", Unit::Count).query(
            "{{state}}",
            format!("sum by (state) (pg_stat_activity_count{{{of}}})"),
        ),
        Panel::lines("Connections in use", Unit::Share).limit(watched.spec.connections).query(
            "{{pod}}",
            format!(
                "sum by (pod) (pg_stat_database_numbackends{{{of}}}) / (max by (pod) (pg_settings_max_connections{{{of}}}) - max by (pod) (pg_settings_superuser_reserved_connections{{{of}}}))"
            ),
        ),
        Panel::lines("Transactions", Unit::PerSecond)
            .query("{{datname}} committed", rate("xact_commit"))
            .query("{{datname}} rolled back", rate("xact_rollback")),
        Panel::lines("Mean time of a statement", Unit::Seconds).query(
            "{{datname}}",
            format!(
                "sum by (datname) (rate(pg_stat_statements_seconds_total{{{of}}}[5m])) / sum by (datname) (rate(pg_stat_statements_calls_total{{{of}}}[5m]))"
            ),
        ),
        Panel::lines("Longest transaction", Unit::Seconds).query(
            "{{datname}}",
            format!("max by (datname) (pg_stat_activity_max_tx_duration{{{of}, backend_type=~\"client backend|\"}})"),
        ),
        Panel::lines("Found in memory", Unit::Share).query(
            "{{datname}}",
            format!("{} / ({} + {})", rate("blks_hit"), rate("blks_hit"), rate("blks_read")),
        ),
        Panel::lines("Locks", Unit::Count).query("{{mode}}", format!("sum by (mode) (pg_locks_count{{{of}}})")),
        Panel::lines("Deadlocks", Unit::PerSecond).query("{{datname}}", rate("deadlocks")),
        Panel::lines("Size", Unit::Bytes).query(
            "{{datname}}",
            format!("sum by (datname) (pg_database_size_bytes{{{of}}})"),
        ),
        Panel::lines("Rows", Unit::PerSecond)
            .query("{{datname}} read", rate("tup_fetched"))
            .query("{{datname}} inserted", rate("tup_inserted"))
            .query("{{datname}} updated", rate("tup_updated"))
            .query("{{datname}} deleted", rate("tup_deleted")),
        Panel::lines("Temporary files", Unit::BytesPerSecond).query("{{datname}}", rate("temp_bytes")),
    ]
}

fn cache(watched: &Watched<'_>) -> Vec<Panel> {
    let Some(scrape) = watched.scrape(Capability::Cache) else {
        return Vec::new();
    };
    let of = format!("job=\"{}\"", scrape.job);
    let rate = |metric: &str| format!("sum(rate(redis_{metric}{{{of}}}[5m]))");
    vec![
        Panel::lines("Memory", Unit::Share).limit(watched.spec.utilisation).query(
            "{{pod}}",
            format!(
                "max by (pod) (redis_memory_used_bytes{{{of}}}) / (max by (pod) (redis_memory_max_bytes{{{of}}}) > 0)"
            ),
        ),
        Panel::lines("Clients", Unit::Count)
            .query("connected", format!("sum(redis_connected_clients{{{of}}})"))
            .query("blocked", format!("sum(redis_blocked_clients{{{of}}})")),
        Panel::lines("Commands", Unit::PerSecond).query(
            "{{cmd}}",
            format!("topk(10, sum by (cmd) (rate(redis_commands_total{{{of}}}[5m])))"),
        ),
        Panel::lines("Found", Unit::Share).query(
            "hits",
            format!(
                "{} / ({} + {})",
                rate("keyspace_hits_total"),
                rate("keyspace_hits_total"),
                rate("keyspace_misses_total")
            ),
        ),
        Panel::lines("Keys", Unit::Count).query("{{db}}", format!("sum by (db) (redis_db_keys{{{of}}}) > 0")),
        Panel::lines("Keys that went", Unit::PerSecond)
            .query("evicted", rate("evicted_keys_total"))
            .query("expired", rate("expired_keys_total")),
    ]
}

pub(super) fn storage(watched: &Watched<'_>) -> Dashboard {
    let dashboard = Dashboard::new("storage", "Storage and backups")
        .section("Object store", object_store(watched))
        .section("Volumes", volumes(watched))
        .section("Backups", backups(watched));
    match watched.namespace(Capability::Storage) {
        Some(namespace) => dashboard.section("Containers of the object store", containers(namespace)),
        None => dashboard,
    }
}

fn object_store(watched: &Watched<'_>) -> Vec<Panel> {
    let Some(of) = minio(watched) else {
        return Vec::new();
    };
    let limit = watched.spec.utilisation;
    vec![
        Panel::lines("Requests", Unit::PerSecond).query(
            "{{api}}",
            format!("sum by (api) (rate(minio_s3_requests_total{{{of}}}[5m]))"),
        ),
        Panel::lines("Failed requests", Unit::Share).limit(watched.spec.errors).query(
            "5xx",
            format!(
                "sum(rate(minio_s3_requests_5xx_errors_total{{{of}}}[5m])) / sum(rate(minio_s3_requests_total{{{of}}}[5m]))"
            ),
        ),
        Panel::lines("Traffic", Unit::BytesPerSecond)
            .query("in", format!("sum(rate(minio_s3_traffic_received_bytes{{{of}}}[5m]))"))
            .query("out", format!("sum(rate(minio_s3_traffic_sent_bytes{{{of}}}[5m]))")),
        Panel::lines("Capacity", Unit::Share).limit(limit).query(
            "used",
            format!(
                "1 - max(minio_cluster_capacity_usable_free_bytes{{{of}}}) / max(minio_cluster_capacity_usable_total_bytes{{{of}}})"
            ),
        ),
        Panel::lines("Objects", Unit::Count).query("objects", format!("max(minio_cluster_usage_object_total{{{of}}})")),
        Panel::faults("Drives offline").query("drives", format!("max(minio_cluster_drive_offline_total{{{of}}})")),
    ]
}

fn volumes(watched: &Watched<'_>) -> Vec<Panel> {
    let of = format!(
        "job=\"{}\", namespace=~\"{}\"",
        job::KUBELET,
        any_of(watched.namespaces())
    );
    let by =
        |metric: &str| format!("max by (namespace, persistentvolumeclaim) (kubelet_volume_stats_{metric}{{{of}}})");
    let legend = "{{namespace}}/{{persistentvolumeclaim}}";
    vec![
        Panel::lines("Used", Unit::Share)
            .limit(watched.spec.utilisation)
            .query(legend, format!("{} / {}", by("used_bytes"), by("capacity_bytes"))),
        Panel::lines("Used bytes", Unit::Bytes).query(legend, by("used_bytes")),
        Panel::lines("Used inodes", Unit::Share)
            .query(legend, format!("{} / ({} > 0)", by("inodes_used"), by("inodes"))),
    ]
}

fn backups(watched: &Watched<'_>) -> Vec<Panel> {
    let Some(scrape) = watched.scrape(Capability::Backup) else {
        return Vec::new();
    };
    let of = format!("job=\"{}\"", scrape.job);
    let ended = |counter: &str| {
        format!("sum by (schedule) (increase(velero_backup_{counter}_total{{{of}, schedule!=\"\"}}[1d]))")
    };
    vec![
        Panel::lines("Age of the newest good backup", Unit::Seconds).query(
            "{{schedule}}",
            format!("time() - max by (schedule) (velero_backup_last_successful_timestamp{{{of}, schedule!=\"\"}})"),
        ),
        Panel::lines("Backups in a day", Unit::Count)
            .query("{{schedule}} good", ended("success"))
            .query("{{schedule}} with errors", ended("partial_failure"))
            .query("{{schedule}} failed", ended("failure")),
        Panel::lines("Size of the objects", Unit::Bytes).query(
            "{{schedule}}",
            format!("max by (schedule) (velero_backup_tarball_size_bytes{{{of}, schedule!=\"\"}})"),
        ),
    ]
}
