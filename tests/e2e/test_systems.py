# SPDX-License-Identifier: Apache-2.0
"""Systems that nobody here wrote, from their own discs and disks, under SeaBIOS and OVMF."""
import os
import re
import subprocess
import time

import pytest

from conftest import ENGINE, ROOT, baton, image_folder, needs
from test_firmware import needs_bios, needs_uefi

FIRMWARE = [pytest.param("bios", marks=needs_bios), pytest.param("uefi", marks=needs_uefi)]


@pytest.fixture(scope="session")
def image():
    """image("ipxe") makes the image if it is missing and returns its path."""
    files = {"ipxe": "ipxe.iso", "memtestiso": "memtest.iso", "rescue": "rescue.iso", "xen": "xen.iso",
             "installer": "installer.iso", "bootdisk": "bootdisk.img"}

    def build(name):
        subprocess.run([ROOT / "tests/images/build.sh", name], check=True, stdout=subprocess.DEVNULL)
        return image_folder() / files[name]

    return build


def run(start, *args, memory="256"):
    return start("run", "--engine", ENGINE, "--memory", memory, "--display", "none", *args)


@needs_bios
@needs("passt")
@pytest.mark.parametrize("model", ["virtio", "e1000"])
def test_ipxe_gets_a_lease(start, image, model):
    guest = run(start, "--cdrom", image("ipxe"), "--net", f"user,model={model}")
    guest.expect("iPXE .* Open Source Network Boot Firmware", 60)
    guest.expect("Configuring .* ok", 60)
    guest.expect(r"net0: \d+\.\d+\.\d+\.\d+/", 30)


@needs("grub-mkrescue")
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_grub_rescue_disc(start, image, firmware):
    guest = run(start, "--firmware", firmware, "--cdrom", image("rescue"))
    guest.expect("GNU GRUB +version", 60)
    guest.expect("grub> ", 60)
    for key in "ls ($root)/boot/grub/\r":  # a BIOS keeps 15 keys
        guest.send(key)
        guest.read(0.05)
    guest.expect("fonts/", 30)


@needs("grub-mkrescue")
@needs_bios
def test_boot_order_and_discs(start, image, tmp_path):
    """An empty disk comes first and says nothing; the disc behind it starts. Then it is changed."""
    disk = tmp_path / "empty.img"
    disk.touch()
    os.truncate(disk, 1 << 20)
    other = tmp_path / "other.iso"
    other.write_bytes(b"\0" * (1 << 20))
    guest = run(start, "--disk", f"{disk},bus=nvme", "--cdrom", image("rescue"), "--name", "discs")
    guest.expect("Booting from DVD/CD", 60)
    guest.expect("grub> ", 60)
    assert baton("cdrom", "discs").stdout.split() == ["0", str(image("rescue"))]
    assert baton("cdrom", "discs", "insert", other).returncode == 0
    assert baton("cdrom", "discs").stdout.split() == ["0", str(other)]
    assert baton("cdrom", "discs", "eject").returncode == 0
    assert baton("cdrom", "discs").stdout.split() == ["0", "(empty)"]
    assert "no CD-ROM drive 3" in baton("cdrom", "discs", "eject", "--drive", "3").stderr
    assert "No such file" in baton("cdrom", "discs", "insert", tmp_path / "none").stderr


@needs_bios
def test_memtest_disc_counts_on_the_screen(start, image):
    guest = start("run", "--engine", ENGINE, "--memory", "64", "--display", "vga", "--serial", "none",
                  "--cdrom", image("memtestiso"), "--name", "memtest")
    text = ""
    for _ in range(240):
        text = baton("screenshot", "memtest", "--text").stdout
        if re.search(r"Test #?\d|Pass +\d+%", text):
            break
        time.sleep(0.25)
    assert "Memtest86+" in text, text
    assert re.search(r"Test #?\d|Pass +\d+%", text), text
    assert guest.process.poll() is None


@needs("grub-mkrescue")
@needs_bios
def test_xen_starts_linux(start, image):
    """Another hypervisor, and in it a Linux whose kernel runs in ring 3."""
    guest = run(start, "--cpus", "2", "--net", "none", "--cdrom", image("xen"), memory="512")
    guest.expect(r"\(XEN\) Brought up 2 CPUs", 300)
    guest.expect("Run /init as init process", 300)


@pytest.mark.long
@needs("grub-mkrescue")
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_debian_installer_reaches_its_first_menu(start, image, firmware):
    guest = run(start, "--firmware", firmware, "--cdrom", image("installer"), memory="1G")
    guest.expect("Starting system log daemon", 300)
    guest.expect("Select a language", 300)


@pytest.mark.long
@needs("grub-mkimage")
@needs("mmdebstrap")
@pytest.mark.parametrize("bus", ["virtio", "ahci", "nvme"])
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_debian_boots_from_its_disk(start, image, disk_copy, firmware, bus):
    if os.geteuid() and not (image_folder() / "bootdisk.img").exists():
        pytest.skip("building the Debian disk needs root")
    disk = disk_copy(image("bootdisk"))
    guest = run(start, "--firmware", firmware, "--disk", f"{disk},bus={bus}", memory="512")
    guest.expect("baton-guest login: ", 600)
    guest.send("root\n")
    guest.expect("# ", 60)
    name = {"virtio": "vda", "ahci": "sda", "nvme": "nvme0n1"}[bus]
    assert name in guest.run("ls /sys/block")
    assert ("efi" in guest.run("ls /sys/firmware")) == (firmware == "uefi")
    guest.run("mount -o remount,rw / && dd if=/dev/urandom of=/root/data bs=1M count=8 && sync")
    first = guest.run("sha256sum /root/data").split()[0]
    guest.run("echo 3 >/proc/sys/vm/drop_caches")
    assert guest.run("sha256sum /root/data").split()[0] == first


def screen_shows(name, pattern, seconds=60):
    end = time.monotonic() + seconds
    text = ""
    while time.monotonic() < end:
        text = baton("screenshot", name, "--text").stdout
        if re.search(pattern, text):
            return text
        time.sleep(0.3)
    raise AssertionError(f"no {pattern!r} on the screen:\n{text}")


@needs("grub-mkrescue")
@needs_bios
def test_saved_at_the_boot_loader(state_home, image):
    """Every device here is saved; after the restore GRUB finds its drives again through the BIOS."""
    assert baton("create", "box", "--engine", ENGINE, "--memory", "128M", "--display", "vga",
                 "--cdrom", image("rescue"), "--disk", "size=16M,bus=nvme", "--disk", "size=16M,bus=ahci",
                 "--net", "user,model=e1000").returncode == 0
    try:
        assert baton("start", "box").returncode == 0
        screen_shows("box", "grub> *$|grub> *\n")
        saved = baton("save", "box")
        assert saved.returncode == 0, saved.stderr
        assert baton("start", "box").returncode == 0
        assert baton("sendkey", "box", "--text", "ls").returncode == 0
        assert baton("sendkey", "box", "ret").returncode == 0
        assert "(cd)" in screen_shows("box", r"\(hd0\) \(hd1\)")
    finally:
        baton("stop", "box", "--force")
