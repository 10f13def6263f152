#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the files of the bare-metal image: $BUILD/metal/initramfs.cpio and, from it, baton.iso.
#
#   kernel/image/build.sh initramfs|iso
#
# There is no Linux in it but the guests': a kernel and an initramfs of Debian to try, in /guests. Beside them lie GUESTS,
# a list of disc and disk images and kernels of one's own, with blanks between.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
out=$build/metal
images=$(tests/images/build.sh kernel initrd font firmware)

build_initramfs() {
	root=$work/root
	mkdir -p "$root/bin" "$root/boot" "$root/guests" "$root/root" "$root/tmp" "$root/var/lib" "$root/run" "$root/etc"
	cp "$images/deb/busybox-static/bin/busybox" "$build/baton" "$build/baton-vmm" "$root/bin/"
	ln -s busybox "$root/bin/sh"
	mkdir -p "$root/lib/terminfo/l"
	cp /lib/terminfo/l/linux "$root/lib/terminfo/l/"
	cp "$images/font.psf" "$root/boot/"
	cp -r "$images/firmware/usr" "$root/"
	cp "$images/vmlinuz" "$images/initrd.gz" ${GUESTS:-} "$root/guests/"
	cp kernel/image/init "$root/init"
	cp kernel/image/demo "$root/guests/"
	chmod 755 "$root/init" "$root/guests/demo"
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$root.cpio"
	mv "$root.cpio" "$out/initramfs.cpio"
}

# One file for CDs and USB sticks, BIOS and UEFI.
build_iso() {
	build_initramfs
	tree=$work/iso
	mkdir -p "$tree/boot/grub"
	cp "$build/baton-kernel" "$out/initramfs.cpio" "$tree/boot/"
	cp kernel/image/grub.cfg "$tree/boot/grub/"
	grub-mkrescue --quiet -o "$tree.new" "$tree" 2>"$out/iso.log" || { cat "$out/iso.log" >&2; exit 1; }
	cp "$tree.new" "$build/baton.img"
	mv "$tree.new" "$build/baton.iso"
}

mkdir -p "$out"
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
"build_$1"
