#!/bin/sh
# Makes the roles of the application and of the metrics exporter, and after a rotation those in their place and in that of
# the administrator. Safe to repeat and to kill.
set -eu
umask 077
export SECRETS
case "$LOGIN" in
  app) needed="exporter-password" ;;
  *) needed="admin-next exporter-next" ;;
esac
for name in admin-password app-password $needed; do
  [ -s "$SECRETS/$name" ] || { echo "no $name in $SECRETS" >&2; exit 1; }
done

. "$SCRIPTS/admin.sh"
tries=0
until pg_isready --quiet; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "PostgreSQL does not answer at $PGHOST:$PGPORT" >&2
    exit 1
  fi
  sleep 2
done
be_admin
psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --file "$SCRIPTS/roles.sql"

# Nothing that the server does not accept is handed out.
accepts() {
  be "$1" "$SECRETS/$2" && return
  echo "$1 has another password than $SECRETS holds: raise security.revisions.database above any number it ever had" >&2
  exit 1
}
accepts "$LOGIN" app-password
if [ "$LOGIN" != app ]; then
  accepts "platform_admin${LOGIN#app}" admin-next
  export PGDATABASE=postgres
  accepts "postgres_exporter${LOGIN#app}" exporter-next
fi
echo "roles are as wanted"
