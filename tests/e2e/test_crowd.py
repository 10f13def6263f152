# SPDX-License-Identifier: Apache-2.0
"""Many commands on a few VMs at once, in any order: each succeeds or is refused, and all stays whole."""
import random
import signal
from concurrent.futures import ThreadPoolExecutor

from conftest import baton
from test_control import kernel  # noqa: F401: a fixture
from test_killed import check_whole
from test_lifecycle import ok, states, toy  # noqa: F401

NAMES = ("a", "b", "c")


def commands(rng, kernel):  # noqa: F811
    """One command at random; names may or may not exist."""
    one, other = rng.choice(NAMES), rng.choice(NAMES)
    return rng.choice([
        ("create", one, "--engine", "bt", "--memory", "16", "--kernel", kernel, "--disk", "size=1M"),
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


def worker(seed, kernel, count):  # noqa: F811
    rng = random.Random(seed)
    return [(args, baton(*args)) for args in (commands(rng, kernel) for _ in range(count))]


def test_a_crowd(toy, kernel):  # noqa: F811
    vms = toy("a", "--disk", "size=1M").parent
    seed = random.randrange(1 << 30)
    print("seed", seed)
    with ThreadPoolExecutor(6) as pool:
        results = sum(pool.map(lambda i: worker(seed + i, kernel, 40), range(6)), [])
    for args, result in results:
        assert result.returncode in (0, 1), (args, signal.Signals(-result.returncode))
        assert result.returncode == 0 or result.stderr.startswith("baton: "), (args, result.stderr)
    assert sum(r.returncode == 0 for _, r in results) > 30, "hardly anything was done"
    for name in states():
        baton("stop", name, "--force")
    for name in check_whole(vms):
        ok("start", name, "--discard-saved")
        ok("stop", name, "--force")
        ok("delete", name, "--disks")
    assert states() == {}
