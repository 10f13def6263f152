# SPDX-License-Identifier: Apache-2.0
"""memtest86+, a program nobody here wrote that exercises the whole processor and its memory."""
import re
import subprocess

from conftest import ROOT


def test_one_pass_on_64_mib(start, images):
    subprocess.run([ROOT / "tests/images/build.sh", "memtest"], check=True, stdout=subprocess.DEVNULL)
    guest = start("run", "--engine", "bt", "--memory", "64M", "--kernel", images / "memtest.bin",
                  "--append", "console=ttyS0,115200")
    guest.expect(r"Memtest86\+", 60)
    guest.expect(r"Pass:\s+[1-9]\d*\s+Errors:\s+\d+", 900)
    assert set(re.findall(r"Errors:\s+(\d+)", guest.output)) == {"0"}
