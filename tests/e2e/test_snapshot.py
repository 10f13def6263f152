# SPDX-License-Identifier: Apache-2.0
"""Snapshots of VMs that are kept: the tree, its disks, and a Linux guest that goes back in time."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, ENGINE, baton
from test_save import Tty, check_work, start_work


def check(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(*args):
    done = baton(*args)
    assert done.returncode == 1, done.stdout
    return done.stderr


def snapshots(name="web"):
    return {s["name"]: s for s in json.loads(check(baton("snapshot", "list", name, "--json")))}


def info(name="web"):
    return json.loads(check(baton("info", name, "--json")))


class Disk:
    """The first disk of a VM that does not run, read and written through qemu-io."""

    def path(self):
        return pathlib.Path(info()["definition"]["disks"][0]["path"])

    def file(self):
        return pathlib.Path(info()["folder"]) / self.path()

    def io(self, *commands):
        argv = ["qemu-io", "-f", "qcow2" if self.file().suffix == ".qcow2" else "raw"]
        for c in commands:
            argv += ["-c", c]
        done = subprocess.run([*argv, str(self.file())], capture_output=True, text=True, check=True)
        assert "failed" not in done.stdout + done.stderr, done.stdout + done.stderr

    def write(self, mb, pattern):
        self.io(f"write -P {pattern} {mb}M 1M")

    def expect(self, *patterns):
        """One pattern a MiB."""
        self.io(*(f"read -P {p} {mb}M 1M" for mb, p in enumerate(patterns)))

    def images(self):
        return {p.name for p in pathlib.Path(info()["folder"]).glob("disk0*")}


@pytest.fixture
def disk(state_home, tmp_path):
    """A VM "web" with a disk of 64 MiB that never runs."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"\x7fELF")
    check(baton("create", "web", "--memory", "16M", "--kernel", kernel, "--disk", "size=64M"))
    return Disk()


def test_a_stopped_vm_goes_back_and_forth(disk):
    disk.write(0, 1)
    check(baton("snapshot", "take", "web", "one", "--description", "first"))
    disk.write(0, 2)
    check(baton("snapshot", "take", "web", "two"))
    disk.write(1, 3)
    check(baton("snapshot", "restore", "web", "one"))
    disk.expect(1, 0)
    disk.write(1, 4)
    check(baton("snapshot", "take", "web", "other"))
    check(baton("snapshot", "restore", "web", "two"))
    disk.expect(2, 0)
    tree = snapshots()
    assert [(n, s["parent"], s["current"]) for n, s in tree.items()] == [
        ("one", None, False), ("two", "one", True), ("other", "one", False)]
    assert tree["one"]["description"] == "first" and not tree["one"]["memory"]
    check(baton("snapshot", "restore", "web", "other"))
    disk.expect(1, 4)


def test_delete_merges_and_keeps_the_children(disk):
    original = disk.path()
    for n in (1, 2, 3):
        disk.write(n - 1, n)
        check(baton("snapshot", "take", "web", f"s{n}"))
    disk.write(3, 4)
    check(baton("snapshot", "delete", "web", "s2"))
    disk.expect(1, 2, 3, 4)
    assert [(n, s["parent"]) for n, s in snapshots().items()] == [("s1", None), ("s3", "s1")]
    assert len(disk.images()) == 3
    check(baton("snapshot", "restore", "web", "s3"))
    disk.expect(1, 2, 3, 0)
    check(baton("snapshot", "delete", "web", "s1"))
    check(baton("snapshot", "delete", "web", "s3"))
    disk.expect(1, 2, 3, 0)
    assert disk.path() == original and disk.images() == {original.name} and snapshots() == {}
    subprocess.run(["qemu-img", "check", disk.file()], check=disk.file().suffix == ".qcow2",
                   capture_output=True)


def test_rename_moves_children_and_the_mark(disk):
    check(baton("snapshot", "take", "web", "one"))
    check(baton("snapshot", "take", "web", "two"))
    check(baton("snapshot", "rename", "web", "one", "first"))
    check(baton("snapshot", "rename", "web", "two", "second"))
    assert [(n, s["parent"], s["current"]) for n, s in snapshots().items()] == [
        ("first", None, False), ("second", "first", True)]
    text = check(baton("snapshot", "list", "web"))
    assert [line.split()[:2] for line in text.splitlines()][1][:2] == ["*", "second"]
    assert "first" in check(baton("snapshot", "info", "web", "second"))


def test_errors_say_what_to_do(disk):
    check(baton("snapshot", "take", "web", "one"))
    assert "choose another name, or delete it: baton snapshot delete web one" in fails(
        "snapshot", "take", "web", "one")
    for verb in (["info"], ["restore"], ["delete"], ["rename"]):
        more = ["new"] if verb == ["rename"] else []
        assert "there is no snapshot \"none\"; see `baton snapshot list`" in fails(
            "snapshot", *verb, "web", "none", *more)
    assert "no name for a snapshot" in fails("snapshot", "take", "web", "a/b")
    assert "there is no VM named" in fails("snapshot", "take", "nobody", "one")
    assert "has a snapshot \"one\" already" in fails("snapshot", "rename", "web", "one", "one")


def test_a_chain_of_100(disk):
    for n in range(100):
        if n % 10 == 0:
            disk.write(n // 10, n + 1)
        check(baton("snapshot", "take", "web", f"s{n}"))
    disk.expect(*(n + 1 for n in range(0, 100, 10)))
    check(baton("snapshot", "restore", "web", "s55"))
    disk.expect(*(n + 1 for n in range(0, 60, 10)), 0)
    assert len(snapshots()) == 100


@pytest.fixture
def linux_vm(state_home, images):
    check(baton("create", "web", "--engine", ENGINE, "--memory", "256M", "--cpus", "2", "--kernel",
                images / "vmlinuz", "--initrd", images / "initrd.gz", "--append", "console=ttyS0 quiet",
                "--disk", "size=64M", "--disk", "size=32M"))

    def join():
        return Tty(state_home / "run/baton/web.tty")

    yield join
    baton("stop", "web", "--force")


def test_a_running_guest_goes_back_to_the_same_instant(linux_vm):
    check(baton("start", "web"))
    tty = linux_vm()
    tty.send("\n")
    tty.expect("guest# ", 120)
    start_work(tty)
    tty.run("echo before | dd of=/dev/vda conv=fsync,notrunc; echo b2 | dd of=/dev/vdb conv=fsync,notrunc")
    uptime = float(tty.run("cat /proc/uptime").split()[0])
    check(baton("snapshot", "take", "web", "then"))
    assert snapshots()["then"]["memory"]
    check_work(tty)  # it runs on
    tty.run("echo after_ | dd of=/dev/vda conv=fsync,notrunc; echo a2 | dd of=/dev/vdb conv=fsync,notrunc; rm sums")
    check(baton("snapshot", "take", "web", "later"))
    check(baton("snapshot", "restore", "web", "then"))
    tty = linux_vm()
    assert uptime <= float(tty.run("cat /proc/uptime").split()[0]) < uptime + 30
    check_work(tty)
    read = "for d in vda vdb; do dd if=/dev/$d bs=512 count=1 iflag=direct | head -n 1; done 2>/dev/null"
    assert tty.run(read).split() == ["before", "b2"]
    # While it runs: in the middle of its chain, and what its disks are written over.
    tty.run("echo third | dd of=/dev/vda conv=fsync,notrunc")
    check(baton("snapshot", "take", "web", "third"))
    check(baton("snapshot", "delete", "web", "later"))
    check(baton("snapshot", "delete", "web", "then"))
    check(baton("snapshot", "delete", "web", "third"))
    assert snapshots() == {}
    assert tty.run(read).split() == ["third", "b2"]
    check_work(tty)
    folder = pathlib.Path(info()["folder"])
    assert len(list(folder.glob("disk*"))) == 2 and not list(folder.glob("snapshots/*.state"))
    check(baton("save", "web"))
    check(baton("start", "web"))
    assert linux_vm().run(read).split() == ["third", "b2"]


def test_disks_elsewhere_are_nobody_elses_business(state_home, images, tmp_path):
    """The VM's process, in its sandbox, opens neither them nor their overlays: they are handed over."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    disks = {"vda": elsewhere / "a.qcow2", "vdb": elsewhere / "b.img"}
    check(baton("disk", "create", disks["vda"], "16M"))
    disks["vdb"].write_bytes(bytes(16 << 20))
    check(baton("create", "web", "--engine", ENGINE, "--memory", "192M", "--kernel", images / "vmlinuz", "--initrd",
                images / "initrd.gz", "--append", "console=ttyS0 quiet", "--net", "none",
                *(a for d in disks.values() for a in ("--disk", f"{d},cache=none"))))

    def start():
        check(baton("start", "web"))
        console = Tty(state_home / "run/baton/web.tty")
        console.send("\n")
        console.expect("guest# ", 120)
        return console

    def write(n):
        for d in disks:
            tty.run(f"yes {n}{d} | head -c 65536 >/tmp/x; dd if=/tmp/x of=/dev/{d} bs=64K seek={n} oflag=direct")

    def read(d):
        return tty.run(f"dd if=/dev/{d} bs=64K count=5 iflag=direct 2>/dev/null | grep -ao '^.vd.' | uniq").split()

    try:
        tty = start()
        for n in range(4):
            write(n)
            check(baton("snapshot", "take", "web", f"s{n}"))
        write(4)
        tty.run("sync")
        check(baton("stop", "web", "--force"))
        tty = start()  # which opens the last images for writing only
        for n in (1, 2, 0, 3):
            check(baton("snapshot", "delete", "web", f"s{n}"))
            for d in disks:
                assert read(d) == [f"{i}{d}" for i in range(5)]
        assert sorted(f.name for f in elsewhere.iterdir()) == ["a.qcow2", "b.img"]
        write(0)
        tty.run("sync")
    finally:
        baton("stop", "web", "--force")
    assert b"3vdb\n" in disks["vdb"].read_bytes()
    subprocess.run(["qemu-img", "check", disks["vda"]], check=True)


def test_snapshots_of_a_block_device_outlive_the_host(state_home, loop_device):
    """The overlay is in the VM's folder: /dev is empty after the next start. Merging writes to the device again."""
    check(baton("create", "web", "--engine", ENGINE, "--memory", "32M", "--kernel", BUILD / "guests/spin", "--disk",
                loop_device, "--net", "none"))
    disk = Disk()
    disk.write(0, 1)
    check(baton("snapshot", "take", "web", "s0"))
    assert disk.file().parent == pathlib.Path(info()["folder"]) and disk.file().suffix == ".qcow2"
    disk.write(0, 2)
    check(baton("start", "web"))
    try:
        check(baton("snapshot", "take", "web", "s1"))
        check(baton("snapshot", "restore", "web", "s0"))
        assert loop_device.read_bytes()[:4] == bytes([1] * 4)
        check(baton("start", "web"))  # with the device below an overlay: not written to, not claimed
        check(baton("snapshot", "delete", "web", "s1"))
        claim = os.open(loop_device, os.O_RDONLY | os.O_EXCL)  # as a mounted file system has it
        refused = baton("snapshot", "delete", "web", "s0")
        assert refused.returncode == 1 and "mounted or in use" in refused.stderr, refused
        os.close(claim)
        check(baton("snapshot", "take", "web", "s2"))  # and what was left undone is done
        check(baton("snapshot", "delete", "web", "s2"))
        with pytest.raises(OSError, match="busy"):
            os.open(loop_device, os.O_RDONLY | os.O_EXCL)
    finally:
        baton("stop", "web", "--force")
    assert disk.file() == loop_device
    assert not list(pathlib.Path("/dev").glob("*.qcow2"))


# Writes blocks all the time, several at once, reads them back past the cache, and says "differ" if they are not the same.
LOAD = """
work() {{ dd if=/dev/urandom of=/tmp/$1.a bs=4096 count=64 2>/dev/null; while :; do
  dd if=/tmp/$1.a of=$2 bs=4096 seek=$3 oflag=direct conv=notrunc 2>/dev/null || echo differ write
  dd if=$2 of=/tmp/$1.b bs=4096 skip=$3 count=64 iflag=direct 2>/dev/null; cmp -s /tmp/$1.a /tmp/$1.b || echo differ $1
  n=$((${{n:-0}}+1)); echo $n >/tmp/$1.n; done; }}
for d in {disks}; do work ${{d##*/}}1 $d 0 & work ${{d##*/}}2 $d 1024 & done
count() {{ cat /tmp/$1.n 2>/dev/null || echo 0; }}
goes_on() {{ n=$(count $1); until [ 0$(count $1) -gt 0$n ]; do sleep 0.1; done; echo $1 goes on; }}
"""


def test_requests_in_flight_are_neither_lost_nor_done_twice(state_home, images):
    """Snapshots of a guest whose disks, on virtio and NVMe, are written at that moment."""
    check(baton("create", "web", "--engine", ENGINE, "--memory", "192M", "--cpus", "2", "--kernel", images / "vmlinuz",
                "--initrd", images / "initrd.gz", "--append", "console=ttyS0 quiet", "--disk", "size=16M",
                "--disk", "size=16M,bus=nvme", "--net", "none"))
    check(baton("start", "web"))
    tty = Tty(state_home / "run/baton/web.tty")
    try:
        tty.send("\n")
        tty.expect("guest# ", 120)
        for line in LOAD.format(disks="/dev/vda /dev/nvme0n1").strip().splitlines():
            tty.send(line + "\n")
        tty.run("sleep 1")
        for n in range(2):
            check(baton("snapshot", "take", "web", f"s{n}"))
        for n in (1, 0):
            check(baton("snapshot", "restore", "web", f"s{n}"))
            tty = Tty(state_home / "run/baton/web.tty")
            for worker in ("vda1", "vda2", "nvme0n11", "nvme0n12"):
                assert f"{worker} goes on" in tty.run(f"goes_on {worker}")
            assert not tty.run("dmesg | grep -E 'I.O error|timeout|resetting|stalled|BUG:' || true").strip()
            assert not re.search("^differ", tty.output, re.M)
            check(baton("snapshot", "delete", "web", f"s{n}"))
            assert not re.search("^differ", tty.output + tty.run("sleep 0.5"), re.M)
    finally:
        baton("stop", "web", "--force")


def test_inspect_names_what_is_in_a_state(linux_vm, tmp_path):
    check(baton("start", "web"))
    tty = linux_vm()
    tty.send("\n")
    tty.expect("guest# ", 120)
    check(baton("snapshot", "take", "web", "one"))
    for words in (["web"], ["web", "one"]):
        seen = json.loads(check(baton("inspect", *words, "--json")))
        assert seen["machine"]["cpus"] == 2 and seen["about"]["name"] == "web"
        records = {(r["name"], r["instance"]): r["fields"] for r in seen["records"]}
        assert records["cpu", 0]["cs"] in (0x10, 0x33) and int(records["cpu", 1]["efer"], 16) & 0x500 == 0x500
        assert int(records["cpu", 0]["rip"], 16) > 0 and len(records["ioapic", 0]["rte"]) == 24
        assert ("virtio-blk", 1) in records
        text = check(baton("inspect", *words))
        assert "\ncpu 1\n" in text and "  lstar " in text and "virtio-blk 1" in text
    state = pathlib.Path(info()["folder"]) / "snapshots/1.state"
    assert json.loads(check(baton("inspect", state, "--json")))["memory_stored"] > 1 << 20
    copy = tmp_path / "copy"
    copy.write_bytes(state.read_bytes()[:-40])
    assert "cut short" in fails("inspect", copy)
    check(baton("stop", "web", "--force"))
    assert "is off and has no state" in fails("inspect", "web")
    assert "there is no snapshot" in fails("inspect", "web", "two")


def test_what_a_linked_clone_stands_on_is_never_touched(disk):
    disk.write(0, 1)
    check(baton("clone", "--linked", "web", "twin"))
    check(baton("snapshot", "take", "twin", "one"))
    check(baton("snapshot", "delete", "twin", "one"))
    check(baton("snapshot", "take", "web", "one"))
    disk.write(0, 2)
    check(baton("snapshot", "delete", "web", "one"))
    disk.expect(2)
    twin = info("twin")
    path = pathlib.Path(twin["folder"]) / twin["definition"]["disks"][0]["path"]
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "read -P 1 0 1M", path], check=True, capture_output=True)
    chain = json.loads(subprocess.run(["qemu-img", "info", "--backing-chain", "--output=json", path], check=True,
                                      capture_output=True, text=True).stdout)
    assert len(chain) == 2
    disk.io("read -P 2 0 1M")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_while_taking_one_costs_nothing(linux_vm, state_home):
    folder = pathlib.Path(info()["folder"])
    check(baton("start", "web"))
    tty = linux_vm()
    tty.send("\n")
    tty.expect("guest# ", 120)
    start_work(tty)
    tty.run("echo before | dd of=/dev/vda conv=fsync,notrunc")
    ballast = folder / "snapshots"
    ballast.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", ballast], check=True)
    try:
        text = fails("snapshot", "take", "web", "one")
        assert "No space left on device" in text
        check_work(tty)
        assert snapshots() == {}
        # What the disks wrote since is in the one image that is left.
        tty.run("echo after | dd of=/dev/vda conv=fsync,notrunc")
        assert sorted(p.name for p in folder.glob("disk*")) == ["disk0.qcow2", "disk1.qcow2"]
        subprocess.run(["mount", "-o", "remount,size=300m", ballast], check=True)
        check(baton("snapshot", "take", "web", "one"))
        assert tty.run("dd if=/dev/vda bs=512 count=1 2>/dev/null | head -n 1").strip() == "after"
        check_work(tty)
    finally:
        baton("stop", "web", "--force")
        subprocess.run(["umount", "-l", ballast])
