#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The long runs: each libFuzzer target for SECONDS (60 each), then the decoder against Zydis.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}-fuzz
seconds=${SECONDS_EACH:-60}

scripts/deps.sh build fuzz
[ -e "$build/build.ninja" ] ||
	CC=clang meson setup "$build" -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C "$build" --quiet build.ninja # lists what is there now
targets=$(ninja -C "$build" -t targets all | sed -n 's/^\([^ ]*_fuzz\): .*/\1/p')
ninja -C "$build" --quiet $targets
for target in $targets; do
	corpus=$build/corpus/$(basename "$target")
	mkdir -p "$corpus"
	echo "== $(basename "$target"), $seconds s"
	"$build/$target" -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 "$corpus" \
		2>"$corpus.log" || { tail -n 40 "$corpus.log"; exit 1; }
	grep number_of_executed_units "$corpus.log"
done
if ninja -C "$build" -t targets all | grep -q '^tests/unit/x86/zydis_compare:'; then
	ninja -C "$build" --quiet tests/unit/x86/zydis_compare
	"$build/tests/unit/x86/zydis_compare" 10000000
fi
