#!/bin/sh
# Makes every server read its users again, until it accepts the password that applications get next. The file comes to
# the servers by itself, some time after the Secret was written. Safe to repeat and to kill: the servers know both
# passwords of everybody, the next one and the one before.
set -eu
ask() {
  user="$1"
  shift
  REDISCLI_AUTH="$(cat "$SECRETS/$user-password")" "$CLIENT" -h "$host" -p "${PORT:-6379}" \
    --tls --cacert "$CA" --user "$user" --no-auth-warning "$@" 2>&1
}
# A replica took its password when it started, some rotations ago. It goes on with the one before, which the first
# server accepts whether it has read its users again or not.
follow() { ask reload -x config set masterauth < "$SECRETS/replica-password"; }
for host in $HOSTS; do
  follow > /dev/null || true
done
for host in $HOSTS; do
  tries=0
  until [ "$(ask app ping)" = PONG ] && [ "$(follow)" = OK ]; do
    tries=$((tries + 1))
    if [ "$tries" -ge "${TRIES:-150}" ]; then
      echo "$host does not accept the next password of the applications: $(ask reload ping)" >&2
      exit 1
    fi
    ask reload acl load > /dev/null || true
    sleep 2
  done
  echo "$host accepts the password of revision $REVISION"
done
