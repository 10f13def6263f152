# SPDX-License-Identifier: Apache-2.0
"""Shares and caps of CPU time on Linux: control groups of version 2 (tests/metal has Baton's kernel)."""
import re

import pytest

import nested
from conftest import BATON, BUILD

pytestmark = pytest.mark.skipif(nested.missing() is not None, reason=str(nested.missing()))

SCRIPT = """
export PATH=$PATH:/ XDG_RUNTIME_DIR=/run
run="baton run --engine kvm --memory 64M --net none --kernel /spin"
$run --cpu-cap 40 </dev/null; echo "without groups $?"
mount -t cgroup2 none /sys/fs/cgroup
$run --name a --cpu-cap 25 </dev/null >/tmp/a 2>&1 & a=$!
$run --name b --cpu-shares 50 </dev/null >/tmp/b 2>&1 & b=$!
$run --name c --cpu-shares 101 </dev/null >/tmp/c 2>&1 & c=$!
for vm in a b c; do while ! grep -q spinning /tmp/$vm; do sleep 0.2; done; done
cd /sys/fs/cgroup
grep usage baton-a/cpu.stat baton-b/cpu.stat baton-c/cpu.stat
sleep 10
grep usage baton-a/cpu.stat baton-b/cpu.stat baton-c/cpu.stat
cat baton-a/cpu.max baton-b/cpu.weight
kill -9 $a $b $c; wait $a $b $c
baton create kept --memory 64M --kernel /spin --net none --cpu-cap 150 --cpu-shares 300
baton start kept; cat baton-kept/cpu.max baton-kept/cpu.weight
baton stop kept --force; baton delete kept
echo groups $(ls -d baton-* 2>/dev/null)
"""


def test_caps_and_shares_of_a_linux_host():
    files = {"baton": BATON, "baton-vmm": BUILD / "baton-vmm", "spin": BUILD / "guests/spin"}
    # Time counts instructions: what a busy host does to QEMU is not seen.
    result = nested.run_in_kvm_host(SCRIPT, files, timeout=600, cpus=1, machine=("-icount", "shift=3,sleep=off"))
    output = result.output
    assert result.status is not None, result.console[-4000:]
    assert re.search(r"control groups, version 2\nwithout groups [1-9]", output), output
    used = [int(n) for n in re.findall(r"usage_usec (\d+)", output)]
    ran = [after - before for before, after in zip(used[:3], used[3:])]
    for got, wanted in zip(ran, (0.25, 0.25, 0.5)):
        assert abs(got / sum(ran) - wanted) < 0.05, output
    assert "25000 100000\n50\n" in output and "150000 100000\n300\n" in output, output
    assert "groups\n" in output, output
