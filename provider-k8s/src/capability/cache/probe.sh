#!/bin/sh
# Succeeds when the server answers an authenticated PING over TLS.
# The client exits 0 on an authentication error too, so the answer itself is compared.
set -eu
answer="$(REDISCLI_AUTH="$(cat "$SECRETS/probe-password")" "$CLIENT" -h "${HOST:-127.0.0.1}" -p "${PORT:-6379}" \
  --tls --cacert "$CA" --user probe --no-auth-warning ping)"
[ "$answer" = PONG ] || { echo "answer: $answer" >&2; exit 1; }
