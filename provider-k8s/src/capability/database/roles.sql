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
\set exporter_password `cat "$SECRETS/exporter-password"`

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['app', 'postgres_exporter']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT :'login' = 'app' AS first_login \gset
\if :first_login
ALTER ROLE app WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
\else
-- A later login is a role of its own that acts as the owner, so that what it makes is the owner's. It gets its password
-- together with its being, and never another one.
BEGIN;
SELECT format('CREATE ROLE %I IN ROLE app', :'login')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
SELECT rolpassword IS NULL AS without_password FROM pg_authid WHERE rolname = :'login' \gset
\if :without_password
ALTER ROLE :"login" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'app_password';
\endif
ALTER ROLE :"login" SET role TO app;
COMMIT;
-- The login before it goes on, all others end: with their sessions, and what they made for themselves becomes the owner's.
CREATE TEMPORARY TABLE ended AS
WITH logins AS (
  SELECT rolname, CASE rolname WHEN 'app' THEN 1 ELSE substr(rolname, 6)::int END AS revision
  FROM pg_roles WHERE rolname ~ '^app(_r[0-9]{1,7})?$' AND (rolcanlogin OR rolname <> 'app')
)
SELECT rolname FROM logins
WHERE rolname <> :'login' AND revision IS DISTINCT FROM (
  SELECT max(revision) FROM logins WHERE revision < substr(:'login', 6)::int
);
SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM ended \gexec
SELECT format('ALTER ROLE %I PASSWORD NULL', rolname) FROM ended \gexec
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity JOIN ended ON rolname = usename \g /dev/null
SELECT format('REASSIGN OWNED BY %1$I TO app; DROP OWNED BY %1$I; DROP ROLE %1$I', rolname)
FROM ended WHERE rolname <> 'app' \gexec
\endif
ALTER ROLE postgres_exporter WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5
  PASSWORD :'exporter_password';
GRANT pg_monitor TO postgres_exporter;

-- The application owns its database; nobody else gets in.
ALTER DATABASE app OWNER TO app;
REVOKE ALL ON DATABASE app FROM PUBLIC;

\connect postgres
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
