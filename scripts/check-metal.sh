#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every test of the bare-metal kernel, the long ones too.
set -eu
cd "$(dirname "$0")/.."
scripts/deps.sh build check iso
scripts/build.sh
python=python3
python3 -c 'import pytest' 2>/dev/null || python=/usr/bin/python3
BATON_BUILD="$(cd "${BUILD:-build}" && pwd)" exec "$python" -m pytest -q tests/metal --long
