#!/bin/sh
# Starts the server in a folder of its own: Valkey and Redis do not read each other's files any more, and a cache
# fills itself again.
set -eu
mkdir -p "$DATA"
exec "$SERVER" "$CONFIG"
