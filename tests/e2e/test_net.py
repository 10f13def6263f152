# SPDX-License-Identifier: Apache-2.0
"""Networks: passt with its forwards, switches for VMs only, bridges, virtual networks with NAT."""
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import http.server
import re
import socket
import threading
import time
import urllib.request

import pytest

from conftest import BATON, ENGINE, Guest, baton, needs
from test_save import Tty, check


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def web_server(tmp_path):
    (tmp_path / "hello.txt").write_text("hello from the host\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@needs("passt")
def test_lease_server_and_forward(linux, web_server):
    port = free_port()
    guest = linux("quiet", "--net", f"user,forward=tcp:{port}:80")
    guest.expect("guest# ", 120)
    guest.run("ip link set eth0 up")
    lease = guest.run("udhcpc -i eth0 -n -q -s /bin/udhcpc.sh", 60)
    router = re.search(r"lease: \S+ router (\S+)", lease).group(1)
    assert "hello from the host" in guest.run(f"wget -q -O - http://{router}:{web_server}/hello.txt")

    guest.run("mkdir -p /tmp/www && echo hello from the guest >/tmp/www/index.html")
    guest.run("httpd -p 80 -h /tmp/www")
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as reply:
                assert reply.read() == b"hello from the guest\n"
            break
        except OSError:
            assert time.monotonic() < end, "the forwarded port does not answer"
            time.sleep(0.5)


@needs("passt")
def test_a_server_answers_after_its_vm_was_restored(images, state_home):
    """A guest that waits for others says nothing by itself: the new passt must hear of it all the same."""
    port = free_port()
    check(baton("create", "web", "--engine", ENGINE, "--memory", "256M", "--kernel", images / "vmlinuz", "--initrd",
                images / "initrd.gz", "--append", "console=ttyS0 quiet", "--net", f"user,forward=tcp:{port}:80"))
    try:
        check(baton("start", "web"))
        tty = Tty(state_home / "run/baton/web.tty")
        tty.send("\n")
        tty.expect("guest# ", 120)
        tty.run("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/udhcpc.sh")
        tty.run("mkdir -p /tmp/www && echo hello >/tmp/www/index.html && httpd -p 80 -h /tmp/www")
        for command in [], ["snapshot", "take", "web", "one"], ["snapshot", "restore", "web", "one"], ["save", "web"], \
                ["start", "web"]:
            if command:
                check(baton(*command))
            if command[:1] == ["save"]:
                continue
            result = subprocess.run(["curl", "-s", "--retry", "20", "--retry-all-errors", "--retry-delay", "1",
                                     f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=120)
            assert result.stdout == "hello\n", command
    finally:
        baton("stop", "web", "--force")


@needs("passt")
def test_forward_at_one_address(linux):
    """A forward that names an address is served there and nowhere else."""
    port = free_port()
    guest = linux("quiet", "--net", f"user,forward=tcp:127.0.0.2:{port}:80")
    guest.expect("guest# ", 120)
    guest.run("ip link set eth0 up && udhcpc -i eth0 -n -q -s /bin/udhcpc.sh", 60)
    guest.run("mkdir -p /tmp/www && echo hello >/tmp/www/index.html && httpd -p 80 -h /tmp/www")
    result = subprocess.run(["curl", "-s", "--retry", "20", "--retry-all-errors", "--retry-delay", "1",
                             f"http://127.0.0.2:{port}/"], capture_output=True, text=True, timeout=60)
    assert result.stdout == "hello\n"
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port))


# ---- internal ------------------------------------------------------------------------------------


def wait_until(condition, why, timeout=80):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, why
        time.sleep(0.1)


def test_internal(linux, state_home):
    """Three VMs on a switch, one on another; the switches end with their last VM."""
    guests = []
    for n, net in enumerate(("lan", "lan", "lan", "other")):
        guests.append(linux("quiet", "--net", f"internal={net}", memory="128M"))
    for n, guest in enumerate(guests):
        guest.expect("guest# ", 240)
        guest.run(f"ip link set eth0 up; ip addr add 10.1.1.{n + 1}/24 dev eth0")
    for n in (1, 2):
        guests[0].run(f"ping -c 2 -w 30 10.1.1.{n + 1}")
    assert "100% packet loss" in guests[0].run("ping -c 1 -w 2 10.1.1.4 || true")
    # More than one frame at a time, and larger than a link's.
    guests[1].run("nc -l -p 9 >/tmp/got & echo")
    guests[0].run("head -c 3000000 /dev/urandom >/tmp/sent; sleep 1; nc -w 5 10.1.1.2 9 </tmp/sent", 120)
    wanted = guests[0].run("sha256sum </tmp/sent")
    assert guests[1].run("wait; sha256sum </tmp/got") == wanted
    # A VM that is killed leaves the others connected.
    os.killpg(guests[2].process.pid, signal.SIGKILL)
    guests[0].run("ping -c 2 -w 30 10.1.1.2")
    sockets = state_home / "run/baton/net"
    assert (sockets / "internal-lan.sock").exists()
    for guest in guests:
        if guest.process.poll() is None:
            os.killpg(guest.process.pid, signal.SIGKILL)
    wait_until(lambda: not list(sockets.glob("*.sock")), "a switch goes on without VMs")


@needs("passt")
@needs("curl")
def test_ordinary_user(images):
    """Without any right: two VMs on a switch, and a web server in one that the host's user opens."""
    if os.geteuid():
        pytest.skip("the other tests have shown it")
    home = pathlib.Path(tempfile.mkdtemp(prefix="baton-user-"))
    os.chmod(home, 0o755)
    (home / "run").mkdir()
    for path in (home, home / "run"):
        os.chown(path, 65534, 65534)
    for name in ("baton", "baton-vmm"):
        shutil.copy(BATON.parent / name, home)
    for name in ("vmlinuz", "initrd.gz"):
        shutil.copy(images / name, home)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={home}",
            f"XDG_STATE_HOME={home}/state", f"XDG_RUNTIME_DIR={home}/run"]
    port = free_port()
    guests = []
    try:
        for net in (["user,forward=tcp:127.0.0.1:%d:80" % port], []):
            nets = [word for n in ["internal=lan", *net] for word in ("--net", n)]
            guests.append(Guest([*user, home / "baton", "run", "--engine", "bt", "--memory", "128M",
                                 "--kernel", home / "vmlinuz", "--initrd", home / "initrd.gz",
                                 "--append", "console=ttyS0 quiet", *nets]))
        for n, guest in enumerate(guests):
            guest.expect("guest# ", 120)
            guest.run(f"ip link set eth0 up; ip addr add 10.1.1.{n + 1}/24 dev eth0")
        guests[1].run("ping -c 2 -w 30 10.1.1.1")
        guests[0].run("ip link set eth1 up && udhcpc -i eth1 -n -q -s /bin/udhcpc.sh", 60)
        guests[0].run("mkdir /tmp/w; echo from the guest >/tmp/w/index.html; httpd -p 80 -h /tmp/w")
        result = subprocess.run([*user, "curl", "-s", "--retry", "20", "--retry-all-errors",
                                 "--retry-delay", "1", f"http://127.0.0.1:{port}/"],
                                capture_output=True, text=True, timeout=60)
        assert result.stdout == "from the guest\n"
    finally:
        for guest in guests:
            guest.close()
        shutil.rmtree(home)


# ---- bridges and virtual networks, in network namespaces ----------------------------------------


@pytest.fixture
def namespace():
    """Runs commands in a network namespace that can reach another one, "the world", as 203.0.113.2."""
    if os.geteuid():
        pytest.skip("needs root")
    names = [f"baton-{os.getpid()}-{n}" for n in ("host", "world")]
    made = []

    def run(*args, where=0):
        return subprocess.run(["ip", "netns", "exec", names[where], *args], check=True,
                              capture_output=True, text=True).stdout

    try:
        for name in names:
            if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
                pytest.skip("network namespaces cannot be made here")
            made.append(name)
        run("ip", "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", names[1])
        for where, device, address in ((0, "out0", "203.0.113.1/24"), (1, "in0", "203.0.113.2/24")):
            run("ip", "link", "set", "lo", "up", where=where)
            run("ip", "addr", "add", address, "dev", device, where=where)
            run("ip", "link", "set", device, "up", where=where)
        run.name = names[0]
        yield run
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name])


@pytest.fixture
def guest_of(state_home):
    """A started command as a guest; what is started is ended after the test."""
    guests = []

    def start(argv):
        guest = Guest(argv)
        guest.close_and_wait = lambda: os.killpg(guest.process.pid, signal.SIGKILL)
        guests.append(guest)
        return guest

    yield start
    for guest in guests:
        guest.close()


def inside(namespace, images, *args):
    return ["ip", "netns", "exec", namespace.name, BATON, "run", "--engine", "bt", "--memory", "128M",
            "--kernel", images / "vmlinuz", "--initrd", images / "initrd.gz", "--append",
            "console=ttyS0 quiet", *args]


@needs("ip")
def test_bridge(namespace, images, guest_of):
    namespace("ip", "link", "add", "br0", "type", "bridge")
    namespace("ip", "addr", "add", "10.9.9.1/24", "dev", "br0")
    namespace("ip", "link", "set", "br0", "up")
    guest = guest_of(inside(namespace, images, "--net", "bridge=br0"))
    guest.expect("guest# ", 120)
    guest.run("ip link set eth0 up; ip addr add 10.9.9.2/24 dev eth0; ping -c 2 -w 30 10.9.9.1")
    guest.close_and_wait()
    wait_until(lambda: "bton" not in namespace("ip", "link"), "the TAP interface stays")


@needs("dnsmasq")
@needs("nft")
def test_virtual_network(namespace, images, guest_of):
    def net(*args):
        return namespace(str(BATON), "net", *args)

    net("create", "lab", "--subnet", "10.77.5.0/24")
    net("create", "closed", "--isolated", "--subnet", "10.77.6.0/24")
    assert {n["name"]: n["state"] for n in json.loads(net("list", "--json"))} == {
        "lab": "down", "closed": "down"}
    guest = guest_of(inside(namespace, images, "--net", "network=lab,mac=52:54:00:00:00:77", "--net",
                            "network=closed"))
    guest.expect("guest# ", 120)
    guest.run("ip link set eth0 up; udhcpc -i eth0 -n -q -x hostname:alpha -s /bin/udhcpc.sh", 60)
    guest.run("ping -c 2 -w 30 10.77.5.1")
    guest.run("ping -c 2 -w 30 203.0.113.2")  # the world knows no way back: only NAT gets an answer
    lease = json.loads(net("leases", "lab", "--json"))
    assert [(item["mac"], item["host"]) for item in lease] == [("52:54:00:00:00:77", "alpha")]
    guest.run("ip route del default; ip link set eth0 down; ip link set eth1 up")
    guest.run("udhcpc -i eth1 -n -q -s /bin/udhcpc.sh && ping -c 2 -w 30 10.77.6.1", 60)
    assert "100% packet loss" in guest.run(
        "ip route add default via 10.77.6.1; ping -c 1 -w 3 203.0.113.2 || true")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        net("delete", "lab")
    assert "in use by running VMs" in refused.value.stderr
    guest.close_and_wait()
    wait_until(lambda: "bt-" not in namespace("ip", "link"), "the bridge stays")
    wait_until(lambda: not namespace("nft", "list", "ruleset"), "the packet filter's rules stay")
    net("delete", "lab")
    assert [n["name"] for n in json.loads(net("list", "--json"))] == ["closed"]


@needs("dnsmasq")
@needs("nft")
def test_virtual_network_of_a_kept_vm(namespace, images, state_home):
    """The command that started it has ended: its network stays up for as long as the VM runs."""
    def run(*args):
        return namespace(str(BATON), *(str(a) for a in args))

    run("net", "create", "lab", "--subnet", "10.77.7.0/24")
    run("create", "web", "--engine", "bt", "--memory", "128M", "--kernel", images / "vmlinuz", "--initrd",
        images / "initrd.gz", "--append", "console=ttyS0 quiet", "--net", "network=lab")
    run("start", "web")
    try:
        tty = Tty(state_home / "run/baton/web.tty")
        tty.send("\n")
        tty.expect("guest# ", 120)
        tty.run("ip link set eth0 up; udhcpc -i eth0 -n -q -s /bin/udhcpc.sh && ping -c 2 -w 30 10.77.7.1", 60)
        assert json.loads(run("net", "list", "--json"))[0]["state"] == "up"
        assert len(json.loads(run("net", "leases", "lab", "--json"))) == 1
    finally:
        run("stop", "web", "--force")
    wait_until(lambda: "bt-" not in namespace("ip", "link"), "the bridge stays")


def test_net_mistakes(state_home):
    assert baton("net", "create", "lab", "--subnet", "10.99.0.0/24").returncode == 0
    for args, why in ((("create", "lab"), "already"),
                      (("create", "b", "--subnet", "10.99.0.128/25"), 'those of network "lab"'),
                      (("create", "b", "--subnet", "10.99.1.1/24"), "behind its prefix"),
                      (("create", "b", "--subnet", "10.99.1.0/8"), "from 16 to 29"),
                      (("create", "../b"), "no name for a network"),
                      (("info", "none"), "baton net create none"),
                      (("delete", "none"), "there is no network"),
                      (("leases", "none"), "there is no network")):
        result = baton("net", *args)
        assert result.returncode == 1 and why in result.stderr, (args, result.stderr)
    (state_home / "state/baton/networks/lab.json").write_text('{"version": 1}')
    result = baton("net", "info", "lab")
    assert result.returncode == 1 and "lab.json" in result.stderr
    assert baton("net", "delete", "lab").returncode == 0


@pytest.mark.parametrize("net,why", [
    ("bridge=no-such-one", "is no bridge"), ("network=no-such-one", "baton net create"),
    ("internal=", "name"), ("tap", "is not a network"), ("internal=a,forward=tcp:1:1", "only user"),
    ("user,forward=tcp:1.2.3:80:80", "not of the form"), ("user,mac=1", "not of the form")])
def test_refused_nets(state_home, net, why):
    result = baton("run", "--kernel", BATON, "--net", net)
    assert result.returncode == 1 and why in result.stderr, result.stderr
