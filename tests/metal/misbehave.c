// SPDX-License-Identifier: Apache-2.0
/* Programs that a kernel must survive: misbehave
 * null|loop|memory|hoard|kernel|ports|syscalls|gs|handler|entry [NICE].
 */
#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void null(void)
{
	*(volatile int *)8 = 1;
}

static void loop(void)
{
	for (;;)
		__asm__ volatile("");
}

/* Touches memory until there is none. */
static void memory(void)
{
	for (;;) {
		char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED)
			exit(3);
		for (size_t i = 0; i < 16 << 20; i += 4096)
			p[i] = 1;
	}
}

static void keep_all(int signo)
{
	static const char full[] = "full\n";

	if (write(1, full, sizeof(full) - 1) > 0)
		for (;;)
			pause();
}

/* The same, and keeps it. */
static void hoard(void)
{
	signal(SIGBUS, keep_all);
	memory();
}

static void kernel(void)
{
	*(volatile uint64_t *)0xffffffff80200000 = 0;
}

static void ports(void)
{
	__asm__ volatile("outb %%al, %%dx" ::"a"(0xfe), "d"(0x64));
}

/* Every number with addresses that are not the program's. */
static void syscalls(void)
{
	for (long n = 0; n < 600; n++) {
		if (n == 56 || n == 57 || n == 58 || n == 59 || n == 60 || n == 62 || n == 231 ||
		    n == 435 || n == 34 || n == 61 || n == 130 || n == 169 || n == 200 ||
		    n == 234 || n == 23 || n == 7 || n == 270 || n == 271 || n == 15 || n == 0 ||
		    n == 128 || n == 3 || n == 436 || n == 33)
			continue; /* they end, wait, or close what we print to */
		syscall(n, 0xffff800000000000, 0xffffffff80200000, 0xffff800000001000, -1, -1, -1);
		syscall(n, 1, 0xffff800000000000, 4096, 0xffff800000000000, 0xffff800000000000, 0);
	}
	puts("all refused");
}

/* No address at all, neither the program's nor the kernel's. */
#define NOWHERE 0x8000000000000000

static void handler(void)
{
	const struct {
		uint64_t handler, flags, restorer, mask;
	} action = {NOWHERE, 0x04000000, NOWHERE, 0};

	syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8);
	kill(getpid(), SIGUSR1);
}

/* Becomes a program like itself that begins nowhere. */
static void entry(void)
{
	static char program[1 << 20];
	int from = open("/proc/self/exe", O_RDONLY),
	    to = open("/tmp/entry", O_CREAT | O_WRONLY, 0700);
	ssize_t n = read(from, program, sizeof(program));

	((Elf64_Ehdr *)program)->e_entry = NOWHERE;
	if (n < 0 || write(to, program, (size_t)n) != n || close(to))
		exit(2);
	execl("/tmp/entry", "entry", NULL);
}

/* GS where the kernel's own could lie until a line is typed; nothing of the kernel takes it for
 * that. */
static void gs(void)
{
	struct pollfd typed = {.fd = 0, .events = POLLIN};
	uint64_t base = 0xffff800000100000, now;

	__asm__ volatile("wrgsbase %0" ::"r"(base));
	puts("GS points to the kernel");
	fflush(stdout);
	while (!poll(&typed, 1, 0))
		for (volatile unsigned spin = 0; spin < 100000; spin++)
			;
	__asm__ volatile("rdgsbase %0" : "=r"(now));
	puts(now == base ? "GS is kept" : "GS is lost");
}

static const struct {
	const char *name;
	void (*fn)(void);
} ways[] = {
	{"null", null},       {"loop", loop},   {"memory", memory},     {"hoard", hoard},
	{"kernel", kernel},   {"ports", ports}, {"syscalls", syscalls}, {"gs", gs},
	{"handler", handler}, {"entry", entry},
};

int main(int argc, char **argv)
{
	if (argc == 3 && setpriority(PRIO_PROCESS, 0, atoi(argv[2])))
		return 2;
	for (unsigned i = 0; argc >= 2 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(argv[1], ways[i].name)) {
			ways[i].fn();
			return 0;
		}
	}
	return 2;
}
