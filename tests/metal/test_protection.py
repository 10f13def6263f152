# SPDX-License-Identifier: Apache-2.0
"""What keeps programs away from the kernel, looked at from outside: control registers and page tables, which QEMU
tells."""
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

import gdbstub
import metal
import screen

HERE = pathlib.Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="needs qemu-system-x86_64 (package qemu-system-x86)")

KERNEL_HALF, STACKS, IMAGE = 0xffff800000000000, 0xffffc00000000000, 0xffffffff80000000
PAGE, STACK = 4096, 16384
NOT_EXECUTABLE, USER, WRITABLE = 0, 7, 8  # places in QEMU's column of rights: XGPDACTUW


def symbols():
    text = subprocess.run(["nm", metal.BUILD / "baton-kernel"], check=True, capture_output=True, text=True).stdout
    return {name: int(address, 16) for address, _, name in re.findall(r"^(\w+) (\w) (\w+)$", text, re.M)}


@pytest.fixture(scope="module")
def running():
    """Registers of each processor, and {page: rights} of the tables in use."""
    with screen.Machine() as m:
        m.wait("No virtual machines yet")
        registers = m.command("info registers -a")
        pages = m.command("info tlb")
    return (registers, {int(page, 16): rights for page, rights in
                        re.findall(r"^(\w{16}): \w{16} ([-A-Z]{9})\r?$", pages, re.M)})


def test_processors_are_on_their_guard(running):
    registers = running[0]
    cr0, cr4, efer = ([int(n, 16) for n in re.findall(rf"{name}=(\w+)", registers)] for name in ("CR0", "CR4", "EFER"))
    assert len(cr0) == len(cr4) == len(efer) == 2
    assert all(n >> 16 & 1 for n in cr0), "WP"
    assert all(n >> 20 & 1 for n in cr4), "SMEP"
    assert all(n >> 21 & 1 for n in cr4), "SMAP"
    assert all(n >> 11 & 1 for n in cr4), "UMIP"
    assert all(n >> 11 & 1 for n in efer), "NXE"


def test_kernel_is_not_the_users(running):
    kernel = {page: rights for page, rights in running[1].items() if page >= KERNEL_HALF}
    assert kernel and not [page for page, rights in kernel.items() if rights[USER] == "U"]


def test_kernel_text_alone_is_executable_and_not_writable(running):
    name = symbols()
    image = {page: rights for page, rights in running[1].items() if page >= IMAGE}
    assert set(range(name["kernel_text"], name["kernel_end"], PAGE)) <= set(image)
    for page, rights in running[1].items():
        if page < KERNEL_HALF:
            continue
        text = name["kernel_text"] <= page < name["kernel_rodata"]
        assert (rights[NOT_EXECUTABLE] == "-") == text, hex(page)
    for page, rights in image.items():
        assert (rights[WRITABLE] == "W") == (page >= name["kernel_data"]), hex(page)


def test_stacks_have_an_unmapped_page_below(running):
    stacks = sorted(page for page in running[1] if STACKS <= page < IMAGE)
    assert len(stacks) >= 4 * STACK // PAGE
    starts = [page for page in stacks if page - PAGE not in running[1]]
    assert len(starts) == len(stacks) * PAGE // STACK, "two stacks touch each other"
    assert all(page + i * PAGE in running[1] for page in starts for i in range(STACK // PAGE))


def test_no_address_of_the_kernel_is_told():
    result = metal.run_on_metal("cat /proc/*/* /proc/* 2>/dev/null >/tmp/told; dmesg >>/tmp/told; wc -c </tmp/told; "
                                "grep -aciE 'ffff(8|c|ffff8)[0-9a-f]{6}' /tmp/told")
    size, found = result.output.split()
    assert int(size) > 1000 and int(found) == 0, result.output


def test_nmi_while_a_program_has_a_kernel_address_in_gs(tmp_path):
    """It may (WRGSBASE); an NMI that comes then finds the kernel's own data all the same."""
    subprocess.run(["musl-gcc", "-static", "-O1", "-o", tmp_path / "misbehave", HERE / "misbehave.c"], check=True)
    with open(tmp_path / "initramfs", "wb") as image:
        metal.write_initramfs(image, "misbehave gs", {"bin/misbehave": tmp_path / "misbehave"})
    with screen.Machine(append="panic=off run=/commands", initramfs=image.name) as m:
        m.wait_raw("GS points to the kernel")
        for _ in range(10):
            m.command("nmi")
        m.type("\n")
        m.wait_raw("GS is kept")
        m.wait_end()
        told = m.raw.decode(errors="replace")
        assert "NMI on CPU" in told and "panic" not in told, told


def test_faults_of_the_hardware_are_told():
    """An NMI is logged and all goes on; a machine check ends it, with what the processor tells and who was called."""
    with screen.Machine(append="panic=off") as m:
        m.wait("No virtual machines yet")
        m.command("nmi")
        m.wait("NMI on CPU")
        m.command("mce 0 3 0xbd00000000000123 0x5 0x4567000 0x8c")  # uncorrected, with an address
        m.wait_raw("CPU 0, bank 3: status bd00000000000123, address 4567000")
        m.wait_raw("machine check in ")
        m.wait_end()
        told = m.raw.decode(errors="replace").partition("kernel panic")[2]
        assert re.search(r"\brip [0-9a-f]{16} rsp [0-9a-f]{16}", told), told
        assert re.search(r"  [0-9a-f]{16} trap_handle\+0x[0-9a-f]+\r?$", told, re.M), told


def test_nmi_before_interrupts_are_set_up(tmp_path):
    """It is told as soon as it can be."""
    thread = threading.Thread(target=gdbstub.at_function, daemon=True, args=(tmp_path / "gdb", "apic_setup", ["nmi"]))
    thread.start()
    result = metal.run_on_metal("echo up", machine=gdbstub.options(tmp_path / "gdb"))
    thread.join()
    assert "NMI on CPU 0" in result.console and result.output == "up\n", result.console


def test_two_processors_panic_at_once(tmp_path):
    """One tells its reason, the other stops without a word."""
    reasons, at = ("first-reason", "other-reason"), 0x3000
    with screen.Machine(append="panic=off", terminal=("-serial", "stdio", *gdbstub.options(tmp_path / "gdb"))) as m:
        stub = gdbstub.Stub(tmp_path / "gdb")
        stub.go()
        m.wait("No virtual machines yet")
        stub.stop()
        while not all(stub.in_kernel(cpu) for cpu in (1, 2)):
            stub.go()
            stub.stop()
        for cpu, reason in enumerate(reasons, 1):
            where = KERNEL_HALF + at + cpu * 64
            stub.write(where, reason.encode() + b"\0")
            stub.call(cpu, "panic", where)
        stub.monitor("nmi")  # wakes both
        stub.go()
        m.wait_end()
        told = m.raw.decode(errors="replace")
        assert told.count("---- kernel panic ----") == 1 and sum(told.count(r) for r in reasons) == 1, told


def lose_what_grub_told(stub):
    """It lies in memory that is given away once it was read; RDX is where. So is what firmware has to be searched for."""
    info = KERNEL_HALF + int.from_bytes(stub.registers(1)[3 * 8:4 * 8], "little")
    size = int.from_bytes(stub.read(info, 4), "little")
    stub.reach("page_init")
    for start, end in (info, info + size), (KERNEL_HALF + 0xe0000, KERNEL_HALF + 0x100000):
        for at in range(start, end, 1024):
            stub.write(at, bytes(min(1024, end - at)))


def test_nothing_stays_in_the_loaders_memory(tmp_path):
    """Without an initramfs the kernel panics after it has looked for ACPI's tables."""
    grub = tmp_path / "disc/boot/grub"
    grub.mkdir(parents=True)
    (grub / "grub.cfg").write_text("multiboot2 /baton-kernel\nboot\n")
    shutil.copy(metal.BUILD / "baton-kernel", tmp_path / "disc/baton-kernel")
    subprocess.run(["grub-mkrescue", "--quiet", "-o", tmp_path / "disc.iso", tmp_path / "disc"], check=True,
                   stderr=subprocess.DEVNULL)
    thread = threading.Thread(target=gdbstub.at_function, daemon=True,
                              args=(tmp_path / "gdb", "bootinfo_read", (), lose_what_grub_told))
    thread.start()
    with screen.Machine(["-cdrom", tmp_path / "disc.iso", *gdbstub.options(tmp_path / "gdb")]) as m:
        m.wait_raw("gave no initramfs")
    thread.join()
    assert b"no ACPI tables" not in m.raw, m.raw
