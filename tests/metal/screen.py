# SPDX-License-Identifier: Apache-2.0
"""A machine in QEMU as the person before it has it: what stands on its serial terminal and on its display,
and keys. Text is compared as lines of a terminal (package python3-pyte), so nothing depends on how it is drawn."""
import os
import select
import subprocess
import tempfile
import time

import pyte

import metal

PATIENCE = float(os.environ.get("BATON_PATIENCE", "240"))  # seconds; a quiet machine needs a tenth


class Terminal:
    """A terminal, and the program that is run at it."""

    def __init__(self, argv, size=(25, 80)):
        self.program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0)
        self.terminal = pyte.Screen(size[1], size[0])
        self.terminal.write_process_input = self.answer
        self.stream = pyte.ByteStream(self.terminal)
        self.raw = b""

    def close(self):
        self.program.kill()
        self.program.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self, seconds):
        """False at the machine's end."""
        if not select.select([self.program.stdout], [], [], seconds)[0]:
            return True
        more = self.program.stdout.read(65536)
        self.raw += more
        self.stream.feed(more)
        return bool(more)

    @property
    def text(self):
        """The terminal's lines, without the blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.terminal.display)

    def wait(self, *texts, gone=(), patience=PATIENCE):
        """Until all `texts` stand on the terminal at once and none of `gone`."""
        end = time.monotonic() + patience
        while not (all(t in self.text for t in texts) and not any(t in self.text for t in gone)):
            left = end - time.monotonic()
            assert left > 0 and self._read(min(left, 1)), f"no {texts} on\n{self.text}"

    def wait_raw(self, text, patience=PATIENCE):
        """Until `text` was sent, though it may have been overwritten since."""
        end = time.monotonic() + patience
        while text.encode() not in self.raw:
            left = end - time.monotonic()
            assert left > 0 and self._read(min(left, 1)), f"no {text!r} in {self.raw[-3000:]!r}"

    def answer(self, text):
        """To what the machine asks its terminal. A shell at its prompt gets none: what comes slowly it takes for keys."""
        if "# " not in self.terminal.display[self.terminal.cursor.y]:
            self.type(text)

    def type(self, text):
        self.program.stdin.write(text.encode())

    def wait_end(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while self._read(1):
            assert time.monotonic() < end, self.text
        return self.program.wait(60)


class Machine(Terminal):
    """A machine in QEMU, its serial port being the terminal. `boot` is the part of QEMU's command line that says what
    is booted; default: the kernel itself."""

    def __init__(self, boot=None, append="panic=off", cpus=2, memory=1024, cpu="max", initramfs=None, size=(25, 80),
                 terminal=("-serial", "stdio")):
        self.folder = tempfile.TemporaryDirectory(prefix="baton-screen-")
        self.monitor = None
        boot = boot or ["-kernel", metal.BUILD / "baton-kernel", "-initrd", initramfs or metal.base_initramfs(),
                        "-append", append]
        super().__init__(["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-m", str(memory), "-smp", str(cpus),
                          "-nodefaults", "-display", "none", "-vga", "std", *terminal, "-no-reboot",
                          "-qmp", f"unix:{self.folder.name}/monitor,server=on,wait=off", *boot], size)

    def close(self):
        super().close()
        self.folder.cleanup()

    def command(self, line):
        """Gives a command to QEMU's monitor and returns what it says."""
        self.monitor = self.monitor or metal.Monitor(f"{self.folder.name}/monitor")
        return self.monitor.command(line)

    def display(self):
        """The lines of VGA's text memory."""
        path = f"{self.folder.name}/vga"
        self.command(f"pmemsave 0xb8000 4000 \"{path}\"")
        with open(path, "rb") as f:
            cells = f.read()[::2].decode("cp437")
        return "\n".join(cells[at:at + 80].rstrip() for at in range(0, 2000, 80))

    def wait_display(self, *texts, patience=PATIENCE):
        """Until the display shows these texts; without any, what the terminal shows."""
        end = time.monotonic() + patience
        while not all(t in self.display() for t in texts) if texts else self.display() != self.text:
            assert time.monotonic() < end, f"{self.display()}\nis not\n{texts or self.text}"
            self._read(1)

    def picture(self):
        """Width, height and the RGB bytes of the display."""
        path = f"{self.folder.name}/picture"
        self.command(f"screendump \"{path}\"")
        with open(path, "rb") as f:
            kind, width, height, _, pixels = f.read().split(None, 4)
        assert kind == b"P6"
        return int(width), int(height), pixels

    def press(self, *keys):
        """Keys of the keyboard by QEMU's names: "n", "tab", "ctrl-bracket_right"."""
        for key in keys:
            self.command(f"sendkey {key}")
