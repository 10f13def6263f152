# SPDX-License-Identifier: Apache-2.0
# The commands people type; each is a script or one call. Meson does the building (see HACKING.md).
BUILD ?= build
PREFIX ?= /usr/local
export BUILD

all:
	@scripts/build.sh

demo:
	@scripts/demo.sh

iso:
	@scripts/iso.sh

demo-metal:
	@scripts/demo-metal.sh

check:
	@scripts/check.sh

check-long:
	@scripts/check.sh --long

bench:
	@scripts/bench.sh

bench-metal:
	@scripts/bench-metal.sh

check-metal:
	@scripts/check-metal.sh

fuzz:
	@scripts/fuzz.sh

lint:
	@scripts/lint.sh

format:
	@scripts/format.sh

install: all
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz

.PHONY: all demo demo-metal iso check check-long check-metal bench bench-metal fuzz lint format install clean
