#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the guest images that demo, tests and benchmarks boot, from Debian packages, into a cache folder.
#
#   tests/images/build.sh [IMAGE ...]     IMAGE: a name that file_of below knows; default: kernel initrd
#
# Needs the packages' .deb files only, not root; "disk" (a Debian root file system) needs root.
# Prints the folder's name. Each image is built once and made complete under a temporary name first.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${BATON_IMAGES:-$here/../../.cache/images}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

say() { echo "images: $*" >&2; }

# Unpacks a Debian package below $cache/deb/NAME without installing it.
unpack() {
	[ -e "$cache/deb/$1/.done" ] && return
	say "fetching $1"
	rm -rf "$cache/deb/$1"
	mkdir -p "$cache/deb/$1/.deb"
	(cd "$cache/deb/$1/.deb" && apt-get -q -o APT::Sandbox::User=root download "$1" >/dev/null)
	dpkg-deb -x "$cache/deb/$1/.deb"/*.deb "$cache/deb/$1"
	touch "$cache/deb/$1/.done"
}

# The kernel package behind the metapackage, e.g. linux-image-6.1.0-49-cloud-amd64.
kernel_package() {
	apt-cache depends "$1" | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

build_kernel() {
	pkg=$(kernel_package linux-image-cloud-amd64)
	[ -n "$pkg" ] || { say "no linux-image-cloud-amd64 in the package lists; run apt-get update"; exit 1; }
	unpack "$pkg"
	ln -sfn "deb/$pkg" "$cache/kernel"
	cp "$cache/deb/$pkg"/boot/vmlinuz-* "$cache/vmlinuz.new"
	mv "$cache/vmlinuz.new" "$cache/vmlinuz"
}

# Modules that the initramfs carries, with what they depend on, in loading order.
modules="virtio_pci virtio_blk virtio_net virtio_console virtio-rng virtio_balloon virtio_input evdev ext4"

# Prints MODULE and its dependencies as paths below lib/modules/VERSION, dependencies first.
module_paths() {
	for m in $modules; do
		name=$(echo "$m" | tr '-' '_')
		line=$(sed 's/-/_/g' "$1/modules.dep" | grep -n "/$name\.ko:" | head -n 1 | cut -d: -f1)
		[ -n "$line" ] || continue
		sed -n "${line}p" "$1/modules.dep" | tr -d ':' | tr ' ' '\n' | tac
	done | awk '!seen[$0]++'
}

build_initrd() {
	unpack busybox-static
	root=$cache/initrd.root
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/mnt" "$root/tmp" "$root/etc" "$root/lib/modules"
	cp "$cache/deb/busybox-static/bin/busybox" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	lib=$(echo "$cache"/kernel/lib/modules/*)
	depmod -b "$cache/kernel" "$(basename "$lib")" 2>/dev/null || :
	: >"$root/lib/modules/order"
	module_paths "$lib" | while read -r path; do
		[ -e "$lib/$path" ] || continue
		cp "$lib/$path" "$root/lib/modules/"
		basename "$path" >>"$root/lib/modules/order"
	done
	cp "$here/init" "$root/init"
	cp "$here/udhcpc.sh" "$root/bin/udhcpc.sh"
	chmod 755 "$root/init" "$root/bin/udhcpc.sh"
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n) >"$cache/initrd.new"
	mv "$cache/initrd.new" "$cache/initrd.gz"
	rm -rf "$root"
}

# The initramfs with stress-ng and the libraries that it is linked with in a second archive behind it.
build_stress() {
	packages="stress-ng libapparmor1 libbsd0 libc6 libcrypt1 libdrm2 libegl1 libexpat1 libffi8 libgbm1 libgles2
		libglvnd0 libipsec-mb1 libjpeg62-turbo libjudydebian1 libkmod2 liblzma5 libmd0 libsctp1 libssl3
		libwayland-server0 libxxhash0 libzstd1 zlib1g"
	build_initrd
	root=$cache/stress.root
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/lib64" "$root/lib/x86_64-linux-gnu"
	for p in $packages; do
		unpack "$p"
		find "$cache/deb/$p" -path '*/lib/x86_64-linux-gnu/*' -prune -name '*.so*' \
			-exec cp -P {} "$root/lib/x86_64-linux-gnu/" \;
	done
	cp "$cache/deb/stress-ng/usr/bin/stress-ng" "$root/bin/"
	ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/lib64/"
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n) >"$cache/stress.part"
	cat "$cache/initrd.gz" "$cache/stress.part" >"$cache/stress.new"
	mv "$cache/stress.new" "$cache/stress.gz"
	rm -rf "$root" "$cache/stress.part"
}

# Debian's 32-bit kernel and busybox, from package lists of their own: the system's architecture stays.
build_i386() {
	apt=$cache/i386.apt
	rm -rf "$apt"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/root/bin" "$apt/root/dev" "$apt/root/proc" \
		"$apt/root/sys" "$apt/root/lib/modules"
	set -- -q -o APT::Architecture=i386 -o APT::Architectures=i386 -o Dir::State::Lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root
	say "fetching Debian's 32-bit kernel"
	apt-get "$@" update >/dev/null 2>&1 || :
	pkg=$(apt-cache "$@" depends linux-image-686-pae | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	(cd "$apt" && apt-get "$@" download "$pkg" busybox-static >/dev/null)
	for deb in "$apt"/*.deb; do
		dpkg-deb -x "$deb" "$apt/files"
	done
	cp "$apt/files/bin/busybox" "$apt/root/bin/"
	ln -s busybox "$apt/root/bin/sh"
	: >"$apt/root/lib/modules/order"
	cp "$here/init" "$apt/root/init"
	chmod 755 "$apt/root/init"
	(cd "$apt/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -9n) >"$cache/i386.gz"
	cp "$apt/files"/boot/vmlinuz-* "$cache/vmlinuz-i386.new"
	mv "$cache/vmlinuz-i386.new" "$cache/vmlinuz-i386"
	rm -rf "$apt"
}

# An 8 x 16 font for framebuffers.
build_font() {
	unpack console-setup-linux
	gzip -dc "$cache/deb/console-setup-linux/usr/share/consolefonts/Lat15-VGA16.psf.gz" >"$cache/font.new"
	mv "$cache/font.new" "$cache/font.psf"
}

# What a disk or a disc is started with, below $cache/firmware as Debian installs it.
build_firmware() {
	for p in seabios ovmf; do
		unpack "$p"
	done
	rm -rf "$cache/firmware.new" "$cache/firmware"
	mkdir -p "$cache/firmware.new/usr/share/seabios" "$cache/firmware.new/usr/share/OVMF"
	cp "$cache/deb/seabios/usr/share/seabios/bios-256k.bin" "$cache/deb/seabios/usr/share/seabios/vgabios-stdvga.bin" \
		"$cache/firmware.new/usr/share/seabios/"
	cp "$cache/deb/ovmf/usr/share/OVMF/OVMF_CODE_4M.fd" "$cache/deb/ovmf/usr/share/OVMF/OVMF_VARS_4M.fd" \
		"$cache/firmware.new/usr/share/OVMF/"
	mv "$cache/firmware.new" "$cache/firmware"
}

build_memtest() {
	unpack memtest86+
	cp "$cache/deb/memtest86+"/boot/*x64*.bin "$cache/memtest.new"
	mv "$cache/memtest.new" "$cache/memtest.bin"
}

# Debian with systemd on ext4, made without mounting anything.
build_disk() {
	say "building a Debian root file system (a few minutes)"
	mmdebstrap --quiet --variant=minbase --mode=root \
		--include=systemd-sysv,dbus,udev,python3-minimal,gcc,libc6-dev,iproute2,isc-dhcp-client,curl,stress-ng,fio \
		--customize-hook='echo baton-guest >"$1/etc/hostname"' \
		--customize-hook='chroot "$1" passwd -d root' \
		--customize-hook='printf "/dev/vda / ext4 defaults 0 1\n" >"$1/etc/fstab"' \
		--customize-hook='mkdir -p "$1/etc/systemd/system/serial-getty@ttyS0.service.d"' \
		bookworm "$cache/disk.tar"
	rm -rf "$cache/disk.root"
	mkdir "$cache/disk.root"
	tar -C "$cache/disk.root" -xf "$cache/disk.tar"
	lib=$(echo "$cache"/kernel/lib/modules/*)
	mkdir -p "$cache/disk.root/lib/modules"
	cp -a "$lib" "$cache/disk.root/lib/modules/"
	depmod -b "$cache/disk.root" "$(basename "$lib")"
	rm -f "$cache/disk.new"
	truncate -s 2G "$cache/disk.new"
	mke2fs -q -t ext4 -d "$cache/disk.root" "$cache/disk.new"
	mv "$cache/disk.new" "$cache/disk.img"
	rm -rf "$cache/disk.root" "$cache/disk.tar"
}

# Discs and a disk that firmware boots. The installer's package has no ISO image: its kernel and initial
# file system are put on one, with the words that its own boot menu has.
build_ipxe() {
	unpack ipxe
	cp "$cache/deb/ipxe/usr/lib/ipxe/ipxe.iso" "$cache/ipxe.new"
	mv "$cache/ipxe.new" "$cache/ipxe.iso"
}

build_memtestiso() {
	unpack memtest86+
	cp "$cache/deb/memtest86+/usr/lib/memtest86+/memtest86+x64.iso" "$cache/memtestiso.new"
	mv "$cache/memtestiso.new" "$cache/memtest.iso"
}

build_rescue() {
	mkdir -p "$cache/rescue.root"
	grub-mkrescue -o "$cache/rescue.new" "$cache/rescue.root" >"$cache/rescue.log" 2>&1 ||
		{ cat "$cache/rescue.log" >&2; exit 1; }
	mv "$cache/rescue.new" "$cache/rescue.iso"
}

# Xen and Linux in its first domain, which is a paravirtual one.
build_xen() {
	[ -e "$cache/vmlinuz" ] || build_kernel
	[ -e "$cache/initrd.gz" ] || build_initrd
	unpack xen-hypervisor-4.17-amd64
	root=$cache/xen.root
	rm -rf "$root"
	mkdir -p "$root/boot/grub"
	cp "$cache/deb/xen-hypervisor-4.17-amd64/boot/xen-4.17-amd64.gz" "$root/xen.gz"
	cp "$cache/vmlinuz" "$cache/initrd.gz" "$root/"
	cat >"$root/boot/grub/grub.cfg" <<-'END'
		multiboot2 /xen.gz com1=115200,8n1 console=com1 dom0_mem=160M noreboot
		module2 /vmlinuz console=hvc0 earlyprintk=xen
		module2 /initrd.gz
		boot
	END
	grub-mkrescue -o "$cache/xen.new" "$root" >"$cache/xen.log" 2>&1 ||
		{ cat "$cache/xen.log" >&2; exit 1; }
	mv "$cache/xen.new" "$cache/xen.iso"
	rm -rf "$root"
}

build_installer() {
	unpack debian-installer-12-netboot-amd64
	from=$cache/deb/debian-installer-12-netboot-amd64/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
	root=$cache/installer.root
	rm -rf "$root"
	mkdir -p "$root/boot/grub"
	cp "$from/linux" "$from/initrd.gz" "$root/"
	cat >"$root/boot/grub/grub.cfg" <<-'END'
		serial --unit=0 --speed=115200
		terminal_input serial console
		terminal_output serial console
		set timeout=1
		menuentry "Install" {
			linux /linux vga=normal console=tty0 console=ttyS0 ---
			initrd /initrd.gz
		}
	END
	grub-mkrescue -o "$cache/installer.new" "$root" >"$cache/installer.log" 2>&1 ||
		{ cat "$cache/installer.log" >&2; exit 1; }
	mv "$cache/installer.new" "$cache/installer.iso"
	rm -rf "$root"
}

build_bootdisk() {
	say "building a Debian disk with GRUB (a few minutes)"
	root=$cache/bootdisk.root
	rm -rf "$root"
	mmdebstrap --quiet --variant=minbase --mode=root \
		--include=linux-image-amd64,initramfs-tools,systemd-sysv,udev,kmod,e2fsprogs \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='echo baton-guest >"$1/etc/hostname"' \
		--customize-hook='chroot "$1" passwd -d root' bookworm "$root"
	rm -f "$cache/bootdisk.new"
	python3 "$here/bootdisk.py" "$root" "$cache/bootdisk.new"
	mv "$cache/bootdisk.new" "$cache/bootdisk.img"
	rm -rf "$root"
}

file_of() {
	case $1 in
	ipxe) echo ipxe.iso ;;
	memtestiso) echo memtest.iso ;;
	rescue) echo rescue.iso ;;
	xen) echo xen.iso ;;
	installer) echo installer.iso ;;
	bootdisk) echo bootdisk.img ;;
	kernel) echo vmlinuz ;;
	initrd) echo initrd.gz ;;
	stress) echo stress.gz ;;
	i386) echo vmlinuz-i386 ;;
	font) echo font.psf ;;
	firmware) echo firmware ;;
	memtest) echo memtest.bin ;;
	disk) echo disk.img ;;
	*) say "there is no image \"$1\""; exit 1 ;;
	esac
}

# Changes when the recipe of an image does.
recipe_sum() {
	{
		sed -n "/^build_$1() {/,/^}/p" "$here/build.sh"
		[ "$1" != initrd ] || cat "$here/init" "$here/udhcpc.sh"
	} | cksum
}

for image in ${*:-kernel initrd}; do
	file=$(file_of "$image")
	stamp=$cache/.$image.sum
	sum=$(recipe_sum "$image")
	if [ ! -e "$cache/$file" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ]; then
		"build_$image"
		echo "$sum" >"$stamp"
	fi
done
echo "$cache"
