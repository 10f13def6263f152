# SPDX-License-Identifier: Apache-2.0
"""What is measured: a row for each program of bench/guest."""
from typing import NamedTuple


class Row(NamedTuple):
    name: str
    title: str
    units: int    # of work: a fraction of a second on the host
    goal: float   # times slower than the host that Baton may be
    tcg: float    # times slower that QEMU's TCG is known to be: it gets less work where that is much


ROWS = [
    Row("int-loop", "integer loop with branches", 100, 1.5, 5.4),
    Row("calls", "recursive calls", 100, 2.5, 12),
    Row("virtual-calls", "virtual calls", 100, 2, 3.6),
    Row("bytecode", "bytecode interpreter", 100, 3, 10.5),
    Row("sha256", "SHA-256 in C", 1000, 1.2, 2.8),
    Row("gzip", "gzip", 20, 2, 4.6),
    Row("chase-l1", "pointer chase in L1", 200, 1.8, 3.5),
    Row("chase-l2", "pointer chase in L2", 60, 1.4, 1.6),
    Row("chase-mem", "pointer chase in memory", 6, 1.3, 2.0),
    Row("loads", "scalar load stream", 1000, 2, 3.0),
    Row("stores", "scalar store stream", 500, 2, 4.9),
    Row("across", "accesses across pages", 3000, 4, 8),
    Row("random-128m", "random loads in 128 MiB", 50, 2.5, 19),
    Row("random-384m", "random loads in 384 MiB", 50, 3, 18),
    Row("random-stores", "random stores in 128 MiB", 50, 2, 53),
    Row("copy-sse", "memcpy 16 KiB by SSE", 500, 2.5, 191),
    Row("copy-avx", "memcpy 16 KiB by AVX", 1000, 2.5, 191),
    Row("copy-rep", "REP MOVSB 16 KiB", 1000, 1.5, 188),
    Row("copy-large", "memcpy 16 MiB", 100, 1.3, 10),
    Row("strings", "string compares by REP", 2000, 2, 36),
    Row("matrix-sse", "matrix product by SSE", 1000, 1.5, 67),
    Row("matrix-avx", "matrix product by AVX", 2000, 1.5, 217),
    Row("nbody", "n-body in doubles", 200, 1.4, 27),
    Row("x87", "long doubles", 200, 2, 30),
    Row("simd-int", "integer SIMD", 200, 1.4, 14),
    Row("gathers", "gathers and masked moves", 200, 4, 26),
    Row("syscall", "system call", 2000, 2, 3.4),
    Row("mprotect", "mprotect", 200, 2.5, 3.3),
    Row("signal", "signal", 200, 5, 13),
    Row("page-fault", "page fault", 500, 5, 12),
    Row("pipe", "pipe between processes", 60, 6, 19),
    Row("fork", "fork and wait", 1000, 5, 14),
    Row("fork-exec", "fork, exec and wait", 500, 4, 8.5),
    Row("shell-loop", "shell loop", 2000, 3, 10),
    Row("shell-forks", "shell with forks", 30, 4, 10),
    Row("small-files", "small files", 500, 3, 6.5),
    Row("self-modify", "code that modifies itself", 200, 40, 165),
    Row("jit", "a small JIT", 100, 4, 9),
    Row("jit-again", "a JIT in one place", 200, 6, 10),
]


def find(names):
    """The rows of these names, all of them for None."""
    known = {row.name: row for row in ROWS}
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise SystemExit(f"bench: there is no row {unknown[0]!r}; rows: {' '.join(known)}")
    return [known[name] for name in names] if names else ROWS
