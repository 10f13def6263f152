#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds everything: $BUILD/baton and $BUILD/baton-vmm.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

scripts/deps.sh build
[ -e "$build/build.ninja" ] || meson setup "$build" >"$log" 2>&1 || {
	cat "$log" >&2
	rm -rf "$build"
	exit 1
}
ninja -C "$build" --quiet
