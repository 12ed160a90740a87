#!/bin/sh
# Runs the exporter, and starts it anew when it gets another login: it reads one when it starts. A rotation puts the login
# that the server accepts beside the first one.
set -eu
accepted="$SECRETS/accepted"
user() { cat "$accepted/exporter-user" 2> /dev/null || printf '%s' "$FIRST_USER"; }
file() { if [ -s "$accepted/exporter-password" ]; then echo "$accepted/exporter-password"; else echo "$SECRETS/exporter-password"; fi; }
login() { echo "$(user) $(cat "$(file)")"; }
exporter=""
watcher=""
trap 'kill $exporter $watcher 2> /dev/null; exit 0' TERM INT
while :; do
  held="$(login)"
  DATA_SOURCE_USER="$(user)" DATA_SOURCE_PASS_FILE="$(file)" "$@" &
  exporter=$!
  while [ "$(login)" = "$held" ]; do sleep "${PAUSE:-5}"; done && kill "$exporter" &
  watcher=$!
  wait "$exporter" && status=0 || status=$?
  kill "$watcher" 2> /dev/null || true
  [ "$(login)" != "$held" ] || exit "$status"
done
