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
echo "roles are as wanted"
