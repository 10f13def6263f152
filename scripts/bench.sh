#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures boot, first byte and memory beside QEMU's TCG on the same guest.
set -eu
cd "$(dirname "$0")/.."

scripts/deps.sh build bench
scripts/build.sh
tests/images/build.sh kernel initrd >/dev/null
exec env BATON_BUILD="$(cd "${BUILD:-build}" && pwd)" python3 bench/boot.py "$@"
