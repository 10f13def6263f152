#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes sure that Debian packages are there: as root installs the missing ones, otherwise names them.
#
#   scripts/deps.sh SET...     SET: build demo check bench fuzz lint
set -eu

build="gcc meson ninja-build pkg-config python3 libc6-dev linux-libc-dev libjansson-dev liburing-dev libpng-dev libmbedtls-dev libseccomp-dev zlib1g-dev libzstd-dev liblz4-dev liblzma-dev libxxhash-dev libncurses-dev"
images="cpio kmod apt dpkg"
demo="$images"
check="$images clang acpica-tools grub-pc-bin grub-efi-amd64-bin grub-common xorriso mtools libcmocka-dev libzydis-dev python3-pytest python3-pyte passt e2fsprogs mandoc \
	qemu-system-x86 qemu-utils musl-tools seabios ovmf mmdebstrap curl bash-static e2fsck-static"
bench="$images qemu-system-x86 fio gcc libc6-dev mmdebstrap e2fsprogs"
fuzz="clang libzydis-dev libcmocka-dev"
lint="clang-format cppcheck"

iso="grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools"
metal="qemu-system-x86"

missing=
for set in "$@"; do
	for package in $(eval "echo \$$set"); do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
done
[ -z "$missing" ] && exit 0

missing=$(echo $missing | tr ' ' '\n' | sort -u | tr '\n' ' ')
if [ "$(id -u)" != 0 ]; then
	echo "Packages are missing. As root:" >&2
	echo "    apt-get install --no-install-recommends $missing" >&2
	exit 1
fi
echo "installing: $missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt-get -qy install --no-install-recommends $missing >"$log" 2>&1; }
install || { apt-get -q update >>"$log" 2>&1 && install; } || {
	cat "$log" >&2
	exit 1
}
