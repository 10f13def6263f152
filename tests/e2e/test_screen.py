# SPDX-License-Identifier: Apache-2.0
"""A guest's screen: text and pictures of it, keys for it, stock VNC viewers, TLS."""
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from conftest import BATON, baton, needs

try:
    from PIL import Image
except ImportError:
    Image = None

needs_pil = pytest.mark.skipif(Image is None, reason="python3-pil is not installed")


def screen_text():
    result = baton("screenshot", "vm-1", "--text")
    assert result.returncode == 0, result.stderr
    return result.stdout


def wait_for_text(wanted, timeout=240):
    end = time.monotonic() + timeout
    while True:
        result = baton("screenshot", "vm-1", "--text")
        if wanted in result.stdout:
            return result.stdout
        assert time.monotonic() < end, f"no {wanted!r} on the screen:\n{result.stdout}{result.stderr}"
        time.sleep(0.2)


def vnc_port():
    """Asks the VM where it serves its screen."""
    host, port = baton("view", "vm-1", "--address").stdout.strip().rsplit(":", 1)
    return host, int(port)


@pytest.fixture
def console(linux):
    """Debian's text console on the screen, a shell on the serial port."""

    def boot(display):
        guest = linux("console=tty0", "--display", display)
        guest.expect("guest# ", 120)
        return guest

    return boot


def test_text_and_keys(console):
    guest = console("vga")
    assert "baton: init reached" in wait_for_text("init reached")
    guest.run("cat </dev/tty0 >/tmp/typed & echo")
    result = baton("sendkey", "vm-1", "--text", "Hello, World! ~{}|\\\"@^&*()_+")
    assert result.returncode == 0, result.stderr
    wait_for_text("Hello, World! ~{}|\\\"@^&*()_+")
    assert baton("sendkey", "vm-1", "ret", "shift-x", "ret").returncode == 0
    guest.run("for i in $(seq 300); do [ $(wc -l </tmp/typed) = 2 ] && break; sleep 0.2; done", 120)
    assert guest.run("cat /tmp/typed") == "Hello, World! ~{}|\\\"@^&*()_+\nX\n"


def test_sendkey_mistakes(console):
    console("vga")
    for args, why in ((("ctrl-bogus",), 'no key "bogus"'), ((), "give either keys"),
                      (("--text", "\u00e9"), "cannot type")):
        result = baton("sendkey", "vm-1", *args)
        assert result.returncode == 1 and why in result.stderr


def test_ctrl_alt_delete_reaches_init(console):
    guest = console("vga")
    guest.run("echo 0 >/proc/sys/kernel/ctrl-alt-del; cat /proc/sys/kernel/cad_pid")
    guest.run("echo $$ >/proc/sys/kernel/cad_pid; trap 'echo three fingers' INT; echo")
    assert baton("sendkey", "vm-1", "ctrl-alt-delete").returncode == 0
    guest.send("\n")
    guest.expect("three fingers", 30)


@needs("gvnccapture")
@needs_pil
def test_stock_client_sees_what_screenshot_saves(console, state_home):
    ports = (p for p in range(5960, 5999))
    port = next(p for p in ports if socket.socket().connect_ex(("127.0.0.1", p)))
    guest = console(f"vnc=127.0.0.1:{port}")
    guest.run("dmesg -n 1; echo")
    host, served = vnc_port()
    assert (host, served) == ("127.0.0.1", port)
    subprocess.run(["gvnccapture", f"127.0.0.1:{port - 5900}", state_home / "seen.png"], check=True,
                   stdout=subprocess.DEVNULL, timeout=60)
    assert baton("screenshot", "vm-1", state_home / "saved.png").returncode == 0
    assert not [f for f in state_home.iterdir() if f.name.startswith("saved.png.")]
    saved = Image.open(state_home / "saved.png").convert("RGB")
    assert saved.size == (720, 400)
    assert saved.getextrema() != ((0, 0),) * 3
    assert Image.open(state_home / "seen.png").convert("RGB").tobytes() == saved.tobytes()


def test_a_screenshot_replaces_no_device_and_no_link(console, state_home):
    console("vga")
    (state_home / "link.png").symlink_to("target.png")
    for _ in range(2):      # it is not there, and then it is
        assert baton("screenshot", "vm-1", state_home / "link.png").returncode == 0
    assert (state_home / "link.png").is_symlink()
    picture = (state_home / "target.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and picture.rstrip().endswith(b"IEND\xaeB`\x82")
    piped = subprocess.run([BATON, "screenshot", "vm-1", "-"], capture_output=True, timeout=60)
    assert piped.returncode == 0 and piped.stdout.startswith(b"\x89PNG")
    ours, theirs = socket.socketpair()  # which has no name that could be opened, not even /dev/stdout
    assert subprocess.run([BATON, "screenshot", "vm-1", "-"], stdout=theirs, timeout=60).returncode == 0
    assert ours.recv(4) == b"\x89PNG"
    ours.close(), theirs.close()
    full = state_home / "full"
    full.symlink_to("/dev/full")
    assert "No space left" in baton("screenshot", "vm-1", full).stderr
    assert full.is_symlink() and full.is_char_device()
    assert baton("screenshot", "vm-1", state_home).returncode == 1


def test_a_pipe_that_nobody_empties_does_not_stop_the_machine(console, state_home):
    console("vga")
    fifo = state_home / "fifo"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    filled = 0
    try:
        while True:
            filled += os.write(pipe, bytes(4096))
    except BlockingIOError:
        pass
    waiting = subprocess.Popen([BATON, "screenshot", "vm-1", fifo])
    for _ in range(20):
        assert baton("screenshot", "vm-1", "--text").returncode == 0
    os.set_blocking(pipe, True)
    data = b""
    while b"IEND" not in data:
        data += os.read(pipe, 65536)
    assert data[filled:].startswith(b"\x89PNG")
    assert waiting.wait(60) == 0
    os.close(pipe)


def test_a_reader_that_goes_away_leaves_nothing_behind(console, state_home):
    console("vga")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BATON, "screenshot", "vm-1", "-"], stdout=writer, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE
    assert not list(state_home.rglob("picture.*"))


def receive(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, "the server hung up"
        data += part
    return data


@needs("openssl")
def test_tls(console, state_home):
    """VeNCrypt with a certificate: everything behind the type of security is encrypted."""
    cert, key = state_home / "cert.pem", state_home / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=test", "-keyout", key, "-out", cert], check=True, capture_output=True)
    console(f"vnc=127.0.0.1:0,tls-cert={cert},tls-key={key}")
    with socket.create_connection(vnc_port(), 30) as s:
        assert receive(s, 12) == b"RFB 003.008\n"
        s.sendall(b"RFB 003.008\n")
        assert receive(s, 2) == b"\x01\x13"
        s.sendall(b"\x13")
        assert receive(s, 2) == b"\x00\x02"
        s.sendall(b"\x00\x02")
        assert receive(s, 6) == b"\x00\x01" + struct.pack(">I", 260)
        s.sendall(struct.pack(">I", 260))
        assert receive(s, 1) == b"\x01"
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        with context.wrap_socket(s) as t:
            assert receive(t, 4) == bytes(4)
            t.sendall(b"\x01")
            width, height = struct.unpack(">HH", receive(t, 24)[:4])
            assert (width, height) == (720, 400)
            receive(t, len("vm-1"))
            t.sendall(b"\x03\x00" + struct.pack(">HHHH", 0, 0, width, height))
            _, _, rects = struct.unpack(">BBH", receive(t, 4))
            pixels = 0
            for _ in range(rects):
                x, y, w, h, encoding = struct.unpack(">HHHHi", receive(t, 12))
                assert encoding == 0
                receive(t, w * h * 4)
                pixels += w * h
            assert pixels == width * height


def connect(path):
    """A viewer past the handshake, on a Unix socket."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(120)
    s.connect(str(path))
    receive(s, 12)
    s.sendall(b"RFB 003.008\n")
    receive(s, 2)
    s.sendall(b"\x01")
    receive(s, 4)
    s.sendall(b"\x01")
    receive(s, 24 + len("vm-1"))
    return s


def test_tablet(console, state_home):
    """The guest's driver gets the position on the screen, not a movement."""
    guest = console("vnc")
    devices = guest.run("cat /proc/bus/input/devices")
    block = next(b for b in devices.split("\n\n") if "Baton tablet" in b)
    event = re.search(r"event\d+", block).group()
    guest.send(f"dd if=/dev/input/{event} bs=24 count=4 2>/dev/null | od -An -t u4 -w24 -v; echo do'ne'\n")
    time.sleep(1)
    with connect(state_home / "run/baton/vm-1.vnc") as viewer:
        viewer.sendall(struct.pack(">BBHH", 5, 1, 719, 399))
        text = guest.expect(r"(?s)((?:\s+\d+){6}\s+(?:\d+\s+)*)done", 30).group(1)
    rows = [[int(n) for n in line.split()] for line in text.strip().splitlines()]
    seen = [(row[4] & 0xffff, row[4] >> 16, row[5]) for row in rows if len(row) == 6]
    assert seen == [(3, 0, 32767), (3, 1, 32767), (1, 0x110, 1), (0, 0, 0)]


def test_default_socket_and_its_end(console, state_home):
    console("vnc")
    path = state_home / "run/baton/vm-1.vnc"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        assert receive(s, 12) == b"RFB 003.008\n"
    assert baton("stop", "--force", "vm-1").returncode == 0
    assert not path.exists()


@pytest.mark.parametrize("display,why", [
    ("vnc=0.0.0.0:5999", "other hosts could see"),
    ("vnc=127.0.0.1:99999", "must be from 0 to 65535"),
    ("vnc,tls-cert=/x", "go together"),
    ("crt", "none of none, vga and vnc"),
])
def test_refused(state_home, display, why):
    result = baton("run", "--kernel", BATON, "--display", display)
    assert result.returncode == 1 and why in result.stderr and "display" in result.stderr


def test_no_screen(linux):
    guest = linux()
    guest.expect("guest# ", 120)
    for verb in (("screenshot", "vm-1", "--text"), ("view", "vm-1")):
        result = baton(*verb)
        assert result.returncode == 1 and "--display vnc" in result.stderr


def test_firmware_has_a_screen(start):
    start("run", "--engine", "bt", "--firmware", "bios", "--serial", "none")
    assert "SeaBIOS" in wait_for_text("No bootable device")
