# SPDX-License-Identifier: Apache-2.0
"""Many commands on a few VMs at once, in any order, some of them killed: all stays whole."""
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import baton
from test_control import kernel  # noqa: F401: a fixture
from test_killed import check_whole, killed
from test_lifecycle import ok, states, toy  # noqa: F401

NAMES = ("a", "b", "c")
WORKERS = 6
COUNT = 40


def commands(rng, kernel):  # noqa: F811
    """One command at random; names may or may not exist."""
    one, other = rng.choice(NAMES), rng.choice(NAMES)
    return rng.choice([
        # More than once: most of the others need a VM, and two of them delete it.
        *4 * [("create", one, "--engine", "bt", "--memory", "16", "--kernel", kernel, "--disk", "size=1M")],
        ("start", one),
        ("start", one),
        ("stop", one, "--force"),
        ("pause", one),
        ("resume", one),
        ("reset", one),
        ("save", one),
        ("rename", one, other),
        ("clone", one, other),
        ("clone", one, other, "--linked"),
        ("modify", one, "--cpus", str(rng.randint(1, 4))),
        ("autostart", one),
        ("delete", one, "--disks"),
        ("delete", one),
        ("snapshot", "take", one, rng.choice(("s", "t"))),
        ("snapshot", "restore", one, rng.choice(("s", "t"))),
        ("snapshot", "delete", one, rng.choice(("s", "t"))),
        ("snapshot", "list", one),
        ("info", one),
        ("list", "--all"),
        ("top", "--batch", "--interval", "0.1"),
    ])


def worker(seed, kernel, killing):  # noqa: F811
    """A row of commands; some are killed at a random moment."""
    rng = random.Random(seed)
    results = []
    for _ in range(COUNT):
        args = commands(rng, kernel)
        if rng.random() < killing:
            killed(*args, longest=0.08)
        else:
            results.append((args, baton(*args)))
    return results


@pytest.mark.parametrize("killing", [0, 0.4])
def test_a_crowd(toy, kernel, killing):  # noqa: F811
    vms = toy("a", "--disk", "size=1M").parent
    seed = random.randrange(1 << 30)
    print("seed", seed)
    with ThreadPoolExecutor(WORKERS) as pool:
        results = sum(pool.map(lambda i: worker(seed + i, kernel, killing), range(WORKERS)), [])
    for args, result in results:
        assert result.returncode in (0, 1), (args, result)
        assert result.returncode == 0 or result.stderr.startswith("baton: "), (args, result.stderr)
    assert sum(r.returncode == 0 for _, r in results) > 20, "hardly anything was done"
    for name in states():
        baton("stop", name, "--force")
    for name in check_whole(vms):
        ok("start", name, "--discard-saved")
        ok("stop", name, "--force")
        ok("delete", name, "--disks")
    assert states() == {}
