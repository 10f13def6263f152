#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What leaving a guest costs on Baton's kernel and on Linux, both emulated; options are bench/metal.py's.
set -eu
cd "$(dirname "$0")/.."
scripts/deps.sh build demo metal
scripts/build.sh
BATON_BUILD="$(cd "${BUILD:-build}" && pwd)"
export BATON_BUILD
exec python3 bench/metal.py "$@"
