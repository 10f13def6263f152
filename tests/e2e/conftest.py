# SPDX-License-Identifier: Apache-2.0
"""What every end-to-end test uses: the built programs, guest images, and a guest on a pseudo-terminal."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
BATON = BUILD / "baton"

# Times that tests give are what a quiet machine needs at most; a busy one gets more before it fails.
PATIENCE = 4

# BATON_TEST_ENGINE=kvm runs the same tests on another engine.
ENGINE = os.environ.get("BATON_TEST_ENGINE", "bt")


def image_folder():
    return pathlib.Path(os.environ.get("BATON_IMAGES", ROOT / ".cache" / "images"))


@pytest.fixture(scope="session")
def images():
    """Folder with vmlinuz and initrd.gz; built when missing."""
    subprocess.run([ROOT / "tests/images/build.sh", "kernel", "initrd"], check=True,
                   stdout=subprocess.DEVNULL)
    return image_folder()


@pytest.fixture(scope="session")
def debian_disk(images):
    """A Debian root file system (ext4 in a raw file); tests work on copies."""
    if os.geteuid() and not (images / "disk.img").exists():
        pytest.skip("building the Debian disk needs root")
    subprocess.run([ROOT / "tests/images/build.sh", "disk"], check=True, stdout=subprocess.DEVNULL)
    return images / "disk.img"


@pytest.fixture
def state_home(tmp_path, monkeypatch):
    """Keeps the VMs of one test apart from the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path


class Guest:
    """A process on a pseudo-terminal whose output is matched piece by piece."""

    def __init__(self, argv, env=None, **kwargs):
        self.master, slave = pty.openpty()
        self.output = ""
        self.seen = 0
        self.process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env=env, **kwargs)
        os.close(slave)

    def read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.output += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, timeout=60):
        """Waits for the regular expression behind what was matched last; returns the match."""
        end = time.monotonic() + PATIENCE * timeout
        while True:
            match = re.compile(pattern).search(self.output, self.seen)
            if match:
                self.seen = match.end()
                return match
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {pattern!r} in {timeout} s; output:\n{self.output[-4000:]}")
            if not self.read(min(left, 1)) and self.process.poll() is not None:
                if not re.compile(pattern).search(self.output, self.seen):
                    raise AssertionError(f"ended with {self.process.returncode} before {pattern!r};"
                                         f" output:\n{self.output[-4000:]}")

    def send(self, text):
        os.write(self.master, text.encode())

    def run(self, command, timeout=60):
        """Runs a command in the guest's shell; returns its output, fails if its status is not 0."""
        # The terminal echoes the line itself: the quotes tell that echo from the output.
        self.send(f"echo out'put:'; {command}; echo stat'us'=$?.\n")
        self.expect(r"output:\n", timeout)
        start = self.seen
        match = self.expect(r"status=(\d+)\.", timeout)
        text = self.output[start:match.start()]
        assert match.group(1) == "0", f"{command!r} failed: {text}"
        return text

    def wait(self, timeout=60):
        """Waits for the end and returns the exit status."""
        end = time.monotonic() + PATIENCE * timeout
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.2)
        while self.read(0):
            pass
        assert self.process.poll() is not None, f"still running; output:\n{self.output[-4000:]}"
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def start(state_home):
    """start("run", ...) starts `baton run ...`; everything started is ended after the test."""
    guests = []

    def starter(*args, **kwargs):
        guests.append(Guest([BATON, *args], **kwargs))
        return guests[-1]

    yield starter
    for guest in guests:
        guest.close()


@pytest.fixture
def linux(start, images):
    """linux(append, ...) boots Debian's kernel with the busybox initramfs."""

    def boot(append="", *args, engine=ENGINE, memory="256M", **kwargs):
        return start("run", "--engine", engine, "--memory", memory, "--kernel", images / "vmlinuz",
                     "--initrd", images / "initrd.gz", "--append", f"console=ttyS0 {append}", *args,
                     **kwargs)

    return boot


def baton(*args, **kwargs):
    """Runs a baton command to its end."""
    return subprocess.run([str(BATON), *(str(a) for a in args)], capture_output=True, text=True,
                          timeout=60 * PATIENCE, **kwargs)


def listens(path):
    """Does the Unix socket take connections? A file of that name appears earlier."""
    sockets = pathlib.Path("/proc/net/unix").read_text()
    return re.search(rf"^\S+ \S+ \S+ 00010000 .* {re.escape(str(path))}$", sockets, re.M)


def wait_listening(path):
    end = time.monotonic() + 30 * PATIENCE
    while not listens(path):
        assert time.monotonic() < end, f"nobody listens on {path}"
        time.sleep(0.02)


@pytest.fixture
def disk_copy(tmp_path):
    def copy(path):
        target = tmp_path / "disk.img"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", path, target], check=True)
        return target

    return copy


def needs(program):
    return pytest.mark.skipif(not shutil.which(program, path=os.environ["PATH"] + ":/sbin:/usr/sbin"),
                              reason=f"{program} is not installed")


@pytest.fixture
def loop_device(tmp_path):
    """A block device of this host, of 8 MiB."""
    losetup = shutil.which("losetup", path=os.environ["PATH"] + ":/sbin:/usr/sbin")
    image = tmp_path / "image"
    image.write_bytes(bytes(8 << 20))
    made = losetup and subprocess.run([losetup, "--find", "--show", image], capture_output=True, text=True)
    if not made or made.returncode:
        pytest.skip("needs loop devices")
    device = made.stdout.strip()
    yield pathlib.Path(device)
    subprocess.run([losetup, "--detach", device], check=True)
