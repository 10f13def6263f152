# SPDX-License-Identifier: Apache-2.0
"""The command line: what it refuses, what it prints, and commands on running VMs."""
import json
import os
import pathlib
import re
import stat
import subprocess
import time

import pytest

from conftest import BATON, baton


def refused(*args):
    """The one line on stderr of a command that must fail with status 1."""
    result = baton(*args)
    assert result.returncode == 1, result
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("args, word", [
    (["run", "--memory", "3", "--kernel", "/bin/true"], "memory"),
    (["run", "--memory", "banana", "--kernel", "/bin/true"], "banana"),
    (["run", "--cpus", "0", "--kernel", "/bin/true"], "cpus"),
    (["run", "--cpus", "1000000", "--kernel", "/bin/true"], "cpus"),
    (["run", "--kernel", "/does/not/exist"], "/does/not/exist"),
    (["run", "--kernel", "/bin/true", "--initrd", "/does/not/exist"], "/does/not/exist"),
    (["run", "--kernel", "/etc/passwd"], "passwd"),
    (["run", "--kernel", "/bin/true", "--disk", "/does/not/exist"], "/does/not/exist"),
    (["run", "--kernel", "/bin/true", "--engine", "warp"], "warp"),
    (["run", "--kernel", "/bin/true", "--engine", "bt,tier=warp"], "interp, translate, lockstep"),
    (["create", "web", "--kernel", "/bin/true", "--engine", "warp"], "auto, kvm, bt"),
    (["create", "web", "--kernel", "/bin/true", "--cpu", "v3,+avx512f"], "baseline, v3, v4, host"),
    (["run", "--kernel", "/bin/true", "--device", "flux-capacitor"], "flux-capacitor"),
    (["run", "--kernel", "/bin/true", "--no-such-option"], "no-such-option"),
    (["run", "--spec", "/does/not/exist"], "/does/not/exist"),
    (["run"], "kernel"),
    (["stop", "nobody"], "nobody"),
    (["frobnicate"], "frobnicate"),
])
def test_bad_input_is_one_clear_line(state_home, args, word):
    assert word in refused(*args)


@pytest.mark.parametrize("args", [["list", "--all"], ["list", "--json"], ["--help"], ["run", "--help"], ["--version"]])
def test_output_that_is_lost_is_an_error(state_home, args):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BATON, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "No space left on device" in done.stderr, done


def test_without_standard_files_no_other_is_written_to(state_home):
    assert baton("create", "web", "--kernel", "/bin/true").returncode == 0
    files = {p: p.read_bytes() for p in state_home.rglob("*") if p.is_file()}
    shell = f"{BATON} list --all <&- >&- 2>&-; {BATON} info nobody <&- >&- 2>&-"
    subprocess.run(["sh", "-c", shell], timeout=60)
    assert {p: p.read_bytes() for p in state_home.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("verb", ["run", "ps", "stop", "pause", "resume", "console", "check"])
def test_every_verb_has_help(verb):
    result = baton(verb, "--help")
    assert result.returncode == 0
    assert f"baton {verb}" in result.stdout


def test_truncated_kernel_is_refused(state_home, images, tmp_path):
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes((images / "vmlinuz").read_bytes()[:100000])
    assert re.search("truncated|short|larger", refused("run", "--kernel", kernel))


def test_kernel_that_does_not_fit_is_refused(state_home, images):
    text = refused("run", "--memory", "16M", "--kernel", images / "vmlinuz")
    assert "memory" in text


def test_printed_spec_runs_the_same_machine(state_home, images, tmp_path):
    options = ["--engine", "bt", "--memory", "300M", "--kernel", images / "vmlinuz",
               "--initrd", images / "initrd.gz",
               "--append", "console=ttyS0 quiet baton.run=grep+MemTotal+/proc/meminfo"]
    printed = baton("run", *options, "--print-spec")
    assert printed.returncode == 0
    spec = json.loads(printed.stdout)
    assert spec["memory"] == 300 << 20
    path = tmp_path / "vm.json"
    path.write_text(printed.stdout)
    again = baton("run", "--spec", path, "--print-spec")
    assert json.loads(again.stdout) == spec
    result = subprocess.run([BATON, "run", "--spec", path], capture_output=True, text=True, timeout=120,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 0
    assert "MemTotal" in result.stdout


@pytest.mark.parametrize("text, path", [("a,,b.img,ro", "a,b.img"), (",,,ro", ","), ("x,,,,y,ro,format=raw", "x,,y"),
                                        ("plain,ro", "plain")])
def test_two_commas_are_one_of_a_name(tmp_path, text, path):
    (tmp_path / path).write_bytes(bytes(512))
    printed = baton("run", "--disk", text, "--print-spec", cwd=tmp_path)
    (disk,) = json.loads(printed.stdout)["disks"]
    assert disk["path"].endswith(path) and disk["readonly"]


def test_commands_on_a_running_vm(linux):
    guest = linux("quiet", "--name", "web")
    guest.expect("guest# ", 120)
    listed = json.loads(baton("ps", "--json").stdout)
    assert [vm["name"] for vm in listed] == ["web"]
    assert "web" in baton("ps").stdout
    (vm,) = json.loads(baton("list", "--json").stdout)
    assert vm["reason"] == "booted" and vm["id"] > 0 and abs(time.time() - vm["since"]) < 3600
    assert not vm["persistent"]

    assert baton("pause", "web").returncode == 0
    guest.send("echo still $((1+1)) here\n")
    time.sleep(1)
    while guest.read(0):
        pass
    assert "still 2 here" not in guest.output
    assert baton("resume", "web").returncode == 0
    guest.expect("still 2 here", 30)

    assert refused("run", "--name", "web", "--kernel", "/bin/true")
    assert baton("stop", "web", "--force").returncode == 0
    guest.wait(30)
    assert json.loads(baton("ps", "--json").stdout) == []


def test_killed_vm_leaves_nothing_behind(linux):
    guest = linux("quiet", "--name", "victim")
    guest.expect("guest# ", 120)
    guest.process.kill()
    guest.wait(10)
    assert json.loads(baton("ps", "--json").stdout) == []
    guest = linux("quiet", "--name", "victim")
    guest.expect("guest# ", 120)


def test_ctrl_a_x_ends_the_run(linux):
    guest = linux("quiet")
    guest.expect("guest# ", 120)
    guest.send("\x01x")
    assert guest.wait(10) == 0


def test_busy_disk_names_the_holder(linux, tmp_path):
    disk = tmp_path / "busy.img"
    disk.write_bytes(bytes(1 << 20))
    guest = linux("quiet", "--disk", disk)
    guest.expect("guest# ", 120)
    text = refused("run", "--kernel", "/bin/true", "--disk", disk)
    assert "busy.img" in text and re.search("in use|lock|busy", text)


@pytest.fixture
def disk_with_a_part(loop_device, tmp_path):
    """A block device of this host, and a partition of it."""
    part, name = tmp_path / "part", loop_device.name
    if subprocess.run(["addpart", loop_device, "1", "2048", "4096"]).returncode:
        pytest.skip("needs loop devices with partitions")
    try:
        major, minor = pathlib.Path(f"/sys/block/{name}/{name}p1/dev").read_text().split(":")
        os.mknod(part, stat.S_IFBLK | 0o600, os.makedev(int(major), int(minor)))
        yield loop_device, part
    finally:
        subprocess.run(["delpart", loop_device, "1"])


def test_disk_and_its_parts_have_one_writer(linux, disk_with_a_part):
    disk, part = disk_with_a_part
    guest = linux("quiet", "--disk", part)
    guest.expect("guest# ", 120)
    guest.run("echo written >/dev/vda; sync", 60)
    assert "a part of it is mounted or in use" in refused("run", "--kernel", "/bin/true", "--disk", disk)
    assert "in use" not in refused("run", "--kernel", "/bin/true", "--disk", f"{disk},ro")  # but its kernel is none
    guest.send("poweroff -f\n")
    assert guest.wait(60) == 0
    claim = os.open(disk, os.O_RDONLY | os.O_EXCL)  # as a mounted file system has it
    assert "mounted" in refused("run", "--kernel", "/bin/true", "--disk", part)
    os.close(claim)
    guest = linux("quiet", "--disk", disk)
    guest.expect("guest# ", 120)
    assert "written" in guest.run("dd if=/dev/vda bs=1M skip=1 count=1 2>/dev/null | head -c 7", 60)
