# SPDX-License-Identifier: Apache-2.0
"""GRUB from firmware: the boot loader's 16-bit code and its protected-mode core, from a CD and a hard disk."""
import shutil
import subprocess

import pytest

from conftest import ENGINE, needs

MENU = """
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=1
menuentry "debian" {
    linux /boot/vmlinuz console=ttyS0 quiet baton.run=echo+from+GRUB
    initrd /boot/initrd.gz
}
"""


def make_image(folder, images, menu):
    boot = folder / "root" / "boot"
    (boot / "grub").mkdir(parents=True)
    (boot / "grub" / "grub.cfg").write_text(menu)
    shutil.copy(images / "vmlinuz", boot)
    shutil.copy(images / "initrd.gz", boot)
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", folder / "grub.iso", folder / "root"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "grub.iso"


@pytest.fixture(scope="session")
def grub_image(images, tmp_path_factory):
    """An ISO image that is a disk image as well."""
    return make_image(tmp_path_factory.mktemp("grub"), images, MENU)


@needs("grub-mkrescue")
@pytest.mark.parametrize("medium", ["cdrom", "disk"])
def test_grub_starts_linux(start, grub_image, medium):
    guest = start("run", "--engine", ENGINE, "--memory", "512M", "--firmware", "bios",
                  f"--{medium}", f"{grub_image},ro" if medium == "disk" else grub_image)
    guest.expect("GNU GRUB", 120)
    guest.expect("baton: init reached", 120)
    guest.expect("from GRUB", 60)
    assert guest.wait(60) == 0
