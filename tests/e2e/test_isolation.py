# SPDX-License-Identifier: Apache-2.0
"""What the VMM's process looks like from the host while translated code runs."""
import os
import pathlib
import re

from conftest import ENGINE, baton


def descendants(pid):
    """Processes started by `pid`, itself included."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_no_memory_is_writable_and_executable(linux):
    guest = linux("quiet", "--cpus", "2")
    guest.expect("guest# ", 120)
    guest.run("for i in 1 2; do sha256sum /bin/busybox & done; wait")
    executable = []
    for pid in descendants(guest.process.pid):
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            fields = line.split()
            assert not re.match(".wx", fields[1]), line
            if fields[1][2] == "x":
                executable.append(line)
    # The translator's code is there, under the name of its second mapping.
    if ENGINE.startswith("bt"):
        assert any("memfd" in line for line in executable), executable
    guest.send("exit\n")
    assert guest.wait(60) == 0


def confinement(pid):
    """Of each thread of the VM's process: no_new_privs and the mode of its system call filter."""
    found = set()
    for status in pathlib.Path("/proc").glob(f"{pid}/task/*/status"):
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        found.add((fields["NoNewPrivs"], fields["Seccomp"]))
    return found


def test_every_thread_is_in_the_sandbox(linux):
    guest = linux("quiet", "--cpus", "2", "--display", "vnc")
    guest.expect("guest# ", 120)
    assert confinement(guest.process.pid) == {("1", "2")}


def test_the_sandbox_can_be_off(linux):
    guest = linux("quiet", "--sandbox", "off")
    guest.expect("guest# ", 120)
    assert confinement(guest.process.pid) == confinement(os.getpid())
    result = baton("run", "--kernel", "/bin/true", "--sandbox", "perhaps")
    assert result.returncode and "auto, on, off" in result.stderr
