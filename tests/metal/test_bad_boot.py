# SPDX-License-Identifier: Apache-2.0
"""Boots that cannot succeed: what is wrong stands on the display and the serial terminal."""
import shutil
import stat

import pytest

import metal
import nested
import screen

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="needs qemu-system-x86_64 (package qemu-system-x86)")


def truncated(path):
    path.write_bytes(metal.base_initramfs().read_bytes()[:5_000_000])


def no_archive(path):
    path.write_bytes(b"this is not an archive" * 1000)


def empty_archive(path):
    with open(path, "wb") as f:
        archive = nested.Archive(f)
        archive.add("etc", stat.S_IFDIR | 0o755)
        archive.close()


def init_that_is_no_program(path):
    with open(path, "wb") as f:
        archive = nested.Archive(f)
        archive.add("init", stat.S_IFREG | 0o755, b"\x7fELF but nothing behind")
        archive.close()


@pytest.mark.parametrize("make, says", [
    (truncated, "the initramfs is damaged"),
    (no_archive, "the initramfs is damaged"),
    (empty_archive, "cannot start /init"),
    (init_that_is_no_program, "cannot start /init"),
])
def test_damaged_image(make, says, tmp_path):
    make(tmp_path / "initramfs")
    with screen.Machine(append="", initramfs=tmp_path / "initramfs") as m:
        m.wait("kernel panic", says)
        m.wait_display("kernel panic", says)


def test_first_program_that_ends(tmp_path):
    with open(tmp_path / "initramfs", "wb") as f:
        metal.write_initramfs(f, "exit 3", {})
    with screen.Machine(append="init=/commands", initramfs=tmp_path / "initramfs") as m:
        m.wait("kernel panic", "the first program has ended, status 0300")
        m.wait_display("the first program has ended")


def test_no_initramfs():
    with screen.Machine(["-kernel", metal.BUILD / "baton-kernel"]) as m:
        m.wait("kernel panic", "gave no initramfs")
        m.wait_display("gave no initramfs")


@pytest.mark.parametrize("rest", [3, 5])
def test_too_little_memory(rest):
    """Hardly anything beside the initramfs, or too little for its files."""
    size = -(-metal.base_initramfs().stat().st_size >> 20)  # rounded up: QEMU puts it at the end, over the kernel if need be
    with screen.Machine(append="", memory=size + rest) as m:
        m.wait("kernel panic", "not enough memory")
        m.wait_display("not enough memory")


def test_panic_reboots_only_if_asked_to():
    """QEMU ends at a reboot here."""
    with screen.Machine(["-kernel", metal.BUILD / "baton-kernel", "-append", "panic=reboot"]) as m:
        assert m.wait_end() == 0
        assert b"gave no initramfs" in m.raw
