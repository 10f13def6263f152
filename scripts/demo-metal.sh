#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots Baton's own kernel in QEMU, which emulates AMD-V, and a Debian guest on it to a shell.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
scripts/deps.sh build demo metal
scripts/build.sh
kernel/image/build.sh initramfs

if [ -t 0 ]; then
	echo "A guest's shell on Baton's kernel, in about a minute. \`poweroff -f\` ends it."
	run=/guests/demo
else
	run="/guests/demo+uname+-srm"
fi
# One thread: see ACCEL in tests/e2e/nested.py.
exec qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 -m 1024 -nographic -no-reboot \
	-kernel "$build/baton-kernel" -initrd "$build/metal/initramfs.cpio" -append "panic=off run=$run"
