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


@pytest.mark.parametrize("model", ["v3", "v4", "host"])
def test_vectors(start, images, stress_initrd, model):
    """Programs of the guest use every vector extension that its processor shows."""
    guest = start("run", "--engine", ENGINE, "--cpus", "2", "--cpu", model, "--memory", "768M", "--net", "none",
                  "--kernel", images / "vmlinuz", "--initrd", stress_initrd, "--append", "console=ttyS0 quiet")
    if guest.expect("guest# |cannot offer", 300).group(0) == "cannot offer":
        pytest.skip(f"this host lacks a part of {model}")
    flags = guest.run("grep -m 1 ^flags /proc/cpuinfo").split()
    assert "avx2" in flags or model == "host"
    assert "avx512vl" in flags or model != "v4"
    guest.run("cd /tmp && stress-ng --vecmath 2 --vecwide 2 --matrix 2 --verify --timeout 2", 60)
