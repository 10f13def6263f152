# SPDX-License-Identifier: Apache-2.0
"""memtest86+, a program nobody here wrote that exercises the whole processor and its memory."""
import re
import subprocess

import pytest

from conftest import ROOT


@pytest.mark.parametrize("memory", ["64M", pytest.param("128M", marks=pytest.mark.long)])
def test_one_pass(start, images, memory):
    subprocess.run([ROOT / "tests/images/build.sh", "memtest"], check=True, stdout=subprocess.DEVNULL)
    guest = start("run", "--engine", "bt", "--memory", memory, "--kernel", images / "memtest.bin",
                  "--append", "console=ttyS0,115200")
    guest.expect(r"Memtest86\+", 60)
    guest.expect(r"Pass:\s+[1-9]\d*\s+Errors:\s+\d+", 900)
    assert set(re.findall(r"Errors:\s+(\d+)", guest.output)) == {"0"}
