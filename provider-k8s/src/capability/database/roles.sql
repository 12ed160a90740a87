-- No password reaches the server's log or pg_stat_statements, whatever the server's settings.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = off;
SET password_encryption = 'scram-sha-256';
SET client_min_messages = warning;

-- Two runs at once wait for each other.
SELECT pg_advisory_lock(7272750001) IS NULL \g /dev/null

\set app_password `cat "$SECRETS/app-password"`
\set exporter_password `cat "$SECRETS/exporter-password"`

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['app', 'postgres_exporter']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE app WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
ALTER ROLE postgres_exporter WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5
  PASSWORD :'exporter_password';
GRANT pg_monitor TO postgres_exporter;

-- The application owns its database; nobody else gets in.
ALTER DATABASE app OWNER TO app;
REVOKE ALL ON DATABASE app FROM PUBLIC;

\connect postgres
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
