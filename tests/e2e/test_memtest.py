# SPDX-License-Identifier: Apache-2.0
"""memtest86+, a program nobody here wrote that exercises the whole processor and its memory."""
import subprocess

import pytest

from conftest import ROOT


@pytest.mark.slow
def test_one_pass_on_64_mib(start, images):
    subprocess.run([ROOT / "tests/images/build.sh", "memtest"], check=True, stdout=subprocess.DEVNULL)
    guest = start("run", "--engine", "bt", "--memory", "64M", "--kernel", images / "memtest.bin",
                  "--append", "console=ttyS0,115200")
    guest.expect(r"Memtest86\+", 60)
    guest.expect(r"Pass:?\s+[1-9]|[Pp]ass(es)? +complete|PASS", 900)
    assert "Errors: 0" in guest.output.replace("  ", " ") or "error" not in guest.output.lower()
