# SPDX-License-Identifier: Apache-2.0
"""Saved states: a Linux guest at work goes on where it was, also on the other side of a file."""
import json
import socket
import subprocess
import time

import pytest

from conftest import ENGINE, baton


class Control:
    """A client of a VM's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        self.progress = []

    def call(self, method, **params):
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self.file.flush()
        while True:
            message = json.loads(self.file.readline())
            if message.get("method") == "progress":
                self.progress.append(message["params"])
                continue
            if "error" in message:
                raise RuntimeError(message["error"]["message"])
            return message["result"]


def control(state_home, name="vm-1"):
    return Control(state_home / f"run/baton/{name}.sock")


# Files in tmpfs with their checksums, an open and deleted file, a process that counts.
WORK = """
mkdir -p /w && mount -t tmpfs t /w && cd /w
for i in 1 2 3 4 5 6 7 8; do head -c 3000000 /dev/urandom >f$i; done; sha256sum f* >sums
exec 7<>/w/open; rm /w/open; echo kept >&7
(n=0; while :; do n=$((n+1)); echo $n >/w/new; mv /w/new /w/count; done) & echo $! >/w/pid
"""


def start_work(guest):
    for line in WORK.strip().splitlines():
        guest.run(line)


def check_work(guest):
    """Everything is as it was, and the counter counts."""
    guest.run("sha256sum -c -s sums")
    assert guest.run("cat </proc/$$/fd/7").strip() == "kept"
    pid = guest.run("cat /w/pid").strip()
    guest.run(f"kill -0 {pid}")
    before = int(guest.run("cat /w/count; sleep 0.5"))
    assert int(guest.run("cat /w/count")) > before
    assert not guest.run("dmesg | grep -E 'stall|lockup|BUG|WARNING' || true").strip()


@pytest.mark.parametrize("cpus", [1, 2])
def test_save_ends_the_vm_and_restore_goes_on(linux, state_home, cpus):
    args = ["--cpus", cpus, "--net", "none"]
    guest = linux("quiet", *args)
    guest.expect("guest# ", 120)
    start_work(guest)
    uptime = float(guest.run("cat /proc/uptime").split()[0])
    vm = control(state_home)
    answer = vm.call("save", path=str(state_home / "saved"))
    assert guest.wait(10) == 0
    assert answer["pause_ns"] > 0 and vm.progress[-1]["done"] == vm.progress[-1]["total"] > 0
    time.sleep(2)
    again = linux("quiet", *args, "--restore", state_home / "saved")
    after = float(again.run("cat /proc/uptime").split()[0])
    assert uptime <= after < uptime + 60
    check_work(again)
    again.send("exit\n")
    assert again.wait(60) == 0
