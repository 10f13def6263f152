#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fio in a guest on qcow2 and raw disks, under Baton's translator and under QEMU's TCG, in turn.

The images are on one file system, fully allocated, virtio-blk, direct I/O in the guest. All guests
are up at once and take turns at each job, for what else the host does changes within seconds. Prints
medians of what fio says and medians of the ratios within a turn; the goals: qcow2 at least 0.9 of
raw, Baton at least 1.5 times TCG.

  bench/disk.py                     7 turns of 2 s each
  bench/disk.py --runs 5 --seconds 10 --engine kvm
  bench/disk.py --cpu                MiB for a second of processor time, for a busy machine
"""
import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile

import machine

SIZE_MIB = 256
JOBS = {
    "sequential read": "--rw=read --bs=1M --iodepth=4",
    "sequential write": "--rw=write --bs=1M --iodepth=4",
    "random read 4 KiB": "--rw=randread --bs=4k --iodepth=16",
    "random write 4 KiB": "--rw=randwrite --bs=4k --iodepth=16",
}
KERNEL_LINE = "console=ttyS0 quiet tsc=reliable baton.run=bench-disk"
# Waits for lines with fio's options; answers with its terse report.
SCRIPT = """#!/bin/sh
stty -echo
echo bench ready
while read -r line; do
	[ "$line" = quit ] && break
	echo "report $(LD_LIBRARY_PATH=/fio /fio/ld.so /fio/fio --name=j --filename=/dev/vda --direct=1 \
		--ioengine=libaio --time_based --randseed=1 --output-format=terse $line) end"
done
"""
READ_KIB, WRITE_KIB = 6, 47  # fields of the terse report, version 3: KiB a second


def build_initrd(folder):
    """The test initramfs with the host's fio and its libraries."""
    root = folder / "root"
    (root / "fio").mkdir(parents=True)
    (root / "bin").mkdir()
    fio = shutil.which("fio")
    listing = subprocess.run(["ldd", fio], check=True, text=True, stdout=subprocess.PIPE).stdout
    for path in re.findall(r"(/\S+)", listing.replace("\t", " ")):
        shutil.copy(path, root / "fio")
    loader = next(p for p in (root / "fio").iterdir() if p.name.startswith("ld-linux"))
    loader.rename(root / "fio/ld.so")
    shutil.copy(fio, root / "fio/fio")
    (root / "bin/bench-disk").write_text(SCRIPT)
    (root / "bin/bench-disk").chmod(0o755)
    archive = subprocess.run("find . | cpio --quiet -o -H newc -R 0:0 | gzip -1n", shell=True, check=True,
                             cwd=root, stdout=subprocess.PIPE).stdout
    initrd = folder / "initrd.gz"
    initrd.write_bytes((machine.images("kernel", "initrd") / "initrd.gz").read_bytes() + archive)
    return initrd


def make_images(folder):
    """Full of data, so that writes allocate nothing; made alike, so that their files are alike."""
    source = folder / "source.raw"
    with open("/dev/urandom", "rb") as random, open(source, "wb") as target:
        for _ in range(SIZE_MIB):
            target.write(random.read(1 << 20))
    images = {(vm, fmt): folder / f"{vm}.{fmt}" for vm in ("Baton", "TCG") for fmt in ("raw", "qcow2")}
    for image in images.values():
        subprocess.run([machine.BUILD / "baton", "disk", "convert", source, image], check=True)
    source.unlink()
    return images


def commands(options, initrd, images):
    kernel = machine.images() / "vmlinuz"
    for fmt in ("raw", "qcow2"):
        yield ("Baton", fmt), [machine.BUILD / "baton", "run", "--engine", options.engine, "--memory",
                               "512M", "--kernel", kernel, "--initrd", initrd, "--append",
                               KERNEL_LINE, "--disk", f"{images['Baton', fmt]},format={fmt}"]
        yield ("TCG", fmt), [*machine.QEMU, "-cpu", "max", "-m", "512", "-kernel", kernel, "-initrd",
                             initrd, "-append", KERNEL_LINE, "-drive",
                             f"file={images['TCG', fmt]},format={fmt},if=none,id=d,aio=io_uring,discard=unmap",
                             "-device", "virtio-blk-pci,drive=d"]


def throughput(running, job, seconds, cpu):
    """MiB a second, of the clock or of the whole process's time on processors."""
    running.data = b""
    before = machine.cpu_seconds(running.process.pid)
    running.process.stdin.write(f"--runtime={seconds} {job}\n".encode())
    running.wait_for(rb"report ", 60 + 20 * seconds)
    while b" end" not in running.data:
        running.wait_for(rb"(?=.* end)", 60 + 20 * seconds)
    report = running.data.split(b" end", 1)[0].decode().split(";")
    rate = max(int(report[READ_KIB]), int(report[WRITE_KIB])) / 1024
    used = machine.cpu_seconds(running.process.pid) - before
    return rate * seconds / used if cpu else rate


def measure(machines, options):
    """What each machine does in each turn: {(vm, fmt, job): [rate, ...]}."""
    rates = {}
    for turn in range(options.runs):
        for name, job in JOBS.items():
            for kind in sorted(machines, reverse=turn % 2):
                rate = throughput(machines[kind], job, options.seconds, options.cpu)
                rates.setdefault((*kind, name), []).append(rate)
    return rates


def run(options, folder):
    machines = {kind: machine.Machine(argv)
                for kind, argv in commands(options, build_initrd(folder), make_images(folder))}
    try:
        return measure(machines, options)
    finally:
        for running in machines.values():
            running.process.stdin.write(b"quit\n")
            running.process.communicate(timeout=120)


def ratio(rates, others):
    return statistics.median(a / b for a, b in zip(rates, others))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="turns of all jobs")
    parser.add_argument("--seconds", type=int, default=2, help="of each job")
    parser.add_argument("--engine", default="bt")
    parser.add_argument("--cpu", action="store_true", help="by processor time")
    parser.add_argument("--folder", help="where the images are made (a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        results = run(options, pathlib.Path(name))
    print(f"\nfio in a guest, MiB a second{' of processor time' * options.cpu} (medians of {options.runs})")
    print(f"  {'':20}{'Baton raw':>11}{'qcow2':>9}{'TCG raw':>9}{'qcow2':>9}"
          f"{'qcow2/raw':>11}{'Baton/TCG':>11}")
    for job in JOBS:
        rows = [results[vm, fmt, job] for vm in ("Baton", "TCG") for fmt in ("raw", "qcow2")]
        print(f"  {job:20}{statistics.median(rows[0]):11.1f}"
              + "".join(f"{statistics.median(r):9.1f}" for r in rows[1:])
              + f"{ratio(rows[1], rows[0]):11.2f}{ratio(rows[1], rows[3]):11.2f}")


if __name__ == "__main__":
    main()
