# SPDX-License-Identifier: Apache-2.0
"""What a guest wrote and flushed survives the sudden death of the VMM."""
import hashlib
import os
import random
import time

import pytest


@pytest.mark.parametrize("attempt", range(3))
def test_kill_loses_no_flushed_write(linux, tmp_path, attempt):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(16 << 20))
    guest = linux("quiet", "--disk", disk)
    guest.expect("guest# ", 120)
    # Each block carries its number; the number is printed only after fsync returned.
    guest.send("i=0; while :; do printf '%010d' $i | dd of=/dev/vda bs=4096 seek=$i conv=sync,fsync "
               "2>/dev/null && echo flushed=$i.; i=$((i+1)); done\n")
    guest.expect(r"flushed=20\.", 120)
    time.sleep(random.random())
    guest.process.kill()
    guest.wait(10)
    last = int(guest.output.rsplit("flushed=", 1)[1].split(".")[0]) \
        if guest.output.rstrip().endswith(".") else int(guest.output.rsplit("flushed=", 2)[1].split(".")[0])
    data = disk.read_bytes()
    for i in range(last + 1):
        assert data[i * 4096:i * 4096 + 10] == b"%010d" % i, f"block {i} of {last} is lost"


def test_checksums_through_the_disk(linux, tmp_path):
    disk = tmp_path / "disk.img"
    content = os.urandom(24 << 20)
    disk.write_bytes(content)
    guest = linux("quiet", "--disk", disk)
    guest.expect("guest# ", 120)
    assert hashlib.sha256(content).hexdigest() in guest.run("sha256sum /dev/vda", 120)
    guest.run("dd if=/dev/vda of=/dev/vda bs=1M count=4 skip=2 seek=12 conv=fsync", 120)
    guest.send("poweroff -f\n")
    assert guest.wait(60) == 0
    content = content[:12 << 20] + content[2 << 20:6 << 20] + content[16 << 20:]
    assert disk.read_bytes() == content


def test_read_only_disk_cannot_be_written(linux, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\x5a" * (1 << 20))
    guest = linux("quiet", "--disk", f"{disk},ro")
    guest.expect("guest# ", 120)
    assert guest.run("cat /sys/block/vda/ro").strip() == "1"
    guest.send("dd if=/dev/zero of=/dev/vda count=1; echo done=$?.\n")
    guest.expect(r"done=1\.", 30)
    assert disk.read_bytes() == b"\x5a" * (1 << 20)
