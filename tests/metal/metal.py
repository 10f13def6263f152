# SPDX-License-Identifier: Apache-2.0
"""Baton's own kernel in QEMU, which emulates AMD-V: runs shell commands there and gives what they print.

    python3 tests/metal/metal.py [-f FILE ...] COMMAND ...
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tests/e2e"))
import nested  # noqa: E402  (its archive writer)


@dataclasses.dataclass
class Result:
    status: int   # of the last command; None if the end was not reached
    output: str   # what the commands printed, and the kernel's messages meanwhile
    console: str  # everything from power-on


class Monitor:
    """QEMU's control socket (QMP), as soon as there is one."""

    def __init__(self, path):
        s = socket.socket(socket.AF_UNIX)
        while s.connect_ex(str(path)):
            time.sleep(0.1)
        self.lines, self.events = s.makefile("rw"), []
        self.lines.readline()  # the greeting
        self("qmp_capabilities")

    def read(self):
        """The next message; {} when the machine is off."""
        return json.loads(self.lines.readline() or "{}")

    def __call__(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.lines, flush=True)
        while "event" in (message := self.read()):
            self.events.append(message["event"])
        assert "return" in message, message
        return message["return"]

    def command(self, line):
        """One of the commands that people use."""
        return self("human-monitor-command", **{"command-line": line})

    def event(self):
        """The name of the next event; None: the machine is off."""
        return self.events.pop(0) if self.events else self.read().get("event")


def base_initramfs():
    """The image's own, without the guests' Linux when it is not asked for."""
    subprocess.run([ROOT / "kernel/image/build.sh", "initramfs"], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {"BUILD": str(BUILD)})
    return BUILD / "metal/initramfs.cpio"


def write_initramfs(file, commands, files):
    file.write(base_initramfs().read_bytes())
    archive = nested.Archive(file)
    archive.add("commands", stat.S_IFREG | 0o755, ("#!/bin/sh\n" + commands.rstrip("\n") + "\n").encode())
    for name, source in files.items():
        archive.add_file(name, source)
    archive.close()
    file.flush()


def run_on_metal(commands, files=None, timeout=240, cpus=2, memory=1024, cpu="max", machine=(), options="",
                 accel="tcg"):
    """Runs the shell script `commands` as the machine's work, with `files` ({"name in /": host path}).

    What runs guests while other processors are busy needs nested.ACCEL (its comment tells why); the rest shows more
    races without it, and is faster where one processor waits for another."""
    with tempfile.NamedTemporaryFile(prefix="baton-metal-") as initramfs:
        write_initramfs(initramfs, commands, files or {})
        argv = ["qemu-system-x86_64", "-accel", accel, "-cpu", cpu, "-smp", str(cpus), "-m", str(memory),
                "-kernel", BUILD / "baton-kernel", "-initrd", initramfs.name,
                "-append", f"panic=off run=/commands {options}", "-nodefaults", "-no-reboot",
                "-display", "none", "-serial", "stdio", *machine]
        try:
            raw = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=timeout).stdout
        except subprocess.TimeoutExpired as late:
            raw = late.stdout or b""
    console = raw.decode(errors="replace").replace("\r", "")
    output = console.partition("metal: begin\n")[2]
    ends = list(re.finditer(r"^baton: exit status (\d+)$", output, re.M))  # guests say it too
    end = ends[-1] if ends and "power off" in output[ends[-1].end():] else None
    return Result(int(end.group(1)) if end else None, output[:end.start()] if end else output, console)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-f", "--file", action="append", default=[], metavar="FILE[:NAME]")
    parser.add_argument("--timeout", type=float, default=240)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    files = {}
    for text in args.file:
        source, _, name = text.partition(":")
        files[name or pathlib.Path(source).name] = source
    result = run_on_metal("\n".join(args.command), files, args.timeout, args.cpus)
    print(result.output if result.status is not None else result.console)
    sys.exit(1 if result.status is None else result.status)


if __name__ == "__main__":
    main()
