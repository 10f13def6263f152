#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What leaving a guest costs on Baton's kernel and on Linux with kvm-amd.

Both run the same baton-vmm and guest in QEMU, whose clock counts instructions (-icount shift=0): the
numbers are instructions of the emulated machine, the guest's own included, and repeat. Half of a boot's are the
kernel's tests of its own ciphers, which never leave the guest: the last row is without them. How many of a boot's the
guest executes itself is counted by metal_profile.py: no hypervisor comes below that.

    bench/metal.py [--json]
"""
import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/metal"), str(ROOT / "tests/e2e")]
import metal  # noqa: E402
import metal_profile  # noqa: E402
import nested  # noqa: E402

ICOUNT = ("-icount", "shift=0,sleep=off")
GOAL = 0.7
ROWS = {"cpuid": "CPUID", "port-write": "port write that reaches the VMM", "mmio-read": "MMIO read that reaches the VMM",
        "msr-write": "MSR write", "nested-fault": "nested page fault", "timer": "timer interrupt, set again",
        "ipi": "IPI to a halted vCPU", "boot": "Debian's kernel to its first program (thousands)",
        "boot-untested": "the same, no self-tests of ciphers (thousands)"}
BOOTS = {"boot": [], "boot-untested": ["cryptomgr.notests"]}
SCRIPT = """
export PATH=$PATH:/ XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
run="baton run --engine kvm --memory 256M --net none"
boot() {
    read start rest </proc/uptime
    $run --kernel /guests/vmlinuz --initrd /guests/initrd.gz \\
        --append "console=ttyS0 quiet baton.modules=no baton.run=true $2" </dev/null
    read end rest </proc/uptime
    echo $1 $start $end
}
$run --cpus 2 --device debug-exit --kernel /exits </dev/null
boot boot
boot boot-untested cryptomgr.notests
"""


def costs(output):
    found = {name: int(n) for name, n in re.findall(r"^cost (\S+) (\d+)", output, re.M)}
    for name, start, end in re.findall(r"^(boot\S*) (\S+) (\S+)", output, re.M):
        found[name] = round((float(end) - float(start)) * 1e6)
    return found


def measure():
    files = {"exits": metal.BUILD / "guests/exits"}
    ours = metal.run_on_metal(SCRIPT, files, timeout=1800, cpus=1, machine=ICOUNT)
    files |= {name: metal.BUILD / name for name in ("baton", "baton-vmm")}
    files |= {f"guests/{name}": nested.image_folder() / name for name in ("vmlinuz", "initrd.gz")}
    linux = nested.run_in_kvm_host(SCRIPT, files, timeout=1800, cpus=1, machine=ICOUNT)
    return costs(ours.output), costs(linux.output)


def guests_own(options):
    """Thousands of instructions that the guest executes itself during a boot."""
    parts = metal_profile.parts(metal_profile.measure(options))
    return round(sum(sum(functions.values()) for part, functions in parts.items() if part.startswith("guest")) / 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    ours, linux = measure()
    own = {name: guests_own(options) for name, options in BOOTS.items()}
    if args.json:
        print(json.dumps({"baton": ours, "linux": linux, "guests-own": own}, indent=2))
        return
    print(f"{'instructions':52} {'Baton':>8} {'Linux':>8} {'ratio':>6}  goal <= {GOAL}")
    for name, text in ROWS.items():
        if name in ours and name in linux:
            print(f"{text:52} {ours[name]:8} {linux[name]:8} {ours[name] / linux[name]:6.2f}")
            if name in own:
                print(f"{'  the guest itself executes':52} {own[name]:8} {'':8} {own[name] / linux[name]:6.2f}")


if __name__ == "__main__":
    main()
