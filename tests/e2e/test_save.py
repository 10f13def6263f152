# SPDX-License-Identifier: Apache-2.0
"""Saved states: a Linux guest at work goes on where it was, also on the other side of a file."""
import json
import re
import shutil
import socket
import subprocess
import time

import pytest

import nested
from conftest import BATON, ENGINE, Guest, baton, needs
from test_grub import MENU, make_image


class Control:
    """A client of a VM's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(240)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("r")
        self.progress = []

    def call(self, method, fds=(), **params):
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n"
        socket.send_fds(self.socket, [line.encode()], fds)
        while True:
            message = json.loads(self.file.readline())
            if message.get("method") == "progress":
                self.progress.append(message["params"])
                continue
            if "error" in message:
                raise RuntimeError(message["error"]["message"])
            return message["result"]


def control(state_home, name="vm-1"):
    return Control(state_home / f"run/baton/{name}.sock")


# A transient VM has no folder for a saved state, and its process may write to no other by name.
ANY_FOLDER = ["--sandbox", "off"]

# Files in tmpfs with their checksums, an open and deleted file, a process that counts.
WORK = """
mkdir -p /w && mount -t tmpfs t /w && cd /w
for i in 1 2 3; do head -c 900000 /dev/urandom >f$i; done; sha256sum f* >sums
exec 7<>/w/open; rm /w/open; echo kept >&7
(n=0; while :; do n=$((n+1)); echo $n >/w/new; mv /w/new /w/count; done) & echo $! >/w/pid
"""


def start_work(guest):
    for line in WORK.strip().splitlines():
        guest.run(line)


def check_work(guest):
    """Everything is as it was, and the counter counts."""
    guest.run("sha256sum -c -s sums")
    assert guest.run("cat </proc/$$/fd/7").strip() == "kept"
    pid = guest.run("cat /w/pid").strip()
    guest.run(f"kill -0 {pid}")
    before = int(guest.run("cat /w/count; sleep 0.5"))
    assert int(guest.run("cat /w/count")) > before
    assert not guest.run("dmesg | grep -E 'stall|lockup|BUG|WARNING' || true").strip()


@pytest.mark.parametrize("cpus", [1, 2])
def test_save_ends_the_vm_and_restore_goes_on(linux, state_home, cpus):
    args = ["--cpus", cpus, "--net", "none"]
    guest = linux("quiet", *args)
    guest.expect("guest# ", 120)
    start_work(guest)
    uptime = float(guest.run("cat /proc/uptime").split()[0])
    vm = control(state_home)
    with pytest.raises(RuntimeError, match="Permission denied"):
        vm.call("save", path=str(state_home / "saved"))  # it is in its sandbox
    with open(state_home / "saved", "wb") as file:
        answer = vm.call("save", path="saved", fds=[file.fileno()])
    assert guest.wait(10) == 0
    assert answer["pause_ns"] > 0 and vm.progress[-1]["done"] == vm.progress[-1]["total"] > 0
    time.sleep(2)
    again = linux("quiet", *args, "--restore", state_home / "saved")
    after = float(again.run("cat /proc/uptime").split()[0])
    assert uptime <= after < uptime + 60
    check_work(again)
    again.send("exit\n")
    assert again.wait(60) == 0


class Tty:
    """The console of a VM in the background."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.output = ""
        self.seen = 0
        self.process = self

    @staticmethod
    def poll():
        return None

    def read(self, timeout):
        self.socket.settimeout(timeout)
        try:
            self.output += self.socket.recv(65536).decode(errors="replace").replace("\r", "")
        except TimeoutError:
            return False
        return True

    def send(self, text):
        self.socket.sendall(text.encode())

    expect = Guest.expect
    run = Guest.run


@pytest.fixture
def kept(state_home, images):
    """A defined and started VM "web"; gives a function that joins its console."""

    def boot(*args):
        assert baton("create", "web", "--engine", ENGINE, "--memory", "256M", "--kernel",
                     images / "vmlinuz", "--initrd", images / "initrd.gz", "--append",
                     "console=ttyS0 quiet", *args).returncode == 0
        check(baton("start", "web"))
        tty = Tty(state_home / "run/baton/web.tty")
        tty.send("\n")
        tty.expect("guest# ", 120)
        return tty

    boot.tty = lambda: Tty(state_home / "run/baton/web.tty")
    yield boot
    baton("stop", "web", "--force")


def check(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def state():
    return json.loads(check(baton("info", "web", "--json")))["state"]


def test_baton_save_and_start(kept, state_home):
    tty = kept()
    start_work(tty)
    check(baton("save", "web"))
    assert state() == "saved"
    saved = state_home / "state/baton/vms/web/saved/state"
    assert saved.exists()
    check(baton("start", "web"))
    assert state() == "running" and not saved.exists()
    check_work(kept.tty())
    check(baton("stop", "web", "--force"))
    assert state() == "shut off"


def test_a_paused_vm_comes_back_paused(kept):
    tty = kept()
    start_work(tty)
    check(baton("pause", "web"))
    check(baton("save", "web"))
    for _ in range(2):  # also when it is saved again as it is
        done = baton("start", "web")
        check(done)
        assert "baton resume web" in done.stderr
        assert state() == "paused"
        check(baton("snapshot", "take", "web", "still"))
        check(baton("save", "web"))
        check(baton("snapshot", "delete", "web", "still"))
    check(baton("start", "web"))
    check(baton("resume", "web"))
    assert state() == "running"
    check_work(kept.tty())


def test_memory_is_kept_only_of_the_machine_that_is_defined(kept):
    kept()
    running = json.loads(check(baton("info", "web", "--json")))["memory"]
    assert "next start" in baton("modify", "web", "--memory", "300M").stderr
    assert json.loads(check(baton("info", "web", "--json")))["memory"] == running
    for words in (["save", "web"], ["snapshot", "take", "web", "one"]):
        done = baton(*words)
        assert done.returncode == 1 and "other memory since it was started" in done.stderr
    check(baton("snapshot", "take", "web", "disks", "--disk-only"))
    check(baton("modify", "web", "--memory", "256M", "--title", "no hardware"))
    check(baton("save", "web"))
    assert "--discard-saved" in baton("modify", "web", "--cpus", "2").stderr
    assert "other cpus" in baton("snapshot", "take", "web", "one").stderr
    check(baton("modify", "web", "--cpus", "1"))
    check(baton("snapshot", "take", "web", "one"))
    check(baton("start", "web"))
    assert state() == "running"


def test_memory_is_of_the_machine_that_was_restored(kept, images, state_home):
    """Also when that did not start: what ran before it is another machine."""
    kernel = state_home / "vmlinuz"
    shutil.copy(images / "vmlinuz", kernel)
    kept()
    check(baton("modify", "web", "--kernel", kernel))
    check(baton("snapshot", "take", "web", "one"))
    check(baton("stop", "web", "--force"))
    check(baton("modify", "web", "--memory", "300M"))
    check(baton("start", "web"))
    kernel.rename(state_home / "away")
    failed = baton("snapshot", "restore", "web", "one")
    assert failed.returncode == 1 and "vmlinuz" in failed.stderr, failed.stderr
    check(baton("snapshot", "take", "web", "two"))
    (state_home / "away").rename(kernel)
    check(baton("start", "web"))
    assert state() == "running"


def test_a_saved_vm_can_be_booted_anew(kept):
    kept()
    check(baton("save", "web"))
    check(baton("start", "web", "--discard-saved"))
    tty = kept.tty()
    tty.send("\n")
    tty.expect("guest# ", 120)
    assert float(tty.run("cat /proc/uptime").split()[0]) < 30


def test_a_full_disk_during_save_lets_the_vm_go_on(kept, state_home):
    tty = kept()
    start_work(tty)
    folder = state_home / "state/baton/vms/web/saved"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        failed = baton("save", "web")
        assert failed.returncode == 1 and "No space left" in failed.stderr and "runs on" in failed.stderr
        assert list(folder.iterdir()) == []
        check_work(tty)
    finally:
        subprocess.run(["umount", folder], check=True)
    check(baton("save", "web"))


def test_another_machine_is_refused_and_nothing_is_lost(kept, state_home):
    tty = kept()
    start_work(tty)
    check(baton("save", "web"))
    definition = state_home / "state/baton/vms/web/vm.json"
    text = definition.read_text()
    changed = json.loads(text)
    changed["cpus"] = 2
    definition.write_text(json.dumps(changed))
    failed = baton("start", "web")
    assert failed.returncode == 1
    assert "machine.cpus: the saved machine has 1, this one has 2" in failed.stderr
    assert state() == "saved"
    definition.write_text(text)
    check(baton("start", "web"))
    check_work(kept.tty())


NESTED = """
export XDG_STATE_HOME=/root/state XDG_RUNTIME_DIR=/run
mkdir -p /root/state && cd /root
restore() { # SNAPSHOT ENGINE; it has memory: the VM goes on
	sed -i "s/\\"engine\\": \\"[a-z,=]*\\"/\\"engine\\": \\"$2\\"/" /root/state/baton/vms/web/snapshots/tree.json
	baton snapshot restore web $1 && baton ps | grep -qw $2 || exit 1
	line="cd /w; sha256sum -c -s sums && cat </proc/\\$\\$/fd/7; a=\\$(cat count); sleep 1; expr \\$(cat count) '>' \\$a && cut -d. -f1 /proc/uptime; echo on $2 ok"
	(echo; sleep 1; echo "$line"; sleep 300) | baton console web >/tmp/answer &
	for n in $(seq 300); do grep -q "^on $2 ok" /tmp/answer && break; sleep 1; done
	kill $!
	cat /tmp/answer; echo
}
baton create web --memory 256M --kernel /vmlinuz --initrd /initrd.gz --append "console=ttyS0 quiet" || exit 1
mv /snapshots /root/state/baton/vms/web/
restore then kvm
baton snapshot take web there || exit 1
restore there bt
"""


@pytest.mark.skipif(nested.missing() is not None, reason=str(nested.missing()))
def test_from_bt_to_kvm_and_back(kept, state_home, images, tmp_path):
    """A snapshot that bt made goes on under kvm, and one that is made there goes on under bt."""
    tty = kept()
    start_work(tty)
    check(baton("snapshot", "take", "web", "then"))
    folder = state_home / "state/baton/vms/web/snapshots"
    tree = tmp_path / "tree.json"
    tree.write_text((folder / "tree.json").read_text().replace(str(images), ""))
    (memory,) = folder.glob("*.state")
    result = nested.run_in_kvm_host(NESTED, {
        "bin/baton": BATON, "bin/baton-vmm": BATON.parent / "baton-vmm", "vmlinuz": images / "vmlinuz",
        "initrd.gz": images / "initrd.gz", "snapshots/tree.json": tree, f"snapshots/{memory.name}": memory},
        timeout=900)
    assert result.status == 0, result.console
    for engine in "kvm", "bt":
        assert re.search(rf"^kept\n1\n\d+\non {engine} ok$", result.output, re.M), result.output


@needs("grub-mkrescue")
def test_firmware_and_boot_loader_go_on(start, images, state_home):
    """SeaBIOS, GRUB in its menu; the kernel is read from the AHCI CD-ROM after the restore."""
    iso = make_image(state_home, images, MENU.replace("timeout=1", "timeout=-1"))
    args = ["run", "--engine", ENGINE, "--memory", "512M", "--firmware", "bios", "--cdrom", iso, "--display", "vga",
            *ANY_FOLDER]
    guest = start(*args)
    guest.expect(r"\*debian", 120)
    control(state_home).call("save", path=str(state_home / "saved"))
    assert guest.wait(10) == 0
    again = start(*args, "--restore", state_home / "saved")
    again.send("\r")
    again.expect("from GRUB", 60)
    assert again.wait(60) == 0
