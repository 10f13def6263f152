#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same static programs on the host, under Baton's translator and under QEMU's TCG, in turn.

Time is taken here, outside, from the lines that a program prints when it starts and ends. Prints
medians as times slower than the host, beside the goal.

  bench/programs.py                         everything, 5 times
  bench/programs.py --only sha256 --runs 9
  bench/programs.py --cpu                   processor time instead of the clock's, for a busy machine
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile

import machine
import rows

LONG = 20  # times slower than the host from which on a machine gets less work


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", action="append", metavar="ROW", help="one row (repeatable)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="the figures for a machine to read")
    parser.add_argument("--cpu", action="store_true", help="processor time")
    parser.add_argument("--no-qemu", action="store_true", help="Baton and the host only")
    return parser.parse_args()


def kinds(options, program, initrd):
    yield machine.Host(program, initrd)
    yield machine.Baton(program, initrd)
    if not options.no_qemu:
        yield machine.Qemu(program, initrd)
        yield machine.Qemu(program, initrd, "max,-erms,-fsrm")


def units_for(kind, row):
    less = row.tcg / LONG if kind.name.startswith("TCG") and row.tcg > LONG else 1
    return max(1, int(row.units / less))


def measure(kind, wanted, result, which):
    """One start of the machine and one run of each row: seconds for all the row's units."""
    running = kind.start()
    for row in wanted:
        units = units_for(kind, row)
        seconds = running.measure(row.name, units)[which] * row.units / units
        result.setdefault((kind.name, row.name), []).append(seconds)
    running.close()


def scaling(kind, runs, which):
    """Throughput of two loops at once on two processors over that of one. By processor time: what two
    idle processors would show, as each does half the work."""
    row = rows.find(["int-loop"])[0]
    running = kind.start(cpus=2)
    one = [running.measure("int-loop", row.units)[which] for _ in range(runs)]
    two = [running.measure("two-loops", row.units)[which] for _ in range(runs)]
    running.close()
    return 2 * statistics.median(one) / (statistics.median(two) / (2 if which else 1))


def ratios(machines, wanted, result):
    """By row and machine: median over the host's median; the host's in seconds."""
    table = {}
    for row in wanted:
        median = {m.name: statistics.median(result[m.name, row.name]) for m in machines}
        table[row.name] = {name: value if name == "host" else value / median["host"]
                           for name, value in median.items()}
    return table


def show(machines, wanted, table, scale, runs):
    names = [m.name for m in machines[1:]]
    print(f"{'times slower than the host':28}{'goal':>6}" + "".join(f"{n:>17}" for n in names) +
          f"{'host':>11}   (medians of {runs})")
    for row in wanted:
        figures = table[row.name]
        missed = " *" if figures["Baton"] > row.goal else ""
        print(f"{row.title:28}{row.goal:6g}" + "".join(f"{figures[n]:17.2f}" for n in names) +
              f"{figures['host']:9.3f} s{missed}")
    for name, factor in scale.items():
        print(f"two loops on two processors, {name}: {factor:.2f} times the throughput of one (goal 1.8)")


def main():
    options = parse()
    wanted = rows.find(options.only)
    which = 1 if options.cpu else 0
    with tempfile.TemporaryDirectory() as folder:
        machines = list(kinds(options, *machine.build_programs(pathlib.Path(folder))))
        result = {}
        for n in range(options.runs):
            for kind in machines:
                print(f"bench: run {n + 1} of {options.runs}: {kind.name}", file=sys.stderr, flush=True)
                measure(kind, wanted, result, which)
        scale = {} if options.only else {m.name: scaling(m, options.runs, which) for m in machines[:2]}
    table = ratios(machines, wanted, result)
    if options.json:
        print(json.dumps({"runs": options.runs, "rows": table, "scaling": scale}, indent=1))
    else:
        show(machines, wanted, table, scale, options.runs)


if __name__ == "__main__":
    main()
