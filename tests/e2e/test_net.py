# SPDX-License-Identifier: Apache-2.0
"""User-mode networking through passt: a lease, the way out, and a forwarded port."""
import functools
import http.server
import re
import socket
import threading
import time
import urllib.request

import pytest

from conftest import needs

pytestmark = needs("passt")


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
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
                assert reply.read() == b"hello from the guest\n"
            break
        except OSError:
            assert time.monotonic() < end, "the forwarded port does not answer"
            time.sleep(0.5)
