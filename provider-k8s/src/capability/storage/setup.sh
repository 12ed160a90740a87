#!/bin/sh
# Makes every bucket that is described below $BUCKETS as it is described, and the user of the applications where there
# is a key for one. Safe to repeat and to kill.
# It never removes a bucket or an object; a bucket that is no longer described stays as it is.
set -eu
umask 077
export MC_CONFIG_DIR="$SCRATCH/mc"
mkdir -p "$MC_CONFIG_DIR/certs/CAs"
cat "$CA" > "$MC_CONFIG_DIR/certs/CAs/ca.crt"
# By file: arguments can be read by others.
printf '{"version":"10","aliases":{"store":{"url":"%s","accessKey":"%s","secretKey":"%s","api":"S3v4","path":"on"}}}\n' \
  "$ENDPOINT" "$(cat "$SECRETS/access-key")" "$(cat "$SECRETS/secret-key")" > "$MC_CONFIG_DIR/config.json"

tries=0
until mc ls store > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge "${TRIES:-150}" ]; then
    echo "the store does not answer at $ENDPOINT" >&2
    mc ls store >&2 || true
    exit 1
  fi
  sleep 2
done

for directory in "$BUCKETS"/*/; do
  [ -d "$directory" ] || continue
  directory="${directory%/}"
  bucket="${directory##*/}"
  mc mb --ignore-existing "store/$bucket"

  case "$(cat "$directory/versioning")" in
    Enabled) mc version enable "store/$bucket" ;;
    # A bucket that never kept versions is left alone.
    *) case "$(mc version info "store/$bucket")" in
      *enabled*) mc version suspend "store/$bucket" ;;
    esac ;;
  esac

  # The whole set of rules is put in one call, so that a repetition changes nothing.
  if [ -s "$directory/lifecycle.json" ]; then
    mc ilm import "store/$bucket" < "$directory/lifecycle.json"
  elif mc ilm rule ls "store/$bucket" > /dev/null 2>&1; then
    mc ilm rule rm --all --force "store/$bucket"
  fi
done

# The policy comes first: a user without one can do nothing. Each of the calls replaces what is there.
if [ -n "${APPLICATION:-}" ]; then
  user="$APPLICATION"
  policy="${user%-r*}"
  mc admin policy create store "$policy" "$POLICY"
  mc admin user add store "$user" < "$SECRETS/application/secret-key"
  mc admin policy attach store "$policy" --user "$user"
  # After a rotation the user before goes on, and all others end.
  if [ "$user" != "$policy" ]; then
    number="${user##*-r}"
    numbers="$(mc admin user ls store | while read -r _ other _; do
      case "$other" in
        "$policy") echo 1 ;;
        "$policy"-r*) echo "${other##*-r}" ;;
      esac
    done)"
    before=0
    for other in $numbers; do
      if [ "$other" -lt "$number" ] && [ "$other" -gt "$before" ]; then before="$other"; fi
    done
    for other in $numbers; do
      case "$other" in
        "$number" | "$before") ;;
        1) mc admin user rm store "$policy" ;;
        *) mc admin user rm store "$policy-r$other" ;;
      esac
    done
  fi
fi
echo "buckets are as described"
