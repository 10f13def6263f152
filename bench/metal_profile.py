#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who executes the instructions while Debian's kernel boots as a guest of Baton's kernel.

QEMU counts them block by block (metal_profile.c); those of a machine that starts no guest are subtracted.
The guest's kernel stays at the addresses it was linked for, and so apart from Baton's.

    bench/metal_profile.py [--functions N] [GUEST_OPTION ...]     e.g. cryptomgr.notests
"""
import argparse
import bisect
import collections
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/metal"))
import metal  # noqa: E402

SCRIPT = """
export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
baton run --engine kvm --memory 256M --net none --kernel /guests/vmlinuz --initrd /guests/initrd.gz \\
    --append "console=ttyS0 quiet nokaslr baton.modules=no baton.run=true OPTIONS" </dev/null
"""
KERNEL, GUEST_KERNEL = 0xffffffff80000000, 0xffffffff81000000


class Symbols:
    def __init__(self, program):
        listed = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout.split("\n")
        rows = sorted((int(row[0], 16), row[2]) for row in map(str.split, listed) if len(row) == 3 and row[1] in "tTwWi")
        self.addresses, self.names = zip(*rows)

    def __call__(self, address):
        at = bisect.bisect_right(self.addresses, address)
        return self.names[at - 1] if 0 < at < len(self.names) else None


def run(plugin, folder, commands):
    """Instructions by the address of their block."""
    counts, out = collections.Counter(), folder / "blocks"
    machine = ("-icount", "shift=0,sleep=off", "-plugin", f"{plugin},out={out}")
    result = metal.run_on_metal(commands, timeout=1800, cpus=1, machine=machine)
    assert result.status == 0, result.console[-4000:]
    for line in out.read_text().splitlines():
        address, instructions, times = line.split()
        counts[int(address, 16)] += int(instructions) * int(times)
    return counts


def measure(options):
    with tempfile.TemporaryDirectory(prefix="baton-profile-") as folder:
        plugin = pathlib.Path(folder) / "plugin.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-o", plugin,
                        ROOT / "bench/metal_profile.c"], check=True)
        boot = run(plugin, pathlib.Path(folder), SCRIPT.replace("OPTIONS", " ".join(options)))
        boot.subtract(run(plugin, pathlib.Path(folder), "true"))
    return boot


def parts(counts):
    """{part: {function: instructions}}; the programs lie below the first 16 MiB, the guest's loader above."""
    ours, vmm = Symbols(metal.BUILD / "baton-kernel"), Symbols(metal.BUILD / "baton-vmm")
    found = collections.defaultdict(collections.Counter)
    for address, n in counts.items():
        if address >= GUEST_KERNEL:
            found["guest: Linux"][hex(address)] += n
        elif address >= KERNEL:
            found["Baton's kernel"][ours(address) or hex(address)] += n
        elif vmm.addresses[0] <= address < 1 << 24:
            found["baton-vmm, baton and shell"][vmm(address) or hex(address)] += n
        else:
            found["guest: unpacking the kernel"][hex(address)] += n
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="the first N of each part, too")
    parser.add_argument("options", nargs="*", metavar="GUEST_OPTION")
    args = parser.parse_args()
    found = parts(measure(args.options))
    total = sum(map(sum, (f.values() for f in found.values())))
    for part, functions in sorted(found.items(), key=lambda row: -sum(row[1].values())):
        n = sum(functions.values())
        print(f"{part:30} {n / 1e6:8.1f} million {n / total:6.1%}")
        for name, n in functions.most_common(args.functions):
            print(f"    {name:40} {n / 1e6:8.2f}")
    print(f"{'all':30} {total / 1e6:8.1f} million")


if __name__ == "__main__":
    main()
