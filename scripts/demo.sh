#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots Debian's kernel: to a shell in this terminal, or without one through a few commands.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}

scripts/deps.sh build demo
scripts/build.sh
images=$(tests/images/build.sh kernel initrd)

args="console=ttyS0 quiet"
if [ -t 0 ]; then
	echo "A shell in a virtual machine. \`poweroff\` or Ctrl-A X ends it."
else
	args="$args baton.run=uname+-srm;cat+/proc/cpuinfo;free+-m;ls+-l+/"
fi
exec "$build/baton" run --kernel "$images/vmlinuz" --initrd "$images/initrd.gz" --append "$args"
