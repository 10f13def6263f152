# SPDX-License-Identifier: Apache-2.0
"""The network of the bare-metal kernel: Debian guests on its switches, and the way out through its cards."""
import functools
import hashlib
import http.server
import os
import re
import threading

import pytest

import metal
from test_metal import finished, pytestmark, section  # noqa: F401  (the mark is pytest's)

HOST = "10.0.2.2"  # of the machine that QEMU runs on, in its user network


class Outside(http.server.BaseHTTPRequestHandler):
    """Gives some data, and tells the digest of what it is given."""
    data = os.urandom(4 << 20)

    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(self.data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode() + b"  received\n")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def outside():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Outside) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()


def guest(name, nets, commands):
    """A command line; `commands` are the guest's, what it prints comes in /tmp/NAME."""
    run = ";".join(commands).replace(" ", "+")
    return (f"baton run --engine kvm --name {name} --memory 128M {' '.join('--net ' + n for n in nets)} "
            "--kernel /guests/vmlinuz --initrd /guests/initrd.gz "
            f"--append 'console=ttyS0 quiet baton.run={run}' </dev/null >/tmp/{name} 2>&1")


def until(command):
    """Whose other side may not be there yet."""
    return f"until {command}; do sleep 1; done"


def digest(output, name):
    found = re.search(rf"^([0-9a-f]{{64}})  {name}$", output, re.M)
    assert found, output
    return found.group(1)


def addresses(number):
    return [f"ip addr add 10.9.{net}.{number}/24 dev eth{net}; ip link set eth{net} up" for net in (0, 1)]


@functools.cache
def two_guests(card, outside, machine):
    """`one` serves a file; `two` reaches it over br0 and over the manager's switch, and the outside."""
    nets = ["bridge=br0", "internal=lab"]
    one = guest("one", nets, addresses(1) + [
        "dd if=/dev/urandom of=/data bs=64k count=64", "sha256sum /data", "httpd -f -h /"])
    two = guest("two", nets, addresses(2) + [
        *(until(f"ping -c 1 -W 5 {peer}") for peer in ("10.9.0.1", "10.9.1.1")),
        *(until(f"wget -O /copy{net} http://10.9.{net}.1/data") for net in (0, 1)),
        until("udhcpc -i eth0 -s /bin/udhcpc.sh -n"), until(f"ping -c 1 -W 5 {HOST}"),
        # Busybox posts text only.
        "base64 /copy0 >/text", until(f"wget -O - --post-file=/text {outside}"), until(f"wget -O /fetched {outside}"),
        "sha256sum /copy0 /copy1 /text /fetched"])
    return finished(metal.run_on_metal(f"""
echo "== unknown"; {guest("none", ["bridge=br7"], []).partition(" <")[0]}; echo status $?
{one} & server=$!
{two}
echo "== two"; cat /tmp/two; echo "== counters"; cat /proc/net/dev; ifconfig br0
kill -9 $(ps | grep 'vms/one' | grep -v grep | awk '{{print $1}}'); wait $server
echo "== one"; cat /tmp/one; echo "== gone"; cat /proc/net/dev
""", timeout=900, machine=["-netdev", "user,id=outside", "-device", f"{card},netdev=outside", *machine])).output


CARDS = [("virtio-net-pci", ()), ("e1000", ()), pytest.param("e1000e", ("-M", "q35"), marks=pytest.mark.long)]


@pytest.mark.parametrize("card, machine", CARDS)
def test_guests_reach_each_other_and_outside(card, machine, outside):
    output = two_guests(card, outside, machine)
    one, two = section(output, "one"), section(output, "two")
    assert digest(two, "/copy0") == digest(two, "/copy1") == digest(one, "/data"), output
    assert digest(two, "/text") == digest(two, "received"), output
    assert digest(two, "/fetched") == hashlib.sha256(Outside.data).hexdigest()
    assert "lease: 10.0.2." in two and "64 bytes from 10.0.2.2" in two


def test_interfaces_are_counted(outside):
    output = two_guests(*CARDS[0][:1], outside, CARDS[0][1])
    counters = section(output, "counters")
    for name in ("br0", "eth0", "bton[01]"):
        assert int(re.search(rf"^ *{name}: *(\d+)", counters, re.M).group(1)) > 4 << 20, counters
    assert re.search(r"br0 .*Link encap:Ethernet  HWaddr (\w\w:){5}\w\w.*UP BROADCAST RUNNING", counters, re.S)
    assert "br0:" in section(output, "gone") and "bton" not in section(output, "gone"), output


def pull_cables(path, cards):
    monitor = metal.Monitor(path)
    for card in cards:
        monitor("set_link", name=card, up=False)
    while monitor.event():
        pass  # until the machine is off


def test_cable_that_is_pulled_is_told(tmp_path):
    """Each card by its driver; the switch of the second one is br1."""
    cards = ("virtio-net-pci", "e1000")
    machine = ["-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off"]
    for card in cards:
        machine += ["-netdev", f"user,id=net-{card}", "-device", f"{card},netdev=net-{card},id={card}"]
    thread = threading.Thread(target=pull_cables, args=(tmp_path / "qmp", cards), daemon=True)
    thread.start()
    result = finished(metal.run_on_metal(f"""
for card in eth0 eth1; do while ifconfig $card | grep -q RUNNING; do sleep 1; done; done
ls /sys/class/net
""", machine=machine))
    thread.join()
    assert result.output.endswith("br0  br1\n"), result.console
    assert all(f"eth{n}: link is down" in result.console for n in (0, 1)), result.console


def test_unknown_bridge_is_answered_with_those_there_are(outside):
    assert re.search(r"br7 is no bridge of this host; those it has: br0\nstatus [1-9]",
                     section(two_guests(*CARDS[0][:1], outside, CARDS[0][1]), "unknown"))
