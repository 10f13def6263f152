# SPDX-License-Identifier: Apache-2.0
"""Interpreter and translator side by side over a whole boot of Debian's kernel."""
import pytest


@pytest.mark.long
@pytest.mark.parametrize("model", ["baseline", "v3"])
def test_linux_boots_in_lockstep(linux, model):
    commands = "dmesg+-r|grep+'^<[0-3]>';dd+if=/dev/zero+bs=64k+count=20|sha256sum"
    guest = linux(f"quiet baton.run={commands}", "--cpu", model, engine="bt,tier=lockstep")
    assert guest.wait(1500) == 0, guest.output
    assert "baton: exit status 0" in guest.output
    assert "lockstep" not in guest.output


def test_one_processor_only(linux):
    guest = linux("", "--cpus", "2", engine="bt,tier=lockstep")
    assert guest.wait(20) == 1
    assert "use --cpus 1" in guest.output
