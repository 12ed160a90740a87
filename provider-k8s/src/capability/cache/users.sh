#!/bin/sh
# Makes every server read its users again, until it accepts the password that applications get next. The file comes to
# the servers by itself, some time after the Secret was written. Safe to repeat and to kill: the servers know both
# passwords, the next one and the one before.
set -eu
ask() {
  REDISCLI_AUTH="$(cat "$SECRETS/$1-password")" "$CLIENT" -h "$host" -p "${PORT:-6379}" \
    --tls --cacert "$CA" --user "$@" 2>&1
}
for host in $HOSTS; do
  tries=0
  until [ "$(ask app --no-auth-warning ping)" = PONG ]; do
    tries=$((tries + 1))
    if [ "$tries" -ge "${TRIES:-150}" ]; then
      echo "$host does not accept the next password of the applications: $(ask reload --no-auth-warning ping)" >&2
      exit 1
    fi
    ask reload --no-auth-warning acl load > /dev/null || true
    sleep 2
  done
  echo "$host accepts the password of revision $REVISION"
done
