# SPDX-License-Identifier: Apache-2.0
"""The machines that programs are measured on: the host itself, Baton, QEMU. All talk by lines."""
import os
import pathlib
import re
import select
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
QEMU = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-nodefaults",
        "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
KERNEL_LINE = "console=ttyS0 quiet tsc=reliable baton.modules=no baton.run=bench-guest"
TICK = os.sysconf("SC_CLK_TCK")


def build_programs(folder):
    """The static program of bench/guest, and an initramfs that holds it; returns both paths."""
    program, initrd = folder / "bench-guest", folder / "initrd.gz"
    subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-o", program,
                    *sorted((ROOT / "bench/guest").glob("*.c")), "-lm"], check=True)
    root = folder / "root/bin"
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, root)
    archive = subprocess.run("find . | cpio --quiet -o -H newc -R 0:0 | gzip -1n", shell=True, check=True,
                             cwd=root.parent, stdout=subprocess.PIPE).stdout
    # The kernel unpacks one archive behind the other.
    initrd.write_bytes((images() / "initrd.gz").read_bytes() + archive)
    return program, initrd


def images(*names):
    done = subprocess.run([ROOT / "tests/images/build.sh", *names], check=True, text=True,
                          stdout=subprocess.PIPE)
    return pathlib.Path(done.stdout.strip())


def cpu_seconds(pid):
    """Processor time that the process and its children that have ended have used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = (int(fields[13]) + int(fields[14])) / TICK
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return children + sum(int(t.read_text().split()[0]) for t in threads) / 1e9


class Machine:
    """A process that runs bench-guest somewhere, with its terminal on standard input and output."""

    def __init__(self, argv, on_cpu=None):
        pin = (lambda: os.sched_setaffinity(0, {on_cpu})) if on_cpu is not None else None
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                                        preexec_fn=pin)
        self.data = b""
        self.wait_for(rb"bench ready\r?\n", 120)

    def wait_for(self, pattern, timeout=600):
        """Reads up to the pattern; returns the time at which it was there."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.data)):
            if not select.select([self.process.stdout], [], [], end - time.monotonic())[0]:
                raise SystemExit(f"bench: {self.process.args[0]}: no {pattern!r} in {timeout} s")
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if not chunk:
                raise SystemExit(f"bench: {self.process.args[0]} ended: {self.data[-2000:]!r}")
            self.data += chunk
        self.data = self.data[match.end():]
        return time.monotonic()

    def measure(self, name, units):
        """Seconds by the clock and of processor time, both of the whole machine."""
        cpu = cpu_seconds(self.process.pid)
        self.process.stdin.write(f"{name} {units}\n".encode())
        start = self.wait_for(rb"start " + name.encode() + rb"\r?\n")
        end = self.wait_for(rb"end " + name.encode() + rb" [0-9a-f]+\r?\n")
        return end - start, cpu_seconds(self.process.pid) - cpu

    def close(self):
        self.process.kill()
        self.process.communicate()


class Host:
    name = "host"

    def __init__(self, program, initrd):
        self.argv = [program, images() / "deb/busybox-static/bin/busybox"]

    def start(self, cpus=1):
        return Machine(self.argv, 0 if cpus == 1 else None)


class Baton:
    name = "Baton"

    def __init__(self, program, initrd, engine="bt"):
        self.argv = [BUILD / "baton", "run", "--engine", engine, "--cpu", "v3", "--memory", "512M",
                     "--kernel", images() / "vmlinuz", "--initrd", initrd, "--append", KERNEL_LINE]

    def start(self, cpus=1):
        return Machine([*self.argv, "--cpus", cpus])


class Qemu:
    def __init__(self, program, initrd, cpu="max"):
        self.name = "TCG" if cpu == "max" else "TCG " + cpu.removeprefix("max,")
        self.argv = [*QEMU, "-cpu", cpu, "-m", "512", "-kernel", images() / "vmlinuz",
                     "-initrd", initrd, "-append", KERNEL_LINE]

    def start(self, cpus=1):
        return Machine([*self.argv, "-smp", cpus])
