# SPDX-License-Identifier: Apache-2.0
"""QEMU's gdb stub, just far enough to stop the kernel at a function and to give orders to QEMU's monitor."""
import socket
import subprocess
import time

import metal


def address_of(function):
    symbols = subprocess.run(["nm", metal.BUILD / "baton-kernel"], check=True, capture_output=True, text=True).stdout
    return next(line.split()[0] for line in symbols.splitlines() if line.endswith(f" T {function}"))


class Stub:
    def __init__(self, path, patience=120):
        end = time.monotonic() + patience
        self.socket = socket.socket(socket.AF_UNIX)
        while self.socket.connect_ex(str(path)):
            assert time.monotonic() < end, "QEMU has not started"
            time.sleep(0.1)
        self.stream = self.socket.makefile("rb")

    def byte(self):
        byte = self.stream.read(1)
        assert byte, "QEMU has ended"
        return byte

    def reply(self):
        while self.byte() != b"$":
            pass
        text = b""
        while (byte := self.byte()) != b"#":
            text += byte
        self.stream.read(2)
        self.socket.sendall(b"+")
        return text.decode()

    def ask(self, text):
        self.socket.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        return self.reply()

    def monitor(self, command):
        """What it printed."""
        answer, text = self.ask("qRcmd," + command.encode().hex()), b""
        while answer != "OK":
            assert answer.startswith("O"), answer
            text += bytes.fromhex(answer[1:])
            answer = self.reply()
        return text.decode()

    def reach(self, function):
        at = address_of(function)
        assert self.ask(f"Z1,{at},1") == "OK"
        assert self.ask("c").startswith("T05")
        assert self.ask(f"z1,{at},1") == "OK"

    def go(self):
        self.socket.sendall(b"$c#63")

    def stop(self):
        self.socket.sendall(b"\x03")
        assert self.reply().startswith("T")

    def registers(self, cpu):
        """Of a processor (from 1 on), which the next orders are for: sixteen of 8 bytes, RIP, and 4 each of flags and CS."""
        assert self.ask(f"Hg{cpu}") == "OK"
        return bytearray.fromhex(self.ask("g"))

    def in_kernel(self, cpu):
        return self.registers(cpu)[140] & 3 == 0

    def read(self, address, size):
        return bytes.fromhex(self.ask(f"m{address:x},{size:x}"))

    def write(self, address, data):
        assert self.ask(f"M{address:x},{len(data):x}:{data.hex()}") == "OK"

    def call(self, cpu, function, argument):
        """Lets a processor in the kernel go on, without interrupts, with a function that does not return."""
        registers = self.registers(cpu)
        registers[137] &= ~2  # IF
        for place, value in ((5 * 8, argument), (16 * 8, int(address_of(function), 16))):  # RDI, RIP
            registers[place:place + 8] = value.to_bytes(8, "little")
        assert self.ask(f"G{registers.hex()}") == "OK"


def at_function(path, function, commands=(), do=None):
    """Starts a machine that waits (-S), and gives the monitor's commands and calls do(stub) when it is there for the first
    time."""
    stub = Stub(path)
    stub.reach(function)
    for command in commands:
        stub.monitor(command)
    if do:
        do(stub)
    assert stub.ask("D") == "OK"


def options(path):
    return ["-S", "-gdb", f"unix:{path},server=on,wait=off"]


def configure(slot, register, value):
    """Writes to the configuration of the device in a slot of bus 0."""
    return [f"o /w 0xcf8 {0x80000000 | slot << 11 | register:#x}", f"o /w 0xcfc {value:#x}"]
