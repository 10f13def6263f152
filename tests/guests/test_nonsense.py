# SPDX-License-Identifier: Apache-2.0
"""Random bytes as code: the machine may end in any way, but it is the guest that ends, not Baton."""
import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build")).resolve()
ENGINES = ["bt", "bt,flags=exact", "bt,tier=interp"]
STANDS = 3  # seconds without an end: then the guest is taken to stand for ever
PATIENCE = 240


def run(engine, seed):
    """Exit status and standard error; a machine that does not end must end when it is told to."""
    argv = [BUILD / "baton", "run", "--engine", engine, "--cpu", "host", "--memory", "32M", "--net", "none", "--no-reboot",
            "--device", "debug-exit", "--kernel", BUILD / "guests/nonsense", "--append", f"seed={seed}"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            errors = process.communicate(timeout=STANDS)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                errors = process.communicate(timeout=PATIENCE)[1]
            finally:
                process.kill()
        return process.returncode, errors


def check(engine, seeds):
    for seed in seeds:
        status, errors = run(engine, seed)
        assert status >= 0, f"seed {seed}: {errors}"
        assert "cannot go on" not in errors, f"seed {seed}: {errors}"


@pytest.mark.parametrize("engine", ENGINES)
def test_nonsense(engine):
    check(engine, range(20))


def test_nonsense_in_lockstep_can_be_ended():
    """What instructions leave undefined may differ there; that it ends is what counts."""
    for seed in range(5):
        run("bt,tier=lockstep", seed)


@pytest.mark.long
@pytest.mark.parametrize("engine", ENGINES)
def test_more_nonsense(engine):
    check(engine, range(1000, 2000))
