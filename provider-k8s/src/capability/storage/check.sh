#!/bin/sh
# Checks a restored object store beside the platform: it serves, and every bucket can be listed.
set -eu
export MC_CONFIG_DIR="$SCRATCH/mc"
mkdir -p "$MC_CONFIG_DIR/certs/CAs"
cp "$CA" "$MC_CONFIG_DIR/certs/CAs/platform.crt"
