// SPDX-License-Identifier: Apache-2.0
/* What the kernel does for a program: a thousand system calls, faults, signals; processes, files.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096

uint64_t system_call(unsigned units)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < units * 1000; i++)
		sum += (uint64_t)syscall(SYS_getppid);
	return sum;
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		exit(1);
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

uint64_t protect(unsigned units)
{
	char *p = map(1);

	for (unsigned i = 0; i < units * 1000; i++) {
		*p = 1;
		mprotect(p, PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
		mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	}
	munmap(p, PAGE);
	return units;
}

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught += number == SIGUSR1;
}

uint64_t signals(unsigned units)
{
	signal(SIGUSR1, on_signal);
	for (unsigned i = 0; i < units * 1000; i++)
		raise(SIGUSR1);
	return (uint64_t)caught;
}

uint64_t page_fault(unsigned units)
{
	for (unsigned n = 0; n < units; n++) {
		char *p = map(1000);

		for (size_t i = 0; i < 1000; i++)
			p[i * PAGE] = 1;
		munmap(p, 1000 * PAGE);
	}
	return units;
}

/* A byte to another process and back, a thousand times. */
uint64_t pipe_pong(unsigned units)
{
	int there[2], back[2];
	char byte = 1;
	uint64_t count = 0;

	if (pipe(there) || pipe(back))
		exit(1);
	if (fork() == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	for (unsigned i = 0; i < units * 1000; i++)
		count += write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1;
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	wait(NULL);
	return count;
}

uint64_t fork_wait(unsigned units)
{
	for (unsigned i = 0; i < units; i++) {
		if (fork() == 0)
			_exit(0);
		wait(NULL);
	}
	return units;
}

uint64_t fork_exec(unsigned units)
{
	for (unsigned i = 0; i < units; i++) {
		if (fork() == 0) {
			execl(bench_busybox, "true", NULL);
			_exit(1);
		}
		wait(NULL);
	}
	return units;
}

/* A hundred files of 1 KiB in memory: written, looked at, read, removed. */
uint64_t small_files(unsigned units)
{
	char name[64], data[1024] = "text";
	uint64_t sum = 0;

	for (unsigned i = 0; i < units * 100; i++) {
		int fd;

		snprintf(name, sizeof(name), "/dev/shm/bench-%d-%u", getpid(), i % 100);
		fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);
		sum += (uint64_t)write(fd, data, sizeof(data));
		sum += !access(name, R_OK);
		sum += (uint64_t)pread(fd, data, sizeof(data), 0);
		close(fd);
		sum += (uint64_t)unlink(name);
	}
	return sum;
}
