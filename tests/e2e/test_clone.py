# SPDX-License-Identifier: Apache-2.0
"""Copies of VMs, whole or standing on the first one's disks; snapshots of VMs that are cloned, renamed and deleted."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import needs
from test_control import kernel  # noqa: F401: a fixture
from test_lifecycle import info, ok, refused, states, toy  # noqa: F401: toy is a fixture


def test_clone(toy, tmp_path):
    outside = tmp_path / "outside.img"
    outside.write_bytes(b"outside" + bytes((4 << 20) - 7))
    shared = tmp_path / "shared.img"
    shared.write_bytes(bytes(1 << 20))
    toy("web", "--disk", "size=1G,format=raw", "--disk", outside, "--disk", f"{shared},ro", "--net", "user", "--autostart")
    before = info("web")
    with open(before["definition"]["disks"][0]["path"], "r+b") as disk:
        disk.seek(700 << 20)
        disk.write(b"far")
    ok("clone", "web", "web2")
    after = info("web2")
    assert after["uuid"] != before["uuid"] and not after["autostart"]
    assert after["definition"]["nets"][0]["mac"] != before["definition"]["nets"][0]["mac"]
    paths = [d["path"] for d in after["definition"]["disks"]]
    assert [os.path.dirname(p) for p in paths[:2]] == [after["folder"]] * 2 and paths[2] == str(shared)
    with open(paths[0], "rb") as disk:
        disk.seek(700 << 20)
        assert disk.read(3) == b"far"
    assert os.stat(paths[0]).st_size == 1 << 30 and os.stat(paths[0]).st_blocks < 4096, "holes stay holes"
    assert pathlib.Path(paths[1]).read_bytes() == outside.read_bytes()
    pathlib.Path(paths[1]).write_bytes(b"changed" + bytes((4 << 20) - 7))
    assert outside.read_bytes()[:7] == b"outside"
    assert "exists" in refused("clone", "web", "web2")
    assert "no VM named" in refused("clone", "nobody", "x")
    ok("start", "web2")
    assert "stop it first" in refused("clone", "web2", "web3")
    ok("stop", "web2")
    ok("delete", "web2", "--disks")
    assert info("web")["definition"] == before["definition"]


def disk_of(name):
    return info(name)["definition"]["disks"][0]["path"]


def disk_io(path, *commands):
    """Reads and writes patterns of an image with QEMU's tool; the guest's view of it."""
    args = [part for command in commands for part in ("-c", command)]
    result = subprocess.run(["qemu-io", *args, path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "failed" not in result.stdout, result.stdout + result.stderr


@needs("qemu-io")
@pytest.mark.parametrize("format", ["qcow2", "raw"])
def test_linked_clone(toy, state_home, format):
    toy("web", "--disk", f"size=64M,format={format}")
    disk_io(disk_of("web"), "write -P 1 0 1M", "write -P 1 8M 1M")
    ok("clone", "web", "one", "--linked")
    ok("clone", "web", "two", "--linked")
    ok("clone", "one", "three", "--linked")
    for number, name in enumerate(("web", "one", "two", "three"), 2):
        assert os.path.getsize(disk_of(name)) < 1 << 20, "an overlay holds what is new"
        disk_io(disk_of(name), f"write -P {number} 0 1M")
    for number, name in enumerate(("web", "one", "two", "three"), 2):
        disk_io(disk_of(name), f"read -P {number} 0 1M", "read -P 1 8M 1M")
        ok("start", name)
        ok("stop", name, "--force")
    ok("rename", "web", "www")
    ok("start", "three")
    ok("delete", "www", "one", "two", "--disks")
    ok("stop", "three", "--force")
    disk_io(disk_of("three"), "read -P 5 0 1M", "read -P 1 8M 1M")
    bases = list((state_home / "state/baton/disks").iterdir())
    assert bases, "three stands on them"
    ok("delete", "three", "--disks")
    assert not any((state_home / "state/baton/disks").iterdir())


@needs("qemu-io")
def test_a_linked_clone_outlives_its_vm(toy, tmp_path):
    toy("web", "--disk", "size=64M")
    disk_io(disk_of("web"), "write -P 1 0 1M")
    ok("clone", "web", "copy", "--linked")
    kept = ok("delete", "copy").split()[1]
    ok("delete", "web", "--disks")
    disk_io(kept, "read -P 1 0 1M")
    toy("again", "--disk", kept)
    ok("start", "again")


def test_what_cannot_be_linked(toy, tmp_path):
    outside = tmp_path / "outside.img"
    outside.write_bytes(bytes(1 << 20))
    toy("web", "--disk", outside)
    assert "leave --linked out" in refused("clone", "web", "copy", "--linked")
    assert states() == {"web": "shut off"}
    ok("clone", "web", "copy")


@needs("qemu-io")
def test_snapshots_follow_their_vm(toy, state_home):
    """Renamed with it, left behind by a clone, gone with it; disks that are kept stay whole."""
    toy("web", "--disk", "size=8M")
    disk_io(disk_of("web"), "write -P 1 0 64k")
    ok("snapshot", "take", "web", "one")
    disk_io(disk_of("web"), "write -P 2 1M 64k")
    ok("rename", "web", "www")
    ok("clone", "www", "copy")
    disk_io(disk_of("copy"), "read -P 1 0 64k", "read -P 2 1M 64k")
    assert json.loads(ok("snapshot", "list", "copy", "--json")) == []
    assert "has snapshots" in refused("clone", "www", "linked", "--linked")
    ok("delete", "copy", "--disks")
    ok("snapshot", "restore", "www", "one")
    disk_io(disk_of("www"), "read -P 1 0 64k", "read -P 0 1M 64k", "write -P 3 2M 64k")
    top = os.path.basename(disk_of("www"))
    kept = [line.split()[1] for line in ok("delete", "www").splitlines()]
    last = next(path for path in kept if os.path.basename(path) == top)
    disk_io(last, "read -P 1 0 64k", "read -P 3 2M 64k")
    assert states() == {}
