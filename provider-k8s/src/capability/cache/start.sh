#!/bin/sh
# Starts the server in a folder of its own: Valkey and Redis do not read each other's files any more, and a cache
# fills itself again.
set -eu
mkdir -p "$DATA"
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
exec "$SERVER" "$CONFIG"
