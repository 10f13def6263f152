/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native side: a child process that executes cases on the bare CPU and reports registers,
 * memory and faults. It can make no system call but those it needs; when a case kills it, the
 * parent starts another one.
 */
#include "tests/oracle/oracle.h"

#include <asm/ldt.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define HANDLER_STACK   (64 * 1024)
#define HANG_MS         200
#define HWCAP2_FSGSBASE 2
#define EXIT_UNABLE     2  /* of the child: this host cannot run cases */
#define EXIT_SKIP       77 /* what a test says then */

/* Offsets are known to native_call.S. */
struct native_context {
	uint64_t gpr[X86_NGPR];
	uint64_t rflags, entry, host_rsp, fs_base, gs_base, host_fs;
	uint32_t far_offset;
	uint16_t far_selector, data_selector;
	_Alignas(64) uint8_t fp[4096]; /* in the host's layout */
};
_Static_assert(offsetof(struct native_context, fp) == 192, "native_call.S");

extern struct native_context native_context;
struct native_context native_context;

void native_enter(void);
extern const char native_exit[], native_resume[], native_far[];

struct shared {
	_Atomic uint32_t posted, done; /* futexes: number of batches */
	_Atomic uint32_t at;           /* case being run */
	_Atomic bool ready;            /* a child has got through its preparations */
	uint32_t count;
	struct oracle_case cases[BATCH];
	struct outcome outcomes[BATCH];
};

struct native {
	struct shared *sh;
	pid_t pid;
};

static long futex(_Atomic uint32_t *word, int op, uint32_t val, const struct timespec *t)
{
	return syscall(SYS_futex, word, op, val, t, NULL, 0);
}

/* ---- in the child --------------------------------------------------------------------------- */

static struct outcome *current;
static uint64_t current_base; /* of its code segment */
static volatile sig_atomic_t running;

/* No thread-local storage here until FS is the host's again. */
static void on_signal(int sig, siginfo_t *si, void *context)
{
	static const int order[X86_NGPR] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
					    REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
					    REG_R12, REG_R13, REG_R14, REG_R15};
	ucontext_t *uc = context;
	greg_t *reg = uc->uc_mcontext.gregs;
	uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
	struct outcome *o = current;

	(void)si;
	if (sig == SIGALRM && (uint64_t)reg[REG_RIP] + current_base - CODE_BASE >= CODE_SIZE)
		return;
	if (!running)
		_exit(1);
	running = 0;
	__asm__ volatile("wrfsbase %0" : : "r"(native_context.host_fs));
	o->vector = reg[REG_TRAPNO];
	o->error = reg[REG_ERR];
	o->cr2 = reg[REG_CR2];
	o->lost = sig == SIGALRM;
	o->rip = reg[REG_RIP];
	o->rflags = reg[REG_EFL];
	for (unsigned i = 0; i < X86_NGPR; i++)
		o->gpr[i] = reg[order[i]];
	fp_from_host(o->fp, fp);
	reg[REG_RIP] = (greg_t)(uintptr_t)native_resume;
	reg[REG_RSP] = native_context.host_rsp;
	reg[REG_EFL] = 2;
	reg[REG_CSGSFS] = SEL_CODE64 | (greg_t)SEL_DATA << 48;
}

static void child_handlers(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM, SIGSYS};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t ss = {.ss_size = HANDLER_STACK};

	ss.ss_sp = mmap(NULL, HANDLER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}

/* An instruction that turns out to be a system call fails with ENOSYS. */
static void child_confine(void)
{
	static const int allowed[] = {SYS_rt_sigreturn, SYS_futex, SYS_exit_group, SYS_setitimer};
	enum {
		N = sizeof(allowed) / sizeof(allowed[0])
	};
	struct sock_filter f[5 + 2 * N];
	struct sock_fprog prog = {.filter = f};
	unsigned n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < N; i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						      (uint32_t)allowed[i], 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	prog.len = n;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static uint8_t *child_map(uint64_t at, size_t size, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	if (p != (void *)at) {
		fprintf(stderr, "oracle: cannot map %#lx: %s\n", (unsigned long)at,
			strerror(errno));
		_exit(EXIT_UNABLE);
	}
	return p;
}

static void child_window(struct window *w)
{
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		if (window_page[i] != PAGE_NONE)
			w->page[i] =
				child_map(WINDOW_BASE + i * 4096, 4096, PROT_READ | PROT_WRITE);
	window_fill(w);
	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		if (window_page[i] == PAGE_RO)
			mprotect(w->page[i], 4096, PROT_READ);
}

uint64_t native_exit_address(void)
{
	return (uintptr_t)native_exit;
}

/* JMP [RIP+0], with native_exit as its target. */
static void place_jump(uint8_t *p)
{
	static const uint8_t jmp[] = {0xff, 0x25, 0, 0, 0, 0};
	const char *to = native_exit;

	memcpy(p, jmp, sizeof(jmp));
	memcpy(p + sizeof(jmp), &to, sizeof(to));
}

/* Behind the instruction: that jump, or a far one to it with a 32-bit offset. */
void native_place_code(uint8_t *code, const struct oracle_case *c)
{
	static const uint64_t far = CODE_LEAVE | (uint64_t)SEL_CODE64 << 32;
	uint8_t *p = code + (CODE_START - CODE_BASE);

	memset(p, 0xcc, CODE_ROOM);
	p += c->shift;
	memcpy(p, c->code, c->len);
	p += c->len;
	place_jump(code + (CODE_LEAVE - CODE_BASE));
	if (c->mode == X86_MODE_64) {
		place_jump(p);
		return;
	}
	if (c->mode == X86_MODE_16)
		*p++ = 0x66;
	*p++ = 0xea;
	memcpy(p, &far, 6);
}

static void run_case(const struct window *w, uint8_t *code, const struct oracle_case *c,
		     struct outcome *o)
{
	struct native_context *x = &native_context;

	window_prepare(w, c);
	native_place_code(code, c);
	memcpy(x->gpr, c->gpr, sizeof(x->gpr));
	fp_to_host(x->fp, c->fp);
	x->rflags = c->rflags;
	x->fs_base = c->fs_base;
	x->gs_base = c->gs_base;
	x->entry = c->mode == X86_MODE_64 ? case_start(c) : (uintptr_t)native_far;
	x->far_offset = case_start(c);
	x->far_selector = c->mode == X86_MODE_16 ? SEL_CODE16 : SEL_CODE32;
	x->data_selector = c->mode == X86_MODE_16 ? SEL_DATA16 : SEL_DATA;
	current = o;
	current_base = case_code_base(c);
	o->lost = false;
	o->vector = NO_FAULT;
	running = 1;
	native_enter();
	if (running) {
		running = 0;
		memcpy(o->gpr, x->gpr, sizeof(o->gpr));
		fp_from_host(o->fp, x->fp);
		o->rflags = x->rflags;
		o->rip = case_start(c) + c->len;
		o->error = 0;
		o->cr2 = 0;
	} else if (o->vector == 3 && o->rip - 1 != case_start(c)) {
		o->vector = NO_FAULT; /* a branch went to one of the INT3s */
		o->rip--;
	} else if (o->vector == 14 && o->error & PF_FETCH && o->rip != case_start(c)) {
		o->vector = NO_FAULT; /* a branch went to where nothing is */
	}
	window_collect(w, c, o);
}

/* Instructions must not write their own page: it is writable at another address only. */
static uint8_t *child_code(void)
{
	int fd = memfd_create("oracle-code", MFD_CLOEXEC);
	uint8_t *rw = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, CODE_SIZE) &&
	    mmap((void *)CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == (void *)CODE_BASE)
		rw = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rw == MAP_FAILED)
		_exit(EXIT_UNABLE);
	memset(rw, 0xcc, CODE_SIZE);
	return rw;
}

/* Code and data segments of 64 KiB for 16-bit code. */
static void child_segments(void)
{
	struct user_desc code = {.entry_number = SEL_CODE16 >> 3,
				 .base_addr = CODE_BASE,
				 .limit = 0xffff,
				 .contents = MODIFY_LDT_CONTENTS_CODE};
	struct user_desc data = {
		.entry_number = SEL_DATA16 >> 3, .base_addr = WINDOW_BASE, .limit = 0xffff};

	if (syscall(SYS_modify_ldt, 1, &code, sizeof(code)) ||
	    syscall(SYS_modify_ldt, 1, &data, sizeof(data)))
		_exit(EXIT_UNABLE);
}

static void child_main(struct shared *sh)
{
	struct window w = {0};
	uint8_t *code = child_code();
	struct itimerval hang = {.it_value = {.tv_usec = HANG_MS * 1000}}, off = {0};

	child_window(&w);
	child_segments();
	child_handlers();
	child_confine();
	atomic_store(&sh->ready, true);
	for (;;) {
		uint32_t batch = atomic_load(&sh->done);

		while (atomic_load(&sh->posted) == batch)
			futex(&sh->posted, FUTEX_WAIT, batch, NULL);
		hang.it_interval = hang.it_value;
		setitimer(ITIMER_REAL, &hang, NULL);
		for (uint32_t i = atomic_load(&sh->at); i < sh->count; i++) {
			atomic_store(&sh->at, i);
			run_case(&w, code, &sh->cases[i], &sh->outcomes[i]);
		}
		setitimer(ITIMER_REAL, &off, NULL);
		atomic_store(&sh->done, batch + 1);
		futex(&sh->done, FUTEX_WAKE, 1, NULL);
	}
}

/* ---- in the parent -------------------------------------------------------------------------- */

static void spawn(struct native *n)
{
	n->pid = fork();
	if (n->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child_main(n->sh);
		_exit(0);
	}
	if (n->pid < 0) {
		perror("oracle: fork");
		exit(1);
	}
}

/* native_call.S uses these instructions. */
static void require_host(void)
{
	if (__builtin_cpu_supports("avx") && getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		return;
	fprintf(stderr, "oracle: this host has no AVX, or no FSGSBASE for user programs\n");
	exit(EXIT_SKIP);
}

struct native *native_start(void)
{
	struct native *n = calloc(1, sizeof(*n));

	require_host();
	if (!n)
		return NULL;
	n->sh = mmap(NULL, sizeof(*n->sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (n->sh == MAP_FAILED) {
		free(n);
		return NULL;
	}
	spawn(n);
	return n;
}

void native_stop(struct native *n)
{
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
	munmap(n->sh, sizeof(*n->sh));
	free(n);
}

struct oracle_case *native_cases(struct native *n)
{
	return n->sh->cases;
}

struct outcome *native_outcomes(struct native *n)
{
	return n->sh->outcomes;
}

void native_post(struct native *n, unsigned count)
{
	n->sh->count = count;
	atomic_store(&n->sh->at, 0);
	atomic_fetch_add(&n->sh->posted, 1);
	futex(&n->sh->posted, FUTEX_WAKE, 1, NULL);
}

void native_wait(struct native *n)
{
	static const struct timespec poll = {.tv_nsec = 20 * 1000 * 1000};
	uint32_t want = atomic_load(&n->sh->posted);

	for (uint32_t done; (done = atomic_load(&n->sh->done)) != want;) {
		futex(&n->sh->done, FUTEX_WAIT, done, &poll);
		if (waitpid(n->pid, NULL, WNOHANG) != n->pid)
			continue;
		if (!atomic_load(&n->sh->ready)) {
			fprintf(stderr, "oracle: no 16-bit segments, or the addresses are taken\n");
			exit(EXIT_SKIP);
		}
		n->sh->outcomes[atomic_load(&n->sh->at)].lost = true;
		atomic_fetch_add(&n->sh->at, 1);
		spawn(n);
	}
}
