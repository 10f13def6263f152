# SPDX-License-Identifier: Apache-2.0
"""SeaBIOS and OVMF: they come up, keep their variables, and say what is missing."""
import pathlib

import pytest

from conftest import ENGINE, baton

BIOS = pathlib.Path("/usr/share/seabios/bios-256k.bin")
UEFI = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
needs_bios = pytest.mark.skipif(not BIOS.exists(), reason="the package seabios is not installed")
needs_uefi = pytest.mark.skipif(not UEFI.exists(), reason="the package ovmf is not installed")


@pytest.fixture
def empty_disk(tmp_path):
    disk = tmp_path / "empty.img"
    disk.touch()
    with open(disk, "r+b") as f:
        f.truncate(1 << 20)
    return disk


@needs_bios
def test_bios_is_what_starts_a_disk(start, empty_disk):
    """No kernel, no firmware named: SeaBIOS tries the disk, whose first sector says nothing."""
    bios = start("run", "--engine", ENGINE, "--memory", "64", "--disk", empty_disk)
    bios.expect("SeaBIOS \\(version", 30)
    bios.expect("Booting from Hard Disk", 30)
    bios.expect("not a bootable disk", 30)


@needs_bios
def test_boot_menu_lists_the_disk(start, empty_disk):
    bios = start("run", "--engine", ENGINE, "--memory", "64", "--disk", empty_disk, "--boot", "disk,menu")
    bios.expect("Press ESC for boot menu", 30)
    bios.send("\x1b")
    bios.expect("Select boot device:", 30)
    bios.expect("1. Virtio disk", 30)


@needs_uefi
def test_uefi_reaches_its_shell_and_keeps_variables(start, tmp_path):
    nvram = tmp_path / "vars.fd"
    args = ("run", "--engine", ENGINE, "--memory", "256", "--firmware", "uefi", "--nvram", nvram)
    uefi = start(*args)
    uefi.expect("UEFI Interactive Shell", 60)
    uefi.expect("any other key", 30)
    uefi.send("x")
    uefi.expect("Shell> ", 30)
    uefi.send("\b" * 3 + "setvar bATon -guid 11111111-2222-3333-4444-555555555555 -nv -bs =\"kept\"\r")
    uefi.expect("Shell> .*Shell> |Shell> ", 30)
    uefi.send("reset -s\r")
    assert uefi.wait(30) == 0, uefi.output
    assert "kept".encode() in nvram.read_bytes() or "kept".encode("utf-16-le") in nvram.read_bytes()
    assert not pathlib.Path(f"{nvram}.new").exists()


@needs_uefi
def test_nvram_belongs_to_one_vm(start, state_home, tmp_path):
    nvram = tmp_path / "vars.fd"
    args = ("run", "--engine", ENGINE, "--memory", "64", "--firmware", "uefi", "--nvram", nvram)
    start(*args, "--name", "first").expect("engine", 20)
    second = start(*args, "--name", "second")
    assert second.wait(20) == 1
    assert "another VM uses it" in second.output


@pytest.mark.parametrize("options, why", [
    (["--nvram", "x"], "goes with the firmware"),
    (["--boot", "disk,floppy"], "not a list of disk, cdrom and net"),
    (["--disk", "/dev/null,bus=scsi"], "none of virtio, ahci and nvme"),
    (["--disk", "/dev/null,bootindex=0"], "not a number from 1 to 99"),
])
def test_wrong_options_are_explained(state_home, empty_disk, options, why):
    result = baton("run", "--disk", empty_disk, *options)
    assert result.returncode == 1
    assert why in result.stderr
