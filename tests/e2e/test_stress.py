# SPDX-License-Identifier: Apache-2.0
"""stress-ng, which verifies its results, on more virtual processors than there may be real ones."""
import re
import subprocess

import pytest

from conftest import ENGINE, ROOT

STRESSORS = ["cpu", "vm", "futex", "switch", "fork", "memcpy", "atomic"]
# What a kernel says of processors that made no progress, or of itself when something broke.
TROUBLE = "stall|lockup|hung task|BUG|WARNING|Oops|unable to handle"


@pytest.fixture(scope="session")
def stress_initrd(images):
    subprocess.run([ROOT / "tests/images/build.sh", "stress"], check=True, stdout=subprocess.DEVNULL)
    return images / "stress.gz"


def run_stressors(start, images, initrd, cpus, seconds):
    guest = start("run", "--engine", ENGINE, "--cpus", str(cpus), "--memory", "768M", "--net", "none",
                  "--kernel", images / "vmlinuz", "--initrd", initrd, "--append", "console=ttyS0 quiet")
    guest.expect("guest# ", 300)
    assert guest.run("nproc").strip() == str(cpus)
    guest.run("cd /tmp")
    for name in STRESSORS:
        text = guest.run(f"stress-ng --{name} {cpus} --verify --timeout {seconds}", seconds * 3 + 120)
        assert "successful run completed" in text
        assert not re.search("fail:", text), text
    assert not guest.run(f"dmesg | grep -v 'Command line' | grep -E '{TROUBLE}' || true").strip()
    guest.send("exit\n")
    assert guest.wait(60) == 0


def test_stress_sample(start, images, stress_initrd):
    run_stressors(start, images, stress_initrd, 4, 1)


@pytest.mark.long
@pytest.mark.parametrize("cpus", [2, 4, 8])
def test_stress(start, images, stress_initrd, cpus):
    run_stressors(start, images, stress_initrd, cpus, 60)
