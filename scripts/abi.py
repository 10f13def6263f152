#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/abi.md from the kernel's tables; --check says whether it is up to date."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOC = ROOT / "docs/abi.md"

HEAD = """# What the bare-metal kernel answers

Made by `scripts/abi.py` from the kernel's own tables. Numbers and structures are Linux's for x86-64. A system call that is
not listed answers ENOSYS, an ioctl ENOTTY; a system call is logged the first time. None succeeds without doing its work,
but where a limit says so.

## System calls

| number | name | limits |
| --- | --- | --- |
"""


NETWORK = """
## Network

| file | ioctls |
| --- | --- |
| /dev/net/tun | TUNGETFEATURES, TUNSETIFF: IFF_TAP with IFF_NO_PI only |
| any socket | SIOCGIFCONF, {interfaces} |

| limit | value |
| --- | --- |
| interfaces; ports of a switch; addresses behind a port | 64; 64; 512 |
| frames | 14 to 1518 bytes, without FCS; others are refused with EINVAL |
| frames that a tap keeps for its reader | 256; more are lost and counted |
"""


def system_calls():
    text = (ROOT / "kernel/sys/table.def").read_text()
    for kind, number, name, limits in re.findall(r'^(FILE_|SOCKET_|FREE_|)CALL\((\d+), (\w+), "(.*)"\)$', text, re.M):
        refused = ["EPERM under Landlock"] if kind == "FREE_" else []
        yield f"| {number} | {name} | {'; '.join([limits] * bool(limits) + refused)} |"


def ioctls(file, table, prefix):
    text = (ROOT / "kernel" / file).read_text()
    body = re.search(rf"{table}\[\] = {{(.*?)\n\t?}};", text, re.S).group(1)
    return re.findall(rf"{{{prefix}(\w+),", body)


def kvm_calls(file, table):
    return ioctls("hv/" + file, table, "KVM_")


def capabilities():
    text = (ROOT / "kernel/hv/kvm.c").read_text()
    return re.findall(r"{KVM_CAP_(\w+),", text)


DISKS = """/dev/vdX (virtio), /dev/sdX (AHCI), /dev/nvmeXnY and their GPT partitions are block devices: read, write, positioned and
vectored forms at any byte, O_DIRECT at sectors, SEEK_END, fsync and fdatasync as a flush of the disk's cache, locks. Opening
a read-only disk to write answers EACCES, writing at its end ENOSPC, fallocate EOPNOTSUPP. /proc/partitions lists them.

ioctls: {calls}.
"""


def disk_calls():
    text = (ROOT / "kernel/drivers/blockfile.c").read_text()
    return re.findall(r"{(BLK\w+),", text) + re.findall(r"cmd == (BLKFLSBUF)", text)


def interface_calls():
    return re.findall(r"case (SIOC\w+):", (ROOT / "kernel/net/netif.c").read_text())


def document():
    out = HEAD + "\n".join(system_calls()) + "\n\n## KVM\n\n| file | ioctls |\n| --- | --- |\n"
    for name, file, table in (("/dev/kvm", "kvm.c", "system_calls"), ("a VM", "vm.c", "vm_calls"),
                              ("a vCPU", "vcpu.c", "vcpu_calls")):
        out += f"| {name} | {', '.join(kvm_calls(file, table))} |\n"
    out += "\nKVM_CHECK_EXTENSION knows " + ", ".join(capabilities()) + ".\n\n"
    out += """| limit | value |
| --- | --- |
| vCPUs of a VM; memory slots; routes of interrupts; ioeventfds | 64; 32; 256; 64 |
| CPUID entries of a vCPU | 100 |
| instructions on device memory | moves, string moves, read-modify-write arithmetic and bit tests; no vectors |
| not there | irqfd, nested virtualization, SMM, task switches by hardware |
"""

    out += "\n## Disks\n\n" + DISKS.format(calls=", ".join(disk_calls()))
    out += NETWORK.format(interfaces=", ".join(interface_calls()))
    return out


def main():
    text = document()
    if sys.argv[1:] == ["--check"]:
        if DOC.read_text() != text:
            sys.exit("docs/abi.md is out of date: run scripts/abi.py")
        return
    DOC.write_text(text)


if __name__ == "__main__":
    main()
