# SPDX-License-Identifier: Apache-2.0
"""What a VM's process may still open on the bare-metal kernel, and what its owner hands to it."""
import json
import re
import shutil
import subprocess

import pytest

import metal
import nested
from test_metal import HERE, finished, section

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="needs qemu-system-x86_64 (package qemu-system-x86)")

# A guest that has taken its VMM over would ask the kernel itself; here a request without the file beside it makes the VMM
# open it by name.
def request(name, method, **params):
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return f"echo '== {name}'; ask /run/baton/a.sock '{line}'\n"


def define(name, *options):
    return (f"baton create {name} --engine kvm --memory 128M --kernel /guests/vmlinuz --initrd /guests/initrd.gz "
            f"--append console=ttyS0 --net none {' '.join(options)}; baton start {name}\n")


REFUSED = {
    "disk of another": ("cdrom_insert", {"drive": 0, "path": "/dev/vda"}),
    "file of another": ("cdrom_insert", {"drive": 0, "path": "/root/b.img"}),
    "description of another": ("cdrom_insert", {"drive": 0, "path": "/var/lib/baton/vms/b/vm.json"}),
    "its own path outside": ("cdrom_insert", {"drive": 0, "path": "/guests/two.iso"}),
    "file that is new": ("screenshot", {"path": "/root/picture.png"}),
    "file of the system": ("screenshot", {"path": "/bin/baton"}),
}


# A program in the place of a VMM whose guest has taken it over: with the folder of a VM of its own, in the VMM's own sandbox,
# it reaches for VM b and for the machine, and last fills its cage with processes and threads. VMs go on meanwhile, and start.
TAKEN = """
echo "== taken"
vms=/var/lib/baton/vms; b=$(baton ps | grep "^b " | sed "s/^b *\\([0-9]*\\) .*/\\1/")
sha256sum /root/b.img /bin/baton $vms/b/vm.json > /tmp/before; ls /root /bin /dev $vms >> /tmp/before
taken $vms/h $vms/b /run/baton/b.sock $b /root/b.img /bin/baton /dev/vda /etc > /tmp/taken &
until test -e $vms/h/full || ! kill -0 $!; do sleep 0.2; done
echo "processes: $(ps | grep -c '[t]aken /var')"
baton start c && baton ps | grep -c running; baton stop c --force
rm $vms/h/full; wait $!; echo "status $?"
while ps | grep -q '[t]aken /var'; do sleep 0.2; done
cat /tmp/taken; kill -0 $b && echo alive
sha256sum /root/b.img /bin/baton $vms/b/vm.json > /tmp/after; ls /root /bin /dev $vms >> /tmp/after; cmp /tmp/before /tmp/after && echo untouched
"""


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    if not shutil.which("musl-gcc"):
        pytest.skip("needs musl-gcc (package musl-tools)")
    folder = tmp_path_factory.mktemp("cage")
    subprocess.run(["musl-gcc", "-static", "-O1", "-o", folder / "ask", HERE / "ask.c"], check=True)
    for name in ("one.iso", "two.iso", "disk"):
        (folder / name).write_bytes(name.encode().ljust(512) * 2048)
    commands = "cd /root; baton disk create a.img 1M; baton disk create b.img 1M\n"
    commands += define("a", "--cdrom /guests/one.iso --disk /root/a.img --display vga")
    commands += define("b", "--disk /dev/vda --disk /root/b.img")
    commands += "".join(request(name, method, **params) for name, (method, params) in REFUSED.items())
    for name in "hc":
        commands += f"baton create {name} --engine kvm --memory 128M --kernel /guests/vmlinuz --net none\n"
    commands += TAKEN + """
echo "== handed over"
baton cdrom a insert /guests/two.iso && baton cdrom a && baton screenshot a /root/x.png && head -c 4 /root/x.png; echo
baton snapshot take a one 2>/dev/null && baton snapshot list a && baton save a 2>/dev/null && baton start a
echo "== end"
baton ps; ls /root; cat /var/lib/baton/vms/a/log; baton stop a --force; baton stop b --force
"""
    # The machine has stood still once, before it looked for lost interrupts: QEMU 7.2 loses one that comes just when VMRUN
    # asks for a window. What a machine says that comes to its end counts.
    for _ in range(3):
        result = metal.run_on_metal(
            commands, {"bin/ask": folder / "ask", "bin/taken": metal.BUILD / "tests/metal/taken", "guests/one.iso": folder / "one.iso", "guests/two.iso": folder / "two.iso"},
            machine=["-drive", f"if=none,id=disk,format=raw,file={folder}/disk", "-device", "virtio-blk-pci,drive=disk"],
            timeout=240, accel=nested.ACCEL)
        if result.status is not None:
            break
    return finished(result).output


@pytest.mark.parametrize("what", REFUSED)
def test_files_of_others_are_refused(tour, what):
    answer = json.loads(section(tour, what).splitlines()[0])
    assert "Permission denied" in answer["error"]["message"], answer


def test_files_that_are_handed_over_are_used(tour):
    text = section(tour, "handed over")
    assert "0  /guests/two.iso" in text and "PNG" in text and re.search(r"^\* one ", text, re.M), text


def test_vms_ran_all_the_while_and_say_what_is_lacking(tour):
    text = section(tour, "end")
    assert re.search(r"^a .*running", text, re.M) and re.search(r"^b .*running", text, re.M), text
    assert "lacks filters of system calls (seccomp" in text and "Landlock" not in text
    assert "picture.png" not in text


def test_vmm_that_was_taken_over_reaches_nothing_else(tour):
    text = section(tour, "taken")
    count = int(re.search(r"^processes: (\d+)$", text, re.M)[1])
    assert 2 < count < 8, text
    assert re.search(r"^3$", text, re.M), text  # a, b and the new one
    assert "status 137\ntried\nalive\nuntouched\n" in text and "not refused" not in text, text
