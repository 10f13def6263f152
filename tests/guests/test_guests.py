# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests under every engine and under QEMU, with the same expectations."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build")).resolve()
PASSED = 33   # (10h << 1) | 1, see guests/lib/guest.h
FAILED = 35
CRASHED = 3   # MACHINE_STATUS_CRASHED
TIMEOUT = 240

GUESTS = ["control", "corners", "cpu", "debug", "devices", "dma", "escape", "exceptions", "features", "ferr", "flags", "fpu", "gates", "hostile", "interrupts", "links", "paging",
          "protected", "reach", "smp", "stacks", "steps", "tasks"]
CPUS = {"smp": 2}
# What `dma` drives: cards that hear each other, and disks, for which {} is the folder of their files.
BUSES = ("virtio", "ahci", "nvme")
DMA_OPTIONS = "--net internal=dma --net internal=dma,model=e1000 " + " ".join(
    f"--disk {{}}/{bus}.img,bus={bus}" for bus in BUSES)
# The same in a shell: options NAME prints those of a guest.
SHELL_OPTIONS = f"""
options() {{ case $1 in dma) echo {DMA_OPTIONS.format(*3 * ["/tmp"])};; *) echo --net none;; esac; }}
mkdir -p /tmp; for bus in {" ".join(BUSES)}; do dd if=/dev/zero of=/tmp/$bus.img bs=64k count=16 2>/dev/null; done
"""

# Checks that QEMU 7.2's TCG fails, with the reason; they hold on hardware and here.
TCG_FAILS = {
    "exceptions": {
        10: "error code of a vector past the IDT's limit is index * 16 + 2",
        11: "non-canonical stack references are #GP",
        12: "error code of an absent gate is index * 16 + 2",
        14: "SSE exceptions are not delivered",
        15: "alignment checks are not made",
        18: "error code of an absent gate is index * 16 + 2, without EXT",
        24: "general detect is not made",
        25: "INT1 is #UD",
        27: "RF is not set in the image of faults",
        28: "LOCK with a register destination is accepted by some instructions",
        29: "unknown MSRs are ignored",
        32: "a call to a non-canonical address has pushed",
    },
    "fpu": {
        3: "reserved bits of MXCSR are not checked",
        4: "reserved bits of MXCSR are not checked",
        6: "x87 stack faults are not made",
        7: "the upper bits of MMX registers are not ones",
        8: "last instruction and data pointers are not kept",
        17: "last instruction and data pointers are not kept",
    },
    "gates": {2: "error code of a refused INT n is vector * 16 + 2", 17: "FS keeps a null selector's RPL"},
    "interrupts": {15: "vectors below 16 are delivered"},
    "links": {n: "INVLPG of another address in a large page keeps code that was translated" for n in (9, 17)},
    "paging": {
        8: "the error code of a reserved bit has P clear",
        9: "the error code of a reserved bit has P clear",
    },
    "protected": {
        2: "segment limits are not checked",
        3: "segment limits are not checked",
        4: "segment types are not checked on access",
        21: "reserved bits of PDPTEs are not checked",
        22: "segment limits are not checked",
        23: "segment limits are not checked",
    },
    "stacks": {7: "non-canonical stack references are #GP"},
    "tasks": {7: "EIP of a fault on a selector of the new task"},
}
# And QEMU as a machine: what is not there reads as 0, and guests have SVM.
QEMU_FAILS = {
    "escape": {1: "EFER.SVME may be set", 5: "absent memory reads as 0"},
    "smp": {7: "INIT resets the MSRs of system calls"},
}
# Known gaps of our own translator; its interpreter has none.
TRANSLATOR_FAILS = {"fpu": {8: "translated x87 code keeps no last instruction pointer"}}
LOCKSTEP_FAILS = {"flags": {6: "accesses with a common check are tried again in a block of their own"}}
# What Linux 6.1's KVM does differently in its interrupt controllers.
KVM_FAILS = {
    "corners": {8: "AMD's processors have no m16:64"},
    "features": {2: "instructions without a control bit run if the host has them"},
    "ferr": {1: "no IRQ 13"},
    "hostile": {n: "code outside of memory ends KVM_RUN" for n in (5, 6, 8)},
    "interrupts": {
        15: "sending a vector below 16 sets no error bit",
        20: "an EOI that is not 0 is accepted",
        21: "registers keep their values while the APIC is disabled",
    },
}
# A KVM host inside QEMU's TCG (nested.py) has TCG's processor and KVM's interrupt controllers.
NESTED_FAILS = {
    "interrupts": {
        14: "TCG: now and then a deadline is seconds late, as the emulated host's clocks are",
        17: "TCG: an exit of the guest in the shadow of STI ends it",
    },
    "control": {1: "TCG: no check", 2: "TCG: no check", 4: "TCG: no check", 9: "TCG: no check"},
}
# With AMD-V it runs these as well. Checks that would stop the guest are left out ("skip="), with the reason.
METAL_SKIPS = {
    "control": {
        1: "TCG: no check of CR4's reserved bits; VMRUN refuses them then",
        3: "TCG: no check; VMRUN refuses CR0.NW without CR0.CD",
        5: "TCG: no check; VMRUN refuses CR0.PG without CR0.PE",
        6: "TCG: CR4.PAE is cleared in long mode",
    },
    "corners": {1: "TCG dies of IDIV's overflow"},
    "features": {2: "CR4 is the guest's: it may set what the processor has, hidden or not"},
    "hostile": {1: "TCG dies of undefined opcodes that it runs", 8: "code outside of memory ends KVM_RUN"},
    "steps": {4: "TCG: INT1 is #UD", 12: "TCG: INT1 is #UD", 15: "TCG dies of a data breakpoint on what an exception pushes"},
}
METAL_FAILS = {
    "control": {2: "TCG: no check", 4: "TCG: no check", 9: "TCG: no check"},
    "corners": {
        3: "TCG: 66h with REX.W and the 0F38 map",
        4: "TCG: C1 does not tell that it was rounded up",
        5: "TCG: IRET and far transfers use the stack with supervisor rights",
        7: "TCG: no check of WRFSBASE, WRMSR",
    },
    "features": {6: "VMCALL is #UD, as on AMD's processors"},
    "ferr": {1: "no IRQ 13"},
    "hostile": {2: "TCG: a page that is missing counts before the length of 15"},
    "interrupts": NESTED_FAILS["interrupts"],
    "steps": {
        1: "TCG: STI's shadow keeps a step back", 3: "TCG: data breakpoints of MOV SS",
        5: "TCG: data breakpoints of MOV SS", 9: "TCG: no breakpoints on ports", 10: "TCG: no breakpoints on ports",
        13: "TCG: DR6 is written anew",
    },
    "tasks": {n: "hardware task switches are refused" for n in range(1, 20)},
}
TCG_HANGS = {
    "features": "its CPUID shows what we never do",
    "ferr": "an assertion of its own fails",
    "control": "it accepts values that stop the guest",
    "dma": "its devices reach ROMs and registers",
    "hostile": "it ends with code outside of memory; some undefined opcodes run",
    "corners": "it dies of IDIV's overflow; without that check 3, 4 and 5 fail",
    "steps": "INT1 is #UD; 1 and 3 fail before it comes to that",
}


def run(argv):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=TIMEOUT)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@contextlib.contextmanager
def devices(guest):
    """Options for what the guest drives."""
    if guest != "dma":
        yield ["--net", "none"]
        return
    with tempfile.TemporaryDirectory(prefix="baton-dma-") as folder:
        for bus in BUSES:
            (pathlib.Path(folder) / f"{bus}.img").write_bytes(bytes(1 << 20))
        yield DMA_OPTIONS.format(*len(BUSES) * [folder]).split()


def baton(engine, guest, *options):
    with devices(guest) as driven:
        return run([BUILD / "baton", "run", "--engine", engine, "--memory", "64M", *driven,
                    "--cpus", CPUS.get(guest, 1), "--no-reboot", "--serial", "stdio",
                    "--device", "debug-exit", *options, "--kernel", BUILD / "guests" / guest])


def qemu(guest):
    # Threads of their own for the processors would now and then keep code that changed as it ran.
    return run(["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "64",
                "-smp", CPUS.get(guest, 1), "-display", "none", "-vga", "none", "-net", "none",
                "-monitor", "none", "-no-reboot", "-serial", "stdio",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                "-kernel", BUILD / "guests" / guest])


def failed_checks(output):
    return {int(n) for n in re.findall(r"^FAIL (\d+):", output, re.M)}


def assert_passed(guest, status, output, errors):
    assert status == PASSED, f"{guest}: status {status}\n{output}\n{errors}"
    assert re.search(r"^0 of \d+ checks failed", output, re.M), output


def skipped_checks(output):
    return {int(n) for n in re.findall(r"^skip (\d+)", output, re.M)}


def assert_known(guest, status, output, errors, *tables):
    """Passed, but for the checks that the tables know to fail there."""
    known = {n for table in tables for n in table.get(guest, {})}
    if not known:
        assert_passed(guest, status, output, errors)
    assert status in (PASSED, FAILED), f"{guest}: status {status}\n{output}\n{errors}"
    assert failed_checks(output) <= known, output
    assert re.search(r"^\d+ of \d+ checks failed", output, re.M), output


@pytest.fixture(scope="session", autouse=True)
def built():
    if not (BUILD / "baton").exists():
        pytest.skip(f"{BUILD}/baton is not built")


@pytest.fixture(scope="session")
def kvm():
    """Only real virtualization is a test of anything: an emulating /dev/kvm lacks instructions."""
    status, output, _ = run([BUILD / "baton", "check", "--json"])
    reason = "baton check says that KVM is not usable here"
    try:
        found = json.loads(output)
    except ValueError:
        found = {}
    if found.get("engine") != "kvm":
        pytest.skip(found.get("why", reason))


@pytest.mark.parametrize("guest", GUESTS)
def test_interpreter(guest):
    assert_passed(guest, *baton("bt,tier=interp", guest))


@pytest.mark.parametrize("guest", GUESTS)
def test_translator(guest):
    assert_known(guest, *baton("bt", guest), TRANSLATOR_FAILS)


@pytest.mark.parametrize("guest", [g for g in GUESTS if CPUS.get(g, 1) == 1])
def test_lockstep(guest):
    """Every block compared; tests/e2e boots Linux so."""
    assert_known(guest, *baton("bt,tier=lockstep", guest), TRANSLATOR_FAILS, LOCKSTEP_FAILS)


@pytest.mark.parametrize("engine", ["bt,tier=interp", "bt"])
@pytest.mark.parametrize("model", ["v3", "v4", "host"])
@pytest.mark.parametrize("guest", ["corners", "cpu", "features", "fpu", "links", "paging", "reach", "stacks"])
def test_larger_processors(guest, model, engine):
    """Model v3 adds XSAVE, AVX and SMEP, v4 AVX-512, SMAP and PCID, where the host has them."""
    status, output, errors = baton(engine, guest, "--cpu", model)
    if "cannot offer on this host" in errors:
        pytest.skip(errors.strip().splitlines()[-1])
    assert_known(guest, status, output, errors, TRANSLATOR_FAILS if engine == "bt" else {})


@pytest.mark.parametrize("guest", GUESTS)
def test_kvm(guest, kvm):
    assert_known(guest, *baton("kvm", guest), KVM_FAILS)


# The emulated host would die of these as well, and `features` of hidden instructions that its processor runs.
NESTED_GUESTS = [g for g in GUESTS if g not in ("corners", "features", "ferr", "hostile", "steps")]
NESTED_SCRIPT = """
export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
OPTIONS
for g in GUESTS; do
    echo "== $g"
    /baton run --engine kvm --cpus 2 --memory 64M $(options $g) --no-reboot --device debug-exit \\
        --kernel /guests/$g </dev/null
    echo "status $?"
done
"""


def import_nested():
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    import nested
    if nested.missing():
        pytest.skip(nested.missing())
    return nested


@pytest.fixture(scope="session")
def nested_outputs():
    """Output and status of each guest under engine kvm on the AMD-V that QEMU emulates."""
    nested = import_nested()
    files = {f"guests/{g}": BUILD / "guests" / g for g in NESTED_GUESTS}
    files |= {name: BUILD / name for name in ("baton", "baton-vmm")}
    output = ""
    for guests, cpus in (([g for g in NESTED_GUESTS if g not in CPUS], 2), (list(CPUS), 1)):
        # QEMU gives several processors turns of 100 ms, too slow for interrupts between the guests' own.
        script = NESTED_SCRIPT.replace("GUESTS", " ".join(guests)).replace("OPTIONS", SHELL_OPTIONS)
        result = nested.run_in_kvm_host(script, files, cpus=cpus)
        assert result.status is not None, result.console[-4000:]
        output += result.output
    parts = re.split(r"^== (\w+)\n", output, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize("guest", NESTED_GUESTS)
def test_kvm_on_emulated_hardware(guest, nested_outputs):
    output = nested_outputs[guest]
    status = int(re.search(r"^status (\d+)", output, re.M).group(1))
    assert_known(guest, status, output, "", TCG_FAILS, KVM_FAILS, NESTED_FAILS)


OLD_HOST_SCRIPT = """
export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
for g in cpu gates paging; do
    /baton run --engine bt --memory 64M --net none --no-reboot --device debug-exit --kernel /guests/$g </dev/null
    echo "$g: status $?"
done
"""


@pytest.mark.parametrize("host", ["Nehalem", "max,-fsgsbase,-smap"])
def test_older_host(host):
    """Without BMI2 the interpreter does it all, without XSAVE there is FXSAVE, without FSGSBASE a system call."""
    nested = import_nested()
    files = {f"guests/{g}": BUILD / "guests" / g for g in ("cpu", "gates", "paging")}
    files |= {name: BUILD / name for name in ("baton", "baton-vmm")}
    result = nested.run_in_kvm_host(OLD_HOST_SCRIPT, files, cpu=host, memory=768)
    assert result.status is not None, result.console[-4000:]
    for guest in ("cpu", "gates", "paging"):
        assert f"{guest}: status {PASSED}" in result.output, result.output


@pytest.mark.parametrize("guest", GUESTS)
def test_qemu(guest):
    """Catches wrong expectations: what fails here and is not in the table is a mistake of the guest."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is not installed")
    if guest in TCG_HANGS:
        pytest.skip(f"QEMU's TCG: {TCG_HANGS[guest]}")
    assert_known(guest, *qemu(guest), TCG_FAILS, QEMU_FAILS)


WAYS_TO_CRASH = ["idt", "idt-nowhere", "gdt", "tables-nowhere", "tables-device", "code", "stack", "ring0-stack"]


@pytest.mark.parametrize("engine", ["bt,tier=interp", "bt"])
@pytest.mark.parametrize("way", WAYS_TO_CRASH)
def test_triple_fault(engine, way):
    status, output, errors = baton(engine, "triple", "--append", way)
    assert f"going down: {way}" in output
    assert status == CRASHED, f"status {status}\n{output}\n{errors}"


def test_debug_console(tmp_path):
    """The same words come out of port 402h."""
    status, output, _ = run([BUILD / "baton", "run", "--engine", "bt", "--memory", "64M", "--net", "none",
                             "--serial", "none", "--device", "debugcon", "--device", "debug-exit",
                             "--kernel", BUILD / "guests" / "cpu"])
    assert status == PASSED
    assert output.startswith("ok 1\n")
