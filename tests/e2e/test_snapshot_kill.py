# SPDX-License-Identifier: Apache-2.0
"""Commands on snapshots, and VMs, that are killed at any moment: nothing that was kept may change."""
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from conftest import BATON, baton
from test_snapshot import check, disk, info, linux_vm, snapshots  # noqa: F401 (fixtures)

MIB = 1 << 20


class Model:
    """What the VM's first disk must hold, now and in each snapshot: one byte for each of four MiB."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now = [0, 0, 0, 0]
        self.kept = {}
        self.number = 0

    def change(self, write):
        place, value = self.random.randrange(4), self.random.randrange(65, 123)
        write(place, value)
        self.now[place] = value

    def choose(self):
        """A command as a list of words."""
        verb = self.random.choice(["take", "take", "delete", "restore"])
        if verb == "take" or not self.kept:
            self.number += 1
            return ["take", "web", f"s{self.number}"]
        return [verb, "web", self.random.choice(sorted(self.kept))]

    def settle(self, verb, name, found, now):
        """After a kill it was done or not: takes over which."""
        if verb == "take" and name in found:
            self.kept[name] = list(self.now)
        if verb == "delete" and name not in found:
            del self.kept[name]
        if verb == "restore" and now == self.kept[name]:
            self.now = list(now)
        assert set(found) == set(self.kept)
        assert now == self.now


def content(path):
    """The four bytes, as the image and all below it have them; the file may be in use."""
    path = pathlib.Path(path)
    raw = path.with_name(path.name + ".check")
    try:
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, raw], check=True, capture_output=True)
        with open(raw, "rb") as f:
            return [os.pread(f.fileno(), 1, n * MIB)[0] for n in range(4)]
    finally:
        raw.unlink(missing_ok=True)


def folder():
    return pathlib.Path(info()["folder"])


def look():
    """What the snapshots and the VM hold, when the next command has finished what was decided on."""
    assert "there is no snapshot" in baton("snapshot", "rename", "web", "none", "none").stderr
    tree = json.loads((folder() / "snapshots/tree.json").read_text()) if (
        folder() / "snapshots/tree.json").exists() else {"snapshots": [], "current": None}
    found = {s["name"]: content(folder() / s["disks"][0]["path"]) for s in tree["snapshots"]}
    return found, content(folder() / json.loads((folder() / "vm.json").read_text())["disks"][0]["path"])


def killed(words, delay, whom):
    """Runs the command, kills what `whom` gives after `delay` seconds; False if it had ended before."""
    command = subprocess.Popen([BATON, "snapshot", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        command.wait(delay)
        killed_it = False
    except subprocess.TimeoutExpired:
        killed_it = True
        for pid in whom(command):
            os.kill(pid, signal.SIGKILL)
    command.communicate()
    return killed_it


def assert_clean(model):
    """The next commands work, and nothing is left of what was killed."""
    check(baton("snapshot", "take", "web", "last"))
    check(baton("snapshot", "delete", "web", "last"))
    tree = json.loads((folder() / "snapshots/tree.json").read_text())
    assert "pending" not in tree
    memory = {s["memory"] for s in tree["snapshots"] if s["memory"]}
    assert {p.name for p in folder().glob("snapshots/*.state*")} == memory
    needed, todo = set(), [folder() / s["disks"][0]["path"] for s in tree["snapshots"]]
    todo.append(folder() / json.loads((folder() / "vm.json").read_text())["disks"][0]["path"])
    for path in todo:
        chain = json.loads(subprocess.run(["qemu-img", "info", "-U", "--backing-chain", "--output=json", path],
                                          check=True, capture_output=True, text=True).stdout)
        needed |= {os.path.realpath(i["filename"]) for i in chain}
    assert {str(p) for p in folder().glob("disk0*")} == needed
    assert set(snapshots()) == set(model.kept)


def longest(words_list):
    """How long such commands take undisturbed, so that kills fall everywhere in them."""
    began = time.monotonic()
    for words in words_list:
        check(baton("snapshot", *words))
    return (time.monotonic() - began) / len(words_list) * 1.2


def tries(normal, request):
    return 10 * normal if request.config.getoption("--long") else normal


def test_a_stopped_vm_stays_intact(disk, request):  # noqa: F811
    model = Model(1)
    span = longest([["take", "web", "x"], ["restore", "web", "x"], ["delete", "web", "x"]])
    for n in range(tries(14, request)):
        model.change(disk.write)
        words = model.choose()
        killed(words, model.random.uniform(0, span), lambda command: [command.pid])
        found, now = look()
        model.settle(words[0], words[2], found, now)
        assert found == model.kept, (n, words)
        if n % 7 == 6:
            assert_clean(model)
            assert look()[1] == model.now


def write_in_guest(tty, place, value):
    tty.run(f"yes $(printf '\\{value:03o}') | tr -d '\\n' | head -c 4096 | dd of=/dev/vda bs=4096 "
            f"seek={place * 256} conv=notrunc,fsync 2>/dev/null")


def wait_gone(process):
    while info()["pid"] == process:
        time.sleep(0.02)


def running(linux_vm, tty=None):  # noqa: F811
    """The console of the VM, which is started if it does not run; there is one client at a time."""
    if not info()["pid"]:
        check(baton("start", "web"))
    if tty:
        tty.socket.close()
    tty = linux_vm()
    tty.send("\n")
    tty.expect("guest# ", 120)
    return tty


def test_a_running_vm_and_its_process(linux_vm, request):  # noqa: F811
    model = Model(2)
    tty = running(linux_vm)
    for n in range(tries(6, request)):
        model.change(lambda place, value: write_in_guest(tty, place, value))
        words = model.choose()
        process = info()["pid"]
        both = model.random.random() < 0.5
        hit = killed(words, model.random.uniform(0, 1.0),
                     lambda command: [process, command.pid] if both else [command.pid])
        if hit and both:
            wait_gone(process)
        found, now = look()
        model.settle(words[0], words[2], found, now)
        assert found == model.kept, (n, words)
        tty = running(linux_vm, tty)
    assert_clean(model)
    assert look()[1] == model.now
