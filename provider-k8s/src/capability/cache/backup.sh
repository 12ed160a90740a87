#!/bin/sh
# Writes one consistent copy of the cache for the backup: a snapshot that the server itself makes.
set -eu
umask 077
case "${HOSTNAME:-}" in
  *-[1-9])
    # Its volume is as good as the first one's, which is copied.
    echo "a replica: the first server is copied" | tee "$BACKUP/replica"
    exit 0
    ;;
esac
ask() {
  REDISCLI_AUTH="$(cat "$SECRETS/backup-password")" "$CLIENT" -h "${HOST:-127.0.0.1}" -p "${PORT:-6379}" \
    --tls --cacert "$CA" --user backup --no-auth-warning "$@"
}
figure() { ask info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
idle() {
  while :; do
    case "$(figure rdb_bgsave_in_progress)" in
      0) return ;;
      1) sleep 1 ;;
      *) echo "the server does not answer" >&2; exit 1 ;;
    esac
  done
}
idle
before="$(ask lastsave)"
# The server's clock for this has whole seconds.
sleep 1
answer="$(ask bgsave)"
case "$answer" in
  *aving*) ;;
  *) echo "no snapshot: $answer" >&2; exit 1 ;;
esac
sleep 1
idle
if [ "$(figure rdb_last_bgsave_status)" != ok ] || [ "$(ask lastsave)" -le "$before" ]; then
  echo "the server could not write a snapshot" >&2
  exit 1
fi
cp "$DATA/dump.rdb" "$BACKUP/new.rdb"
"${CLIENT%-cli}-check-rdb" "$BACKUP/new.rdb" > /dev/null
sync
mv "$BACKUP/new.rdb" "$BACKUP/dump.rdb"
echo "copied $(wc -c < "$BACKUP/dump.rdb") bytes"
