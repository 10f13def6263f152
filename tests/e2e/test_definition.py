# SPDX-License-Identifier: Apache-2.0
"""What a definition says: modified, edited by hand, renamed, damaged."""
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import BATON, baton
from test_control import kernel  # noqa: F401: a fixture
from test_lifecycle import info, ok, refused, states, toy, virtual_size  # noqa: F401: toy is a fixture


def test_texts_of_a_definition_do_not_reach_the_terminal(toy):
    """C0 and C1 control characters (U+009B is CSI, as ESC [ is) are a question mark for each of their bytes."""
    for text in ("a\x1b[2Jb", "a\x9b2Jb"):
        toy("odd", "--title", text, "--description", text, "--disk", "size=1M")
        ok("snapshot", "take", "odd", "s", "--description", text)
        for command in (["list", "--all"], ["info", "odd"], ["snapshot", "list", "odd"], ["snapshot", "info", "odd", "s"]):
            out = ok(*command)
            assert re.search(r"a(\?\[|\?\?)2Jb", out) and text not in out, out
        assert info("odd")["title"] == text
        ok("delete", "odd", "--disks")


def test_modify_wants_to_know_what(toy):
    toy()
    done = baton("modify", "toy")
    assert done.returncode == 1 and "modify needs an option; see `baton modify --help`" in done.stderr
    assert "debug-exit" in ok("modify", "toy", "--device", "help")


def test_a_uuid_has_one_vm(toy, tmp_path):
    folder = toy("web")
    spec = json.loads((folder / "vm.json").read_text())
    del spec["autostart"]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert "web has it already" in refused("create", "copy", "--spec", tmp_path / "spec.json")
    del spec["uuid"]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    ok("create", "copy", "--spec", tmp_path / "spec.json")
    assert info("copy")["memory"] == info("web")["memory"]


@pytest.mark.parametrize("change, words", [
    ({"memory": 1}, ["memory", "4 MiB"]),
    ({"cpus": 100}, ["cpus", "64"]),
    ({"disks": [{"path": 5}]}, ["disks[0].path", "string"]),
    ({"autostart": 1}, ["autostart", "true or false"]),
    ({"title": "a\nb"}, ["title", "one line"]),
    ({"title": ["x"]}, ["title", "string"]),
    ({"uuid": "x"}, ["uuid"]),
    ({"name": "x"}, ["name", "rename"]),
    ({"version": 2}, ["version", "1"]),
    ({"colour": "red"}, ["colour", "unknown key"]),
    ({"nets": [{"type": "user", "fd": 0}]}, ["nets[0].fd"]),
])
def test_a_damaged_definition_is_told_with_its_path(toy, change, words):
    folder = toy()
    definition = json.loads((folder / "vm.json").read_text())
    (folder / "vm.json").write_text(json.dumps(definition | change))
    text = refused("start", "toy")
    for word in words + ["vm.json"]:
        assert word in text
    assert all(word in info("toy")["problem"] for word in words)
    assert "damaged" in ok("list", "--all")
    ok("delete", "toy", "--disks")


def test_modify(toy):
    toy("web", "--disk", "size=1M", "--net", "user", "--title", "old")
    ok("modify", "web", "--memory", "32", "--cpus", "2", "--disk", "size=2M", "--net", "user", "--title", "",
       "--no-reboot", "--autostart")
    vm = info("web")
    d = vm["definition"]
    assert (vm["memory"], vm["cpus"], vm["title"], vm["autostart"]) == (32 << 20, 2, "", True)
    assert [os.path.basename(k["path"]) for k in d["disks"]] == ["disk0.qcow2", "disk1.qcow2"]
    assert [virtual_size(k["path"]) for k in d["disks"]] == [1 << 20, 2 << 20]
    assert len({n["mac"] for n in d["nets"]}) == 2 and not d["reboot"]
    ok("modify", "web", "--disk-remove", "disk0.qcow2", "--net-remove", d["nets"][0]["mac"], "--reboot")
    after = info("web")["definition"]
    assert (after["disks"], after["nets"], after["reboot"]) == (d["disks"][1:], d["nets"][1:], True)
    assert os.path.exists(d["disks"][0]["path"]), "a disk that is taken out is not destroyed"
    for args, word in ([("--disk-remove", "7"), "7"], [("--net-remove", "x"), "x"], [("--kernel", "", "--append", "x"), "boot"],
                       [("--cpus", "0"), "cpus"], [("--memory", "1"), "memory"], [("--frob",), "frob"],
                       [("--disk", "/no/such/file"), "/no/such/file"]):
        assert word in refused("modify", "web", *args)
    assert info("web")["definition"] == after
    assert "no VM named" in refused("modify", "nobody", "--cpus", "2")


def test_modify_a_running_vm(toy):
    toy()
    ok("start", "toy")
    result = baton("modify", "toy", "--memory", "64")
    assert result.returncode == 0 and "next start" in result.stderr
    assert json.loads(ok("ps", "--json"))[0]["memory"] == 16 << 20
    ok("stop", "toy")
    ok("start", "toy")
    assert json.loads(ok("ps", "--json"))[0]["memory"] == 64 << 20


def test_changes_at_once_are_all_made(toy):
    toy()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: baton("modify", "toy", "--device", f"debug-exit,port={0x500 + i}"),
                                range(16)))
    assert {r.returncode for r in results} == {0}
    assert len(info("toy")["definition"]["devices"]) == 16


def test_rename(toy):
    folder = toy("web", "--disk", "size=1M")
    toy("other")
    before = info("web")
    assert "exists" in refused("rename", "web", "other")
    assert "name" in refused("rename", "web", "../x")
    ok("start", "web")
    assert "stop it first" in refused("rename", "web", "www")
    ok("stop", "web")
    ok("rename", "web", "www")
    assert not folder.exists()
    assert states() == {"www": "shut off", "other": "shut off"}
    after = info("www")
    assert after["uuid"] == before["uuid"]
    assert os.path.exists(after["definition"]["disks"][0]["path"])
    ok("start", "www")


def test_autostart(toy):
    toy()
    ok("autostart", "toy")
    assert info("toy")["autostart"]
    ok("autostart", "toy", "--off")
    assert not info("toy")["autostart"]


def edit(name, command, **kwargs):
    return baton("edit", name, env=os.environ | {"EDITOR": command, "VISUAL": ""}, **kwargs)


def test_edit(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = toy()
    before = (folder / "vm.json").read_text()
    for command in ("sed -i s/16777216/5/", "sed -i s/uuid/UUID/", "truncate -s 10", "sed -i 's/\"uuid\": \"./\"uuid\": \"z/'", "false"):
        result = edit("toy", command)
        assert result.returncode == 1
        kept = result.stderr.split("your text: ")[1].rstrip(")\n")
        assert os.path.exists(kept)
        assert (folder / "vm.json").read_text() == before
    assert "nothing was changed" in edit("toy", "true").stderr
    assert edit("toy", "sed -i s/16777216/33554432/").returncode == 0
    assert info("toy")["memory"] == 32 << 20
    changed = edit("toy", f"{BATON} modify toy --cpus 2; sed -i s/33554432/16777216/")
    assert changed.returncode == 1 and "another command" in changed.stderr
    assert (info("toy")["memory"], info("toy")["cpus"]) == (32 << 20, 2)


def test_edit_mends_what_is_damaged(toy):
    folder = toy()
    (folder / "vm.json").write_text((folder / "vm.json").read_text().replace("16777216", "1"))
    assert edit("toy", "sed -i 's/\"memory\": 1/\"memory\": 16777216/'").returncode == 0
    ok("start", "toy")
