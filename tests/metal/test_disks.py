# SPDX-License-Identifier: Apache-2.0
"""Disks of the bare-metal kernel: its drivers, GPT partitions, and guests on them, compared in the image files."""
import hashlib
import re
import subprocess
import threading

import pytest

import gdbstub
import gpt
import metal
from test_metal import finished, pytestmark, section  # noqa: F401  (the mark is pytest's)

MIB = 1 << 20
SIZE = 32 * MIB
FIRST, SECOND = (2048, 18431), (18432, 55295)  # sectors of the partitions: 8 and 18 MiB
PHYS_MAP = 0xffff800000000000                  # the kernel's view of memory
BAD_SECTOR = 60000                             # of every disk: QEMU answers reads with an error

DEVICES = {"vda": "virtio-blk-pci,drive=vda{}", "sda": "ide-hd,drive=sda,bus=ahci.0", "nvme0n1":
           "nvme,serial=one,drive=nvme0n1{}", "vdb": "virtio-blk-pci,drive=vdb", "vdc": "virtio-blk-pci,drive=vdc"}


def machine(images, bad_sectors=True, options=""):
    """QEMU's options; `images`: {name in /dev: image file}."""
    argv = ["-device", "ich9-ahci,id=ahci"]
    for name, path in images.items():
        node = f"file.driver=file,file.filename={path}"
        if bad_sectors:
            node = (f"file.driver=blkdebug,file.image.driver=file,file.image.filename={path},"
                    f"file.inject-error.0.event=read_aio,file.inject-error.0.sector={BAD_SECTOR},"
                    "file.inject-error.0.errno=5")
        argv += ["-blockdev", f"driver=raw,node-name={name},{node}",
                 "-device", DEVICES[name].format(options)]
    return argv


def new_images(folder, names):
    images = {}
    for name in names:
        images[name] = folder / f"{name}.img"
        with open(images[name], "wb") as f:
            f.truncate(SIZE)
    return images


def digest(path, at, length):
    with open(path, "rb") as f:
        f.seek(at)
        return hashlib.sha256(f.read(length)).hexdigest()


def guest(name, disks, commands, log):
    run = ";".join(commands).replace(" ", "+")
    return (f"baton run --engine kvm --name {name} --memory 128M {' '.join('--disk ' + d for d in disks)} "
            f"--kernel /guests/vmlinuz --initrd /guests/initrd.gz "
            f"--append 'console=ttyS0 quiet baton.run={run}' </dev/null >{log} 2>&1")


# Several writers at once, at places and of sizes that are no sectors. What they wrote follows as a checksum of the disk's
# first bytes, read again in other portions.
EXERCISED = 3000000
EXERCISE = """exercise() {
	for i in 0 1 2 3; do
		dd if=/dev/urandom of=/dev/$1 bs=70001 seek=$((i * 10)) count=10 conv=fsync 2>/dev/null &
	done
	wait
	echo $1 $(dd if=/dev/$1 bs=3000 count=1000 2>/dev/null | sha256sum)
}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """sda's first GPT is damaged, both of vdb are, those of vdc contradict themselves."""
    found = new_images(tmp_path_factory.mktemp("disks"), DEVICES)
    for name in ("sda", "nvme0n1", "vdb"):
        gpt.write(found[name], [FIRST, SECOND])
    gpt.write(found["vdc"], [FIRST, (FIRST[1], SECOND[1])])
    gpt.damage(found["sda"], 1)
    gpt.damage(found["vdb"], 2, -1)
    return found


@pytest.fixture(scope="module")
def tour(images):
    """One boot that many tests look at."""
    guest_disks = ["/dev/nvme0n1p2", "/dev/sda2", "/dev/vda"]
    work = [f"dd if=/dev/urandom of=/dev/vd{d} bs=64k count=100 conv=fsync;"
            f"echo sum-{d} $(dd if=/dev/vd{d} bs=64k count=100 | sha256sum)" for d in "abc"]
    return finished(metal.run_on_metal(EXERCISE + f"""
echo "== partitions"; cat /proc/partitions; ls -l /dev/nvme0n1p2
echo "== ioctls"; for d in vda nvme0n1p2; do blockdev --getsize64 /dev/$d; blockdev --getss /dev/$d; done
echo "== exercise"; for d in vdb sda1 nvme0n1p1; do exercise $d; done
echo "== bounds"; dd if=/dev/zero of=/dev/nvme0n1p1 bs=1M seek=7 count=2 2>&1; echo status $?
dd if=/dev/nvme0n1p1 bs=1M skip=7 2>/dev/null | wc -c
echo "== bad"; for d in vda sda nvme0n1; do
	dd if=/dev/$d bs=512 skip={BAD_SECTOR} count=1 of=/dev/null 2>&1 | grep error
	dd if=/dev/$d bs=512 skip={BAD_SECTOR - 100} count=99 2>/dev/null | wc -c
done
{guest("one", guest_disks, ["cat /proc/partitions", *work, "echo guest-done", "sleep 100000"], "/tmp/one")} & one=$!
until grep -q init.reached /tmp/one; do sleep 1; done
echo "== second"; {guest("two", ["/dev/nvme0n1p2"], ["true"], "/tmp/two")}; echo status $?; cat /tmp/two
for d in nvme0n1 sda nvme0n1p1; do
	echo "== part-$d"; {guest("part", ["/dev/$d"], ["true"], "/tmp/part")}; echo status $?; cat /tmp/part
done
until grep -q ^guest-done /tmp/one || ! kill -0 $one; do sleep 1; done
kill -9 $(ps | grep 'vms/one' | grep -v grep | awk '{{print $1}}'); wait $one
echo "== one"; cat /tmp/one
echo "== third"; {guest("three", ["/dev/nvme0n1p2"], ["dd if=/dev/vda bs=64k count=100 | sha256sum"], "/tmp/three")}
echo status $?; cat /tmp/three
""", memory=1024, machine=machine(images), timeout=600))


def test_partitions_are_found(tour):
    lines = re.findall(r"^ +(\d+) +(\d+) +(\d+) (\S+)$", section(tour.output, "partitions"), re.M)
    assert {(int(major), int(blocks), name) for major, _, blocks, name in lines} == {
        (254, SIZE >> 10, "vda"), (254, SIZE >> 10, "vdb"), (254, SIZE >> 10, "vdc"), (8, SIZE >> 10, "sda"),
        (8, 8 << 10, "sda1"), (8, 18 << 10, "sda2"), (259, SIZE >> 10, "nvme0n1"), (259, 8 << 10, "nvme0n1p1"),
        (259, 18 << 10, "nvme0n1p2")}, lines
    assert len({line[:2] for line in lines}) == len(lines), lines
    assert re.search(r"^brw-.* 259, +2 .*nvme0n1p2$", section(tour.output, "partitions"), re.M)
    assert section(tour.output, "ioctls").startswith(f"{SIZE}\n512\n{18 * MIB}\n512\n")


def test_damaged_tables_are_told_and_not_used(tour):
    assert "sda: GPT: wrong checksum of the header; the copy at the end is used" in tour.console
    assert re.search(r"vdb: GPT: wrong checksum of the table; its partitions are not used", tour.console)
    assert "vdc: GPT: partitions overlap; its partitions are not used" in tour.console


def test_bytes_arrive(tour, images):
    found = dict(re.findall(r"^(\w+) ([0-9a-f]{64})", section(tour.output, "exercise"), re.M))
    assert found == {"vdb": digest(images["vdb"], 0, EXERCISED),
                     "sda1": digest(images["sda"], FIRST[0] * 512, EXERCISED),
                     "nvme0n1p1": digest(images["nvme0n1"], FIRST[0] * 512, EXERCISED)}, tour.output


def test_partitions_end_where_they_end(tour):
    text = section(tour.output, "bounds")
    assert "No space left on device" in text and "status 1" in text and text.endswith(f"\n{MIB}\n"), text


def test_errors_of_disks_are_told_and_leave_the_rest(tour):
    assert len(re.findall("^dd: .*: Input/output error", section(tour.output, "bad"), re.M)) == 3, tour.output
    assert section(tour.output, "bad").count(f"\n{99 * 512}\n") == 3, tour.output
    for name in ("vda", "sda", "nvme0n1"):
        assert f"{name}: error 5 at sector {BAD_SECTOR}" in tour.console


def test_guest_writes_to_disks(tour, images):
    sums = dict(re.findall(r"^sum-(\w) ([0-9a-f]{64})", section(tour.output, "one"), re.M))
    length = 100 << 16
    assert sums == {"a": digest(images["nvme0n1"], SECOND[0] * 512, length),
                    "b": digest(images["sda"], SECOND[0] * 512, length),
                    "c": digest(images["vda"], 0, length)}, tour.output


def test_disk_has_one_user(tour):
    text = section(tour.output, "second")
    assert re.search(r"status [1-9]", text) and "/dev/nvme0n1p2: it is in use by VM one" in text, text
    sums = re.search(r"^sum-a ([0-9a-f]{64})", section(tour.output, "one"), re.M)
    assert "status 0" in section(tour.output, "third") and sums.group(1) in section(tour.output, "third"), tour.output


@pytest.mark.parametrize("disk", ["nvme0n1", "sda"])
def test_whole_disk_is_in_use_with_a_partition(tour, disk):
    """And another partition is not."""
    text = section(tour.output, f"part-{disk}")
    assert re.search(r"status [1-9]", text) and "the disk that it is a part of, or a part of it" in text, text
    assert "status 0" in section(tour.output, "part-nvme0n1p1"), tour.output


BOOT_MENU = """serial --unit=0 --speed=115200
terminal_output serial
echo "started from the disc by $grub_platform"
reboot
"""


def test_discs_are_started_by_firmware_of_the_image(tmp_path):
    """A file as a CD, by SeaBIOS and by OVMF."""
    (tmp_path / "disc/boot/grub").mkdir(parents=True)
    (tmp_path / "disc/boot/grub/grub.cfg").write_text(BOOT_MENU)
    subprocess.run(["grub-mkrescue", "--quiet", "-o", tmp_path / "disc.iso", tmp_path / "disc"], check=True,
                   stderr=subprocess.DEVNULL)
    output = finished(metal.run_on_metal("\n".join(
        f"echo == {firmware}; baton run --engine kvm --firmware {firmware} --cdrom /guests/disc.iso --memory 256M "
        f"--net none --no-reboot </dev/null 2>&1; echo status $?" for firmware in ("bios", "uefi")),
        {"guests/disc.iso": tmp_path / "disc.iso"}, timeout=600)).output
    for firmware, platform in ("bios", "pc"), ("uefi", "efi"):
        text = section(output, firmware)
        assert f"started from the disc by {platform}" in text and "status 0\n" in text, text


def test_hardware_that_contradicts_itself(tmp_path):
    """Two bridges to one bus, registers where memory is or where none can be, a queue for one request at a time."""
    images = new_images(tmp_path, ("vda", "nvme0n1"))
    lies = [gdbstub.configure(6, 0x18, 0x010100), gdbstub.configure(7, 0x10, 0x2000000), gdbstub.configure(7, 0x14, 0),
            gdbstub.configure(8, 0x20, 0xc), gdbstub.configure(8, 0x24, 0xffff0000)]
    argv = [*(f"pci-bridge,id=bridge{n},chassis_nr={n},addr={n + 4}" for n in (1, 2)),
            "virtio-blk-pci,bus=bridge2,addr=1,queue-size=4,drive=vda", "nvme,serial=one,addr=7,drive=nvme0n1",
            "virtio-net-pci,addr=8"]
    machine = [word for name, path in images.items()
               for word in ("-blockdev", f"driver=raw,node-name={name},file.driver=file,file.filename={path}")]
    machine += [word for device in argv for word in ("-device", device)] + gdbstub.options(tmp_path / "gdb")
    thread = threading.Thread(target=gdbstub.at_function, daemon=True,
                              args=(tmp_path / "gdb", "pci_init", [command for pair in lies for command in pair]))
    thread.start()
    result = finished(metal.run_on_metal(EXERCISE + "cat /proc/partitions; exercise vda", machine=machine))
    thread.join()
    assert re.findall(r"^ +\d+ +\d+ +\d+ (\S+)$", result.output, re.M) == ["vda"], result.output
    assert f"vda {digest(images['vda'], 0, EXERCISED)}" in result.output
    assert "two bridges lead to bus 01" in result.console
    assert "pci 00:07.0: base address 0 (2000000) lies where memory is" in result.console
    assert "pci 00:08.0: base address 4 (ffff000000000000) is beyond all addresses" in result.console


def lose_memory(stub):
    """The NVMe controller cannot reach memory any more, which it tells as its end."""
    for line in gdbstub.configure(0x10, 4, 0x402):
        stub.monitor(line)


def break_ring(stub):
    """The virtio disk is offered more requests than the ring holds, and wants to be reset. It may have served the first
    one already: QEMU looks at a ring when its machine starts and stops, too."""
    path = re.search(r"^(/\S+virtio-backend) \[virtio-blk\]", stub.monitor("info virtio"), re.M).group(1)
    ring = re.search(r"avail: +0x([0-9a-f]+)", stub.monitor(f"info virtio-queue-status {path} 0")).group(1)
    stub.write(PHYS_MAP + int(ring, 16) + 2, b"\0\x80")  # the index


@pytest.mark.parametrize("name, when, happens, why", [
    ("nvme0n1", "process_start_init", lose_memory, "the controller has failed"),
    ("vda", "virtq_kick", break_ring, "the device has failed")])
def test_controller_that_fails_is_told(tmp_path, name, when, happens, why):
    """And the other disk is used."""
    images = new_images(tmp_path, (name, "sda"))
    argv = [*machine(images, bad_sectors=False), *gdbstub.options(tmp_path / "gdb")]
    argv[argv.index(DEVICES[name].format(""))] += ",addr=0x10"
    thread = threading.Thread(target=gdbstub.at_function, daemon=True, args=(tmp_path / "gdb", when, (), happens))
    thread.start()
    result = finished(metal.run_on_metal(f"for d in {name} sda; do dd if=/dev/$d bs=4k count=1 2>/dev/null | wc -c; done",
                                         machine=argv))
    thread.join()
    assert re.findall(r"^\d+$", result.output, re.M) == ["0", "4096"], result.console
    assert f"{name}: {why}; it is not used any more" in result.console


@pytest.mark.long
def test_disk_that_does_not_answer(tmp_path):
    """After two minutes it is not used any more; the other goes on."""
    images = new_images(tmp_path, ("vda", "sda"))
    qmp = ["-S", "-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off"]

    def hold_back():
        monitor = metal.Monitor(tmp_path / "qmp")
        monitor.command('qemu-io sda "break read_aio held"')
        monitor("cont")
        while monitor.event() not in ("BLOCK_IO_ERROR", None):  # of the good disk, after the other's two minutes
            pass
        monitor.command('qemu-io sda "resume held"')

    thread = threading.Thread(target=hold_back, daemon=True)
    thread.start()
    result = finished(metal.run_on_metal(f"""
dd if=/dev/sda bs=512 count=1 of=/dev/null 2>&1 | grep error
dd if=/dev/vda bs=512 skip={BAD_SECTOR} count=1 of=/dev/null 2>&1 | grep error
sleep 5; dd if=/dev/vda bs=512 count=8 2>/dev/null | wc -c
""", machine=[*machine(images), *qmp], timeout=600))
    thread.join()
    assert "sda: no answer for two minutes; it is not used any more" in result.console
    assert result.output.count("Input/output error") == 2 and "\n4096\n" in result.output, result.output


@pytest.mark.long
def test_sectors_of_4_kib(tmp_path):
    """Bytes that are parts of a sector, and a machine with PCI Express."""
    images = new_images(tmp_path, ("vda", "nvme0n1"))
    options = ",logical_block_size=4096,physical_block_size=4096"
    output = finished(metal.run_on_metal(
        EXERCISE + "blockdev --getss /dev/vda; for d in vda nvme0n1; do exercise $d; done",
        machine=["-machine", "q35", *machine(images, bad_sectors=False, options=options)])).output
    assert output.startswith("4096\n")
    found = dict(re.findall(r"^(\w+) ([0-9a-f]{64})", output, re.M))
    assert found == {name: digest(path, 0, EXERCISED) for name, path in images.items()}
