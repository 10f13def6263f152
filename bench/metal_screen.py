#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the bare machine takes from the kernel's first line to its management screen, in QEMU (median of 5)."""
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/metal"))
import screen  # noqa: E402


def once():
    with screen.Machine() as m:
        m.wait_raw("Baton kernel")
        start = time.monotonic()
        m.wait("N new", "O power off")
        return time.monotonic() - start


if __name__ == "__main__":
    times = sorted(once() for _ in range(5))
    print(f"from the kernel's first line to the screen: {statistics.median(times):.2f} s "
          f"({times[0]:.2f} to {times[-1]:.2f})")
