# SPDX-License-Identifier: Apache-2.0
"""The debugger's stub with Debian's gdb: a guest of our own on every engine, and Linux."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import nested
from conftest import BATON, BUILD, baton, image_folder, listens, needs, wait_listening
from test_save import Control

pytestmark = needs("gdb")
ENGINES = ["bt", "bt,tier=interp"]
ELF = BUILD / "guests/debug.elf"
PASSED = 33  # the guest's own checks: it has seen nothing of the debugger

# Breakpoints, steps, watchpoints, registers; the last lines let the guest end by itself.
SESSION = """
set pagination off
set confirm off
target remote {target}
echo [start]\\n
info registers cs efer k_gs_base fs_base
break work
continue
echo [first]\\n
print $rdi
continue 20
echo [later]\\n
print $rdi
x/i $pc
stepi
stepi
print (long)$pc - (long)work
print/x $xmm3.v4_int32[1] = 0x1234
print/x $xmm3.v4_int32[1]
print $st0 = 2.5
print $st0
delete
watch watched
continue
echo [watched]\\n
print watched
print (unsigned long)$pc - (unsigned long)store_watched < 16
delete
rwatch watched
continue
echo [read]\\n
print (unsigned long)$pc - (unsigned long)load_watched < 16
delete
hbreak store_watched if val == 400
continue
echo [hard]\\n
print val
set var watched_bytes[3] = 0xab
print/x watched_bytes[3]
monitor stats
monitor nonsense
delete
continue
"""


def symbol(name):
    text = subprocess.run(["nm", ELF], check=True, capture_output=True, text=True).stdout
    return int(re.search(rf"^(\w+) \w {name}$", text, re.M).group(1), 16)


def session(target):
    return SESSION.format(target=target)


def check_session(out):
    """What gdb must have printed, on any engine."""
    assert re.search(r"\[start\]\ncs +0x10", out)
    assert re.search(r"\[first\]\n\$1 = 0\n", out)
    assert re.search(r"\[later\]\n\$2 = 20\n=> 0x\w+ <work>:", out)
    assert re.search(r"\$3 = [1-9]", out), "two steps from work on"
    assert "$5 = 0x1234" in out and "$7 = 2.5" in out
    assert re.search(r"Old value = 0\nNew value = 100\n", out)
    assert re.search(r"\[watched\]\n\$8 = 100\n\$9 = 1\n", out)
    assert re.search(r"\[read\]\n\$10 = 1\n", out)
    assert re.search(r"\[hard\]\n\$11 = 400\n\$12 = 0xab\n", out)
    assert "pio_unclaimed" in out and "there is no command" in out
    assert "exited with code 041" in out


def run_gdb(script, tmp_path, *files, timeout=120):
    path = tmp_path / "script.gdb"
    path.write_text(script)
    return subprocess.run(["gdb", "-nx", "-batch", "-x", path, *files], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout)


@pytest.fixture
def guest(start, tmp_path):
    """guest(engine) starts the debug guest, standing; returns it and where the stub listens."""

    def starter(engine, *args, settings=",wait"):
        target = tmp_path / "gdb.sock"
        g = start("run", "--engine", engine, "--memory", "32M", "--kernel", BUILD / "guests/debug",
                  "--device", "debug-exit", "--gdb", f"unix:{target}{settings}", *args)
        while g.process.poll() is None and not listens(target):
            g.read(0.05)
        return g, target

    return starter


@pytest.mark.parametrize("engine", ENGINES)
def test_session(guest, tmp_path, engine):
    g, target = guest(engine)
    result = run_gdb(session(target), tmp_path, ELF)
    check_session(result.stdout)
    assert g.wait() == PASSED, g.output


def test_avx512(guest, tmp_path):
    g, target = guest("bt", "--cpu", "v4")
    if not target.exists():
        pytest.skip(g.output or "the host has no AVX-512")
    out = run_gdb(f"""set confirm off
target remote {target}
print/x $k1 = 0x77
print/x $ymm20h = 0x55
print/x $zmm20.v8_int64[2]
print/x $k1
continue
""", tmp_path, ELF).stdout
    assert "$3 = 0x55\n" in out and "= 0x77\n" in out, out
    assert g.wait() == PASSED, g.output


def test_port_of_this_host_only(start, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    start("run", "--engine", "bt", "--memory", "32M", "--kernel", BUILD / "guests/debug",
          "--gdb", f"{port},wait")
    end = time.monotonic() + 60
    listening = ""
    while not listening and time.monotonic() < end:
        listening = subprocess.run(["ss", "-tlnH", f"sport = :{port}"], capture_output=True, text=True).stdout
    assert f"127.0.0.1:{port}" in listening
    result = run_gdb(f"target remote :{port}\ninfo registers rip\nkill\n", tmp_path, ELF)
    assert "<_start>" in result.stdout


def test_detach_lets_the_guest_run_on(guest, tmp_path):
    g, target = guest("bt")
    run_gdb(f"target remote {target}\nbreak work\ncontinue\ndetach\n", tmp_path, ELF)
    assert g.wait() == PASSED, g.output


def test_a_lost_debugger_lets_the_guest_run_on(guest):
    g, target = guest("bt")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(target))
        s.sendall(b"+$Z0,%x,1#" % symbol("work"))  # cut off
        time.sleep(0.3)
    assert g.wait() == PASSED, g.output


def test_a_triple_fault_stops_first(start, tmp_path):
    target = tmp_path / "gdb.sock"
    g = start("run", "--engine", "bt", "--memory", "32M", "--kernel", BUILD / "guests/triple",
              "--append", "idt", "--gdb", f"unix:{target},wait")
    wait_listening(target)
    out = run_gdb(f"set confirm off\ntarget remote {target}\ncontinue\nx/i $pc\ncontinue\n",
                  tmp_path, BUILD / "guests/triple.elf").stdout
    assert re.search(r"SIGSEGV.*=> 0x\w+ <no_idt\+\d+>:\s+int3", out, re.S), out
    assert "exited with code 03" in out
    assert g.wait() == 3


def test_bad_settings_are_named(start):
    for text in ["0", "70000", "12x", "unix:", "1234,now"]:
        result = baton("run", "--kernel", BUILD / "guests/debug", "--gdb", text)
        assert result.returncode == 1 and "gdb" in result.stderr, text


def test_i386_and_real_mode(start, tmp_path):
    """The 32-bit guest from its first instruction, described as a 32-bit processor."""
    target = tmp_path / "gdb.sock"
    g = start("run", "--engine", "bt", "--memory", "32M", "--kernel", BUILD / "guests/protected",
              "--device", "debug-exit", "--gdb", f"unix:{target},wait,i386")
    wait_listening(target)
    result = run_gdb(f"""set pagination off
target remote {target}
info registers eip cs cr0
break guest_start
continue
info registers eip
stepi
print $esp
print $xmm0
detach
""", tmp_path, BUILD / "guests/protected.elf")
    assert re.search(r"eip +0x\w+ +0x\w+ <_start", result.stdout), result.stdout
    assert re.search(r"\nBreakpoint 1, .*guest_start", result.stdout)
    assert g.wait() == PASSED, g.output


# ---- Linux ----------------------------------------------------------------------------------------

def kernel_symbols(guest, *names):
    pattern = "|".join(names)
    text = guest.run(f"grep -E ' ({pattern})$' /proc/kallsyms", 300)
    return {m.group(2): int(m.group(1), 16) for m in re.finditer(r"(\w{16}) \w (\w+)\s", text)}


def test_linux(linux, tmp_path):
    """Attached to a running kernel of two processors: stops in a system call, sees both, goes on."""
    target = tmp_path / "gdb.sock"
    g = linux("quiet", "--cpus", "2", "--gdb", f"unix:{target}")
    g.expect("guest# ", 300)
    at = kernel_symbols(g, "__x64_sys_newuname", "__do_sys_newuname", "jiffies", "init_uts_ns")
    function = at.get("__x64_sys_newuname") or at["__do_sys_newuname"]
    g.send("while true; do uname -a >/dev/null; done &\n")
    result = run_gdb(f"""set pagination off
set architecture i386:x86-64
target remote {target}
info threads
break *{function:#x}
continue
echo [syscall]\\n
print $pc == {function:#x}
print $cs
print ($cr0 >> 31) & 1
x/2i $pc
stepi
continue 5
print $pc == {function:#x}
delete
watch *(unsigned long *){at["jiffies"]:#x}
continue
continue
echo [jiffies]\\n
delete
thread 2
info registers rip
x/4xg {at["init_uts_ns"]:#x}
detach
""", tmp_path, timeout=200)
    out = result.stdout
    assert re.search(r"Thread 2 \(vCPU 1", out), out
    assert re.search(r"\[syscall\]\n\$1 = 1\n\$2 = 16\n\$3 = 1\n", out), out
    assert "$4 = 1\n" in out
    values = re.findall(r"(?:Old|New) value = (\d+)", out)
    assert len(values) == 4 and values[1] == values[2], out
    assert int(values[0]) < int(values[1]) < int(values[3]), "ticks may be made up for"
    assert "0x" in out[out.index("[jiffies]"):]
    assert "42" in g.run("echo $((6*7))")
    dmesg = g.run("dmesg | grep -E 'Oops|BUG|debug' || true")
    assert not re.search("Oops|BUG", dmesg)
    g.send("exit\n")
    assert g.wait(60) == 0


def test_interrupt_and_threads(linux, tmp_path):
    """Ctrl-C stops a running kernel; stepping one processor leaves the other where it was."""
    target = tmp_path / "gdb.sock"
    g = linux("quiet", "--cpus", "2", "--gdb", f"unix:{target}")
    g.expect("guest# ", 300)
    p = subprocess.Popen(["gdb", "-nx", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    p.stdin.write(f"set pagination off\nset confirm off\nset architecture i386:x86-64\n"
                  f"target remote {target}\ncontinue\n")
    p.stdin.flush()
    out = ""
    while "Continuing." not in out:
        line = p.stdout.readline()
        assert line, out
        out += line
    time.sleep(3)  # it runs
    p.send_signal(signal.SIGINT)
    p.stdin.write("echo [stopped]\\n\nset scheduler-locking on\nthread 2\nprint $pc\nthread 1\n"
                  "stepi\nstepi\nthread 2\nprint $pc == $1\nset scheduler-locking off\n"
                  "detach\nquit\n")
    out += p.communicate(timeout=240)[0]
    assert "SIGINT" in out and "$2 = 1" in out, out
    assert "42" in g.run("echo $((6*7))")


# ---- KVM ------------------------------------------------------------------------------------------

def minimal_gdb():
    """gdb without Python, for a host that has nothing else; from Debian's package."""
    folder = image_folder() / "deb/gdb-minimal"
    if not (folder / "usr/bin/gdb").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "gdb-minimal"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["dpkg-deb", "-x", *folder.glob("*.deb"), folder], check=True)
    return folder / "usr/bin/gdb"


# Steps, registers, memory. QEMU's AMD-V neither loads the breakpoint registers nor leaves the guest
# for INT3: breakpoints are below, watchpoints in tests/unit/kvm.
KVM_SESSION = """
set pagination off
set confirm off
target remote /tmp/gdb.sock
print (long)$pc - (long)_start
stepi
stepi
echo [stepped]\\n
print (long)$pc - (long)_start
info registers cs cr0
print/x $xmm3.v4_int32[1] = 0x1234
print/x $xmm3.v4_int32[1]
print $st0 = 2.5
print $st0
print rounds
set var rounds_done = 99
print rounds_done
print $rsi = 0x55
print $rsi
x/i _start
continue
"""


@pytest.mark.skipif(nested.missing() is not None, reason=str(nested.missing()))
def test_session_on_kvm(images, tmp_path):
    script = tmp_path / "script.gdb"
    script.write_text(KVM_SESSION)
    files = {"baton": BUILD / "baton", "baton-vmm": BUILD / "baton-vmm", "gdb": minimal_gdb(),
             "debug": BUILD / "guests/debug", "debug.elf": ELF, "script.gdb": script}
    gconv = "/usr/lib/x86_64-linux-gnu/gconv"  # gdb converts what it prints to UTF-32
    files |= {f"{gconv}/{name}": f"{gconv}/{name}" for name in ("gconv-modules.cache", "UTF-32.so")}
    result = nested.run_in_kvm_host("""
        export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
        /baton run --engine kvm --memory 32M --kernel /debug --device debug-exit \
            --gdb unix:/tmp/gdb.sock,wait </dev/null >/tmp/out 2>&1 &
        while [ ! -S /tmp/gdb.sock ]; do sleep 0.2; done
        timeout 120 /gdb -nx -batch -x /script.gdb /debug.elf
        wait %1
        echo status=$?
        cat /tmp/out
    """, files, 240)
    out = result.output.replace("\r", "")
    assert re.search(r"\$1 = 0\n.*\[stepped\]\n\$2 = [1-9]", out, re.S), out
    assert all(f"{value}\n" in out for value in
               ("$4 = 0x1234", "$6 = 2.5", "$7 = 3", "$8 = 99", "$10 = 85")), out
    assert re.search(r"cs +0x10 .*\ncr0 +0x11 ", out) and "exited with code 041" in out
    assert f"status={PASSED}" in out


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm")
def test_breakpoint_registers_of_kvm(guest, tmp_path):
    """Code breakpoints only: a KVM that emulates has no others."""
    g, target = guest("kvm")
    out = run_gdb(f"""set confirm off
target remote {target}
break work
hbreak store_watched
continue
print $rdi
stepi
print (long)$pc > (long)work
delete 1
continue
print val
delete
continue
""", tmp_path, ELF).stdout
    assert all(f"{value}\n" in out for value in ("$1 = 0", "$2 = 1", "$3 = 0")), out
    assert g.wait() == PASSED, g.output


def test_baton_gdb_opens_the_stub_of_a_running_vm(start, tmp_path):
    g = start("run", "--engine", "bt", "--memory", "32M", "--name", "dbg", "--kernel",
              BUILD / "guests/debug", "--device", "debug-exit", "--gdb", f"unix:{tmp_path}/first,wait")
    wait_listening(tmp_path / "run/baton/dbg.sock")
    where = baton("gdb", "dbg", "--print").stdout.strip()
    assert where == f"unix:{tmp_path}/first", "open before: that one is told"
    run_gdb(f"target remote {tmp_path}/first\ndetach\n", tmp_path)
    assert g.wait() == PASSED


def test_the_stub_listens_where_it_is_told_to(start, tmp_path, monkeypatch):
    """Also where the VM's process, which is in its sandbox, may make no file."""
    g = start("run", "--engine", "bt", "--memory", "32M", "--name", "dbg", "--sandbox", "auto", "--kernel",
              BUILD / "guests/spin", "--device", "debug-exit")
    wait_listening(tmp_path / "run/baton/dbg.sock")
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "far")
    precious = tmp_path / "far/precious"
    precious.write_text("kept")
    p = baton("gdb", "dbg", "--print", "--listen", "unix:precious")
    assert p.returncode == 1 and "is no socket" in p.stderr, p.stderr
    assert precious.read_text() == "kept"
    p = baton("gdb", "dbg", "--print", "--listen", "unix:gone/stub")
    assert p.returncode == 1 and "gone" in p.stderr and "No such file" in p.stderr, p.stderr
    with open("precious", "rb") as file:
        with pytest.raises(RuntimeError, match="no socket that listens"):
            Control(tmp_path / "run/baton/dbg.sock").call("gdb", listen="1", fds=[file.fileno()])
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "far/stub"))  # and nobody listens any more
    where = baton("gdb", "dbg", "--print", "--listen", "unix:stub").stdout.strip()
    assert where == f"unix:{tmp_path}/far/stub"
    assert listens(tmp_path / "far/stub")
    assert baton("gdb", "dbg", "--print", "--listen", "unix:other").stdout.strip() == where, "it is open"
    assert not (tmp_path / "far/other").exists()
    baton("stop", "--force", "dbg")
    g.process.wait(30)


def test_a_killed_vm_leaves_no_debugger_behind(start, tmp_path):
    """The next VM of that name takes over the socket's file."""
    for _ in range(2):
        g = start("run", "--engine", "bt", "--memory", "32M", "--name", "dbg", "--kernel", BUILD / "guests/spin",
                  "--device", "debug-exit")
        wait_listening(tmp_path / "run/baton/dbg.sock")
        p = baton("gdb", "dbg", "--print")
        assert p.stdout == f"unix:{tmp_path}/run/baton/dbg.gdb\n", p.stderr
        g.process.kill()
        g.process.wait()


def test_baton_gdb_starts_gdb(linux):
    g = linux("quiet", "--name", "dbg")
    g.expect("guest# ", 180)
    p = subprocess.run([BATON, "gdb", "dbg"], input="print $cr0 & 1\ninfo threads\ndetach\n",
                       text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert "$1 = 1" in p.stdout and "vCPU 0" in p.stdout, p.stdout
    assert "42" in g.run("echo $((6*7))")
