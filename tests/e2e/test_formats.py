# SPDX-License-Identifier: Apache-2.0
"""Kernel formats other than bzImage, and firmware, with guests of a few instructions."""
import ctypes
import ctypes.util
import pathlib
import struct
import subprocess

import pytest

from conftest import ENGINE, baton

PRINT = r"""
.macro putc
	mov $0x3f8, %dx
	out %al, %dx
.endm
"""

# Prints its command line, then name and content of each module; ends with status 33.
MULTIBOOT = PRINT + r"""
.text
.globl _start
.align 4
header:	.long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
	.long header, LOAD, 0, 0, _start
_start:	cmp $0x2badb002, %eax
	jne fail
	mov $0x200000, %esp
	mov 16(%ebx), %esi
	call print
	mov 20(%ebx), %ecx
	mov 24(%ebx), %edi
1:	jecxz done
	mov 8(%edi), %esi
	call print
	mov (%edi), %esi
2:	cmp 4(%edi), %esi
	jae 3f
	lodsb
	putc
	jmp 2b
3:	add $16, %edi
	dec %ecx
	jmp 1b
done:	mov $0x10, %al
	out %al, $0xf4
fail:	mov $0x11, %al
	out %al, $0xf4
print:	lodsb
	test %al, %al
	jz 4f
	putc
	jmp print
4:	mov $10, %al
	putc
	ret
"""

# 64 KiB that end at 4 GiB: jumps to the copy below 1 MiB, writes there, prints what it wrote.
FIRMWARE = PRINT + r"""
.code16
.text
.org 0x0
entry:	mov %cs, %ax
	mov %ax, %ds
	movb $'W', text
	mov $text, %si
1:	lodsb
	test %al, %al
	jz 2f
	putc
	jmp 1b
2:	mov $0x10, %al
	out %al, $0xf4
text:	.asciz "?ritable\n"
.org 0xfff0
	ljmp $0xf000, $entry
.org 0xffff
	.byte 0
"""


@pytest.fixture
def assemble(tmp_path):
    def build(name, source, *flags, flat=False):
        (tmp_path / f"{name}.S").write_text(source)
        elf = tmp_path / f"{name}.elf"
        subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-o", elf, *flags,
                        tmp_path / f"{name}.S"], check=True)
        if not flat:
            return elf
        subprocess.run(["objcopy", "-O", "binary", elf, tmp_path / name], check=True)
        return tmp_path / name

    return build


def run_multiboot(kernel, tmp_path):
    (tmp_path / "first").write_text("content one\n")
    (tmp_path / "second").write_text("content two\n")
    return baton("run", "--engine", ENGINE, "--memory", "16", "--kernel", kernel, "--append", "x=1 y",
                 "--module", f"{tmp_path}/first with args", "--module", f"{tmp_path}/second",
                 "--device", "debug-exit", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("flags, flat", [(3, False), (0x10003, False), (0x10003, True)])
def test_multiboot_with_modules(state_home, assemble, tmp_path, flags, flat):
    kernel = assemble("kernel", MULTIBOOT, "-Wl,-Ttext=0x100000", f"-DFLAGS={flags}",
                      "-DLOAD=0x100000" if flat else "-DLOAD=header", flat=flat)
    result = run_multiboot(kernel, tmp_path)
    assert result.returncode == 33, result
    assert result.stdout.splitlines() == [
        f"{kernel} x=1 y", f"{tmp_path}/first with args", "content one", f"{tmp_path}/second",
        "content two"]


def test_firmware_runs_from_its_copy_in_ram(state_home, assemble):
    image = assemble("firmware", FIRMWARE, "-Wl,-Ttext=0", "-Wl,-e,0", flat=True)
    assert image.stat().st_size == 65536
    result = baton("run", "--engine", ENGINE, "--memory", "16", "--firmware", image, "--device",
                   "debug-exit", stdin=subprocess.DEVNULL)
    assert result.returncode == 33, result
    assert result.stdout == "Writable\n"


def test_seabios_looks_for_a_disk(start):
    """The image of 128 KiB: larger ones want a chip set that maps the rest below 1 MiB."""
    image = pathlib.Path("/usr/share/seabios/bios.bin")
    if not image.exists():
        pytest.skip("the package seabios is not installed")
    bios = start("run", "--engine", "bt,tier=interp", "--memory", "64", "--firmware", image, "--serial",
                 "none", "--device", "debugcon,port=0x402")
    bios.expect("SeaBIOS \\(version", 20)
    bios.expect("Booting from Hard Disk", 30)


def unpack_lz4(packed):
    """The kernel's own LZ4 stream: a magic number, then blocks behind their lengths."""
    lz4 = ctypes.CDLL(ctypes.util.find_library("lz4") or pytest.skip("liblz4 is not installed"))
    room = ctypes.create_string_buffer(8 << 20)
    out, at = [], 4
    while at + 4 <= len(packed):
        length, = struct.unpack_from("<I", packed, at)
        if not 0 < length <= len(packed) - at - 4:
            break
        n = lz4.LZ4_decompress_safe(packed[at + 4:at + 4 + length], room, length, len(room))
        if n < 0:
            break
        out.append(room.raw[:n])
        at += 4 + length
    return b"".join(out)


@pytest.fixture(scope="session")
def vmlinux(images, tmp_path_factory):
    """The uncompressed kernel out of Debian's bzImage."""
    image = (images / "vmlinuz").read_bytes()
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1f1] + 1) * 512 + offset
    packed = image[start:start + length]
    if packed[:4] != b"\x02\x21\x4c\x18":
        pytest.skip("this kernel is not compressed by LZ4")
    path = tmp_path_factory.mktemp("pvh") / "vmlinux"
    path.write_bytes(unpack_lz4(packed))
    return path


def test_pvh_kernel_boots(state_home, images, vmlinux):
    result = baton("run", "--engine", ENGINE, "--memory", "256M", "--kernel", vmlinux, "--initrd",
                   images / "initrd.gz", "--append", "console=ttyS0 quiet baton.run=echo+$((6*7))",
                   stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result
    assert "\n42\n" in result.stdout.replace("\r", "")


def test_elf_program_is_no_kernel(state_home):
    result = baton("run", "--kernel", "/bin/true")
    assert result.returncode == 1
    assert "PVH" in result.stderr
