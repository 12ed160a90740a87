#!/bin/sh
# Checks a restored cache beside the platform: it serves, and it was loaded from a backup.
set -eu
figures() {
  REDISCLI_AUTH="$(cat "$SECRETS/backup-password")" "$CLIENT" -h "$HOST" -p "${PORT:-6379}" \
    --tls --cacert "$CA" --user backup --no-auth-warning info persistence 2>/dev/null | tr -d '\r'
}
figure() { figures | sed -n "s/^$1://p"; }
tries=0
until [ "$(figure loading)" = 0 ]; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "the restored cache does not answer: its volume was not restored, or its copy cannot be loaded" >&2
    exit 1
  fi
  sleep 2
done
# The server writes this file only where it found none, and counts what it loaded.
loaded="$(figure rdb_last_load_keys_loaded)"
expired="$(figure rdb_last_load_keys_expired)"
echo "$loaded keys loaded, $expired were past their time"
