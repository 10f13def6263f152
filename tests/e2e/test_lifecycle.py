# SPDX-License-Identifier: Apache-2.0
"""VMs that are kept: create, start, stop, delete, and the states between them."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import BATON, ENGINE, baton, needs
from test_control import kernel, wait_for  # noqa: F401: a fixture


def ok(*args, **kwargs):
    result = baton(*args, **kwargs)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(*args):
    """The one line on stderr of a command that must fail with status 1."""
    result = baton(*args)
    assert result.returncode == 1, result
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


def info(name):
    return json.loads(ok("info", name, "--json"))


def states():
    return {v["name"]: v["state"] for v in json.loads(ok("list", "--all", "--json"))}


def virtual_size(qcow2):
    """Bytes that the guest sees: a big-endian number at offset 24."""
    return int.from_bytes(pathlib.Path(qcow2).read_bytes()[24:32], "big")


@pytest.fixture
def toy(state_home, kernel):  # noqa: F811
    """create(NAME, ...) defines a VM of a few instructions; all are ended after the test."""

    def create(name="toy", *args):
        ok("create", name, "--engine", ENGINE, "--memory", "16", "--kernel", kernel, *args)
        return state_home / "state/baton/vms" / name

    yield create
    for vm in json.loads(ok("list", "--json")):
        os.kill(vm["pid"], signal.SIGKILL)


def test_a_vm_is_kept(toy):
    folder = toy("web", "--title", "Web server", "--description", "two\nlines", "--disk", "size=1G",
                 "--net", "user")
    vm = info("web")
    assert (vm["state"], vm["title"], vm["description"]) == ("shut off", "Web server", "two\nlines")
    assert vm["persistent"] and not vm["autostart"] and vm["id"] is None and vm["pid"] is None
    assert uuid.UUID(vm["uuid"]).version == 4
    definition = json.loads((folder / "vm.json").read_text())
    assert definition["uuid"] == vm["uuid"] and definition["version"] == 1
    assert definition["memory"] == 16 << 20
    disk = pathlib.Path(vm["definition"]["disks"][0]["path"])
    assert disk.parent == folder and disk.stat().st_blocks * 512 < 1 << 20
    assert vm["definition"]["nets"][0]["mac"].startswith("52:54:00:")
    assert json.loads(ok("list", "--json")) == []
    assert states() == {"web": "shut off"}
    assert "Web server" in ok("list", "--all")
    assert re.search("^description  two\n             lines$", ok("info", "web"), re.M)


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


def test_more_memory_than_the_host_has_is_told(toy):
    """It may start all the same: a guest need not use what it has."""
    have = int(re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) >> 10
    if have > 250 << 10:
        pytest.skip("this host has more than a VM can have")
    toy()
    assert "warning" not in baton("start", "toy").stderr
    ok("stop", "toy", "--force")
    ok("modify", "toy", "--memory", "254G")
    said = baton("start", "toy").stderr
    assert re.search(r"warning: toy has 260096 MiB of memory, more than the \d+ MiB that this host has", said), said
    baton("stop", "toy", "--force")


def test_modify_wants_to_know_what(toy):
    toy()
    done = baton("modify", "toy")
    assert done.returncode == 1 and "modify needs an option; see `baton modify --help`" in done.stderr
    assert "debug-exit" in ok("modify", "toy", "--device", "help")


def test_started_and_stopped(toy):
    toy()
    ok("start", "toy")
    vm = info("toy")
    assert (vm["state"], vm["reason"], vm["id"]) == ("running", "booted", 1)
    assert vm["pid"] > 0 and abs(vm["since"] - time.time()) < 60
    assert "running already" in refused("start", "toy")
    assert [v["name"] for v in json.loads(ok("ps", "--json"))] == ["toy"]
    ok("stop", "toy")
    vm = info("toy")
    assert (vm["state"], vm["reason"], vm["exit_status"]) == ("shut off", "shutdown", 0)
    ok("start", vm["uuid"])
    assert info("toy")["id"] == 2
    ok("stop", "toy", "--force")
    assert info("toy")["reason"] == "destroyed"


def test_the_process_is_on_its_own(toy):
    """Nobody's pipe, terminal or session is held by a VM in the background."""
    toy()
    ends = os.pipe()
    started = subprocess.run([BATON, "start", "toy"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=120, pass_fds=ends)
    assert started.returncode == 0, started.stdout
    pid = info("toy")["pid"]
    files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not any("pipe" in f and f == os.readlink(f"/proc/self/fd/{ends[1]}") for f in files)
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{pid}/fd/1").endswith("/toy/log")


def test_a_killed_vm_has_crashed_and_starts_again(toy):
    toy()
    for _ in range(3):
        ok("start", "toy")
        os.kill(info("toy")["pid"], signal.SIGKILL)
        wait_for(lambda: states() == {"toy": "crashed"})
        assert info("toy")["reason"] == "killed"
    ok("start", "toy")
    assert states() == {"toy": "running"}


def test_a_stopped_process_is_ended_by_force(toy):
    toy()
    ok("start", "toy")
    os.kill(info("toy")["pid"], signal.SIGSTOP)
    assert subprocess.run([BATON, "stop", "toy", "--force"], timeout=120).returncode == 0
    assert (info("toy")["state"], info("toy")["reason"]) == ("shut off", "destroyed")


def test_paused_needs_force(toy):
    toy()
    ok("start", "toy")
    ok("pause", "toy")
    assert (info("toy")["state"], info("toy")["reason"]) == ("paused", "user")
    assert "resume" in refused("stop", "toy")
    ok("stop", "toy", "--force")


def test_a_failed_start_tells_why_and_leaves_the_vm_startable(toy):
    folder = toy()
    path = folder / "vm.json"
    definition = json.loads(path.read_text())
    definition["devices"] = [{"name": "flux-capacitor"}]
    path.write_text(json.dumps(definition))
    assert "flux-capacitor" in refused("start", "toy")
    assert (info("toy")["state"], info("toy")["reason"]) == ("shut off", "failed")
    definition["devices"] = []
    path.write_text(json.dumps(definition))
    ok("start", "toy")


def test_names_and_files_in_the_way(toy):
    toy("web")
    assert "exists" in refused("create", "web", "--kernel", "/bin/true")
    assert "defined" in refused("run", "--name", "web", "--kernel", "/bin/true")
    for name in ("../web", "a/b", ".hidden", "x" * 64, "", "web\n", "-"):
        assert "name" in refused("create", "--kernel", "/bin/true", "--", name)
        assert "no VM named" in refused("info", "--", name)
        assert "no VM named" in refused("delete", "--", name)
    assert "/does/not/exist" in refused("create", "x", "--kernel", "/does/not/exist")
    assert "baton create" in refused("run", "--disk", "size=1G", "--kernel", "/bin/true")
    assert states() == {"web": "shut off"}


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


def test_delete(toy):
    own = toy("a", "--disk", "size=1M")
    ok("delete", "a", "--disks")
    assert not own.exists() and states() == {}
    toy("a", "--disk", "size=1M")
    disk = pathlib.Path(info("a")["definition"]["disks"][0]["path"])
    disk.write_bytes(b"precious" + bytes((1 << 20) - 8))
    kept = ok("delete", "a").split()
    assert kept[0] == "kept" and pathlib.Path(kept[1]).read_bytes()[:8] == b"precious"
    assert states() == {}
    toy("a", "--disk", kept[1])
    ok("start", "a")
    assert "stop it first" in refused("delete", "a", "--disks")
    ok("stop", "a")
    ok("delete", "a", "--disks")
    assert pathlib.Path(kept[1]).exists(), "not made for this VM"


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


def test_commands_at_once(toy):
    """Of many starts one succeeds; of many creates one; nothing is in between."""
    toy()
    with ThreadPoolExecutor(12) as pool:
        starts = list(pool.map(lambda _: baton("start", "toy"), range(12)))
        assert sorted(s.returncode for s in starts) == [0] + [1] * 11
        assert all("already" in s.stderr for s in starts if s.returncode)
        stops = list(pool.map(lambda _: baton("stop", "toy", "--force"), range(6)))
        assert 0 in [s.returncode for s in stops]
        creates = list(pool.map(lambda _: baton("create", "new", "--kernel", "/bin/true", "--disk",
                                                "size=1M"), range(12)))
        assert sorted(c.returncode for c in creates) == [0] + [1] * 11
        deletes = list(pool.map(lambda _: baton("delete", "new", "--disks"), range(12)))
        assert sorted(d.returncode for d in deletes) == [0] + [1] * 11
    assert states() == {"toy": "shut off"}


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


def test_autostart_all(toy):
    for name in ("a", "b", "c"):
        folder = toy(name)
    ok("autostart", "a")
    ok("modify", "c", "--autostart")
    ok("autostart-all")
    assert states() == {"a": "running", "b": "shut off", "c": "running"}
    ok("autostart-all")
    ok("stop", "c")
    ok("autostart", "b")
    (folder / "vm.json").write_text((folder / "vm.json").read_text().replace("guest.elf", "gone.elf"))
    result = baton("autostart-all")
    assert result.returncode == 1 and "gone.elf" in result.stderr and "1 of" in result.stderr
    assert states() == {"a": "running", "b": "running", "c": "shut off"}


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


def test_log(toy):
    toy()
    assert "has not been started" in refused("log", "toy")
    ok("start", "toy")
    assert "engine" in ok("log", "toy")
    follower = subprocess.Popen([BATON, "log", "-f", "toy"], stdout=subprocess.PIPE, text=True)
    with open(f"/proc/{info('toy')['pid']}/fd/2", "a") as log:
        log.write("said later\n")
    assert any("said later" in line for line in iter(follower.stdout.readline, ""))
    ok("stop", "toy", "--force")
    assert follower.wait(60) == 0


def test_top(toy):
    toy("a")
    ok("start", "a")
    rows = json.loads(ok("top", "--json", "--interval", "0.3"))
    assert [r["name"] for r in rows] == ["a"]
    assert rows[0]["cpu"] > 1 and rows[0]["memory_used"] > 1 << 20
    assert rows[0]["memory_given"] == 16 << 20
    toy("b")
    ok("start", "b")
    ok("pause", "b")
    time.sleep(0.2)
    lines = ok("top", "--batch", "--count", "2", "--interval", "0.3").splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "a", "b"] * 2
    assert "cpu" in refused("top", "--sort", "beauty")


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


def test_a_process_that_does_not_answer_holds_nobody_up(toy):
    toy("hung")
    toy("well")
    ok("start", "hung")
    ok("start", "well")
    os.kill(info("hung")["pid"], signal.SIGSTOP)
    assert states() == {"hung": "running", "well": "running"}
    assert info("hung")["reason"] == "does not answer"
    assert [v["name"] for v in json.loads(ok("ps", "--json"))] == ["hung", "well"]
    ok("top", "--batch", "--interval", "0.1")


def test_two_hundred_vms(toy):
    folder = toy("vm0")
    for i in range(1, 200):
        (folder.parent / f"vm{i}").mkdir()
        (folder.parent / f"vm{i}/vm.json").write_text((folder / "vm.json").read_text())
    assert len(states()) == 200
    assert list(states())[:3] == ["vm0", "vm1", "vm2"], "numbers sort as numbers"


def test_console_of_a_started_linux(state_home, images, start):
    """start --console joins, Ctrl-] leaves, the guest goes on; it sees the VM's UUID."""
    ok("create", "lin", "--engine", ENGINE, "--memory", "256M", "--kernel", images / "vmlinuz", "--initrd",
       images / "initrd.gz", "--append", "console=ttyS0 quiet")
    joined = start("start", "lin", "--console")
    joined.expect("guest# ", 120)
    vm = info("lin")
    assert joined.run("cat /sys/class/dmi/id/product_uuid").strip() == vm["uuid"]
    joined.run("cd /tmp && echo here >file")
    joined.send("\x1d")
    assert joined.wait(60) == 0
    again = start("console", "lin")
    again.send("\n")
    again.expect("guest# ")
    assert "another terminal" in refused("console", "lin")
    assert again.run("pwd; cat file").split() == ["/tmp", "here"]
    ok("stop", "lin", "--force")
    assert again.wait(60) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user then")
def test_an_ordinary_user(tmp_path, kernel):  # noqa: F811
    """With a home folder and nothing else: no XDG variables, no privileges."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for folder in [home, *home.parents]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o111)
    kernel.chmod(0o644)

    def user(*args):
        result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BATON, *args],
                                env={"HOME": str(home), "PATH": os.environ["PATH"]}, capture_output=True,
                                text=True, timeout=60, cwd="/")
        assert result.returncode == 0, result.stderr
        return result.stdout

    user("create", "mine", "--engine", "bt", "--memory", "16", "--kernel", str(kernel), "--disk", "size=1M")
    user("start", "mine")
    assert json.loads(user("info", "mine", "--json"))["state"] == "running"
    assert (home / ".local/state/baton/vms/mine/vm.json").stat().st_mode & 0o077 == 0
    user("stop", "mine", "--force")
    user("delete", "mine", "--disks")
    assert user("list", "--all", "--json").strip() == "[]"


def test_several_at_once(toy):
    for name in ("a", "b", "c"):
        toy(name)
    result = baton("start", "a", "nobody", "b")
    assert result.returncode == 1 and result.stderr.count("nobody") == 1
    assert states() == {"a": "running", "b": "running", "c": "shut off"}
    result = baton("pause", "a", "b", "c")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1 and "c is not running" in result.stderr
    assert set(states().values()) == {"paused", "shut off"}
    ok("resume", "a", "b")
    ok("stop", "a", "b", "--force")
    ok("delete", "a", "b", "c")
    assert states() == {}
    assert "one virtual machine" in refused("start", "--console", "a", "b")


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


def fill_up(path):
    with open(path, "wb", buffering=0) as fill, pytest.raises(OSError):
        while True:
            fill.write(bytes(1024))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root")
def test_a_full_host_disk(state_home, kernel):  # noqa: F811
    """What does not fit is refused, what was there stays, and works again when there is space."""
    small = state_home / "state"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small]).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        ok("create", "a", "--engine", ENGINE, "--memory", "16", "--kernel", kernel)
        before = info("a")
        fill_up(small / "fill")
        for args in (["create", "b", "--kernel", kernel], ["modify", "a", "--cpus", "2"], ["clone", "a", "b"],
                     ["create", "b", "--kernel", kernel, "--disk", "size=1M"], ["start", "a"]):
            assert "No space left" in refused(*args)
        (state_home / "source").write_bytes(os.urandom(1 << 20))
        said = baton("disk", "convert", state_home / "source", small / "copy.qcow2")
        assert said.returncode == 1 and re.fullmatch("baton: .*copy.qcow2: No space left on device\n", said.stderr), said
        assert not (small / "copy.qcow2").exists()
        assert states() == {"a": "shut off"} and info("a") == before
        (small / "fill").unlink()
        ok("start", "a")
        fill_up(small / "fill")
        ok("stop", "a", "--force")
        assert states() == {"a": "shut off"}, "how it ended is known all the same"
    finally:
        subprocess.run(["umount", "-l", small], check=True)
