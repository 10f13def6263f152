#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formats all C files.
set -eu
cd "$(dirname "$0")/.."
scripts/deps.sh lint
git ls-files '*.c' '*.h' | xargs clang-format -i
