// SPDX-License-Identifier: Apache-2.0
/* Work that busybox does: its shell, and gzip. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static uint64_t busybox(const char *applet, const char *arg1, const char *arg2)
{
	int status = -1;

	if (fork() == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execl(bench_busybox, applet, arg1, arg2, NULL);
		_exit(127);
	}
	wait(&status);
	return (uint64_t)status;
}

static uint64_t shell(const char *format, unsigned count)
{
	char text[200];

	snprintf(text, sizeof(text), format, count);
	return busybox("sh", "-c", text);
}

/* A hundred turns of arithmetic, tests and a string. */
uint64_t shell_loop(unsigned units)
{
	return shell("i=0; while [ $i -lt %u00 ]; do i=$((i + 1)); s=\"$s.\"; "
		     "case $s in ..........*) s=;; esac; done",
		     units);
}

/* Ten subshells, and a program in each. */
uint64_t shell_forks(unsigned units)
{
	return shell("i=0; while [ $i -lt %u0 ]; do i=$((i + 1)); (exit 0); "
		     "x=$(echo $i | sed s/1/2/); done",
		     units);
}

/* 256 KiB of words, again and again. */
uint64_t compress(unsigned units)
{
	char name[64];
	uint64_t state = 1, status = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/dev/shm/bench-%d-text", getpid());
	f = fopen(name, "w");
	if (!f)
		exit(1);
	while (ftell(f) < 262144)
		fprintf(f, "%llx the word %llu ", bench_random(&state) % 5000ull,
			bench_random(&state) % 300ull);
	fclose(f);
	for (unsigned i = 0; i < units; i++)
		status |= busybox("gzip", "-c", name);
	unlink(name);
	return status;
}
