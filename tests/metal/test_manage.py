# SPDX-License-Identifier: Apache-2.0
"""What a person has of the bare machine: the management screen on the serial terminal and on the display, with keys
of both, and the media that it boots from."""
import pathlib
import shutil
import subprocess

import pytest

import metal
import screen

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="needs qemu-system-x86_64 (package qemu-system-x86)")

ESCAPE, TAB, ENTER, LEAVE_CONSOLE = "\x1b", "\t", "\r", "\x1d"


def check_screen(m):
    """What must stand on it, whatever the machine."""
    m.wait("Baton ", "on the bare machine", "Processor", "Virtualization", "In use", "CPU", "memory", " free", "up 0:",
           "NAME", "STATE", "vCPUs", "No virtual machines yet", "N new", "S start", "P pause", "T stop",
           "C console", "L log", "O power off")


def fill_form(m, **fields):
    """Opens the form and types what is given; the others keep what is proposed."""
    m.type("n")
    m.wait("A new virtual machine")
    for name in ("name", "cpus", "memory", "disk", "network", "cdrom", "kernel", "initrd", "append"):
        m.type(fields.get(name, "") + (ENTER if name == "append" else TAB))


def make_linux(m, name, cpus=1, memory="256M"):
    fill_form(m, name=name, cpus=str(cpus), memory=memory, kernel="/guests/vmlinuz", initrd="/guests/initrd.gz",
              append="console=ttyS0 quiet baton.modules=no")
    m.wait(f"{name} is made", f"{name} ", "shut off")


def test_screen_on_a_virtio_console():
    """Of a machine without a serial port; the keys are heard, too."""
    with screen.Machine(terminal=("-serial", "none", "-chardev", "stdio,id=terminal", "-device", "virtio-serial-pci",
                                  "-device", "virtconsole,chardev=terminal")) as m:
        check_screen(m)
        m.type("n")
        m.wait("A new virtual machine")
        m.type(ESCAPE)
        m.wait("No virtual machines yet")
        m.wait_display()


def test_a_guest_from_its_making_to_power_off():
    with screen.Machine() as m:
        check_screen(m)
        m.wait("2 x QEMU TCG CPU", "AMD-V on: VMs run on the processor (engine kvm)", "of 1020 MiB")
        m.type("n")
        m.wait("A new virtual machine")
        m.type(TAB)
        m.wait("2 of 2 processors free")
        m.type(TAB)
        m.wait("of 1020 MiB free")
        m.type(TAB * 4)
        m.wait("Files of the boot medium", "/guests/vmlinuz")
        m.type(ESCAPE)
        m.wait("No virtual machines yet")

        make_linux(m, "deb", cpus=2)
        m.type("s")
        m.wait("running", "started", "2     256 MiB")
        m.type("c")
        m.wait("guest#")
        m.type("nproc; poweroff --help 2>&1 | head -n 1\r")
        m.wait("\n2\n")
        m.type(LEAVE_CONSOLE)
        m.wait("NAME", "running")
        m.type("p")
        m.wait("paused", "deb: paused")
        m.type("p")
        m.wait("running", "deb: resumed")
        m.type("n" + TAB)
        m.wait("0 of 2 processors free; the VMs that run have 2")
        m.type(ESCAPE)
        m.wait("NAME")
        m.type("l")
        m.wait("Log of deb", "Q back")
        m.type("q")
        m.wait("NAME")
        m.type("h")
        m.wait("Messages of the kernel", "Baton kernel, ", "hardware virtualization: AMD-V")
        m.type("q")
        m.wait("NAME")
        m.type("!")
        m.wait("baton#")
        m.type("baton ps\r")
        m.wait("NAME", "deb", "running", "baton#")
        m.type("exit\r")
        m.wait("N new", gone=["baton#"])

        m.type("o")
        m.wait("Virtual machines run. Power the machine off all the same? (y/n)")
        m.type("n")
        m.wait("running", gone=["(y/n)"])
        m.type("k")
        m.wait("(y/n)")
        m.type("y")
        m.wait("shut off", "deb: ended")
        m.type("d")
        m.wait("(y/n)")
        m.type("y")
        m.wait("No virtual machines yet", "deb: deleted")
        m.type("o")
        m.wait("Power the machine off? (y/n)")
        m.type("y")
        m.wait_raw("power off")
        assert m.wait_end() == 0


def test_display_and_keyboard():
    """They show and do what the serial terminal does; what is impossible is said in the form."""
    with screen.Machine() as m:
        check_screen(m)
        uptime = m.text.splitlines()[0]
        m.wait("N new", gone=[uptime])  # it has heard how large the terminal is: no key falls into the answer
        for key, shows in [("n", "A new virtual machine"), ("shift-a", "Name           A"), ("b", "Ab"), ("1", "Ab1"),
                           ("tab", "2 of 2 processors free"), ("9", "Processors     9"), ("9", "99"), ("9", "999"),
                           ("f2", "cpus")]:  # the reason names the field
            m.press(key)  # one by one: a keyboard on a busy machine loses keys
            m.wait(shows)
        m.wait_display()
        m.type("\x7f" * 3 + "1")
        m.wait("Processors     1\n")
        m.press("f2")
        m.wait("nothing to start")


LINUX = {"kernel": "/guests/vmlinuz", "initrd": "/guests/initrd.gz"}
# What cannot be, and words of the reason, which stands in the form.
IMPOSSIBLE = [
    ({"name": "--help"}, ['"--help" does not do as a name']),
    ({"name": "a/b"}, ['"a/b" does not do as a name; take up to 63 letters']),
    ({"name": "two"}, ['a VM named "two" exists']),
    ({"cpus": "0"}, ['cpus: "0" is not a number from 1 to 64']),
    ({"memory": "1"}, ["memory: 1024 KiB is too small"]),
    ({"memory": "99999999999G"}, ['memory: "99999999999G" is too large']),
    ({"disk": "0"}, ["size=0 is not a whole number of sectors"]),
    ({"disk": "/nowhere"}, ["disk /nowhere: No such file"]),
    ({"network": "lan"}, ['"lan" is not a network', "bridge=NAME"]),
    ({"cdrom": "/nowhere.iso"}, ["/nowhere.iso: No such file"]),
    ({"kernel": "/nowhere"}, ["kernel /nowhere: No such file"]),
    ({"kernel": "/guests/vmlinuz", "initrd": "/nowhere"}, ["initrd /nowhere: No such file"]),
    ({"append": "quiet"}, ["nothing to start"]),
]
# What only a start shows: a file of the machine and words of the reason, which goes over several lines.
DAMAGED = [
    ("kernel", "echo no kernel", ["did not start", "not a kernel Baton can start"]),
    ("kernel", "head -c 2000000 /guests/vmlinuz", ["did not start"]),
    ("disk", r"printf 'QFI\373 no image'", ["did not start"]),
]


def test_what_is_impossible_or_damaged_is_told():
    """And the screen goes on."""
    with screen.Machine() as m:
        check_screen(m)
        make_linux(m, "two")
        for fields, reason in IMPOSSIBLE:
            fill_form(m, **({"name": "one"} | fields))
            m.wait("A new virtual machine", *reason)
            m.type(ESCAPE)
            m.wait("NAME", "two", gone=["A new virtual machine"])
        for n, (field, command, reason) in enumerate(DAMAGED):
            m.type("!")
            m.wait("baton#")
            m.type(f"{command} >/tmp/damaged{n}; exit\r")
            m.wait("N new", gone=["baton#"])
            fill_form(m, **({"name": f"bad{n}"} | LINUX | {field: f"/tmp/damaged{n}"}))
            m.wait(f"bad{n} is made")
            m.type("s")  # the new one is selected
            m.wait(f"bad{n}", *reason, "shut off")
            m.type("d")
            m.wait("(y/n)")
            m.type("y")
            m.wait(f"bad{n}: deleted")


def test_long_lines_and_reasons_are_shown():
    """What is typed is seen though the line is full; why a VM cannot run stands below the list."""
    with screen.Machine() as m:
        check_screen(m)
        m.type("n")
        m.wait("A new virtual machine")
        m.type("größe")
        m.wait("gre\n", "Only ASCII characters can be typed here")
        m.type(TAB + TAB + "ü77M")
        m.wait(" 77M\n")  # it replaces what was proposed
        m.type(ESCAPE)
        m.wait("No virtual machines yet", gone=["Only ASCII"])
        fill_form(m, name="long", append="x" * 600 + "END")
        m.wait("xxxEND\n", "nothing to start")
        m.type(ESCAPE)
        m.wait("No virtual machines yet")
        make_linux(m, "two")
        m.type("!")
        m.wait("baton#")
        m.type("echo garbage >/var/lib/baton/vms/two/vm.json; exit\r")
        m.wait("/var/lib/baton/vms/two/vm.json: line 1", "'garbage'", "N new", gone=["baton#"])


def test_networks_and_memory_that_are_not_there_are_told():
    with screen.Machine() as m:
        check_screen(m)
        make_linux(m, "z")
        fill_form(m, name="net", network="user", **LINUX)
        m.wait("net is made")
        m.type("s")
        m.wait("this network needs passt, which the bare machine", "bridge=br0", "internal=NAME")
        m.type("l")
        m.wait("Log of net", "needs passt", "internal=NAME")  # in lines of the screen's width
        m.type("q")
        fill_form(m, name="much", memory="4G", **LINUX, append="console=ttyS0 quiet baton.modules=no baton.run="
                  "mount+-t+tmpfs+-o+size=3G+x+/mnt;dd+if=/dev/zero+of=/mnt/f+bs=1M")
        m.wait("much is made")
        m.type("s")
        m.wait("much: started. Its 4096 MiB are more than the", "MiB that are free", "running")
        m.wait("4096 MiB  failed")
        m.type("l")
        m.wait("Log of much", "has the host no memory left?")


def test_shell_that_multiplies():
    """It has one part of the processors, as each VM has, and ends when it is left."""
    with screen.Machine() as m:
        check_screen(m)
        make_linux(m, "deb")
        m.type("s")
        m.wait("running")
        m.type("!")
        m.wait("baton#")
        m.type("bomb() { bomb | bomb & }; bomb\r")
        m.wait_raw("can't fork")
        m.type("exit\r")
        m.wait("N new", "deb", "running", gone=["fork"])
        m.type("c")
        m.wait("guest#")


def test_disks_are_offered_with_what_is_free(tmp_path):
    for name in ("a", "b"):
        with open(tmp_path / name, "wb") as f:
            f.truncate(64 << 20)
    drives = [word for name in ("a", "b")
              for word in ("-drive", f"if=virtio,format=raw,file={tmp_path}/{name}")]
    boot = ["-kernel", metal.BUILD / "baton-kernel", "-initrd", metal.base_initramfs(), *drives]
    with screen.Machine(boot) as m:
        check_screen(m)
        fill_form(m, name="one", disk="/dev/vda")
        m.wait("one is made")
        m.type("n" + TAB * 3)
        m.wait("/dev/vda", "0.1 GiB, disk of VM one", "/dev/vdb", "0.1 GiB, free")
        m.press("right")
        m.wait("> /dev/vda")
        m.press("right")
        m.wait("> /dev/vdb", "Disk           /dev/vdb")


def test_as_a_guest_of_baton():
    """The kernel by PVH under the translator, which gives it no virtualization: the screen says so and why."""
    argv = [metal.BUILD / "baton", "run", "--engine", "bt", "--cpus", "2", "--memory", "512M", "--net", "none",
            "--kernel", metal.BUILD / "baton-kernel", "--initrd", metal.base_initramfs(), "--append", "panic=off"]
    with screen.Terminal(argv) as t:
        check_screen(t)
        t.wait("VT-x and AMD-V off: VMs run by translation (engine bt)", "neither vmx nor svm")
        t.type("o")
        t.wait("(y/n)")
        t.type("y")
        t.wait_raw("power off")
        assert t.wait_end() == 0


def test_small_serial_terminal_and_large_one():
    """The smaller of it and the display is what is drawn in; on a display of 80 by 25."""
    for size in ((20, 80), (50, 132)):
        with screen.Machine(size=size) as m:
            m.wait("N new", "O power off")
            while len(m.text.rstrip().splitlines()) != min(size[0], 25):
                m.wait("N new", gone=[m.text.splitlines()[0]])


def firmware(tmp_path):
    """QEMU's options for a machine with UEFI."""
    code, variables = (pathlib.Path(f"/usr/share/OVMF/OVMF_{n}_4M.fd") for n in ("CODE", "VARS"))
    if not code.exists():
        pytest.skip("needs the firmware of the package ovmf")
    shutil.copy(variables, tmp_path / "vars.fd")
    return ["-M", "q35", "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
            "-drive", f"if=pflash,format=raw,file={tmp_path}/vars.fd"]


@pytest.fixture(scope="session")
def media():
    subprocess.run([metal.ROOT / "kernel/image/build.sh", "iso"], check=True, stdout=subprocess.DEVNULL)
    return {"cd": ["-cdrom", metal.BUILD / "baton.iso"],
            "disk": ["-drive", f"file={metal.BUILD}/baton.img,format=raw,snapshot=on"]}


@pytest.mark.long
@pytest.mark.parametrize("medium", ["cd", "disk"])
@pytest.mark.parametrize("start", ["bios", "uefi"])
def test_boots_from(medium, start, media, tmp_path):
    machine = firmware(tmp_path) if start == "uefi" else []
    with screen.Machine([*machine, *media[medium]]) as m:
        check_screen(m)
        width, height, pixels = m.picture()
        assert width >= 640 and height >= 400
        assert len(set(pixels)) >= 2, "the display is blank"
        assert m.terminal.columns == 80 and m.text.count("N new") == 1


BOOT_MENU = """insmod all_video
multiboot2 /boot/baton-kernel panic=off
module2 /boot/initramfs.cpio
set gfxpayload={}x{}
boot
"""


@pytest.mark.long
@pytest.mark.parametrize("width, height", [(640, 480), (1280, 1024), (1920, 1080)])
def test_framebuffer_of_any_size(width, height, tmp_path):
    """All of it is used: the keys' two lines, of which the second may be empty, are the last."""
    grub = tmp_path / "disc/boot/grub"
    grub.mkdir(parents=True)
    (grub / "grub.cfg").write_text(BOOT_MENU.format(width, height))
    shutil.copy(metal.BUILD / "baton-kernel", tmp_path / "disc/boot/baton-kernel")
    shutil.copy(metal.base_initramfs(), tmp_path / "disc/boot/initramfs.cpio")
    subprocess.run(["grub-mkrescue", "--quiet", "-o", tmp_path / "disc.iso", tmp_path / "disc"], check=True,
                   stderr=subprocess.DEVNULL)
    with screen.Machine(["-cdrom", tmp_path / "disc.iso"], size=(100, 300)) as m:
        check_screen(m)
        lines = [""] * (height // 16)
        while "N new" not in lines[-2]:
            m.wait("N new", gone=[lines[0]] if lines[0] else [])
            lines = m.text.split("\n")[:height // 16]
        assert m.picture()[:2] == (width, height)
        assert len(set(m.picture()[2])) >= 2, "the display is blank"
