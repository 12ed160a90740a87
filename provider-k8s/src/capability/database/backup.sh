#!/bin/sh
# Writes one consistent copy of the database for the backup, beside the last one until it is whole: a dump, the roles
# that own what is in it, and how many rows each table had in the dump's own snapshot.
set -eu
umask 077
export PGHOST="$SOCKETS" PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB"
. "$SCRIPTS/admin.sh"
be_admin

COPY="$BACKUP/new"
export COPY SCRIPTS
rm -rf "$COPY"
mkdir "$COPY"
psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --file "$SCRIPTS/backup.sql"
# psql does not fail with what it runs.
[ -e "$COPY/dumped" ] || { echo "the dump failed" >&2; exit 1; }
pg_restore --list "$COPY/app.dump" > /dev/null
pg_dumpall --roles-only --no-role-passwords --file "$COPY/roles.sql"
sync
rm -rf "$BACKUP/copy"
mv "$COPY" "$BACKUP/copy"
echo "copied $(wc -l < "$BACKUP/copy/rows") tables, $(wc -c < "$BACKUP/copy/app.dump") bytes"
