#!/bin/sh
# Starts the server in a folder of its own: Valkey and Redis do not read each other's files any more, and a cache
# fills itself again.
set -eu
mkdir -p "$DATA"
rm -f "$SCRATCH/followed"
# A copy that a restored backup brought becomes the base of the append-only file, the only one that the server reads.
# It is put there in one step, and only where there is none yet.
if [ -s "${BACKUP:-}/dump.rdb" ] && [ ! -e "$DATA/appendonlydir" ]; then
  echo "loading the restored copy"
  rm -rf "$DATA/appendonlydir.new"
  mkdir "$DATA/appendonlydir.new"
  cp "$BACKUP/dump.rdb" "$DATA/appendonlydir.new/appendonly.aof.1.base.rdb"
  echo "file appendonly.aof.1.base.rdb seq 1 type b" > "$DATA/appendonlydir.new/appendonly.aof.manifest"
  sync
  mv "$DATA/appendonlydir.new" "$DATA/appendonlydir"
fi
case "${HOSTNAME:-}" in
  *-[1-9])
    # A replica. Its password reaches the server by a pipe: no command line shows it, no file keeps it. It may stop at
    # any time: without `force` it ignores the signal while it writes down a copy that it just got.
    exec "$SERVER" "$CONFIG" - << END
replicaof $PRIMARY ${PRIMARY_PORT:-6379}
masteruser replica
masterauth $(cat "$SECRETS/replica-password")
shutdown-on-sigterm nosave force
END
    ;;
esac
exec "$SERVER" "$CONFIG"
