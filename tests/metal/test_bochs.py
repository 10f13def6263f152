# SPDX-License-Identifier: Apache-2.0
"""VT-x with EPT: the kernel in Bochs, which emulates it. GRUB's heap gets broken with the newer of Bochs' two
BIOSes, which alone has ACPI tables, so a boot sector of our own loads the kernel there."""
import re
import shutil
import struct
import subprocess
import tempfile

import pytest

import metal
import screen
from test_metal import (DEBUG_FILES, HERE, SSE_ACCESSES, debug_script, program_counter, programs,  # noqa: F401
                        section, symbol)  # `programs` is a fixture

pytestmark = [pytest.mark.long,
              pytest.mark.skipif(not shutil.which("bochs-bin"), reason="needs bochs-bin (package bochs)")]

KERNEL_SIZE = 1 << 20  # as the boot sector reads; zeros after the kernel are its .bss
INFO, INITRAMFS = 0x3ff0000, 0x4000000
CYLINDER = 16 * 63 * 512
CONFIG = """
plugin_ctrl: es1370=0, sb16=0, speaker=0
sound: driver=dummy
speaker: enabled=0
display_library: rfb, options="timeout=0"
cpu: model={cpu}, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-{bios}
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: {medium}
boot: {boot}
com1: enabled=1, mode=file, dev={serial}
log: bochs.log
panic: action=fatal
"""


def start_info(initramfs_size):
    """PVH's hvm_start_info with a module, a command line and the memory map after it."""
    ram = [(0, 0x9f000), (0x100000, 0x3fdf0000)]
    head = struct.pack("<4I4Q2I", 0x336ec578, 1, 0, 1, INFO + 0x100, INFO + 0x300, 0, INFO + 0x200, len(ram), 0)
    module = struct.pack("<4Q", INITRAMFS, initramfs_size, 0, 0)
    table = b"".join(struct.pack("<2Q2I", start, size, 1, 0) for start, size in ram)
    parts = [part.ljust(0x100, b"\0") for part in (head, module, table)]
    return b"".join(parts + [b"panic=off run=/commands\0"]).ljust(4096, b"\0")


def boot_sector(initramfs_size, out):
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x7c00,--oformat=binary,--build-id=none",
                    "-o", out / "boot", HERE / "bochs.S"], check=True)
    sector = (out / "boot").read_bytes()
    return sector[:506] + struct.pack("<I", (initramfs_size + 511) // 512) + sector[510:]


def write_disk(out, commands, files):
    with tempfile.NamedTemporaryFile() as f:
        metal.write_initramfs(f, commands, files)
        f.seek(0)
        initramfs = f.read()
    subprocess.run(["objcopy", "-O", "binary", metal.BUILD / "baton-kernel", out / "kernel"], check=True)
    kernel = (out / "kernel").read_bytes()
    assert len(kernel) <= KERNEL_SIZE
    disk = (boot_sector(len(initramfs), out) + kernel.ljust(KERNEL_SIZE, b"\0") + start_info(len(initramfs)) +
            initramfs)
    (out / "disk").write_bytes(disk + bytes(-len(disk) % CYLINDER))


INTEL, AMD = "corei7_skylake_x", "ryzen"


def run_in_bochs(out, commands, files, timeout=1200, cpu=INTEL):
    """What the shell script `commands` printed as the machine's work."""
    write_disk(out, commands, files)
    (out / "bochsrc").write_text(CONFIG.format(cpu=cpu, bios="latest", boot="disk", serial="serial.log",
                                               medium="type=disk, mode=flat, path=disk, cylinders=0"))
    (out / "rc").write_text("c\n")  # Debian's Bochs starts in its debugger
    try:
        subprocess.run(["bochs-bin", "-q", "-f", "bochsrc", "-rc", "rc"], cwd=out, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout)
    finally:
        console = (out / "serial.log").read_text(errors="replace").replace("\r", "")
    assert "power off" in console, console[-4000:]
    return console


def test_image_boots_to_the_screen(tmp_path):
    """As a CD, by GRUB."""
    subprocess.run([metal.ROOT / "kernel/image/build.sh", "iso"], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "bochsrc").write_text(CONFIG.format(
        cpu=INTEL, bios="legacy", boot="cdrom", serial="/dev/fd/3",
        medium=f"type=cdrom, path={metal.BUILD}/baton.iso, status=inserted"))
    (tmp_path / "rc").write_text("c\n")
    command = f"cd {tmp_path}; exec bochs-bin -q -f bochsrc -rc rc 3>&1 >/dev/null 2>&1"
    with screen.Terminal(["sh", "-c", command]) as m:
        m.wait("Baton ", "on the bare machine", "VT-x on: VMs run on the processor (engine kvm)", "MiB free",
               "No virtual machines yet", "N new", patience=1200)


GUESTS = ["cpu", "escape", "interrupts", "paging", "smp"]
# Bochs tells another address where a fetch crosses into an absent page.
BOCHS_FAILS = {"paging": ["5"]}


@pytest.fixture(scope="module")
def console(programs, tmp_path_factory):  # noqa: F811
    commands = "echo '== kvmapi'; kvmapi; echo status $?; echo '== sse'; kvmvector\n" \
               "echo '== kvmlife'; kvmlife; echo status $?; echo '== kvmdebug'; kvmdebug; echo status $?\n" + "\n".join(
        f'echo "== {g}"; baton run --engine kvm --cpus 2 --memory 64M --net none --no-reboot --device debug-exit '
        f'--kernel /guest/{g} </dev/null 2>&1; echo "status $?"' for g in GUESTS)
    files = programs | {f"guest/{g}": metal.BUILD / "guests" / g for g in GUESTS}
    return run_in_bochs(tmp_path_factory.mktemp("bochs"), commands, files)


def test_kernel_finds_vt_x(console):
    assert "hardware virtualization: VT-x with EPT" in console


def test_program_for_linux_kvm_runs_on_vt_x(console):
    assert section(console, "kvmapi").startswith("4\nstatus 0\n")


def test_vms_and_vcpus_come_and_go_on_vt_x(console):
    assert section(console, "kvmlife").endswith("NMI\nstatus 0\n")


def test_guest_is_debugged_on_vt_x(console):
    assert section(console, "kvmdebug").endswith("own traps\npoints\nint3\nstatus 0\n")


def test_vectors_to_and_from_devices_on_vt_x(console):
    assert section(console, "sse") == SSE_ACCESSES


def test_breakpoints_of_a_vm(programs, tmp_path):  # noqa: F811
    """The processor's four, which also watch data, then INT3 in the guest's code."""
    work, store, watched = symbol("work"), symbol("store_watched"), symbol("watched")
    four = [f"1,{n:x},1" for n in range(4)]
    console = run_in_bochs(tmp_path, debug_script(
        [f"Z1,{store:x},1", "c", "p10", f"z1,{store:x},1", f"Z2,{watched:x},8", "c", f"z2,{watched:x},8",
         f"Z4,{watched:x},8", "c", f"z4,{watched:x},8"] + ["Z" + point for point in four] +
        [f"Z0,{work:x},1", f"m{work:x},1", "c", "p10", "c", "p10", f"z0,{work:x},1"] + ["z" + point for point in four] +
        ["c"]), programs | DEBUG_FILES)
    stop, ok = "T05thread:1;", "OK"
    code = (metal.BUILD / "guests/debug.elf").read_bytes()
    answers = console.partition("metal: begin\n")[2].split("\n")
    hidden = answers.pop(15)  # what is read does not show INT3
    assert answers[:25] == [ok, stop, program_counter(store), ok, ok, f"T05watch:{watched:x};thread:1;", ok, ok,
                            f"T05awatch:{watched:x};thread:1;", ok, ok, ok, ok, ok, ok, stop, program_counter(work),
                            stop, program_counter(work), ok, ok, ok, ok, ok, "W21"], console
    assert hidden != "cc" and bytes.fromhex(hidden) in code
    assert "0 of 1 checks failed" in console


def test_breakpoints_by_amd_v(programs, tmp_path):  # noqa: F811
    """Where QEMU has none. VMs stop at the place; DR6 is not told there, so a debugger would not know why."""
    console = run_in_bochs(tmp_path, "kvmdebug places; echo status $?", programs, cpu=AMD)
    assert "hardware virtualization: AMD-V" in console and "\npoints\nint3\nstatus 0\n" in console, console


def test_debian_kernel_on_vt_x(tmp_path):
    """To its first program, with two vCPUs on the one processor."""
    console = run_in_bochs(tmp_path, "baton run --engine kvm --cpus 2 --memory 128M --net none --kernel /guests/vmlinuz "
                           "--initrd /guests/initrd.gz --append 'console=ttyS0 quiet baton.modules=no baton.run=nproc' "
                           "</dev/null; echo status $?", {}, timeout=3600)
    assert re.search(r"^2$.*^status 0$", console, re.M | re.S), console[-4000:]


@pytest.mark.parametrize("guest", GUESTS)
def test_guest_on_vt_x(guest, console):
    text = section(console, guest)
    assert re.search(r"^\d+ of \d+ checks failed$", text, re.M), text
    assert re.findall(r"^FAIL (\d+)", text, re.M) == BOCHS_FAILS.get(guest, []), text
