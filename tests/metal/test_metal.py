# SPDX-License-Identifier: Apache-2.0
"""The bare-metal kernel: Linux's programs on it, guests on AMD-V, and programs that misbehave."""
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import gdbstub
import metal
import nested
import screen

sys.path.insert(0, str(metal.ROOT / "tests/guests"))
import test_guests as guests  # noqa: E402  (what is known of QEMU's processor)

HERE = pathlib.Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="needs qemu-system-x86_64 (package qemu-system-x86)")


def finished(result):
    assert result.status is not None, result.console[-4000:]
    assert "kernel panic" not in result.console, result.console[-4000:]
    return result


PROGRAMS = ("cage", "calls", "edges", "epoll", "kvmapi", "kvmdebug", "kvmlife", "kvmvector", "misbehave", "rsp")


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Static programs for Linux, linked with musl."""
    if not shutil.which("musl-gcc"):
        pytest.skip("needs musl-gcc (package musl-tools)")
    out = tmp_path_factory.mktemp("programs")
    headers = out / "include"  # of the kernel; musl brings only its own
    headers.mkdir()
    for name, target in (("linux", "linux"), ("asm", "x86_64-linux-gnu/asm"), ("asm-generic", "asm-generic")):
        (headers / name).symlink_to(f"/usr/include/{target}")
    for name in PROGRAMS:
        subprocess.run(["musl-gcc", "-static", "-O1", "-isystem", headers, "-o", out / name,
                        HERE / f"{name}.c"], check=True)
    return {f"bin/{name}": out / name for name in PROGRAMS}


def section(output, name):
    """What was printed after the line "== name" up to the next one."""
    found = re.search(rf"^== {name}\n(.*?)(?=^== |\Z)", output, re.M | re.S)
    assert found, output
    return found.group(1)


@pytest.fixture(scope="session")
def tour(programs):
    """One boot that many tests look at."""
    return finished(metal.run_on_metal("""
echo "== busybox"; ls / | sort | head -n 3; seq 1 100 | grep 7 | wc -l; ps | grep -c busybox; cat /proc/version
cp /bin/busybox /tmp/copy && cmp /bin/busybox /tmp/copy && echo same; rm /tmp/copy; ls /tmp
echo "== hashes"; sha256sum /bin/baton /bin/baton-vmm
echo "== kvmapi"; kvmapi; echo status $?
echo "== kvmlife"; kvmlife; echo status $?
echo "== kvmdebug"; kvmdebug steps; echo status $?
echo "== sse"; kvmvector; echo "== avx"; kvmvector avx
echo "== null"; misbehave null; echo status $?
echo "== kernel"; misbehave kernel; echo status $?
echo "== ports"; misbehave ports; echo status $?
echo "== handler"; misbehave handler; echo status $?
echo "== entry"; misbehave entry; echo status $?
echo "== syscalls"; misbehave syscalls; echo status $?
echo "== memory"; free | grep Mem; misbehave memory; echo status $?; free | grep Mem
echo "== epoll"; timeout 150 epoll; echo status $?
echo "== calls"; timeout 150 calls; echo status $?
echo "== edges"; timeout 300 edges; echo status $?
echo "== cage"; timeout 150 cage strict; echo status $?
echo "== loop"; misbehave loop & sleep 1; kill -9 $!; wait $!; echo status $?
echo "== check"; baton check
""", programs, timeout=600)).output


def test_busybox_of_debian_runs(tour):
    text = section(tour, "busybox")
    assert text.startswith("bin\nboot\ncommands\n19\n"), text
    assert "Baton kernel" in text and "same" in text


def find_program(name):
    path = shutil.which(name)
    if not path:
        pytest.skip(f"needs {name}")
    return path


BASH = r"""
a=(3 1 2); for i in "${a[@]}"; do echo $i; done | sort | tr '\n' ,; echo
sleep 1000 & kill %1; wait %1; echo status $?
coproc cat; echo through >&${COPROC[1]}; read line <&${COPROC[0]}; echo $line
trap 'echo trapped' USR1; kill -USR1 $$
exec 5<>/tmp/both; echo both >&5; cat /tmp/both; [[ /bin -ef /tmp/../bin ]] && echo the same
echo $((2 ** 40)) {a..c}
"""


def test_other_static_programs_of_debian(tmp_path):
    """The shell bash, and e2fsck, which repairs a file system on a disk."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8 << 20))
    subprocess.run([find_program("mke2fs"), "-q", "-F", disk], check=True)
    with open(disk, "r+b") as f:
        f.seek(1024 + 12)  # the superblock's count of free blocks
        f.write(b"\1\0\0\0")
    (tmp_path / "script").write_text(BASH)
    output = finished(metal.run_on_metal("""
timeout 60 bash /script 2>/dev/null; echo "== e2fsck"
e2fsck.static -fp /dev/vda; echo status $?; e2fsck.static -fn /dev/vda; echo status $?
""", {"script": tmp_path / "script", "bin/bash": find_program("bash-static"),
      "bin/e2fsck.static": find_program("e2fsck.static")},
        machine=["-drive", f"if=none,id=disk,format=raw,file={disk}", "-device", "virtio-blk-pci,drive=disk"])).output
    said = [line for line in output.partition("== e2fsck")[0].splitlines() if not line.startswith("[")]
    assert said == ["1,2,3,", "status 143", "through", "trapped", "both", "the same", "1099511627776 a b c"], output
    assert re.findall(r"^status (\d)", section(output, "e2fsck"), re.M) == ["1", "0"], output  # repaired, in order
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True)


def test_same_binaries_as_on_linux(tour):
    text = section(tour, "hashes")
    for name in ("baton", "baton-vmm"):
        digest = hashlib.sha256((metal.BUILD / name).read_bytes()).hexdigest()
        assert f"{digest}  /bin/{name}" in text


def test_program_for_linux_kvm_runs_unchanged(tour):
    assert section(tour, "kvmapi").startswith("4\nstatus 0\n")


def test_vms_and_vcpus_come_and_go(tour):
    assert section(tour, "kvmlife").endswith("NMI\nstatus 0\n")


def test_guest_is_debugged(tour):
    """INT3 and breakpoint registers: in Bochs."""
    assert section(tour, "kvmdebug").endswith("own traps\nstatus 0\n")


# What kvmvector's owner sees. Linux tells the same of SSE, and gives up at VEX.
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (7 * f"{n}0" + str(n) for n in range(1, 7))
SSE_ACCESSES = f"""read 200ff8 8 {FIRST}
read 201000 8 {SECOND}
write 100000 8 {FIRST}
write 100008 8 {SECOND}
write 100010 8 {FIRST}
write 100018 8 {SECOND}
write 200ff8 8 {FIRST}
write 201000 8 {SECOND}
exit reason 5
rom 0
"""
AVX_ACCESSES = f"""read 200ff8 8 {FIRST}
read 201000 8 {SECOND}
read 201008 8 {THIRD}
read 201010 8 {FOURTH}
write 100000 8 {FIRST}
write 100008 8 {SECOND}
write 100010 8 {THIRD}
write 100018 8 {FOURTH}
read 200ff8 8 {FIFTH}
read 201000 8 {SIXTH}
write 100000 8 {FIFTH}
write 100008 8 {SIXTH}
write 100010 8 0
write 100018 8 0
exit reason 5
rom 0
"""


@pytest.mark.parametrize("vectors, accesses", [("sse", SSE_ACCESSES), ("avx", AVX_ACCESSES)])
def test_vectors_to_and_from_devices(tour, vectors, accesses):
    assert section(tour, vectors) == accesses


def test_sleeper_hears_of_files_that_came_later(tour):
    assert section(tour, "epoll") == "all heard\nstatus 0\n"


def test_calls_answer_as_on_linux(tour):
    """Those that the kernel makes of newer ones, too, and a broadcast, which hands waiters on to a lock."""
    assert section(tour, "calls") == "as on Linux\nstatus 0\n"


def test_absurd_values_and_bad_moments(tour):
    """Times, ranges and lengths at the ends of what a number holds, signals against exec, files closed in a set."""
    assert section(tour, "edges") == "as on Linux\nstatus 0\n"


def test_process_that_locked_itself_in_stays_there(tour):
    """Landlock as on Linux, and what only Baton's kernel forbids; files that come over sockets may be used."""
    assert section(tour, "cage") == "strict\nas on Linux\nstatus 0\n"


@pytest.mark.parametrize("way, status", [("null", 139), ("kernel", 139), ("ports", 139), ("loop", 137),
                                         ("handler", 139), ("entry", 139)])
def test_program_that_misbehaves_dies_alone(tour, way, status):
    assert f"status {status}\n" in section(tour, way)


def test_foreign_addresses_are_refused(tour):
    text = section(tour, "syscalls")
    assert "all refused\nstatus 0\n" in text, text


def test_memory_of_a_dead_program_returns(tour):
    text = section(tour, "memory")
    assert re.search(r"status (135|3)\n", text), text
    before, after = (int(n) for n in re.findall(r"Mem: +\d+ +\d+ +(\d+)", text))
    assert abs(before - after) < 1024, text


def test_who_takes_all_memory_leaves_some_to_others(programs):
    """A program, and a file: small programs go on beside them, and begin."""
    output = finished(metal.run_on_metal("""
misbehave hoard >/tmp/full & hoard=$!
until grep -q full /tmp/full; do sleep 1; done
free | grep Mem; baton ps; seq 1 20000 | sort -rn | head -n 1
dd if=/dev/zero of=/tmp/file bs=1M 2>&1 | grep "No space"
kill -9 $hoard; wait $hoard
dd if=/dev/zero of=/tmp/file bs=1M 2>&1 | grep "No space"
free | grep Mem; baton ps; seq 1 20000 | sort -rn | head -n 1
rm /tmp/file; free | grep Mem
""", programs, memory=256)).output
    full, filled, after = (int(n) for n in re.findall(r"Mem: +\d+ +\d+ +(\d+)", output))
    assert 10240 < full < 20480 and 10240 < filled < 20480 < after, output
    assert output.count("No space left on device") == 2 and output.count("\n20000\n") == 2, output
    assert output.count("NAME") == 2, output


def test_vmm_has_a_limit_of_memory(programs):
    """The guest's and what its process needs beside; a program in its place that takes more ends."""
    output = finished(metal.run_on_metal("""
mkdir /other; cp /bin/baton /other/baton
printf '#!/bin/sh\\nulimit -v; misbehave memory; echo "ended $?"\\n' > /other/baton-vmm; chmod +x /other/baton-vmm
/other/baton run --engine kvm --memory 64M --net none --kernel /guests/vmlinuz
/other/baton run --memory 64M --net none --kernel /guests/vmlinuz
/other/baton run --engine bt --cpus 4 --memory 64M --net none --kernel /guests/vmlinuz
""", programs, memory=2048)).output
    # A translator for each vCPU: what it may take is the machine's own limit for the last.
    assert re.findall(r"^(\d+)$", output, re.M) == [str(1024 * n) for n in (200, 712, 2248)], output
    assert output.count("ended 135") == 3, output


def test_who_is_locked_in_leaves_memory_to_others_whatever_it_makes(programs):
    """Files, each of which is small, and queues."""
    output = finished(metal.run_on_metal("""
cage hoard >/tmp/full & hoard=$!
until grep -q full /tmp/full; do sleep 1; done
free | grep Mem; baton ps; seq 1 20000 | sort -rn | head -n 1; echo hello > /tmp/file; cat /tmp/full /tmp/file
kill -9 $hoard; wait $hoard; free | grep Mem
""", programs, memory=256)).output
    full, after = (int(n) for n in re.findall(r"Mem: +\d+ +\d+ +(\d+)", output))
    assert 10240 < full < 20480 < after and "\n20000\nfull\nhello\n" in output and "NAME" in output, output


def test_virtualization_is_told(tour):
    assert "flag svm" in section(tour, "check")


def symbol(name):
    text = subprocess.run(["nm", metal.BUILD / "guests/debug.elf"], check=True, capture_output=True, text=True).stdout
    return int(re.search(rf"^(\w+) \w {name}$", text, re.M).group(1), 16)


DEBUG_FILES = {"guest/debug": metal.BUILD / "guests/debug"}


def debug_script(packets):
    """The guest `debug` under its stub, which answers `packets` until the guest ends."""
    return f"""
baton run --engine kvm --memory 32M --net none --device debug-exit --kernel /guest/debug --gdb unix:/tmp/gdb.sock,wait \
    </dev/null >/tmp/debug 2>&1 &
rsp /tmp/gdb.sock {" ".join(packets)}
wait $!; echo "status $?"; cat /tmp/debug
"""


def program_counter(address):
    return address.to_bytes(8, "little").hex()


def test_debugger_of_a_vm(programs):
    """Steps, registers, memory; breakpoints are tried in Bochs."""
    work = symbol("work")
    output = finished(metal.run_on_metal(
        debug_script(["p10", "s", "s", "p10", f"m{work:x},2", f"M{symbol('watched'):x},1:00", "c"]),
        programs | DEBUG_FILES, cpus=1)).output
    start, first, second, now, code, stored, end, status = output.split("\n")[:8]
    assert first == second == "T05thread:1;" and start != now, output
    assert len(code) == 4 and stored == "OK" and end == "W21" and status == f"status {guests.PASSED}", output
    assert "0 of 1 checks failed" in output


def test_stub_of_a_vm_that_runs(programs):
    """The socket comes from the command: the VM's process may make none there."""
    output = finished(metal.run_on_metal("""
baton run --engine kvm --name dbg --memory 32M --net none --kernel /guest/spin </dev/null >/tmp/log 2>&1 &
until grep spinning /tmp/log 2>/dev/null; do sleep 1; done
baton gdb dbg --print --listen unix:/tmp/stub 2>&1
baton gdb dbg --print 2>&1
rsp /tmp/stub ?
baton stop --force dbg
""", programs | {"guest/spin": metal.BUILD / "guests/spin"}, cpus=1)).output
    assert output.split("\n")[:4] == ["spinning", "unix:/tmp/stub", "unix:/tmp/stub", "T05thread:1;"], output


def run_guests(names, cpus):
    skip = {g: "skip=" + ",".join(map(str, guests.METAL_SKIPS.get(g, ()))) for g in names}
    commands = guests.SHELL_OPTIONS + "\n".join(
        f'echo "== {g}"; baton run --engine kvm --cpus 2 --memory 64M $(options {g}) --no-reboot '
        f'--device debug-exit --kernel /guest/{g} --append {skip[g]} </dev/null 2>&1; echo "status $?"' for g in names)
    files = {f"guest/{g}": metal.BUILD / "guests" / g for g in names}
    host_port = ("-device", "isa-debug-exit,iobase=0x501,iosize=1")  # ends it when the guest `escape` finds it
    return finished(metal.run_on_metal(commands, files, timeout=300, machine=host_port, cpus=cpus)).output


@pytest.fixture(scope="session")
def guest_outputs():
    """Output and status of each bare-metal guest under the kvm engine on this kernel.

    `smp` changes code that its other processor runs, which QEMU gets wrong with a thread for each of the host's."""
    return run_guests([g for g in guests.GUESTS if g != "smp"], 2) + run_guests(["smp"], 1)


@pytest.mark.parametrize("guest", guests.GUESTS)
def test_guest_on_amd_v(guest, guest_outputs):
    text = section(guest_outputs, guest)
    status = int(re.search(r"^status (\d+)", text, re.M).group(1))
    guests.assert_known(guest, status, text, "", guests.TCG_FAILS, guests.METAL_FAILS)
    assert guests.skipped_checks(text) == set(guests.METAL_SKIPS.get(guest, ()))


@pytest.fixture(scope="session")
def crashes():
    commands = "\n".join(f'echo "== {way}"; baton run --engine kvm --memory 64M --net none --no-reboot '
                         f'--kernel /guest/triple --append {way} </dev/null 2>&1; echo "status $?"'
                         for way in guests.WAYS_TO_CRASH)
    return finished(metal.run_on_metal(commands, {"guest/triple": metal.BUILD / "guests/triple"}, cpus=1)).output


@pytest.mark.parametrize("way", guests.WAYS_TO_CRASH)
def test_triple_fault(way, crashes):
    """Tables that are not in memory end KVM_RUN: the processor's own accesses are not emulated."""
    text = section(crashes, way)
    nowhere = way in ("idt-nowhere", "tables-nowhere", "tables-device")
    assert f"going down: {way}" in text, text
    assert f"status {1 if nowhere else guests.CRASHED}\n" in text and ("cannot emulate" in text) == nowhere, text


def test_processor_without_virtualization():
    """Nor the vectors of newer ones: guests are interpreted, and it is said why."""
    names = ("cpu", "gates")
    output = finished(metal.run_on_metal("\n".join(
        f'echo "== {g}"; baton run --memory 64M --net none --no-reboot --device debug-exit --kernel /guest/{g} '
        f'</dev/null 2>&1; echo "status $?"' for g in names),
        {f"guest/{g}": metal.BUILD / "guests" / g for g in names}, cpu="qemu64,-svm")).output
    for guest in names:
        text = section(output, guest)
        assert "engine bt: /dev/kvm: No such file or directory; the processor has neither VT-x" in text, text
        assert f"status {guests.PASSED}\n" in text and "\n0 of " in text, text


@pytest.mark.long
def test_debian_without_virtualization():
    """Translated, on a processor that QEMU translates, to a shell of the guest."""
    output = finished(metal.run_on_metal(
        "baton run --memory 256M --net none --kernel /guests/vmlinuz --initrd /guests/initrd.gz --append "
        "'console=ttyS0 quiet baton.modules=no baton.run=echo+a+$((6*7))+shell' </dev/null",
        cpus=1, cpu="max,-svm", timeout=1800)).output
    assert "engine bt: /dev/kvm: No such file or directory" in output, output
    assert "baton: init reached" in output and "a 42 shell" in output, output


def test_two_debian_guests_at_once():
    """With different numbers of processors and memory sizes; killing one leaves the other."""
    linux = ("baton run --engine kvm --name %s --cpus %d --memory %s --kernel /guests/vmlinuz "
             "--initrd /guests/initrd.gz --append 'console=ttyS0 quiet baton.modules=no baton.run=%s' "
             "</dev/null >/tmp/%s 2>&1")
    one = linux % ("one", 2, "256M", "nproc;free+-m;sleep+1;echo+finished", "one")
    two = linux % ("two", 1, "160M", "nproc;free+-m;sleep+1000", "two")
    output = finished(metal.run_on_metal(f"""
{two} &
{one} &
first=$!
while ! grep -q Mem: /tmp/two; do sleep 1; done
baton ps
killall -9 baton-vmm-two 2>/dev/null; kill -9 $(ps | grep 'vms/two' | grep -v grep | awk '{{print $1}}')
wait $first; echo first $?
echo "== one"; cat /tmp/one; echo "== two"; cat /tmp/two
baton ps
""", cpus=2, timeout=400, accel=nested.ACCEL)).output
    assert "first 0" in output, output
    assert re.search(r"^2\n.*\nMem: +2[0-9][0-9] .*finished", section(output, "one"), re.M | re.S)
    assert re.search(r"^1\n.*\nMem: +1[0-9][0-9] ", section(output, "two"), re.M | re.S)


TICKING = ("--memory 128M --net none --append 'console=ttyS0 quiet baton.modules=no "
           "baton.run=for+i+in+$(seq+100000);do+sleep+1;echo+tick+$i;done'")
TICKS = """
ticks() { sleep 100000 | baton console vm >/tmp/$1 & until grep -q tick /tmp/$1; do sleep 1; done; }
"""


def test_saved_machine_goes_on():
    """With the interrupt controllers as they were."""
    output = finished(metal.run_on_metal(TICKS + f"""
baton create vm --engine kvm --kernel /guests/vmlinuz --initrd /guests/initrd.gz {TICKING}
baton start vm; ticks before; baton save vm >/dev/null 2>&1
baton start vm; ticks after
for when in before after; do echo $when $(grep tick /tmp/$when | tail -n 1); done
""")).output
    before, after = (int(n) for n in re.findall(r"^(?:before|after) tick (\d+)", output, re.M))
    assert 0 < before <= after, output


def linux_ticks(environment):
    """Starts the VM on this host and tells how far it is."""
    subprocess.run([metal.BUILD / "baton", "start", "vm"], check=True, env=environment)
    with subprocess.Popen([metal.BUILD / "baton", "console", "vm"], env=environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, errors="replace") as console:
        found = next(m for m in (re.search(r"tick (\d+)", line) for line in console.stdout) if m)
        console.kill()
    return int(found.group(1))


@pytest.mark.long
def test_saved_machine_moves_to_the_metal_and_back(tmp_path):
    """From Linux, where it ran under bt, and back by way of a disk."""
    metal.base_initramfs()
    guest = subprocess.run([metal.ROOT / "tests/images/build.sh", "kernel", "initrd"], check=True,
                           capture_output=True, text=True).stdout.strip()
    environment = os.environ | {name: str(tmp_path) for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
    state, disk = tmp_path / "baton/vms/vm/saved/state", tmp_path / "disk"
    subprocess.run(f"{metal.BUILD}/baton create vm --engine bt --kernel {guest}/vmlinuz --initrd {guest}/initrd.gz "
                   f"{TICKING}", shell=True, check=True, env=environment)
    first = linux_ticks(environment)
    subprocess.run([metal.BUILD / "baton", "save", "vm"], check=True, env=environment)
    with open(disk, "wb") as f:
        f.truncate(256 << 20)
    output = finished(metal.run_on_metal(TICKS + f"""
baton create vm --engine kvm --kernel /guests/vmlinuz --initrd /guests/initrd.gz {TICKING}
mkdir /var/lib/baton/vms/vm/saved; cp /guests/state /var/lib/baton/vms/vm/saved/state
baton start vm; ticks log; baton save vm >/dev/null 2>&1
echo log $(grep tick /tmp/log | tail -n 1)
cd /var/lib/baton/vms/vm/saved; echo size $(wc -c <state); dd if=state of=/dev/vda bs=1M 2>/dev/null
""", {"guests/state": state}, machine=["-drive", f"if=none,id=disk,format=raw,file={disk}",
                                       "-device", "virtio-blk-pci,drive=disk"])).output
    second = int(re.search(r"^log tick (\d+)", output, re.M).group(1))
    state.write_bytes(disk.read_bytes()[:int(re.search(r"^size (\d+)", output, re.M).group(1))])
    third = linux_ticks(environment)
    subprocess.run([metal.BUILD / "baton", "stop", "--force", "vm"], check=True, env=environment)
    assert first <= second <= third, output


# Time counts instructions, 8 ns each: what a busy host does to QEMU is not seen.
COUNTED = ("-icount", "shift=3,sleep=off")


def test_processors_are_divided_by_shares(programs):
    """Two VMs' worth of load on one processor: nice 5 is a third of nice 0."""
    output = finished(metal.run_on_metal("""
misbehave loop & first=$!
misbehave loop 5 & second=$!
sleep 6
awk '{ print "used", $14 }' /proc/$first/stat /proc/$second/stat
kill -9 $first $second
""", programs, cpus=1, machine=COUNTED)).output
    first, second = (int(n) for n in re.findall(r"^used (\d+)", output, re.M))
    assert first + second > 400, output
    assert abs(first / (first + second) - 1024 / (1024 + 335)) < 0.05, output


SPIN = "baton run --engine kvm --memory 64M --net none --kernel /guest/spin"
SPIN_FILES = {"guest/spin": metal.BUILD / "guests/spin"}
SPINNING = """
spinning() { for vm in "$@"; do while ! grep -q spinning /tmp/$vm; do sleep 0.2; done; done; }
"""


def test_caps_and_shares_hold():
    """Three VMs that want all of one processor: a quarter at most, then two parts to one."""
    output = finished(metal.run_on_metal(SPINNING + f"""
{SPIN} --name a --cpu-cap 25 </dev/null >/tmp/a 2>&1 & a=$!
{SPIN} --name b --cpu-shares 50 </dev/null >/tmp/b 2>&1 & b=$!
{SPIN} --name c </dev/null >/tmp/c 2>&1 & c=$!
spinning a b c
awk '{{ print "used", $14 }}' /proc/$a/stat /proc/$b/stat /proc/$c/stat
sleep 10
awk '{{ print "used", $14 }}' /proc/$a/stat /proc/$b/stat /proc/$c/stat
cat /sys/fs/cgroup/baton-a/cpu.max /sys/fs/cgroup/baton-b/cpu.weight
kill -9 $a $b $c; wait $a $b $c
baton ps >/dev/null; echo groups $(ls -d /sys/fs/cgroup/baton-* 2>/dev/null)
""", SPIN_FILES, cpus=1, machine=COUNTED)).output
    used = [int(n) for n in re.findall(r"^used (\d+)", output, re.M)]
    ran = [after - before for before, after in zip(used[:3], used[3:])]
    assert sum(ran) > 400, output
    for got, wanted in zip(ran, (0.25, 0.25, 0.5)):
        assert abs(got / sum(ran) - wanted) < 0.05, output
    assert "25000 100000\n50\n" in output
    assert "groups\n" in output  # they go with their VMs


def test_eight_machines_at_once():
    """All run on two processors, and their memory comes back."""
    names = [f"vm{n}" for n in range(8)]
    output = finished(metal.run_on_metal(SPINNING + f"""
free | grep Mem
pids=
for vm in {" ".join(names)}; do
    {SPIN} --name $vm </dev/null >/tmp/$vm 2>&1 & pids="$pids $!"
done
spinning {" ".join(names)}
sleep 4
awk '{{ print "used", $14 }}' $(printf '/proc/%s/stat ' $pids)
baton ps; free | grep Mem
kill -9 $pids; wait $pids
free | grep Mem
""", SPIN_FILES, cpus=2)).output
    assert all(int(n) > 20 for n in re.findall(r"^used (\d+)", output, re.M)), output
    assert [name for name in names if not re.search(rf"^{name} ", output, re.M)] == [], output
    before, meanwhile, after = (int(n) for n in re.findall(r"Mem: +\d+ +\d+ +(\d+)", output))
    assert before - meanwhile > 8 * 16384, output
    assert abs(before - after) < 1024, output


def test_long_reads_leave_the_processor_to_others():
    """The kernel is not preempted, so what takes it seconds asks whether others wait."""
    output = finished(metal.run_on_metal("""
dd if=/dev/urandom of=/dev/null bs=512M count=1 2>/dev/null & reader=$!
for i in 1 2 3 4 5; do sleep 0.1; done
kill -0 $reader && echo still reading; kill -9 $reader; wait $reader; echo status $?
""", cpus=1)).output
    assert output.startswith("still reading\n") and output.endswith("status 137\n"), output


def measured_frequency(socket, stops):
    """The clock's, in MHz, of a machine whose host makes it stand still so often while it is measured."""
    with screen.Machine(append="panic=off run=head+/proc/cpuinfo",
                        terminal=("-serial", "stdio", *gdbstub.options(socket))) as m:
        stub = gdbstub.Stub(socket)
        stub.reach("clock_init")
        assert stub.ask("D") == "OK"
        for _ in range(stops):
            time.sleep(0.012)
            m.program.send_signal(signal.SIGSTOP)
            time.sleep(0.03)
            m.program.send_signal(signal.SIGCONT)
        m.wait_end()
        return float(re.search(rb"cpu MHz\s*: ([0-9.]+)", m.raw).group(1))


def test_clock_of_a_machine_that_stands_still(tmp_path):
    """As virtual machines do on busy hosts: the clock neither crawls nor races afterwards."""
    quiet, disturbed = (measured_frequency(tmp_path / f"gdb{stops}", stops) for stops in (0, 8))
    assert abs(disturbed / quiet - 1) < 0.1, (quiet, disturbed)


def test_list_of_calls_is_up_to_date():
    subprocess.run([metal.ROOT / "scripts/abi.py", "--check"], check=True)


def test_kernel_stays_small():
    subprocess.run([metal.ROOT / "scripts/kernel-lines.sh"], check=True)


def test_four_processors():
    """Whose idle time goes on while they are idle, so that what they were busy never gets less."""
    look = "set -- $(head -n 1 /proc/stat); echo busy $2 idle $5; "
    result = finished(metal.run_on_metal("grep -c ^processor /proc/cpuinfo; " + 4 * f"{look} sleep 2; " + look, cpus=4))
    assert "4 CPUs" in result.console and result.output.startswith("4\n")
    looks = [(int(b), int(i)) for b, i in re.findall(r"^busy (\d+) idle (\d+)", result.output, re.M)]
    assert len(looks) == 5 and all(a[0] <= b[0] and a[1] < b[1] for a, b in zip(looks, looks[1:])), looks


def test_memory_above_4_gib():
    """Files are there and come back whole, and a guest runs in it: the first 400 MiB are more than lie below."""
    result = finished(metal.run_on_metal(
        "dd if=/dev/zero of=/much bs=1M count=400 2>/dev/null && md5sum /much && /guests/demo echo 'in the' guest",
        memory=896, machine=("-machine", "pc,max-ram-below-4g=256M"), timeout=600))
    told = int(re.search(r"Baton kernel, (\d+) MiB of memory", result.console)[1])
    assert 800 < told < 896, result.console
    assert f"{hashlib.md5(bytes(400 << 20)).hexdigest()}  /much\n" in result.output, result.output
    assert "in the guest" in result.output, result.output
