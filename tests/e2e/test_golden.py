# SPDX-License-Identifier: Apache-2.0
"""States that earlier versions saved go on today.

    BATON_GOLDEN=tests/e2e/golden/NAME.state python3 -m pytest tests/e2e/test_golden.py -k make

adds one; none is ever made anew (docs/state.md).
"""
import os
import pathlib
import subprocess

import pytest

from conftest import ENGINE
from test_save import control

FOLDER = pathlib.Path(__file__).parent / "golden"
STATES = sorted(FOLDER.glob("*.state"))
MACHINE = ["--memory", "4M", "--cpus", "1", "--device", "virtio-console"]


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "guest.elf"
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-Ttext=0x100000",
                    "-o", path, FOLDER / "guest.S"], check=True)
    return path


@pytest.mark.parametrize("engine", [ENGINE, "bt,tier=interp"])
@pytest.mark.parametrize("state", STATES, ids=[p.stem for p in STATES])
def test_golden_state_goes_on(start, kernel, state, engine):
    guest = start("run", "--engine", engine, *MACHINE, "--kernel", kernel, "--restore", state)
    for _ in range(2):
        guest.send("?")
        guest.expect("golden ok\n", 60)
    assert "up" not in guest.output and "bad" not in guest.output


def test_there_is_one():
    assert STATES


@pytest.mark.skipif("BATON_GOLDEN" not in os.environ, reason="makes a state, see above")
def test_make(start, kernel, state_home):
    guest = start("run", "--engine", ENGINE, *MACHINE, "--kernel", kernel, "--sandbox", "off")
    guest.expect("up\n")
    guest.send("?")
    guest.expect("golden ok\n")
    path = pathlib.Path(os.environ["BATON_GOLDEN"]).absolute()
    assert not path.exists(), "a golden state is never changed"
    control(state_home).call("save", path=str(path))
    assert guest.wait(10) == 0
