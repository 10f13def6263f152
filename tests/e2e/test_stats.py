# SPDX-License-Identifier: Apache-2.0
"""baton stats and --trace: what a person tuning a guest or the translator gets to see."""
import json
import re

import pytest

import nested
from conftest import BUILD, baton


@pytest.fixture
def busy(linux):
    """A guest at its shell, with the kernel's symbols in a file."""

    def starter(engine="bt", *args):
        guest = linux("quiet", "--name", "seen", *args, engine=engine)
        guest.expect("guest# ", 180)
        return guest

    return starter


def symbols(guest, tmp_path, shift=0):
    """A System.map of some functions; `shift` is by how much it differs from the running kernel."""
    text = guest.run("grep -E ' (entry_SYSCALL_64|clear_user_.*|read_zero|write_null|ksys_read|"
                     "vfs_read|do_syscall_64|__x64_sys_read|rep_stos_alternative)$' /proc/kallsyms", 300)
    lines = re.findall(r"^([0-9a-f]{16}) ([a-zA-Z]) (\w+)", text, re.M)
    path = tmp_path / "System.map"
    path.write_text("".join(f"{int(a, 16) - shift:016x} {t} {n}\n" for a, t, n in lines))
    assert any(n == "entry_SYSCALL_64" for _, _, n in lines)
    return path


def stats(*args):
    result = baton("stats", "seen", "--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_counters_by_cause(busy):
    busy()
    s = stats()
    for name in ("blocks", "translated_insns", "tlb_misses", "slow_device", "slow_crossing", "killed_by_store",
                 "jump_misses", "fallback.iret", "pio.uart", "mmio.ioapic"):
        assert s[name] > 0, name
    assert s["fallbacks"] == sum(n for k, n in s.items() if k.startswith("fallback."))
    table = baton("stats", "seen").stdout
    assert re.search(r"^blocks +\d+$", table, re.M)


@pytest.mark.parametrize("shift", [0, 0x1000000])
def test_top_names_the_kernel_function(busy, tmp_path, shift):
    guest = busy()
    path = symbols(guest, tmp_path, shift)
    guest.send("dd if=/dev/zero of=/dev/null bs=64k & \n")
    profile = stats("--top", "--seconds", "2", "--symbols", path)
    assert profile["samples"] > 100 and profile["lost"] == 0
    names = {line["symbol"]: line["samples"] for line in profile["top"] if "symbol" in line}
    assert sum(names.values()) > profile["samples"] * 0.5
    assert any(re.match("clear_user|rep_stos|read_zero|write_null|vfs_read|ksys_read", n)
               for n, count in names.items() if count > profile["samples"] * 0.1), names
    assert profile["instructions"] > 1000000 and profile["accesses"] > profile["tlb_misses"]


def test_top_of_a_user_program_and_a_halted_guest(busy, tmp_path):
    guest = busy()
    idle = stats("--top", "--seconds", "1")
    assert idle["idle"] > idle["samples"]
    guest.send("while :; do :; done &\n")
    text = baton("stats", "seen", "--top", "--seconds", "2", "--symbols", symbols(guest, tmp_path))
    assert re.search(r"million guest instructions a second", text.stdout), text.stderr
    assert re.search(r"^ +\d+ +[5-9]\d\.\d  \w{16} \(user\)$", text.stdout, re.M), text.stdout


def test_bad_symbols_are_named(busy, tmp_path):
    busy()
    path = tmp_path / "bad"
    path.write_text("ffffffff81000000 T one\nnonsense\n")
    result = baton("stats", "seen", "--top", "--symbols", path)
    assert result.returncode == 1 and "line 2" in result.stderr
    result = baton("stats", "seen", "--symbols", path)
    assert result.returncode == 1 and "--top" in result.stderr


def test_trace_of_code_and_unknown_kinds():
    kernel = ["--kernel", BUILD / "guests/debug", "--device", "debug-exit", "--memory", "32M"]
    result = baton("run", "--engine", "bt", "--trace", "code,exits", *kernel)
    assert re.search(r"translates code at 0x\w+, physical 0x\w+, \d+ bytes", result.stderr)
    assert re.search(r"out port 0x3f8", result.stderr)
    result = baton("run", "--engine", "bt", "--trace", "core", *kernel)
    assert result.returncode == 1 and "exits, events, code" in result.stderr


@pytest.mark.skipif(nested.missing() is not None, reason=str(nested.missing()))
def test_kvm_counts_exits_and_samples(images):
    files = {"baton": BUILD / "baton", "baton-vmm": BUILD / "baton-vmm", "vmlinuz": images / "vmlinuz",
             "initrd.gz": images / "initrd.gz"}
    result = nested.run_in_kvm_host("""
        export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
        /baton run --engine kvm --name vm --memory 256M --kernel /vmlinuz --initrd /initrd.gz \
            --append "console=ttyS0 quiet baton.run=echo+looping;while+:;do+:;done" </dev/null >/tmp/out 2>&1 &
        while ! grep -q '^looping' /tmp/out; do sleep 0.3; done
        /baton stats vm --top --seconds 2 --json
        echo ====
        /baton stats vm
        /baton stop --force vm
    """, files, 240)
    profile, counters = result.output.split("====")
    profile = json.loads(profile[profile.index("{"):])
    assert profile["samples"] > 20 and profile["instructions"] == 0
    assert sum(line["samples"] for line in profile["top"] if int(line["address"], 16) < 1 << 47) > 0
    assert re.search(r"^exits_pio_write +[1-9]", counters, re.M), counters
    assert re.search(r"^pio.uart +[1-9]", counters, re.M)
