// SPDX-License-Identifier: Apache-2.0
/*
 * Reads lines "PROGRAM UNITS" and runs them. Prints "start PROGRAM" and "end PROGRAM VALUE" around
 * each: whoever listens takes the time, since a guest's clock may not be right.
 *
 *   bench-guest [BUSYBOX]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

const char *bench_busybox = "/bin/busybox";

static bench_fn two_at_once;

static const struct program {
	const char *name;
	bench_fn *fn;
} programs[] = {
	{"int-loop", int_loop},
	{"two-loops", two_at_once},
	{"calls", calls},
	{"virtual-calls", virtual_calls},
	{"bytecode", bytecode},
	{"sha256", sha256},
	{"gzip", compress},
	{"chase-l1", chase_l1},
	{"chase-l2", chase_l2},
	{"chase-mem", chase_mem},
	{"loads", loads},
	{"stores", stores},
	{"across", across_pages},
	{"random-128m", random_128m},
	{"random-384m", random_384m},
	{"random-stores", random_stores},
	{"copy-sse", copy_sse},
	{"copy-avx", copy_avx},
	{"copy-rep", copy_rep},
	{"copy-large", copy_large},
	{"strings", strings},
	{"matrix-sse", matrix_sse},
	{"matrix-avx", matrix_avx},
	{"nbody", nbody},
	{"x87", x87},
	{"simd-int", simd_int},
	{"gathers", gathers},
	{"syscall", system_call},
	{"mprotect", protect},
	{"signal", signals},
	{"page-fault", page_fault},
	{"pipe", pipe_pong},
	{"fork", fork_wait},
	{"fork-exec", fork_exec},
	{"shell-loop", shell_loop},
	{"shell-forks", shell_forks},
	{"small-files", small_files},
	{"self-modify", self_modify},
	{"jit", small_jit},
	{"jit-again", jit_again},
};

/* Two processes, each with all of the work: twice the time of one, or less on two processors. */
static uint64_t two_at_once(unsigned units)
{
	for (int i = 0; i < 2; i++)
		if (fork() == 0)
			_exit(int_loop(units) == 0);
	while (wait(NULL) > 0)
		;
	return units;
}

static const struct program *find(const char *name)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	return NULL;
}

static void run(const char *name, unsigned units)
{
	const struct program *p = find(name);
	uint64_t value;

	if (!p) {
		printf("unknown %s\n", name);
		return;
	}
	printf("start %s\n", name);
	value = p->fn(units);
	printf("end %s %llx\n", name, (unsigned long long)value);
}

int main(int argc, char **argv)
{
	char line[100], name[32];
	unsigned units;

	if (argc > 1)
		bench_busybox = argv[1];
	mkdir("/dev/shm", 0777); /* files in memory: the small initramfs has no such folder */
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("bench ready\n");
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%31s %u", name, &units) == 2)
			run(name, units);
	return 0;
}
