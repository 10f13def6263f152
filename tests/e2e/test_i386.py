# SPDX-License-Identifier: Apache-2.0
"""Debian's 32-bit kernel: PAE paging, segments, and 32-bit programs on several processors."""
import subprocess

import pytest

from conftest import ENGINE, ROOT


@pytest.mark.long
def test_32_bit_kernel(start, images):
    subprocess.run([ROOT / "tests/images/build.sh", "i386"], check=True, stdout=subprocess.DEVNULL)
    guest = start("run", "--engine", ENGINE, "--cpus", "2", "--memory", "512M", "--net", "none",
                  "--kernel", images / "vmlinuz-i386", "--initrd", images / "i386.gz",
                  "--append", "console=ttyS0 quiet")
    guest.expect("guest# ", 300)
    assert "i686" in guest.run("uname -m")
    assert guest.run("nproc").strip() == "2"
    guest.run("for i in 1 2 3; do sha256sum /bin/busybox & done; wait")
    assert not guest.run("dmesg | grep -E 'stall|lockup|BUG|WARNING|Oops' || true").strip()
    guest.send("exit\n")
    assert guest.wait(60) == 0
