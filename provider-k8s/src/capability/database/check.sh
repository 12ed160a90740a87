#!/bin/sh
# Checks a restored database beside the platform: it serves, it was loaded from a backup, every table can be read.
set -eu
umask 077
PGPASSFILE="$(mktemp)"
trap 'rm -f "$PGPASSFILE"' EXIT
printf '*:*:*:*:%s\n' "$(cat "$SECRETS/admin-password")" > "$PGPASSFILE"
export PGPASSFILE
tries=0
until pg_isready --quiet; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "the restored PostgreSQL does not answer: its volume was not restored, or its copy cannot be loaded" >&2
    exit 1
  fi
  sleep 2
done
ask() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"; }
if ! tables="$(ask --dbname postgres --command 'SELECT tables FROM platform_restored')"; then
  echo "the restored PostgreSQL is a new, empty one: the backup holds no copy of the database" >&2
  exit 1
fi
found="$(ask --file "$SCRIPTS/rows.sql" | wc -l)"
if [ "$found" -ne "$tables" ]; then
  echo "$found tables can be read, the backup recorded $tables" >&2
  exit 1
fi
echo "$tables tables are as the backup recorded them"
