-- No password reaches the server's log or pg_stat_statements, whatever the server's settings.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = off;
SET password_encryption = 'scram-sha-256';
SET client_min_messages = warning;

-- Two runs at once wait for each other.
SELECT pg_advisory_lock(7272750001) IS NULL \g /dev/null

\getenv login LOGIN
\set app_password `cat "$SECRETS/app-password"`

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['app', 'postgres_exporter']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

GRANT pg_monitor TO postgres_exporter;

SELECT :'login' = 'app' AS first_login \gset
\if :first_login
\set exporter_password `cat "$SECRETS/exporter-password"`
ALTER ROLE app WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
ALTER ROLE postgres_exporter WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5
  PASSWORD :'exporter_password';
\else
\set admin_password `cat "$SECRETS/admin-next"`
\set exporter_password `cat "$SECRETS/exporter-next"`
SELECT 'platform_admin' || substr(:'login', 4) AS admin, 'postgres_exporter' || substr(:'login', 4) AS exporter \gset
-- A later login is a role of its own that acts as the first, so that what it makes is the first's. It gets its password
-- together with its being, and never another one.
BEGIN;
CREATE TEMPORARY TABLE logins ON COMMIT DROP AS
SELECT * FROM (VALUES (:'login', 'app'), (:'admin', 'platform_admin'), (:'exporter', 'postgres_exporter')) AS one (name, base);
SELECT format('CREATE ROLE %I IN ROLE %I', name, base) FROM logins
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT bool_or(rolname = :'login') AS new_login, bool_or(rolname = :'admin') AS new_admin, bool_or(rolname = :'exporter') AS new_exporter
FROM (
  SELECT rolname FROM pg_authid JOIN logins ON rolname = name WHERE rolpassword IS NULL UNION ALL SELECT ''
) AS without_password \gset
\if :new_login
ALTER ROLE :"login" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
\endif
\if :new_admin
ALTER ROLE :"admin" WITH LOGIN SUPERUSER PASSWORD :'admin_password';
\endif
\if :new_exporter
ALTER ROLE :"exporter" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5
  PASSWORD :'exporter_password';
\endif
SELECT format('ALTER ROLE %I SET role TO %I', name, base) FROM logins \gexec
COMMIT;
-- The login before it goes on, as do those that are used inside; all others end: with their sessions, and what they made
-- for themselves becomes the first's.
\set used `cat "$SECRETS/accepted/exporter-user" 2> /dev/null || true`
CREATE TEMPORARY TABLE ended AS
WITH logins AS (
  SELECT rolname, part[1] AS base, coalesce(part[3]::int, 1) AS revision
  FROM pg_authid, regexp_match(rolname, '^(app|platform_admin|postgres_exporter)(_r([0-9]{1,7}))?$') AS part
  WHERE part IS NOT NULL AND (rolpassword IS NOT NULL OR rolname <> part[1])
)
SELECT rolname, base FROM logins
WHERE rolname NOT IN (session_user, :'used') AND revision <> substr(:'login', 6)::int AND revision IS DISTINCT FROM (
  SELECT max(revision) FROM logins AS older WHERE older.base = logins.base AND revision < substr(:'login', 6)::int
);
-- The administrator is who a restored database begins with.
SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM ended WHERE rolname <> 'platform_admin' \gexec
SELECT format('ALTER ROLE %I PASSWORD NULL', rolname) FROM ended \gexec
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity JOIN ended ON rolname = usename \g /dev/null
SELECT format('REASSIGN OWNED BY %1$I TO %2$I; DROP OWNED BY %1$I; DROP ROLE %1$I', rolname, base)
FROM ended WHERE rolname <> base \gexec
\endif

-- The application owns its database; nobody else gets in.
ALTER DATABASE app OWNER TO app;
REVOKE ALL ON DATABASE app FROM PUBLIC;

\connect postgres
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
