# SPDX-License-Identifier: Apache-2.0
"""A host with hardware virtualization for tests, on machines that have none.

QEMU's TCG emulates AMD-V. run_in_kvm_host() boots Debian's cloud kernel there with kvm-amd, puts the
given files into its root folder and runs shell commands; what they print comes back. It is slow
(four seconds to the first command on an idle machine) but it is real KVM. Two things differ from
hardware: the processors' TSCs are not in step, and XSETBV does not leave the guest, so that KVM does not
learn of it and guests with AVX (CPU models v3, v4, host) find their XSAVE size wrong.

    python3 tests/e2e/nested.py [-f FILE ...] COMMAND ...
"""
import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# One thread for all processors. With more, QEMU 7.2 now and then keeps code that another processor changed, and a Linux
# that patches itself runs into the same stale INT3 for ever; and each XRSTOR of any processor writes back the first one's
# hflags2 (cpu_clear_ignne()), which loses what that one changes there just then: that it left nested paging or CLGI.
# Then its guest is found with the host's registers, ends by a triple fault, or no interrupt comes any more.
ACCEL = "tcg,thread=single"
MODULES = ["irqbypass", "rng-core", "ccp", "kvm", "kvm-amd"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=dumb
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /root /run
mount -t devpts devpts /dev/pts
ip link set lo up
for m in MODULES; do [ -e /modules/$m.ko ] && insmod /modules/$m.ko; done
echo nested: begin
sh /commands
echo nested: exit status $?
poweroff -f
"""


def image_folder():
    return pathlib.Path(os.environ.get("BATON_IMAGES", ROOT / ".cache" / "images"))


def missing():
    """Why such a host cannot be had here, or None."""
    if not shutil.which("qemu-system-x86_64"):
        return "needs qemu-system-x86_64 (package qemu-system-x86)"
    return None


class Archive:
    """An initramfs in the "newc" cpio format, written without touching the host's file system."""

    def __init__(self, file):
        self.file = file
        self.inode = 0
        self.names = set()

    def add(self, name, mode, data=b""):
        name = name.lstrip("/")
        if name in self.names:
            return
        self.names.add(name)
        self.inode += 1
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = "070701" + "".join(f"{f:08x}" for f in fields)
        self.pad(head.encode() + name.encode() + b"\0")
        self.pad(data)

    def pad(self, data):
        self.file.write(data + b"\0" * (-len(data) % 4))

    def folders(self, name):
        parts = name.lstrip("/").split("/")[:-1]
        for n in range(1, len(parts) + 1):
            self.add("/".join(parts[:n]), stat.S_IFDIR | 0o755)

    def add_file(self, name, source, mode=0o755):
        self.folders(name)
        self.add(name, stat.S_IFREG | mode, pathlib.Path(source).read_bytes())

    def close(self):
        self.add("TRAILER!!!", 0)


def shared_libraries(program):
    """Absolute paths of the libraries (and loader) of a dynamically linked program."""
    out = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    return re.findall(r"(/\S+)", out.stdout) if out.returncode == 0 else []


def write_initramfs(file, commands, files):
    images = image_folder()
    archive = Archive(file)
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add_file("bin/busybox", images / "deb/busybox-static/bin/busybox")
    for module in MODULES:
        for path in (images / "kernel/lib/modules").glob(f"*/kernel/**/{module}.ko"):
            archive.add_file(f"modules/{module}.ko", path)
    init = INIT.replace("MODULES", " ".join(MODULES))
    archive.add("init", stat.S_IFREG | 0o755, init.encode())
    archive.add("commands", stat.S_IFREG | 0o644, (commands.rstrip("\n") + "\n").encode())
    for name, source in files.items():
        archive.add_file(name, source)
        for library in shared_libraries(source):
            archive.add_file(library, library)
    archive.close()


@dataclasses.dataclass
class Result:
    status: int     # of the last command; None if the end was not reached
    output: str     # what the commands printed, and the host kernel's messages meanwhile
    console: str    # everything from power-on


def run_in_kvm_host(*args, **options):
    """As run_once(), again if the host's own Linux panicked, which no program on it can bring about: QEMU 7.2 rarely gives
    it an interrupt with the state of another moment."""
    result = run_once(*args, **options)
    panicked = result.status is None and "Kernel panic - not syncing" in result.console
    return run_once(*args, **options) if panicked else result


def run_once(commands, files=None, timeout=240, cpus=2, memory=1536, cpu="max,-smap", machine=()):
    """Runs the shell script `commands` with `files` ({"name in /": host path}) on an emulated AMD-V.

    With another `cpu` of QEMU it is a host with an older processor. On a busy machine ticks come too late for
    Linux's check of the timer, which then panics: it is left out."""
    subprocess.run([ROOT / "tests/images/build.sh", "kernel", "initrd"], check=True,
                   stdout=subprocess.DEVNULL)
    with tempfile.NamedTemporaryFile(prefix="baton-nested-") as initrd:
        write_initramfs(initrd, commands, files or {})
        initrd.flush()
        argv = ["qemu-system-x86_64", "-accel", ACCEL, "-cpu", cpu, "-smp", str(cpus),
                "-m", str(memory), "-kernel", image_folder() / "vmlinuz", "-initrd", initrd.name,
                "-append", "console=ttyS0 quiet mitigations=off panic=-1 no_timer_check", "-nodefaults",
                "-no-reboot", "-display", "none", "-serial", "stdio", *machine]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=timeout)
            raw = done.stdout
        except subprocess.TimeoutExpired as late:
            raw = late.stdout or b""
    console = raw.decode(errors="replace").replace("\r", "")
    output = console.partition("nested: begin\n")[2]
    end = re.search(r"^nested: exit status (\d+)$", output, re.M)
    return Result(int(end.group(1)) if end else None, output[:end.start()] if end else output, console)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-f", "--file", action="append", default=[], metavar="FILE[:NAME]",
                        help="put FILE into the host's root folder")
    parser.add_argument("--timeout", type=float, default=240)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    if missing():
        sys.exit(missing())
    files = {}
    for text in args.file:
        source, _, name = text.partition(":")
        files[name or pathlib.Path(source).name] = source
    result = run_in_kvm_host("\n".join(args.command), files, args.timeout, args.cpus)
    print(result.output if result.status is not None else result.console)
    sys.exit(1 if result.status is None else result.status)


if __name__ == "__main__":
    main()
