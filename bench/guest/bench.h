/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the benchmark. Each does `units` times the same piece of work and returns a value
 * that depends on all of it, so that the compiler can leave nothing out. The same static binary
 * runs on the host and in every guest.
 */
#ifndef BENCH_GUEST_BENCH_H
#define BENCH_GUEST_BENCH_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t bench_fn(unsigned units);

/* compute.c */
bench_fn int_loop, sha256, nbody, x87;
/* control.c */
bench_fn calls, virtual_calls, bytecode;
/* memory.c */
bench_fn chase_l1, chase_l2, chase_mem, loads, stores, across_pages;
bench_fn random_128m, random_384m, random_stores;
/* copy.c */
bench_fn copy_sse, copy_avx, copy_rep, copy_large, strings;
/* vector.c */
bench_fn matrix_sse, matrix_avx, simd_int, gathers;
/* system.c */
bench_fn system_call, protect, signals, page_fault, pipe_pong, fork_wait, fork_exec, small_files;
/* shell.c: busybox does the work */
bench_fn compress, shell_loop, shell_forks;
/* code.c */
bench_fn self_modify, small_jit, jit_again;

extern const char *bench_busybox; /* path of a static busybox */

/* Random numbers that are the same everywhere (xorshift). */
static inline uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
