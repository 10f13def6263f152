#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boot time and memory of Baton beside QEMU's TCG, in alternating runs.

Measured from outside, from process start: Debian's cloud kernel to the init's first line and to
the end of the process after power-off; Debian with systemd from a disk to its login prompt (with --debian: the
disk takes minutes to make, once, and root); the first byte that a tiny guest prints; private memory of the
VMM process less guest memory. Prints medians, ratios and both command lines.

  bench/boot.py [--runs N] [--engine ENGINE] [--debian]
"""
import argparse
import functools
import os
import pathlib
import re
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BATON = ROOT / "build/baton"
QEMU = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35",
        "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
MEMORY_MIB = 256
MASTER_DISK = pathlib.Path(os.environ.get("BATON_IMAGES", ROOT / ".cache/images")) / "disk.img"
DEBIAN_LINE = "console=ttyS0 quiet root=/dev/vda"
KERNEL_LINE = "console=ttyS0 quiet baton.modules=no baton.run=true"


def tiny_guest(path):
    """A multiboot kernel that prints one byte on the serial port and exits through port 0xf4."""
    code = bytes.fromhex("66ba f803 b042 ee 66ba f400 b010 ee f4 ebfd".replace(" ", ""))
    base = 0x100000
    header = struct.pack("<8I", 0x1BADB002, 0x10000, 2**32 - 0x1BADB002 - 0x10000, base, base, 0, 0,
                         base + 32)
    path.write_bytes(header + code)


def spawn(argv):
    return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def read_until(process, needle):
    """Reads the output up to `needle`; returns the time at which it was complete."""
    data = b""
    while needle not in data:
        chunk = os.read(process.stdout.fileno(), 4096)
        if not chunk:
            sys.exit(f"{process.args[0]} ended before {needle!r}: {data[-2000:]!r}")
        data += chunk
    return time.monotonic()


def boot(argv):
    """Seconds from process start to init's first line and to the process's end; memory in KiB."""
    start = time.monotonic()
    process = spawn(argv)
    init = read_until(process, b"baton: init reached") - start
    memory = private_memory(process.pid)
    process.stdout.read()
    process.wait()
    return {"boot to init (s)": init, "boot to power-off (s)": time.monotonic() - start, **memory}


def login(disk, argv):
    """Seconds from process start to Debian's login prompt, from a fresh copy of the disk."""
    subprocess.run(["cp", "--sparse=always", MASTER_DISK, disk], check=True)
    start = time.monotonic()
    process = spawn(argv)
    seconds = read_until(process, b"baton-guest login:") - start
    process.kill()
    process.communicate()
    return {"Debian to login (s)": seconds}


def private_memory(pid):
    """Private KiB of the process less guest memory, and of that the translated code."""
    own = code = 0
    mapping = ""
    size = 0
    # A page that the process maps twice counts as shared, so all of a mapping's pages are taken.
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            mapping = line
        elif line.startswith("Size:"):
            size = int(line.split()[1])
        elif re.match(r"(Private|Shared)_Dirty:", line) and size < MEMORY_MIB * 1024:
            kib = int(line.split()[1])
            # The code cache is mapped twice, writable and executable: its pages count once.
            if "baton-code" in mapping and " r-xs " in mapping:
                continue
            own += kib
            # Baton names what belongs to translated code; QEMU's is an anonymous rwx mapping.
            if "baton-code" in mapping or " rwxp " in mapping:
                code += kib
    return {"private memory (MiB)": own / 1024, "without code cache (MiB)": (own - code) / 1024}


def first_byte(argv):
    start = time.monotonic()
    process = spawn(argv)
    seconds = read_until(process, b"B") - start
    process.stdout.read()
    process.wait()
    return {"first byte (ms)": seconds * 1000}


def compare(title, runs, measure, ours, theirs):
    print(f"\n{title}")
    print("  Baton: " + shlex.join(str(a) for a in ours))
    print("  QEMU:  " + shlex.join(str(a) for a in theirs))
    results = ([], [])
    for _ in range(runs):
        for argv, result in zip((ours, theirs), results):
            result.append(measure(argv))
    print(f"  {'':28}{'Baton':>10}{'QEMU':>10}{'ratio':>8}   (medians of {runs})")
    for key in results[0][0]:
        a, b = (statistics.median(r[key] for r in result) for result in results)
        print(f"  {key:28}{a:10.2f}{b:10.2f}{a / b:8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--engine", default="bt")
    parser.add_argument("--debian", action="store_true", help="Debian from its disk, too")
    options = parser.parse_args()
    images = pathlib.Path(subprocess.run([ROOT / "tests/images/build.sh"], check=True, text=True,
                                         capture_output=True).stdout.strip())
    baton = [BATON, "run", "--engine", options.engine, "--memory", f"{MEMORY_MIB}M"]
    qemu = [*QEMU, "-m", str(MEMORY_MIB)]
    kernel, initrd = images / "vmlinuz", images / "initrd.gz"
    compare("Debian's cloud kernel with a busybox initramfs", options.runs, boot,
            [*baton, "--kernel", kernel, "--initrd", initrd, "--append", KERNEL_LINE],
            [*qemu, "-kernel", kernel, "-initrd", initrd, "-append", KERNEL_LINE])
    if options.debian:
        subprocess.run([ROOT / "tests/images/build.sh", "disk"], check=True, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as folder:
            disk = pathlib.Path(folder) / "disk.img"
            compare("Debian with systemd on a virtio disk", options.runs, functools.partial(login, disk),
                    [*baton, "--kernel", kernel, "--initrd", initrd, "--append", DEBIAN_LINE, "--disk", disk],
                    [*qemu, "-kernel", kernel, "-initrd", initrd, "-append", DEBIAN_LINE,
                     "-drive", f"file={disk},format=raw,if=virtio"])
    with tempfile.TemporaryDirectory() as folder:
        guest = pathlib.Path(folder) / "tiny"
        tiny_guest(guest)
        compare("A tiny guest", options.runs * 4, first_byte,
                [*baton, "--kernel", guest, "--device", "debug-exit"],
                [*qemu, "-kernel", guest, "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])


if __name__ == "__main__":
    main()
