# SPDX-License-Identifier: Apache-2.0
"""UEFI's variables are part of snapshots."""
import json
import pathlib

import pytest

from conftest import ENGINE, baton
from test_firmware import needs_uefi
from test_snapshot import check, disk, info  # noqa: F401 (fixture)
from test_save import Tty

SETVAR = "setvar bATon -guid 11111111-2222-3333-4444-555555555555"
SIZE = 64 << 10


class Variables:
    """Those of a VM "web" that does not run."""

    def __init__(self):
        self.folder = pathlib.Path(info()["folder"])
        self.file = self.folder / "nvram.fd"

    def write(self, letter):
        """Into the file as it is, the way a tool does it."""
        with open(self.file, "r+b" if self.file.exists() else "wb") as f:
            f.write(letter.encode() * SIZE)

    def expect(self, letter):
        assert self.file.read_bytes() == letter.encode() * SIZE

    def copies(self):
        return sorted(p.name for p in self.folder.glob("snapshots/*.vars*"))

    def change_tree(self, change):
        path = self.folder / "snapshots/tree.json"
        tree = json.loads(path.read_text())
        change(tree)
        path.write_text(json.dumps(tree))


@pytest.fixture
def variables(state_home):
    check(baton("create", "web", "--memory", "64M", "--firmware", "uefi", "--disk", "size=16M"))
    return Variables()


def test_a_stopped_vm_has_them_back(variables):
    check(baton("snapshot", "take", "web", "fresh"))
    assert variables.copies() == []
    for name in "a", "b":
        variables.write(name)
        check(baton("snapshot", "take", "web", name))
    variables.write("c")
    for name in "a", "b", "a":
        check(baton("snapshot", "restore", "web", name))
        variables.expect(name)
        variables.write("c")  # the snapshot's copy does not follow
    check(baton("clone", "web", "twin"))
    assert (pathlib.Path(info("twin")["folder"]) / "nvram.fd").read_bytes() == b"c" * SIZE
    check(baton("snapshot", "restore", "web", "fresh"))
    assert not variables.file.exists()
    assert len(variables.copies()) == 2
    for name in "a", "fresh", "b":
        check(baton("snapshot", "delete", "web", name))
    assert variables.copies() == []


def test_another_file_that_the_definition_names(state_home, tmp_path):
    check(baton("create", "web", "--memory", "64M", "--firmware", "uefi", "--nvram", tmp_path / "my.fd"))
    variables = Variables()
    variables.file = tmp_path / "my.fd"
    variables.write("a")
    check(baton("snapshot", "take", "web", "one"))
    variables.write("b")
    check(baton("snapshot", "restore", "web", "one"))
    variables.expect("a")
    assert not (variables.folder / "nvram.fd").exists()


def test_an_interrupted_restore_is_finished_and_rests_are_removed(variables):
    variables.write("a")
    check(baton("snapshot", "take", "web", "one"))
    variables.write("b")
    (copy,) = variables.copies()

    def decide(tree):
        one = tree["snapshots"][0]
        tree["pending"] = {"definition": one["definition"], "memory": None, "variables": one["variables"]}

    variables.change_tree(decide)
    for rest in "7.vars", "7.vars.new", "8.vars.part":
        (variables.folder / "snapshots" / rest).write_bytes(b"x")
    check(baton("snapshot", "take", "web", "two"))
    variables.expect("a")
    assert variables.copies()[0] == copy and len(variables.copies()) == 2


def test_a_snapshot_of_an_older_version_leaves_them(variables):
    variables.write("a")
    check(baton("snapshot", "take", "web", "one"))
    variables.change_tree(lambda tree: tree["snapshots"][0].pop("variables"))
    variables.write("b")
    check(baton("snapshot", "restore", "web", "one"))
    variables.expect("b")


def test_no_copy_for_a_bios(disk):  # noqa: F811
    check(baton("snapshot", "take", "web", "one"))
    check(baton("snapshot", "restore", "web", "one"))
    assert Variables().copies() == [] and not Variables().file.exists()


def set_variable(tty, value):
    tty.send(f'{SETVAR} -nv -bs ="{value}"\r')
    tty.expect("Shell> ", 30)



def holds(path, value):
    return value.encode() in path.read_bytes()


@needs_uefi
def test_a_running_vm_has_them_back(state_home):
    """Also what was set just before, and is in no file yet."""
    check(baton("create", "web", "--engine", ENGINE, "--memory", "256M", "--firmware", "uefi", "--net", "none"))
    variables = Variables()
    check(baton("start", "web"))
    try:
        tty = Tty(state_home / "run/baton/web.tty")
        tty.expect("any other key", 90)
        tty.send("x")
        tty.expect("Shell> ", 30)
        set_variable(tty, "first")
        check(baton("snapshot", "take", "web", "one"))
        set_variable(tty, "second")
        check(baton("snapshot", "take", "web", "two", "--disk-only"))
        set_variable(tty, "third")
        one, two = (variables.folder / "snapshots" / name for name in variables.copies())
        assert holds(one, "first") and not holds(one, "second")
        assert holds(two, "second") and not holds(two, "third")
        check(baton("snapshot", "restore", "web", "one"))
        tty = Tty(state_home / "run/baton/web.tty")
        assert not holds(variables.file, "second")
        set_variable(tty, "fourth")
        check(baton("save", "web"))
        assert holds(variables.file, "first") and holds(variables.file, "fourth")
        check(baton("snapshot", "restore", "web", "two"))
        assert variables.file.read_bytes() == two.read_bytes()
    finally:
        baton("stop", "web", "--force")
