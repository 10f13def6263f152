#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every test and ends with "N passed, N failed". --long adds what takes more than some minutes.
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
passed=0
failed=0
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

scripts/deps.sh build check || exit 1
scripts/build.sh || exit 1

# Debian's pytest belongs to Debian's Python, which need not be the first in PATH.
python=python3
python3 -c 'import pytest' 2>/dev/null || python=/usr/bin/python3

count() { # PASSED FAILED
	passed=$((passed + ${1:-0}))
	failed=$((failed + ${2:-0}))
}

# Unit tests of one build folder.
unit() {
	meson test -C "$1" --print-errorlogs $2 2>&1 | tee "$log/unit"
	count "$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$log/unit")" \
		"$(awk '/^(Fail|Unexpected Pass|Timeout): / { n += $NF } END { print n + 0 }' "$log/unit")"
	grep -q '^Ok: ' "$log/unit" || count 0 1
}

# The same under ASan and UBSan, built by clang. The runtime's memory functions use vector registers,
# which hold the guest's values in the translation engine: its own suite runs without.
sanitized() {
	[ -e "$build-asan/build.ninja" ] ||
		CC=clang meson setup "$build-asan" -Db_sanitize=address,undefined -Db_lundef=false \
			>"$log/setup" 2>&1 || { cat "$log/setup"; count 0 1; return; }
	unit "$build-asan" "--no-suite bt"
}

python_tests() {
	[ -d "$1" ] || return
	BATON_BUILD=$(cd "$build" && pwd) "$python" -m pytest -q "$@" 2>&1 | tee "$log/python"
	last=$(tail -n 1 "$log/python")
	count "$(echo "$last" | grep -oE '[0-9]+ passed' | cut -d' ' -f1)" \
		"$(echo "$last" | grep -oE '[0-9]+ (failed|error)' | awk '{ n += $1 } END { print n + 0 }')"
	echo "$last" | grep -q ' in ' || count 0 1
}

unit "$build" ""
sanitized
python_tests tests/guests
python_tests tests/metal
python_tests tests/e2e ${1:+--long}
[ "${1:-}" != --long ] || scripts/fuzz.sh || count 0 1

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
