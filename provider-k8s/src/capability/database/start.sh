#!/bin/sh
# Starts PostgreSQL by the image's own entrypoint, which fills an empty volume first.
#
# A first start that is killed half-way leaves files that the entrypoint takes for a finished cluster.
# The marker is there from before the first file until after the last step of the first start, in
# which nobody can connect: while it is there, nothing in the directory is anybody's data.
set -eu
marker="$VOLUME/.first-start"

# Left by a server that was killed in this pod: its process number may be somebody else's now.
rm -f "$SOCKETS"/.s.PGSQL.*

if [ -e "$marker" ]; then
  echo "the first start did not finish: starting it again"
  rm -rf "$PGDATA"
fi

# Another major version never starts beside the data of the present one.
for found in "$VOLUME/PG_VERSION" "$VOLUME"/*/PG_VERSION "$VOLUME"/*/docker/PG_VERSION; do
  [ -s "$found" ] || continue
  version="$(cat "$found")"
  if [ "$version" != "$PG_MAJOR" ] || [ "${found%/PG_VERSION}" != "$PGDATA" ]; then
    echo "this volume holds PostgreSQL $version in ${found%/PG_VERSION}, not $PG_MAJOR in $PGDATA: upgrade the data first" >&2
    exit 1
  fi
done

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : > "$marker"
  sync
fi
exec docker-entrypoint.sh "$@"
