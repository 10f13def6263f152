# SPDX-License-Identifier: Apache-2.0
"""Discs in the drives of a VM that is kept: they stay where they were put."""
import json

import pytest

from conftest import ENGINE, baton
from test_save import Tty, check


@pytest.fixture
def vm(state_home, images, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.iso").write_bytes(name.encode() * 4096)
    check(baton("create", "web", "--engine", ENGINE, "--memory", "256M", "--kernel", images / "vmlinuz", "--initrd",
                images / "initrd.gz", "--append", "console=ttyS0 quiet", "--net", "none", "--cdrom",
                tmp_path / "one.iso", "--cdrom", "none"))
    yield tmp_path
    baton("stop", "web", "--force")


def discs():
    return [line.split("  ")[1] for line in check(baton("cdrom", "web")).splitlines()]


def defined():
    disks = json.loads(check(baton("info", "web", "--json")))["definition"]["disks"]
    return [d.get("path") for d in disks]


def test_of_a_vm_that_does_not_run(vm):
    assert discs() == [str(vm / "one.iso"), "(empty)"]
    check(baton("cdrom", "web", "insert", vm / "two.iso", "--drive", "1"))
    check(baton("cdrom", "web", "eject"))
    assert discs() == ["(empty)", str(vm / "two.iso")]
    assert defined() == [None, str(vm / "two.iso")] == json.loads(check(baton("cdrom", "web", "--json")))
    assert "no CD-ROM drive 2; the VM has 2" in baton("cdrom", "web", "eject", "--drive", "2").stderr
    check(baton("create", "bare", "--disk", "size=1M"))
    assert "--cdrom none" in baton("cdrom", "bare", "eject").stderr


def test_of_a_running_vm_is_there_after_it_was_saved(vm, state_home):
    check(baton("start", "web"))
    tty = Tty(state_home / "run/baton/web.tty")
    tty.send("\n")
    tty.expect("guest# ", 120)
    check(baton("cdrom", "web", "insert", vm / "two.iso"))
    assert discs() == [str(vm / "two.iso"), "(empty)"] and defined() == [str(vm / "two.iso"), None]
    check(baton("save", "web"))
    assert "start it first" in baton("cdrom", "web", "eject").stderr
    check(baton("start", "web"))
    assert discs() == [str(vm / "two.iso"), "(empty)"]
    check(baton("cdrom", "web", "eject"))
    assert discs() == ["(empty)", "(empty)"] and defined() == [None, None]


def test_a_definition_that_was_given_something_else_keeps_it(vm):
    """The drive of a running VM and that of the definition with the same number need not be the same."""
    check(baton("start", "web"))
    check(baton("modify", "web", "--disk-remove", "0", "--cdrom", "none"))
    result = baton("cdrom", "web", "insert", vm / "two.iso", "--force")
    assert "only the running machine" in result.stderr, result.stderr
    check(result)
    assert discs() == [str(vm / "two.iso"), "(empty)"] and defined() == [None, None]
    assert baton("cdrom", "web", "insert", vm / "two.iso", "--drive", "1").stderr == ""
    assert discs() == [str(vm / "two.iso")] * 2 and defined() == [None, str(vm / "two.iso")]
