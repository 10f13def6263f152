# SPDX-License-Identifier: Apache-2.0
"""Memory that a running guest gives up and gets back."""
import json
import pathlib
import time

from conftest import BUILD, ENGINE, PATIENCE, baton

MIB = 1 << 20


def ask():
    done = baton("balloon", "vm-1", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for_vm():
    end = time.monotonic() + 30 * PATIENCE
    while baton("balloon", "vm-1").returncode:
        assert time.monotonic() < end
        time.sleep(0.1)


def wait_until(condition):
    end = time.monotonic() + 60 * PATIENCE
    while not condition(ask()):
        assert time.monotonic() < end, ask()
        time.sleep(0.1)


def free_in(guest):
    return int(guest.run("awk '/^MemFree/ {print $2}' /proc/meminfo").split()[0]) * 1024


def test_a_guest_gives_memory_up_and_gets_it_back(linux):
    guest = linux("quiet", memory="256M")
    guest.expect("guest# ", 120)
    wait_until(lambda b: b["driver"] and "free" in b["guest"])
    before = ask()
    assert before["memory"] == before["target"] == before["actual"] == 256 * MIB
    assert abs(before["guest"]["free"] - free_in(guest)) < 32 * MIB
    had = free_in(guest)

    guest.run("dd if=/dev/zero of=/tmp/x bs=1M count=100 && rm /tmp/x", 120)
    pid = json.loads(baton("ps", "--json").stdout)[0]["pid"]
    touched = resident(pid)
    assert baton("balloon", "vm-1", "128M").returncode == 0
    wait_until(lambda b: b["actual"] == 128 * MIB)
    assert had - free_in(guest) > 96 * MIB
    assert resident(pid) < touched - 48 * MIB, "the host has it back"
    assert "given            128 MiB" in baton("balloon", "vm-1").stdout

    assert baton("balloon", "vm-1", "256").returncode == 0
    wait_until(lambda b: b["actual"] == 256 * MIB)
    guest.run("dd if=/dev/zero of=/tmp/x bs=1M count=100 && rm /tmp/x", 120)  # which is there again


def resident(pid):
    """Bytes of the process that lie in memory, those it shares with files as well."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_what_it_cannot_have(start):
    start("run", "--engine", ENGINE, "--memory", "32M", "--kernel", BUILD / "guests/spin")
    wait_for_vm()
    for size, words in (("3M", "4 MiB to 32 MiB"), ("0", "4 MiB to 32 MiB"), ("33M", "4 MiB to 32 MiB"), ("9E", "is not a size"),
                        ("-5", "unknown option"), ("much", "is not a size")):
        done = baton("balloon", "vm-1", size)
        assert done.returncode == 1 and words in done.stderr, done
    assert ask()["target"] == 32 * MIB
    assert "nobody" in baton("balloon", "nobody").stderr


def test_without_a_driver(start):
    """It is told, and a driver that comes later finds the wish."""
    start("run", "--engine", ENGINE, "--memory", "32M", "--kernel", BUILD / "guests/spin")
    wait_for_vm()
    done = baton("balloon", "vm-1", "16M")
    assert done.returncode == 0 and "no driver" in done.stderr
    said = ask()
    assert (said["target"], said["actual"], said["driver"], said["guest"]) == (16 * MIB, 32 * MIB, False, {})
    assert "no driver" in baton("balloon", "vm-1").stdout
