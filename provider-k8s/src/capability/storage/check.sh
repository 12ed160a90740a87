#!/bin/sh
# Checks a restored object store beside the platform: it serves, and every bucket and object can be listed.
set -eu
umask 077
export MC_CONFIG_DIR="$SCRATCH/mc"
mkdir -p "$MC_CONFIG_DIR/certs/CAs"
cat "$CA" > "$MC_CONFIG_DIR/certs/CAs/ca.crt"
printf '{"version":"10","aliases":{"store":{"url":"%s","accessKey":"%s","secretKey":"%s","api":"S3v4","path":"on"}}}\n' \
  "$ENDPOINT" "$ACCESS_KEY" "$(cat "$SECRETS/secret-key")" > "$MC_CONFIG_DIR/config.json"
tries=0
until mc ls store > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "the restored object store does not answer: its volume was not restored" >&2
    exit 1
  fi
  sleep 2
done
buckets="$(mc ls store | wc -l)"
if [ "$buckets" -eq 0 ]; then
  echo "the restored object store has no bucket: its volume was not restored" >&2
  exit 1
fi
objects="$(mc ls --recursive store | wc -l)"
echo "$buckets buckets hold $objects objects"
