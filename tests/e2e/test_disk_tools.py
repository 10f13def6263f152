# SPDX-License-Identifier: Apache-2.0
"""`baton disk` beside QEMU's tools: what one writes the other reads, checks and finds whole."""
import json
import os
import random
import signal
import struct
import subprocess
import time

import pytest

from conftest import BATON, baton, needs

pytestmark = needs("qemu-img")
MIB = 1 << 20


def qemu_img(*args, check=True):
    result = subprocess.run(["qemu-img", *(str(a) for a in args)], capture_output=True, text=True,
                            timeout=60)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def qemu_io(path, *commands, fmt="qcow2"):
    args = [a for c in commands for a in ("-c", c)]
    result = subprocess.run(["qemu-io", "-f", fmt, *args, str(path)], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0 and "failed" not in result.stdout, result.stdout + result.stderr


def disk(*args, status=0):
    result = baton("disk", *args)
    assert result.returncode == status, result.stdout + result.stderr
    return result


def check(path, fmt):
    if fmt != "raw":
        qemu_img("check", "-f", fmt, path)
        disk("check", path)


@pytest.fixture
def content(tmp_path):
    """A raw image with data, holes and written zeros."""
    path = tmp_path / "content.raw"
    rng = random.Random(5)
    with open(path, "wb") as f:
        f.truncate(24 * MIB + 512)
        for _ in range(40):
            f.seek(rng.randrange(24 * MIB // 512) * 512)
            f.write(rng.choice([bytes(70000), rng.randbytes(100000)]))
        f.truncate(24 * MIB + 512)
    return path


@pytest.mark.parametrize("target", ["raw", "qcow2", "vdi"])
@pytest.mark.parametrize("source", ["raw", "qcow2", "vdi"])
def test_convert_both_ways(content, tmp_path, source, target):
    theirs, ours = tmp_path / f"theirs.{source}", tmp_path / f"ours.{target}"
    qemu_img("convert", "-f", "raw", "-O", source, content, theirs)
    disk("convert", theirs, ours)
    qemu_img("compare", "-f", "raw", "-F", target, content, ours)
    assert json.loads(qemu_img("info", "--output=json", ours).stdout)["format"] == target
    check(ours, target)
    assert ours.stat().st_blocks * 512 < 12 * MIB, "not sparse"


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_compressed_clusters_are_read_and_written_over(content, tmp_path, compression):
    packed, ours = tmp_path / "packed.qcow2", tmp_path / "ours.raw"
    qemu_img("convert", "-c", "-O", "qcow2", "-o", f"compression_type={compression}", content, packed)
    disk("convert", packed, ours)
    qemu_img("compare", content, ours)
    disk("check", packed)


@pytest.mark.parametrize("options", ["compat=0.10", "cluster_size=512", "cluster_size=2M",
                                     "refcount_bits=1", "refcount_bits=64", "lazy_refcounts=on"])
def test_reads_every_kind_of_qcow2(content, tmp_path, options):
    theirs, ours = tmp_path / "theirs.qcow2", tmp_path / "ours.qcow2"
    qemu_img("convert", "-O", "qcow2", "-o", options, content, theirs)
    disk("check", theirs)
    disk("convert", theirs, ours)
    qemu_img("compare", content, ours)


def test_overlays_of_both_makers(content, tmp_path):
    base = tmp_path / "base.qcow2"
    qemu_img("convert", "-O", "qcow2", content, base)
    disk("create", tmp_path / "one.qcow2", "--backing", base)
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "one.qcow2", tmp_path / "two.qcow2")
    qemu_io(tmp_path / "one.qcow2", "write -P 17 1M 100k", "write -z 3M 1M")
    qemu_io(tmp_path / "two.qcow2", "write -P 18 2M 5k")
    info = json.loads(disk("info", "--json", tmp_path / "two.qcow2").stdout)
    assert [link["path"].rsplit("/", 1)[1] for link in info["chain"]] == ["one.qcow2", "base.qcow2"]
    disk("convert", tmp_path / "two.qcow2", tmp_path / "flat.raw")
    qemu_img("compare", tmp_path / "two.qcow2", tmp_path / "flat.raw")
    data = (tmp_path / "flat.raw").read_bytes()
    assert data[MIB] == 17 and data[2 * MIB] == 18 and not any(data[3 * MIB:4 * MIB])


def test_overlay_on_vdi(content, tmp_path):
    base, top = tmp_path / "base.vdi", tmp_path / "top.qcow2"
    disk("convert", content, base)
    disk("create", top, "--backing", base)
    qemu_img("compare", content, top)


@pytest.mark.parametrize("fmt", ["raw", "qcow2", "vdi"])
def test_resize(content, tmp_path, fmt):
    image = tmp_path / f"d.{fmt}"
    disk("convert", content, image)
    disk("resize", image, "+40M")
    size = 64 * MIB + 512
    assert json.loads(qemu_img("info", "--output=json", image).stdout)["virtual-size"] == size
    check(image, fmt)
    qemu_img("compare", content, image)  # the rest is zeros
    refused = disk("resize", image, "10M", status=1)
    assert "--shrink" in refused.stderr
    if fmt == "vdi":
        return
    disk("resize", "--shrink", image, "10M")
    check(image, fmt)
    assert json.loads(disk("info", "--json", image).stdout)["size"] == 10 * MIB


def test_large_resize_moves_the_l1_table(tmp_path):
    image = tmp_path / "d.qcow2"
    disk("create", "--cluster", "512", image, "1M")
    qemu_io(image, "write -P 5 0 1M")
    disk("resize", image, "2G")
    check(image, "qcow2")
    qemu_io(image, "read -P 5 0 1M", "read -P 0 1M 100M", "write -P 6 1G 1M")
    check(image, "qcow2")


def test_compact_gives_space_back(tmp_path):
    for fmt in ("raw", "qcow2", "vdi"):
        image = tmp_path / f"d.{fmt}"
        disk("create", image, "64M")
        qemu_io(image, "write -P 1 0 32M", "write -P 0 4M 24M", fmt=fmt)
        before = image.stat().st_blocks * 512
        disk("compact", image)
        assert image.stat().st_blocks * 512 <= before - 23 * MIB, fmt
        qemu_io(image, "read -P 1 0 4M", "read -P 0 4M 24M", "read -P 1 28M 4M", fmt=fmt)
        check(image, fmt)


def test_check_repairs(content, tmp_path):
    image = tmp_path / "d.qcow2"
    qemu_img("convert", "-O", "qcow2", content, image)
    header = image.read_bytes()[:104]
    reftable = struct.unpack(">Q", header[48:56])[0]
    data = bytearray(image.read_bytes())
    block = struct.unpack(">Q", data[reftable:reftable + 8])[0]
    data[block + 20:block + 24] = b"\0\0\0\0"      # two clusters in use look free
    data[block + 40000:block + 40002] = b"\0\1"     # one that nobody uses looks used
    image.write_bytes(data)
    found = json.loads(disk("check", "--json", image, status=2).stdout)
    assert found["corruptions"] >= 2 and found["leaks"] >= 0
    disk("check", "--repair", image)
    check(image, "qcow2")
    qemu_img("compare", content, image)


def test_lost_refcount_blocks_are_made_anew(content, tmp_path):
    image = tmp_path / "d.qcow2"
    qemu_img("convert", "-O", "qcow2", content, image)
    data = bytearray(image.read_bytes())
    reftable = struct.unpack(">Q", data[48:56])[0]
    data[reftable:reftable + 8] = bytes(8)
    image.write_bytes(data)
    disk("check", "--repair", image)
    check(image, "qcow2")
    qemu_img("compare", content, image)


def test_internal_snapshots_survive_writes(content, tmp_path, linux):
    image = tmp_path / "d.qcow2"
    qemu_img("convert", "-O", "qcow2", content, image)
    qemu_img("snapshot", "-c", "before", image)
    guest = linux("quiet", "--disk", image)
    guest.expect("guest# ", 120)
    guest.run("dd if=/dev/urandom of=/dev/vda bs=1M count=8 seek=3 conv=fsync")
    guest.send("poweroff -f\n")
    assert guest.wait(60) == 0
    check(image, "qcow2")
    assert qemu_img("compare", content, image, check=False).returncode == 1
    qemu_img("snapshot", "-a", "before", image)
    qemu_img("compare", content, image)
    check(image, "qcow2")


def test_in_use_is_refused_with_the_holders_name(tmp_path, linux):
    image = tmp_path / "d.qcow2"
    disk("create", image, "16M")
    guest = linux("quiet", "--disk", image, "--name", "holder")
    guest.expect("guest# ", 120)
    for args in (("compact", image), ("check", image)):
        assert "VM holder" in disk(*args, status=1).stderr
    assert "only grow" in disk("resize", image, "8M", "--shrink", status=1).stderr
    assert "VM holder" in disk("info", image).stdout
    assert "lock" in qemu_img("resize", image, "32M", check=False).stderr
    assert "VM holder" in baton("run", "--kernel", "/bin/true", "--disk", image).stderr
    guest.send("poweroff -f\n")
    assert guest.wait(60) == 0
    disk("resize", image, "32M")


def patched(path, offset, fmt, value):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(struct.pack(fmt, value))


@pytest.mark.parametrize("offset,fmt,value,text", [
    (4, ">I", 9, "version 9"),
    (20, ">I", 40, "cluster_bits"),
    (32, ">I", 1, "encrypted"),
    (36, ">I", 0xFFFFFFFF, "l1_size"),
    (24, ">Q", (1 << 64) - 512, "qcow2 size"),
    (40, ">Q", 1 << 62, "L1 table"),
    (48, ">Q", 0x10001, "refcount table"),
    (56, ">I", 0, "refcount_table_clusters"),
    (72, ">Q", 1 << 2, "external data file"),
    (72, ">Q", 1 << 4, "extended L2"),
    (72, ">Q", 1 << 40, "bit 40"),
    (96, ">I", 7, "refcount_order"),
    (100, ">I", 0xFFFFFFF8, "header_length"),
])
def test_hostile_qcow2_headers_are_refused(tmp_path, offset, fmt, value, text):
    image = tmp_path / "d.qcow2"
    disk("create", image, "16M")
    patched(image, offset, fmt, value)
    assert text in disk("info", image, status=1).stderr


@pytest.mark.parametrize("offset,fmt,value,text", [
    (0x44, "<I", 0x20002, "version"),
    (0x4C, "<I", 4, "differencing"),
    (0x178, "<I", 12345, "block size"),
    (0x170, "<Q", (1 << 64) - 512, "size"),
    (0x180, "<I", 0xFFFFFFFF, "blocks"),
    (0x200, "<I", 500, "too large"),
])
def test_hostile_vdi_headers_are_refused(tmp_path, offset, fmt, value, text):
    image = tmp_path / "d.vdi"
    disk("create", image, "16M")
    patched(image, offset, fmt, value)
    assert text in disk("info", image, status=1).stderr


def test_backing_files_outside_the_folder_and_loops(tmp_path, content):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    secret, top = outside / "secret.raw", inside / "top.qcow2"
    secret.write_bytes(b"s" * MIB)
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, top)
    assert "outside its own folder" in disk("convert", top, inside / "x.raw", status=1).stderr
    (inside / "link.raw").symlink_to(secret)
    qemu_img("rebase", "-u", "-F", "raw", "-b", "link.raw", top)
    assert "outside its own folder" in disk("convert", top, inside / "x.raw", status=1).stderr
    disk("convert", "--allow-backing", top, inside / "x.raw")
    qemu_img("rebase", "-u", "-F", "qcow2", "-b", "top.qcow2", top)
    assert "loop" in disk("convert", top, inside / "y.raw", status=1).stderr
    qemu_img("rebase", "-u", "-F", "raw", "-b", "nbd:localhost:1", top)
    assert "local file" in disk("convert", top, inside / "y.raw", status=1).stderr


def test_usage_errors(tmp_path):
    image = tmp_path / "d.qcow2"
    disk("create", image, "16M")
    assert "already" in disk("create", image, "16M", status=1).stderr
    assert "raw, qcow2, vdi" in disk("create", tmp_path / "x", "16M", "--format", "vhd", status=1).stderr
    assert "not a size" in disk("create", tmp_path / "x", "big", status=1).stderr
    disk("create", tmp_path / "d.raw", "1M")
    assert disk("check", tmp_path / "d.raw", status=63).stderr
    assert not os.path.exists(tmp_path / "x")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_leaves_nothing(tmp_path, number):
    source, target = tmp_path / "source.raw", tmp_path / "target.qcow2"
    source.write_bytes(b"data" * (32 << 20))
    for _ in range(50):     # it may be done before the signal comes
        work = subprocess.Popen([BATON, "disk", "convert", source, target], stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))     # a shell's "&" ignores it
        while work.poll() is None and not list(tmp_path.glob("target.qcow2.new-*")):
            time.sleep(0.001)
        work.send_signal(number)
        work.communicate(timeout=60)
        if work.returncode:
            break
        target.unlink()
    assert work.returncode == -number
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("fmt", ["vmdk", "vhdx", "vpc", "qed", "parallels"])
def test_other_programs_formats_are_not_taken_for_raw_disks(tmp_path, state_home, fmt):
    path = tmp_path / f"disk.{fmt}"
    qemu_img("create", "-q", "-f", fmt, path, "8M")
    for command in (["disk", "info", path], ["disk", "convert", path, tmp_path / "out"], ["create", "web", "--disk", path],
                    ["run", "--disk", path]):
        result = baton(*command)
        assert result.returncode and "qemu-img convert" in result.stderr, command
    assert baton("create", "web", "--disk", f"{path},format=raw").returncode == 0


@pytest.mark.parametrize("name, made", [("a.VDI", "vdi"), ("a.Img", "raw"), ("a.disk", "qcow2"), ("a.vmdk", None), ("a.VHD", None),
                                        ("a.vhdx", None), ("a.vmdk --format raw", "raw")])
def test_a_names_end_tells_the_format(tmp_path, name, made):
    name, *rest = name.split()
    done = baton("disk", "create", name, "1M", *rest, cwd=tmp_path)
    if made:
        assert done.returncode == 0 and json.loads(baton("disk", "info", tmp_path / name, "--json").stdout)["format"] == made
    else:
        assert done.returncode == 1 and "known: raw, qcow2, vdi" in done.stderr and not list(tmp_path.iterdir())


def test_info_of_names_that_are_no_text(tmp_path):
    """Neither a file's bytes nor those in a strange image's header stop it, or reach the terminal."""
    image = os.fsencode(tmp_path) + b"/\xff.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "a\x1b]0;b\x9bc", "-F", "raw", image, "1M"], check=True)
    for flags in ((), ("--json",)):
        done = subprocess.run([BATON, "disk", "info", *flags, image], capture_output=True)
        assert done.returncode == 0 and b"?.qcow2" in done.stdout, done
        assert b"\x1b" not in done.stdout + done.stderr
        assert flags or "\x9b" not in done.stdout.decode()
    assert json.loads(done.stdout)["backing"] == "a\x1b]0;b\x9bc"


def test_an_image_that_may_not_be_written(tmp_path):
    """The remedy is one that `disk` has: there is no ",ro" in it."""
    path = tmp_path / "d.qcow2"
    disk("create", path, "1M")
    path.chmod(0o444)
    bound = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run([*bound, BATON, "disk", "check", "--repair", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "has to be writable" in done.stderr and ",ro" not in done.stderr, done
    disk("check", path)
