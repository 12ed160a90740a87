# Logs in as whoever may do everything: the one of the last rotation that the server accepted; the first one, who is back
# after a restore; or one that a rotation made before it was killed.
# Passwords go through a file only: arguments and the environment can be read by others.
first="$PGUSER"
login="${LOGIN:-app}"
PGPASSFILE="$(mktemp)"
trap 'rm -f "$PGPASSFILE"' EXIT
export PGPASSFILE PGUSER
be() {
  [ -s "$2" ] || return 1
  PGUSER="$1"
  printf '*:*:*:*:%s\n' "$(cat "$2")" > "$PGPASSFILE"
  psql --no-psqlrc --quiet --command 'SELECT 1' > /dev/null 2>&1
}
be_admin() {
  be "$(cat "$SECRETS/accepted/admin-user" 2> /dev/null)" "$SECRETS/accepted/admin-password" ||
    be "$first" "$SECRETS/admin-password" ||
    be "$first${login#app}" "$SECRETS/admin-next" ||
    { echo "PostgreSQL accepts nobody who may do everything: $first has another password than $SECRETS holds" >&2; return 1; }
}
