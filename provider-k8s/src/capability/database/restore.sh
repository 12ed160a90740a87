# Loads the copy that a restored backup brought, in the first start of an empty volume. The entrypoint sources or runs it.
# A copy that is not whole ends the first start: a database with less than was backed up never serves.
if [ -d "$BACKUP/copy" ]; then
  echo "loading the restored copy"
  client() { psql --no-psqlrc --quiet --no-align --tuples-only --username "$POSTGRES_USER" --no-password "$@"; }
  counted="${TMPDIR:-/tmp}/rows"
  # Roles that are there already are reported and passed over.
  client --dbname postgres --file "$BACKUP/copy/roles.sql" > /dev/null
  pg_restore --exit-on-error --username "$POSTGRES_USER" --no-password --dbname "$POSTGRES_DB" "$BACKUP/copy/app.dump"
  client --set ON_ERROR_STOP=1 --dbname "$POSTGRES_DB" --file "$SCRIPTS/rows.sql" > "$counted"
  if ! cmp -s "$BACKUP/copy/rows" "$counted"; then
    echo "the restored tables have other rows than the backup recorded:" >&2
    diff "$BACKUP/copy/rows" "$counted" >&2
    exit 1
  fi
  # What a drill looks for: this database is no new one.
  client --set ON_ERROR_STOP=1 --dbname postgres \
    --command "CREATE TABLE platform_restored AS SELECT now() AS at, $(wc -l < "$counted") AS tables"
fi
