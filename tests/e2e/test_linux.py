# SPDX-License-Identifier: Apache-2.0
"""Debian's stock kernel and user space, on the translation engine."""
import re
import struct
import subprocess
import time

import pytest

from conftest import baton, needs

# Lines of dmesg that are no fault of the machine, with the reason.
EXPECTED_WARNINGS = {
    r"MSR.*kvm-clock|clocksource": "tells the clock source",
}


@pytest.mark.parametrize("engine", ["bt", "bt,tier=interp"])
def test_boots_to_shell_and_powers_off(linux, engine):
    guest = linux("quiet", engine=engine)
    guest.expect("baton: init reached", 180)
    guest.expect("guest# ", 60)
    assert re.search(r"Linux \S+ 6\.1\.\S+cloud-amd64", guest.run("uname -a"))
    assert guest.run("nproc").strip() == "1"
    guest.send("exit\n")
    assert guest.wait(60) == 0


def test_runs_commands_and_powers_off(linux):
    guest = linux("quiet baton.run=echo+$((6*7))")
    assert guest.wait(120) == 0
    assert re.search(r"^42$", guest.output, re.M)
    assert "baton: exit status 0" in guest.output


PLACE = "baton.run=grep+-w+_text+/proc/kallsyms;grep+Kernel.code+/proc/iomem"


def place(linux, options=""):
    """Where the kernel is: in virtual and in physical memory."""
    guest = linux(f"quiet {options} {PLACE}")
    assert guest.wait(240) == 0
    text = re.search(r"^([0-9a-f]{16}) T _text\s*$", guest.output, re.M).group(1)
    return int(text, 16), int(re.search(r"([0-9a-f]+)-[0-9a-f]+ : Kernel code", guest.output).group(1), 16)


def test_kernel_is_somewhere_else_each_time(linux):
    """The loader unpacks the kernel in its stead, and owes it the randomisation."""
    places = [place(linux) for _ in range(3)]
    assert len({virtual for virtual, _ in places}) > 1
    assert len({physical for _, physical in places}) > 1
    assert place(linux, "nokaslr") == (0xffffffff81000000, 0x1000000)


def start_changed(start, images, folder, change):
    """Starts a copy of the kernel after change(its bytes, where its payload begins and ends)."""
    kernel = bytearray((images / "vmlinuz").read_bytes())
    offset, length = struct.unpack_from("<II", kernel, 0x248)
    begin = (kernel[0x1f1] + 1) * 512 + offset
    change(kernel, begin, begin + length)
    (folder / "kernel").write_bytes(kernel)
    return start("run", "--engine", "bt", "--memory", "256M", "--kernel", folder / "kernel", "--initrd",
                 images / "initrd.gz", "--append", "console=ttyS0 earlyprintk=serial baton.run=true")


def test_damaged_kernel_says_so_itself(start, images, tmp_path):
    def damage(kernel, begin, end):
        kernel[end - 1000:end - 4] = bytes(996)

    guest = start_changed(start, images, tmp_path, damage)
    guest.expect("-- System halted", 120)


def test_kernel_that_only_its_own_start_code_can_unpack(start, images, tmp_path):
    def shorten(kernel, begin, end):
        struct.pack_into("<I", kernel, 0x24c, end - begin - 8)  # start code knows better than this field

    guest = start_changed(start, images, tmp_path, shorten)
    guest.expect("baton: init reached", 240)


def test_reboot_restarts_the_guest(linux):
    guest = linux("quiet baton.run=reboot+-f")
    guest.expect("baton: init reached", 120)
    guest.expect("baton: init reached", 120)


def test_no_reboot_ends_the_run(linux):
    guest = linux("quiet baton.run=reboot+-f", "--no-reboot")
    assert guest.wait(120) == 0
    assert guest.output.count("baton: init reached") == 1


def test_triple_fault_is_a_crash(linux):
    """reboot=t makes the kernel load an empty IDT and trap."""
    guest = linux("quiet reboot=t,force baton.run=reboot+-f")
    assert guest.wait(120) == 3
    assert "triple fault" in guest.output
    assert re.search(r"vCPU 0: rip 0010:[0-9a-f]{16}, .* idt 0$", guest.output, re.M)


@pytest.mark.parametrize("cpus", [2, 4])
def test_several_processors(linux, cpus):
    guest = linux("quiet", "--cpus", str(cpus))
    guest.expect("guest# ", 120)
    assert guest.run("nproc").strip() == str(cpus)
    guest.run(f"for i in $(seq {cpus}); do sha256sum /bin/busybox & done; wait", 60)
    assert not guest.run("dmesg | grep -E 'stall|lockup|BUG|WARNING' || true").strip()
    guest.send("exit\n")
    assert guest.wait(60) == 0


def test_memory_size_is_what_was_asked_for(linux):
    guest = linux("quiet", memory="400M")
    guest.expect("guest# ", 120)
    total = int(re.search(r"MemTotal:\s+(\d+)", guest.run("cat /proc/meminfo")).group(1))
    assert 330 * 1024 < total < 400 * 1024


def test_random_numbers_before_anything_else(linux):
    """By a seed that the kernel erases; the CPU model has no RDRAND."""
    guest = linux("quiet", "--cpu", "baseline")
    guest.expect("guest# ", 120)
    assert "[    0.000000] random: crng init done" in guest.run("dmesg | grep random:")
    seed = guest.run("od -v -An -tx1 /sys/kernel/boot_params/setup_data/0/data || true")
    assert set(seed.split()) <= {"00"}, seed


def test_memory_above_4_gib(linux):
    guest = linux("quiet", memory="5G")
    guest.expect("guest# ", 120)
    total = int(re.search(r"MemTotal:\s+(\d+)", guest.run("cat /proc/meminfo")).group(1))
    assert total > 4800 * 1024
    assert "0000000100000000" in guest.run("dmesg | grep e820")


def test_kernel_log_has_no_warnings(linux):
    guest = linux("loglevel=7")
    guest.expect("guest# ", 120)
    log = guest.run("dmesg -r | grep -E '^<[0-4]>' || true")
    lines = [line for line in log.splitlines()
             if line.startswith("<") and not any(re.search(p, line) for p in EXPECTED_WARNINGS)]
    assert not lines, "\n".join(lines)


def test_clock_keeps_pace_with_the_host(linux):
    guest = linux("quiet")
    guest.expect("guest# ", 120)

    def both():
        before = time.monotonic()
        text = guest.run("cat /proc/uptime")
        return before, float(re.search(r"([\d.]+) ", text).group(1)), time.monotonic()

    before1, guest1, after1 = both()
    time.sleep(10)
    before2, guest2, after2 = both()
    # The guest read its clock somewhere in between; /proc/uptime has a resolution of 10 ms.
    assert before2 - after1 - 0.1 < guest2 - guest1 < after2 - before1 + 0.1


@needs("e2fsck")
def test_debian_root_file_system(start, images, debian_disk, disk_copy):
    disk = disk_copy(debian_disk)
    guest = start("run", "--name", "debian", "--engine", "bt", "--memory", "1G", "--kernel", images / "vmlinuz",
                  "--initrd", images / "initrd.gz", "--append", "console=ttyS0 root=/dev/vda",
                  "--disk", disk)
    guest.expect("login: ", 300)
    guest.send("root\n")
    guest.expect(r"root@baton-guest:~# ", 60)
    assert "apt " in guest.run("apt-get --version")
    assert "42" in guest.run("python3 -c 'print(6*7)'")
    guest.run("printf '#include <stdio.h>\\nint main(void){puts(\"hello from the guest\");}\\n' >h.c")
    guest.run("gcc h.c -o h", 120)
    assert "hello from the guest" in guest.run("./h")
    # The power button, as `baton stop` presses it: systemd shuts the system down.
    assert baton("stop", "debian").returncode == 0
    assert guest.wait(180) == 0
    fsck = subprocess.run(["/sbin/e2fsck", "-fn", disk], capture_output=True, text=True)
    assert fsck.returncode == 0, fsck.stdout
