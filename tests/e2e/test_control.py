# SPDX-License-Identifier: Apache-2.0
"""The verbs for running VMs, with a guest of a few instructions."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from conftest import PATIENCE, BATON, ENGINE, baton

# Prints "up", then echoes what is typed; the power button (polled) makes it enter S5.
GUEST = r"""
.text
.globl _start
.align 4
	.long 0x1badb002, 0, -0x1badb002
_start:	mov $0x3f8, %dx
	mov $'u', %al
	out %al, %dx
	mov $'p', %al
	out %al, %dx
	mov $10, %al
	out %al, %dx
1:	mov $0x3fd, %dx
	in %dx, %al
	test $1, %al
	jz 2f
	mov $0x3f8, %dx
	in %dx, %al
	out %al, %dx
2:	mov $0x600, %dx
	in %dx, %ax
	test $0x100, %ax
	jz 1b
	mov $0x604, %dx
	mov $(1 << 13), %ax
	out %ax, %dx
	jmp 1b
"""


@pytest.fixture
def kernel(tmp_path):
    (tmp_path / "guest.S").write_text(GUEST)
    path = tmp_path / "guest.elf"
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-Ttext=0x100000",
                    "-o", path, tmp_path / "guest.S"], check=True)
    return path


def wait_for(what, timeout=10):
    end = time.monotonic() + PATIENCE * timeout
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def vm(state_home, kernel, start):
    """A VM named "toy" with its serial port at a socket; gives the process."""
    guest = start("run", "--engine", ENGINE, "--memory", "16", "--name", "toy", "--kernel", kernel,
                  "--serial", f"unix:{state_home}/serial")
    wait_for(lambda: [v["state"] for v in listed()] == ["running"])
    return guest


def listed():
    return json.loads(baton("ps", "--json").stdout)


class Console:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.text = ""

    def expect(self, text, timeout=10):
        self.socket.settimeout(PATIENCE * timeout)
        while text not in self.text:
            self.text += self.socket.recv(4096).decode()
        self.text = self.text.partition(text)[2]


def test_stop_presses_the_power_button(vm):
    assert baton("stop", "toy", "--timeout", "20").returncode == 0
    assert vm.wait(5) == 0
    assert listed() == []


def test_reset_restarts_the_guest(vm, state_home):
    console = Console(state_home / "serial")
    console.expect("up\n")
    for _ in range(5):
        assert baton("reset", "toy").returncode == 0
        console.expect("up\n")
    assert vm.process.poll() is None


def test_a_paused_guest_stands_still(vm, state_home):
    console = Console(state_home / "serial")
    console.expect("up\n")
    assert baton("pause", "toy").returncode == 0
    assert baton("pause", "toy").returncode == 0
    assert listed()[0]["state"] == "paused"
    before = listed()[0]["uptime_ns"]
    console.socket.send(b"typed")
    time.sleep(0.3)
    assert listed()[0]["uptime_ns"] == before
    with pytest.raises(TimeoutError):
        console.expect("typed", 0.2)
    assert baton("resume", "toy").returncode == 0
    console.expect("typed")


def test_a_paused_vm_can_be_stopped_by_force(vm):
    baton("pause", "toy")
    assert baton("stop", "toy", "--force").returncode == 0
    assert vm.wait(5) == 0


def test_console_joins_the_serial_port(vm, state_home):
    wait_for((state_home / "serial").exists)
    console = subprocess.Popen([BATON, "console", "toy"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    console.stdin.write(b"hello\n")
    console.stdin.flush()
    text = b""
    while b"hello" not in text:
        text += os.read(console.stdout.fileno(), 100)
    console.stdin.write(b"\x1d")
    console.stdin.flush()
    assert console.wait(10) == 0
    assert vm.process.poll() is None


def test_stats_are_numbers(vm):
    stats = json.loads(baton("stats", "toy", "--json").stdout)
    assert stats and all(isinstance(n, int) for n in stats.values())
    assert len(baton("stats", "toy").stdout.splitlines()) >= len(stats)


def test_rubbish_on_the_control_socket_harms_nobody(vm, state_home):
    path = str(state_home / "run/baton/toy.sock")
    for data in (b"\xff" * 70000, b"{" * 30000 + b"\n", b"\n" * 1000, b'{"jsonrpc": "2.0"}\n'):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        try:
            client.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        client.close()
    assert listed()[0]["state"] == "running"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_the_vm_in_order(vm, state_home, number):
    vm.process.send_signal(number)
    assert vm.wait(10) == 128 + number
    assert not (state_home / "run/baton/toy.sock").exists()
    assert listed() == []


def test_many_vms_at_once(state_home, kernel, start):
    for _ in range(4):
        start("run", "--engine", ENGINE, "--memory", "16", "--kernel", kernel, "--serial", "none")
    wait_for(lambda: len(listed()) == 4)
    wait_for(lambda: all(v["state"] == "running" for v in listed()))
    assert [v["name"] for v in listed()] == ["vm-1", "vm-2", "vm-3", "vm-4"]
    for v in listed():
        assert baton("stop", v["name"], "--force").returncode == 0
    assert listed() == []
