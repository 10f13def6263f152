# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed at any moment leave the old state or the new one, and no rubbish."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BATON, needs
from test_clone import disk_io, disk_of
from test_control import kernel, wait_for  # noqa: F401: fixtures
from test_lifecycle import info, ok, states, toy  # noqa: F401

TRIES = 40


def killed(*args, longest):
    """Starts a command and kills it after a random time; True when it had ended before."""
    process = subprocess.Popen([BATON, *map(str, args)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(random.uniform(0, longest))
    process.kill()
    return process.wait() == 0


def closer(longest, done):
    """The next longest time: a busy machine takes another time for each command, and both outcomes are wanted."""
    return longest * (0.7 if done else 1.4)


def duration(*args):
    begin = time.monotonic()
    ok(*args)
    return time.monotonic() - begin


def check_whole(vms):
    """Every VM that is listed is whole, and the folder holds nothing else."""
    listed = states()
    for name in listed:
        vm = info(name)
        assert "problem" not in vm
        for disk in vm["definition"]["disks"]:
            assert os.path.exists(disk["path"]), disk
    assert {f.name for f in vms.iterdir()} - {".lock"} == set(listed)
    return listed


def test_create(toy, state_home, kernel):  # noqa: F811
    vms = toy("first").parent
    longest = 1.5 * duration("create", "second", "--kernel", kernel, "--disk", "size=1M")
    outcomes = set()
    for i in range(TRIES):
        done = killed("create", f"vm{i}", "--kernel", kernel, "--disk", "size=1M", "--disk", "size=2M",
                      longest=longest)
        exists = f"vm{i}" in check_whole(vms)
        assert exists or not done
        outcomes.add(exists)
        longest = closer(longest, exists)
        if not exists:
            ok("create", f"vm{i}", "--kernel", kernel)
    assert outcomes == {True, False}, "the times do not fit"


def test_rename(toy, state_home):  # noqa: F811
    vms = toy("a", "--disk", "size=1M").parent
    uuid = info("a")["uuid"]
    longest = 1.5 * duration("rename", "a", "b")
    here, there = "b", "a"
    for _ in range(TRIES):
        killed("rename", here, there, longest=longest)
        listed = check_whole(vms)
        assert len(listed) == 1
        here, there = (here, there) if here in listed else (there, here)
        assert info(here)["uuid"] == uuid


@pytest.mark.parametrize("options", [[], ["--disks"]])
def test_delete(toy, state_home, options):  # noqa: F811
    vms = toy("a", "--disk", "size=1M").parent
    pool = state_home / "state/baton/disks"
    longest = 1.5 * duration("delete", "a", *options)
    shutil.rmtree(pool, ignore_errors=True)
    for _ in range(TRIES):
        toy("a", "--disk", "size=1M")
        killed("delete", "a", *options, longest=longest)
        if check_whole(vms):
            ok("delete", "a", *options)
        kept = list(pool.iterdir()) if pool.exists() else []
        assert len(kept) == (0 if options else 1)
        for disk in kept:
            shutil.rmtree(disk)


def test_clone(toy, state_home):  # noqa: F811
    vms = toy("a", "--disk", "size=64M,format=raw").parent
    disk = info("a")["definition"]["disks"][0]["path"]
    with open(disk, "r+b") as f:
        f.write(os.urandom(32 << 20))
    content = open(disk, "rb").read()
    longest = 1.2 * duration("clone", "a", "b")
    outcomes = set()
    for i in range(TRIES // 2):
        killed("clone", "a", f"c{i}", longest=longest)
        exists = f"c{i}" in check_whole(vms)
        outcomes.add(exists)
        longest = closer(longest, exists)
        if exists:
            assert open(info(f"c{i}")["definition"]["disks"][0]["path"], "rb").read() == content
            ok("delete", f"c{i}", "--disks")
    assert outcomes == {True, False}, "the times do not fit"
    assert open(disk, "rb").read() == content


def test_start(toy, state_home):  # noqa: F811
    """A start that is killed has started the VM or not; it can be stopped or started then."""
    toy("a")
    longest = 1.5 * duration("start", "a")
    ok("stop", "a", "--force")
    for _ in range(TRIES // 2):
        killed("start", "a", longest=longest)
        time.sleep(0.02)
        if states()["a"] == "running":
            wait_for(lambda: info("a")["reason"] == "booted")
            ok("stop", "a", "--force")
    ok("start", "a")


def test_the_process_of_a_vm_is_killed_again_and_again(toy, state_home):  # noqa: F811
    vms = toy("a").parent
    for _ in range(5):
        ok("start", "a")
        os.kill(json.loads(ok("list", "--json"))[0]["pid"], signal.SIGKILL)
        wait_for(lambda: check_whole(vms) == {"a": "crashed"})


@needs("qemu-io")
def test_linked_clone(toy, state_home):  # noqa: F811
    vms = toy("a", "--disk", "size=8M").parent
    disk_io(disk_of("a"), "write -P 1 0 1M")
    longest = 1.5 * duration("clone", "a", "b", "--linked")
    outcomes = set()
    for i in range(TRIES // 2):
        killed("clone", "a", f"c{i}", "--linked", longest=longest)
        exists = f"c{i}" in check_whole(vms)
        outcomes.add(exists)
        disk_io(disk_of("a"), "read -P 1 0 1M", f"write -P {i + 10} 4M 64k")
        if exists:
            disk_io(disk_of(f"c{i}"), "read -P 1 0 1M", *([f"read -P {i + 9} 4M 64k"] if i else []))
    assert outcomes == {True, False}, "the times do not fit"
    ok("delete", *states(), "--disks")
    assert not any((state_home / "state/baton/disks").iterdir())
