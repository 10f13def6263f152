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

from conftest import BATON, ENGINE, baton
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
