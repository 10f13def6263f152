# SPDX-License-Identifier: Apache-2.0
"""The network of the bare-metal kernel: Debian guests on its switches, and the way out."""
import re

import metal
from test_metal import finished, pytestmark, section  # noqa: F401  (the mark is pytest's)


def guest(name, nets, commands):
    """A command line; `commands` are the guest's, what it prints comes in /tmp/NAME."""
    run = ";".join(commands).replace(" ", "+")
    return (f"baton run --engine kvm --name {name} --memory 128M {' '.join('--net ' + n for n in nets)} "
            "--kernel /guests/vmlinuz --initrd /guests/initrd.gz "
            f"--append 'console=ttyS0 quiet baton.run={run}' </dev/null >/tmp/{name} 2>&1")


def until(command):
    """Whose other side may not be there yet."""
    return f"until {command}; do sleep 1; done"


def address(interface, net, host):
    return [f"ip addr add 10.9.{net}.{host}/24 dev {interface}", f"ip link set {interface} up"]


def test_guests_reach_each_other():
    """Over a switch of the kernel, which an unknown name does not make, and over one of the manager's."""
    nets = ["bridge=br0", "internal=lab"]
    one = guest("one", nets, address("eth0", 0, 1) + address("eth1", 1, 1) +
                ["dd if=/dev/urandom of=/data bs=64k count=64", "sha256sum /data",
                 "httpd -f -h /"])
    two = guest("two", nets, address("eth0", 0, 2) + address("eth1", 1, 2) +
                [until(f"ping -c 1 -W 5 10.9.{net}.1") for net in (0, 1)] +
                [until("wget -O /copy http://10.9.0.1/data"), "sha256sum /copy"])
    output = finished(metal.run_on_metal(f"""
echo "== unknown"; {guest("none", ["bridge=br7"], []).partition(" <")[0]}; echo status $?
{one} & server=$!
{two}
echo "== two"; cat /tmp/two; echo "== counters"; cat /proc/net/dev; ifconfig br0
kill -9 $(ps | grep 'vms/one' | grep -v grep | awk '{{print $1}}'); wait $server
echo "== one"; cat /tmp/one; echo "== gone"; cat /proc/net/dev
""", timeout=600)).output
    assert re.search(r"br7 is no bridge of this host; those it has: br0\nstatus [1-9]", section(output, "unknown"))
    copy = re.search(r"^([0-9a-f]{64})  /copy$", section(output, "two"), re.M)
    assert copy and f"{copy.group(1)}  /data" in section(output, "one"), output
    counters = section(output, "counters")
    for name in ("br0", "bton[01]"):
        assert int(re.search(rf"^ *{name}: *(\d+)", counters, re.M).group(1)) > 4 << 20, counters
    assert re.search(r"br0 .*Link encap:Ethernet  HWaddr (\w\w:){5}\w\w.*UP BROADCAST RUNNING", counters, re.S)
    assert "br0:" in section(output, "gone") and "bton" not in section(output, "gone"), output
