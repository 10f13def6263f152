# SPDX-License-Identifier: Apache-2.0
"""Engine kvm with Debian's kernel as guest, on the AMD-V that QEMU emulates (see nested.py)."""
import json
import pathlib
import re
import subprocess

import pytest

import nested
from conftest import BATON, BUILD, ROOT

pytestmark = pytest.mark.skipif(nested.missing() is not None, reason=str(nested.missing()))

RUN = "/baton run --engine kvm --kernel /vmlinuz --initrd /initrd.gz --memory 256M "

# Warnings that come from the host being emulated: its TSCs are not in step.
HOST_WARNINGS = ["Unstable clock detected", "trace_clock=local", "want to keep using the local clock",
                 "on the kernel command line",
                 "hrtimer: interrupt took"]     # the emulated host itself stood still for a moment


def host(images, commands, timeout=240):
    files = {"baton": BATON, "baton-vmm": BUILD / "baton-vmm", "vmlinuz": images / "vmlinuz",
             "initrd.gz": images / "initrd.gz", "test_kvm": BUILD / "tests/unit/kvm/test_kvm",
             "test_move": BUILD / "tests/unit/kvm/test_move"}
    result = nested.run_in_kvm_host(commands, files, timeout)
    assert result.status is not None, f"the host did not get to the end:\n{result.console[-6000:]}"
    return result


def test_real_kvm_passes_the_unit_tests(images):
    result = host(images, "/test_kvm && /test_move")
    assert result.status == 0, result.output
    assert "SKIPPED" not in result.output


def test_check_finds_the_hardware(images):
    result = host(images, "/baton check --json; echo status=$?")
    report = json.loads(result.output[:result.output.rindex("}") + 1])
    found = {f["name"]: f["result"] for f in report["findings"]}
    assert found["processor"] == "ok" and found["module"] == "ok" and found["device"] == "ok"
    assert report["instructions_per_second"] > 0


def test_linux_on_two_processors_without_warnings(images):
    commands = "dmesg+-r|grep+'^<[0-4]>';cat+/sys/devices/system/clocksource/*/current_clocksource;" \
               "echo+cpus=$(nproc);grep+-c+Baton+/proc/cpuinfo;ls+/sys/bus/virtio/devices"
    result = host(images, f'{RUN} --cpus 2 --append "console=ttyS0 quiet baton.run={commands}"'
                          " </dev/null")
    assert result.status == 0, result.output
    assert "cpus=2" in result.output and "kvm-clock" in result.output
    assert "baton: exit status 0" in result.output
    warnings = [line for line in result.output.splitlines() if re.match(r"<[0-4]>", line)
                and not any(known in line for known in HOST_WARNINGS)]
    assert warnings == []


def test_reboot_disk_and_pause(images):
    """The first boot marks the disk and reboots; the second one ticks through a pause of 5 s."""
    inside = "if+grep+-q+mark+/dev/vda;then+for+i+in+1+2+3+4+5+6+7+8+9+10;do+cat+/proc/uptime;" \
             "sleep+0.5;done;else+echo+mark>/dev/vda;sync;reboot+-f;fi"
    commands = f"""
        export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
        dd if=/dev/zero of=/tmp/disk bs=1M count=1 2>/dev/null
        {RUN} --name vm --disk /tmp/disk --append "console=ttyS0 quiet baton.run={inside}" \
            </dev/null >/tmp/out 2>&1 &
        for i in $(seq 100); do grep -q '^[0-9.]* [0-9.]*.$' /tmp/out && break; sleep 0.3; done
        /baton pause vm && echo paused
        sleep 5
        /baton resume vm && echo resumed
        wait %1
        status=$?
        cat /tmp/out
        exit $status
    """
    result = host(images, commands)
    assert result.status == 0, result.output
    assert "paused\n" in result.output and "resumed\n" in result.output
    assert result.output.count("baton: init reached") == 2
    ticks = [float(t) for t in re.findall(r"^(\d+\.\d\d) \d+\.\d\d$", result.output, re.M)]
    assert len(ticks) == 10, result.output
    assert max(b - a for a, b in zip(ticks, ticks[1:])) < 3.5, ticks


@pytest.mark.long
def test_bios_boots_a_disc(images):
    """SeaBIOS and GRUB in real mode, from the SATA controller's CD-ROM drive."""
    bios = pathlib.Path("/usr/share/seabios/bios-256k.bin")
    if not bios.exists():
        pytest.skip("the package seabios is not installed")
    subprocess.run([ROOT / "tests/images/build.sh", "rescue"], check=True, stdout=subprocess.DEVNULL)
    commands = """
        export XDG_RUNTIME_DIR=/run XDG_STATE_HOME=/state
        /baton run --engine kvm --memory 64M --display none --cdrom /rescue.iso --name disc \
            --serial file:/tmp/serial </dev/null >/tmp/out 2>&1 &
        for i in $(seq 300); do grep -q 'grub> ' /tmp/serial && break; sleep 0.5; done
        strings /tmp/serial | tail -n 20
        /baton stop disc --force
        grep -q 'grub> ' /tmp/serial
    """
    files = {"baton": BATON, "baton-vmm": BUILD / "baton-vmm", "rescue.iso": images / "rescue.iso",
             str(bios): bios}
    result = nested.run_in_kvm_host(commands, files, 300)
    assert result.status == 0, result.output
