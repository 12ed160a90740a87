//! The server's config files.

use platform_core::DatabaseSpec;

/// Passwords always, and TLS always but on the pod's own socket.
pub(super) const PG_HBA: &str = "\
local   all all           scram-sha-256
hostssl all all 0.0.0.0/0 scram-sha-256
hostssl all all ::/0      scram-sha-256
";

/// The server's settings, made to fit its memory.
pub(super) fn postgresql_conf(spec: &DatabaseSpec) -> String {
    let mib = spec.memory.as_mib();
    format!(
        "\
listen_addresses = '*'
port = 5432
max_connections = {connections}
shared_buffers = '{buffers}MB'
effective_cache_size = '{cache}MB'
maintenance_work_mem = '{maintenance}MB'
ssl = on
ssl_cert_file = '/etc/postgres/tls/tls.crt'
ssl_key_file = '/etc/postgres/tls/tls.key'
ssl_ca_file = '/etc/postgres/tls/ca.crt'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
hba_file = '/etc/postgres/conf/pg_hba.conf'
unix_socket_directories = '/var/run/postgresql'
logging_collector = off
log_connections = on
log_disconnections = on
log_lock_waits = on
log_min_duration_statement = 1000
shared_preload_libraries = 'pg_stat_statements'
track_io_timing = on
idle_in_transaction_session_timeout = '10min'
",
        connections = spec.max_connections,
        buffers = mib / 4,
        cache = mib * 3 / 4,
        maintenance = (mib / 16).clamp(16, 2048),
    )
}
