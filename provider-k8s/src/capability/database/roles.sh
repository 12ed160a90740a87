#!/bin/sh
# Makes the roles of the application and of the metrics exporter. Safe to repeat and to kill.
# Passwords go through files only: arguments and the environment can be read by others.
set -eu
umask 077
export SECRETS
for name in admin-password app-password exporter-password; do
  [ -s "$SECRETS/$name" ] || { echo "no $name in $SECRETS" >&2; exit 1; }
done

PGPASSFILE="$(mktemp)"
trap 'rm -f "$PGPASSFILE"' EXIT
printf '*:*:*:*:%s\n' "$(cat "$SECRETS/admin-password")" > "$PGPASSFILE"
export PGPASSFILE

tries=0
until pg_isready --quiet; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "PostgreSQL does not answer at $PGHOST:$PGPORT" >&2
    exit 1
  fi
  sleep 2
done
psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --file "$SCRIPTS/roles.sql"

# Nothing that the server does not accept is handed to applications.
printf '*:*:*:%s:%s\n' "$LOGIN" "$(cat "$SECRETS/app-password")" > "$PGPASSFILE"
if ! psql --no-psqlrc --quiet --username "$LOGIN" --command 'SELECT 1' > /dev/null; then
  echo "$LOGIN has another password than $SECRETS holds: raise security.revisions.database above any number it ever had" >&2
  exit 1
fi
echo "roles are as wanted"
