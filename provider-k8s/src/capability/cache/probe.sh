#!/bin/sh
# Succeeds when the server answers an authenticated PING over TLS.
# The client exits 0 on an authentication error too, so the answer itself is compared.
set -eu
ask() {
  REDISCLI_AUTH="$(cat "$SECRETS/probe-password")" "$CLIENT" -h "${HOST:-127.0.0.1}" -p "${PORT:-6379}" \
    --tls --cacert "$CA" --user probe --no-auth-warning "$@"
}
answer="$(ask ping)"
[ "$answer" = PONG ] || { echo "answer: $answer" >&2; exit 1; }
case "${HOSTNAME:-}" in
  *-[1-9])
    # A replica that never had the data answers wrongly. Once it had, it serves what it has, also while the first is away.
    if [ ! -e "$SCRATCH/followed" ]; then
      role="$(ask role)"
      case "$role" in
        *connected*) touch "$SCRATCH/followed" ;;
        *) echo "does not follow yet: $role" >&2; exit 1 ;;
      esac
    fi
    ;;
esac
