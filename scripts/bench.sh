#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures Baton beside the host and QEMU's TCG: programs, boot, memory, disks. Options are programs.py's;
# with --only or --json nothing else runs.
set -eu
cd "$(dirname "$0")/.."

scripts/deps.sh build bench
scripts/build.sh
tests/images/build.sh kernel initrd >/dev/null
BATON_BUILD="$(cd "${BUILD:-build}" && pwd)"
export BATON_BUILD
python3 bench/programs.py "$@"
case " $* " in
*" --only"* | *" --json"*) exit 0 ;;
esac
python3 bench/boot.py $([ "$(id -u)" = 0 ] && echo --debian)
exec python3 bench/disk.py
