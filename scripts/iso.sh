#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds $BUILD/baton.iso, which boots the bare machine by BIOS and UEFI from CD or USB stick.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
scripts/deps.sh build demo iso
scripts/build.sh
kernel/image/build.sh iso
scripts/kernel-lines.sh
ls -lh "$build/baton.iso" "$build/baton.img"
