#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a disk that BIOS and UEFI boot from a root file system with a kernel, without mounting anything.

    bootdisk.py ROOT IMAGE

A partition table with the EFI system partition and the root file system; in front of them, where the BIOS
loads it, GRUB's core image.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

MIB = 1 << 20
SECTOR = 512
CORE_AT, ESP_AT, ROOT_AT = SECTOR, 1 * MIB, 40 * MIB
ROOT_SIZE = 1400 * MIB
LABEL = "bootroot"

GRUB_CFG = f"""\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
menuentry "Debian" {{
	search --no-floppy --label {LABEL} --set=root
	linux /vmlinuz root=LABEL={LABEL} ro console=ttyS0
	initrd /initrd.img
}}
"""
EMBEDDED = f"search --no-floppy --label {LABEL} --set=root\nset prefix=($root)/boot/grub\n"
MODULES = ["part_msdos", "ext2", "fat", "search", "search_label", "normal", "configfile", "linux", "serial", "terminal",
           "echo", "test", "minicmd", "gzio", "terminfo"]


def run(*argv):
    subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.DEVNULL)


def partition(image):
    entries = b"".join(struct.pack("<B3sB3sII", flag, b"\xfe\xff\xff", kind, b"\xfe\xff\xff",
                                   at // SECTOR, size // SECTOR)
                       for flag, kind, at, size in ((0, 0xef, ESP_AT, ROOT_AT - ESP_AT),
                                                    (0x80, 0x83, ROOT_AT, ROOT_SIZE)))
    run("truncate", "-s", ROOT_AT + ROOT_SIZE, image)
    with open(image, "r+b") as disk:
        disk.seek(446)
        disk.write(entries.ljust(64, b"\0") + b"\x55\xaa")


def grub_image(target, folder, modules):
    config = folder / "embedded.cfg"
    config.write_text(EMBEDDED)
    core = folder / f"core.{target}"
    run("grub-mkimage", "-O", target, "-c", config, "-p", "/boot/grub", "-o", core, *modules)
    return core


def install_bios(image, folder):
    """What grub-bios-setup does: the boot sector knows where the core begins, the core where it goes on."""
    core = bytearray(grub_image("i386-pc", folder, MODULES + ["biosdisk"]).read_bytes())
    boot = bytearray(pathlib.Path("/usr/lib/grub/i386-pc/boot.img").read_bytes())
    core += bytes(-len(core) % SECTOR)
    struct.pack_into("<Q", boot, 0x5c, CORE_AT // SECTOR)
    boot[0x66:0x68] = b"\x90\x90"  # trust the drive number that the BIOS gives
    struct.pack_into("<QHH", core, 0x1f4, CORE_AT // SECTOR + 1, len(core) // SECTOR - 1, 0x820)
    assert CORE_AT + len(core) <= ESP_AT
    with open(image, "r+b") as disk:
        disk.write(boot[:440])
        disk.seek(CORE_AT)
        disk.write(core)


def install_efi(image, folder):
    core = grub_image("x86_64-efi", folder, MODULES)
    esp = f"{image}@@{ESP_AT}"
    run("mformat", "-i", esp, "-F", "-T", (ROOT_AT - ESP_AT) // SECTOR, "-h", 16, "-s", 63, "::")
    run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", esp, core, "::EFI/BOOT/BOOTX64.EFI")


def main(root, image):
    root = pathlib.Path(root)
    (root / "boot/grub").mkdir(parents=True, exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(GRUB_CFG)
    partition(image)
    with tempfile.TemporaryDirectory() as folder:
        install_bios(image, pathlib.Path(folder))
        install_efi(image, pathlib.Path(folder))
    run("mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-E", f"offset={ROOT_AT}", "-d", root, image,
        f"{ROOT_SIZE // 1024}k")


if __name__ == "__main__":
    main(*sys.argv[1:])
