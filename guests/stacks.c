/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of user code, and words at its FS base, in pages that change while it runs: a translator
 * may remember where these are. Each program takes its stack pointer from a word that the checks
 * set, and runs often enough to be translated.
 */
#include "guests/lib/guest.h"

#define P      0x001ul
#define W      0x002ul
#define U      0x004ul
#define ALL    (P | W | U)
#define WINDOW 0x8000000000ul /* PML4[1]: the checks' own tables */
#define DATA   (WINDOW + 0x1000)
#define STACK  (WINDOW + 0x10000)   /* two pages */
#define ALIAS  (WINDOW + 0x4010000) /* 64 MiB above them */
#define TURNS  20
#define RUNS   8

#define PF_PRESENT 1
#define PF_WRITE   2
#define PF_USER    4

typedef uint64_t table[512] __attribute__((aligned(4096)));

extern table page_pml4;
static struct space {
	table pml4, pdpt, pd, pt, far;
} space[2];
static volatile uint8_t code[4096] __attribute__((aligned(4096)));
static volatile uint64_t data[512] __attribute__((aligned(4096)));
static volatile uint64_t stack[4][512] __attribute__((aligned(4096)));

/* Flags are dead where the stack is used: a translator's usual case. */
enum {
	LOOP = 0,
	PUSH = 0x100,
	POP = 0x140,
	CALL = 0x180,
	RET = 0x1c0,
	LOAD = 0x200,
	STORE = 0x240,
	DISPLACE = 0x280,
	RUN_STACK = 0x300,
	CALL_STACK = 0x340,
	THREAD = 0x3c0,
	NEW_THREAD = 0x400,
	RETURN = 0x440
};

#define BEHIND_RET (WINDOW + RETURN + 31)

extern const uint8_t template[4096];
__asm__(".pushsection .rodata\n\t"
	".balign 4096\n"
	"template:\n\t"
	".macro begin at\n\t"
	".org template + \\at\n\t"
	"movabs 0x8000001000, %rax\n\t"
	"mov %rax, %rsp\n\t"
	".endm\n\t"
	".macro end\n\t"
	"xor %eax, %eax\n\t"
	"int $0x80\n\t"
	".endm\n\t"
	"begin 0\n\t"
	"mov $20, %ecx\n\t"
	"xor %ebx, %ebx\n"
	"1:	push %rcx\n\t"
	"push $0x55\n\t"
	"call 3f\n\t"
	"pop %rdx\n\t"
	"pop %rdx\n\t"
	"sub $1, %ecx\n\t"
	"jne 1b\n\t"
	"int $0x80\n"
	"3:	add 8(%rsp), %rbx\n\t"
	"mov 16(%rsp), %rdx\n\t"
	"add %rdx, %rbx\n\t"
	"ret\n\t"
	"begin 0x100\n\t"
	"push %rcx\n\t"
	"end\n\t"
	"begin 0x140\n\t"
	"pop %rcx\n\t"
	"end\n\t"
	"begin 0x180\n\t"
	"call 4f\n"
	"4:	end\n\t"
	"begin 0x1c0\n\t"
	"ret\n\t"
	"begin 0x200\n\t"
	"mov (%rsp), %rcx\n\t"
	"end\n\t"
	"begin 0x240\n\t"
	"mov %rcx, (%rsp)\n\t"
	"end\n\t"
	"begin 0x280\n\t" /* stores 64 MiB above each push */
	"mov $20, %ecx\n"
	"5:	push %rcx\n\t"
	"mov %rcx, 0x4000000(%rsp)\n\t"
	"pop %rdx\n\t"
	"sub $1, %ecx\n\t"
	"jne 5b\n\t"
	"int $0x80\n\t"
	"begin 0x300\n\t" /* writes B8 imm32, CD 80 to the stack, runs it: MOV EAX, imm; INT 80h */
	"movabs 0x8000001008, %rax\n\t"
	"push %rax\n\t"
	"mov %rsp, %rcx\n\t"
	"add $1, %rbx\n\t"
	"jmp *%rcx\n\t"
	"begin 0x340\n\t" /* B8 imm32, C3: MOV EAX, imm; RET, with ECX / 8 for imm */
	"mov $64, %ecx\n\t"
	"xor %ebx, %ebx\n"
	"6:	movabs 0x8000001008, %rax\n\t"
	"mov %rcx, %rdx\n\t"
	"shr $3, %rdx\n\t"
	"shl $8, %rdx\n\t"
	"add %rdx, %rax\n\t"
	"push %rax\n\t"
	"mov %rsp, %rdx\n\t"
	"add $1, %rdi\n\t"
	"call *%rdx\n\t"
	"add %rax, %rbx\n\t"
	"pop %rdx\n\t"
	"sub $1, %ecx\n\t"
	"jne 6b\n\t"
	"int $0x80\n\t"
	"begin 0x3c0\n\t"
	"mov $20, %ecx\n\t"
	"xor %ebx, %ebx\n"
	"7:	add %fs:0x28, %rbx\n\t"
	"sub $1, %ecx\n\t"
	"jne 7b\n\t"
	"int $0x80\n\t"
	"begin 0x400\n\t" /* the stack pointer becomes the FS base, between two loads */
	"xor %ebx, %ebx\n\t"
	"add %fs:0x28, %rbx\n\t"
	"wrfsbase %rsp\n\t"
	"xor %ecx, %ecx\n\t"
	"add %fs:0x28, %rcx\n\t"
	"int $0x80\n\t"
	"begin 0x440\n\t" /* RET behind a push in the same page, with flags that may be read */
	"push %rcx\n\t"
	"movabs 0x8000001000, %rax\n\t"
	"mov %rax, %rsp\n\t"
	"cmp %rax, %rcx\n\t"
	"ret\n\t"
	"8:	end\n\t"
	".org template + 4096\n\t"
	".popsection");

static uint64_t pte_of(unsigned n)
{
	return (uintptr_t)stack[n] | ALL;
}

/* Its stack is in stack[n], and in stack[3] behind that. */
static void build(struct space *s, unsigned n)
{
	for (unsigned i = 0; i < 512; i++)
		s->pml4[i] = page_pml4[i];
	s->pml4[1] = (uintptr_t)s->pdpt | ALL;
	s->pdpt[0] = (uintptr_t)s->pd | ALL;
	s->pd[0] = (uintptr_t)s->pt | ALL;
	s->pd[ALIAS >> 21 & 511] = (uintptr_t)s->far | ALL;
	s->pt[0] = (uintptr_t)code | ALL;
	s->pt[1] = (uintptr_t)data | ALL;
	s->pt[16] = pte_of(n);
	s->pt[17] = pte_of(3);
	s->far[16] = pte_of(2);
}

static void invlpg(uint64_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static void begin(void)
{
	for (unsigned i = 0; i < 4096; i++)
		code[i] = template[i];
	for (unsigned n = 0; n < 4; n++)
		for (unsigned i = 0; i < 512; i++)
			stack[n][i] = 0;
	build(&space[0], 0);
	build(&space[1], 1);
	WRITE_CR(3, (uintptr_t)space[0].pml4);
}

static bool end(bool good)
{
	WRITE_CR(3, (uintptr_t)page_pml4);
	return good;
}

static uint64_t run(unsigned program, uint64_t rsp)
{
	data[0] = rsp;
	return (unsigned)user_run((void *)(WINDOW + program), 0);
}

/* Of the loop, with its stack in the upper part of stack[n]. */
static bool loops_in(unsigned n)
{
	bool good;

	stack[n][255] = 0;
	good = expect("vector", run(LOOP, STACK + 2048), 0x80) &
	       expect("sum", trap.frame.rbx, TURNS * 0x55 + TURNS * (TURNS + 1) / 2) &
	       expect("what was pushed first", stack[n][255], 1);
	return good;
}

static bool heat(unsigned n)
{
	bool good = true;

	for (unsigned i = 0; i < RUNS; i++)
		good &= loops_in(n);
	return good;
}

static bool by_invlpg(void)
{
	bool good;

	begin();
	good = heat(0);
	for (unsigned n = 1; n < 6; n++) {
		space[0].pt[16] = pte_of(n & 1);
		invlpg(STACK + 0x123);
		stack[~n & 1][255] = 77;
		good &= heat(n & 1) & expect("the page before", stack[~n & 1][255], 77);
	}
	return end(good);
}

static bool other_space(void)
{
	bool good = true;

	begin();
	for (unsigned n = 0; n < 6; n++) {
		WRITE_CR(3, (uintptr_t)space[n & 1].pml4);
		stack[~n & 1][255] = 77;
		good &= heat(n & 1) & expect("the other's", stack[~n & 1][255], 77);
	}
	return end(good);
}

static bool faulted(unsigned program, uint64_t rsp, uint64_t error, uint64_t address)
{
	return expect("vector", run(program, rsp), VEC_PF) &
	       expect("error code", trap.frame.error, error) & expect("CR2", trap.cr2, address);
}

static bool rights(void)
{
	bool good;

	begin();
	good = heat(0);
	space[0].pt[16] &= ~W;
	invlpg(STACK);
	for (unsigned i = 0; i < RUNS; i++) {
		good &= faulted(LOOP, STACK + 2048, PF_PRESENT | PF_WRITE | PF_USER, STACK + 2040);
		good &= expect("it can be read", run(POP, STACK + 2048), 0x80);
	}
	space[0].pt[16] &= ~U;
	invlpg(STACK);
	good &= faulted(POP, STACK + 2048, PF_PRESENT | PF_USER, STACK + 2048);
	space[0].pt[16] = 0;
	invlpg(STACK);
	good &= faulted(LOOP, STACK + 2048, PF_WRITE | PF_USER, STACK + 2040);
	space[0].pt[16] = pte_of(1);
	return end(good & heat(1));
}

/* Another page takes the place of the stack's in a translator's cache, before it is mapped anew. */
static bool displaced(void)
{
	bool good;

	begin();
	good = heat(0);
	for (unsigned n = 1; n < 6; n++) {
		good &= expect("vector", run(DISPLACE, STACK + 2048), 0x80) &
			expect("64 MiB above", stack[2][255], 1);
		space[0].pt[16] = pte_of(n & 1);
		invlpg(STACK);
		stack[~n & 1][255] = 77;
		good &= expect("vector", run(DISPLACE, STACK + 2048), 0x80) &
			expect("pushed", stack[n & 1][255], 1) &
			expect("the page before", stack[~n & 1][255], 77);
	}
	return end(good);
}

/* Stores to what has been executed. */
static bool code_on_stack(void)
{
	bool good;

	begin();
	good = heat(0);
	for (unsigned i = 0; i < 4 * RUNS; i++) {
		data[1] = 0x80cd00000000b8ul | (uint64_t)(i / 3) << 8;
		good &= expect("vector", run(RUN_STACK, STACK + 2048), 0x80) &
			expect("EAX", trap.frame.rax, i / 3);
		if (i % 8 == 7)
			good &= heat(0);
	}
	return end(good);
}

/* The same in one go. */
static bool code_called(void)
{
	bool good;

	begin();
	good = heat(0);
	data[1] = 0xc300000000b8ul;
	for (unsigned i = 0; i < RUNS; i++)
		good &= expect("vector", run(CALL_STACK, STACK + 2048), 0x80) &
			expect("sum", trap.frame.rbx, 8 * 28 + 8);
	return end(good);
}

static bool pcids(void)
{
	bool good = true;

	if (!(cpuid(1).c >> 17 & 1))
		return true;
	begin();
	WRITE_CR(4, READ_CR(4) | 1ul << 17);
	for (unsigned n = 0; n < 6; n++) {
		WRITE_CR(3, (uintptr_t)space[n & 1].pml4 | ((n & 1) + 1) | 1ul << 63);
		stack[~n & 1][255] = 77;
		good &= heat(n & 1) & expect("the other's", stack[~n & 1][255], 77);
	}
	WRITE_CR(3, (uintptr_t)page_pml4);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 17));
	return good;
}

static bool crossing(void)
{
	bool good = true;

	begin();
	for (unsigned i = 0; i < RUNS; i++) {
		stack[0][511] = stack[3][0] = 0;
		good &= expect("vector", run(LOOP, STACK + 0x1004), 0x80) &
			expect("lower half", stack[0][511] >> 32, 1) &
			expect("upper half", stack[3][0], 0) &
			expect("sum", trap.frame.rbx, TURNS * 0x55 + TURNS * (TURNS + 1) / 2);
		good &= loops_in(0);
	}
	stack[0][511] = BEHIND_RET << 32;
	stack[3][0] = BEHIND_RET >> 32;
	for (unsigned i = 0; i < RUNS; i++)
		good &= expect("return", run(RETURN, STACK + 0xffc), 0x80) &
			expect("RSP", trap.frame.rsp, STACK + 0x1004) & loops_in(0);
	space[0].pt[17] = 0;
	invlpg(STACK + 0x1000);
	for (unsigned i = 0; i < RUNS; i++)
		good &= faulted(POP, STACK + 0xffc, PF_USER, STACK + 0x1000) & loops_in(0);
	return end(good);
}

/* Nothing may be where a translator says that it remembers nothing. */
static bool not_canonical(void)
{
	static const struct {
		unsigned program, rip;
		const char *name;
	} use[] = {{PUSH, 13, "push"}, {POP, 13, "pop"},   {CALL, 13, "call"},
		   {RET, 13, "ret"},   {LOAD, 13, "load"}, {STORE, 13, "store"}};
	static const uint64_t place[] = {1ul << 63, 1ul << 47, 0x7ffful << 48,
					 (1ul << 63) - 0x1000};
	bool good;

	begin();
	good = heat(0);
	for (unsigned i = 0; i < sizeof(use) / sizeof(use[0]); i++) {
		for (unsigned n = 0; n < RUNS * 4; n++) {
			good &= expect(use[i].name, run(use[i].program, place[n % 4] + 0x800),
				       VEC_SS) &
				expect("error code", trap.frame.error, 0) &
				expect("RSP", trap.frame.rsp, place[n % 4] + 0x800) &
				expect("RIP", trap.frame.rip, WINDOW + use[i].program + use[i].rip);
		}
	}
	return end(good & heat(0));
}

static bool first_and_last(void)
{
	bool good;

	begin();
	good = heat(0);
	for (unsigned i = 0; i < RUNS; i++) {
		good &= expect("below 0", run(PUSH, 0), VEC_PF) & expect("CR2", trap.cr2, -8ul);
		good &= expect("a kernel's", run(PUSH, 0xffff800000000800ul), VEC_PF) &
			expect("CR2", trap.cr2, 0xffff8000000007f8ul);
		good &= loops_in(0);
	}
	return end(good);
}

#define FS_BASE 0xc0000100

static bool thread_reads(uint64_t want)
{
	bool good = true;

	for (unsigned i = 0; i < RUNS; i++)
		good &= expect("vector", run(THREAD, STACK + 2048), 0x80) &
			expect("sum at FS", trap.frame.rbx, TURNS * want);
	return good;
}

static void begin_thread(void)
{
	begin();
	for (unsigned n = 0; n < 4; n++)
		for (unsigned i = 0; i < 512; i++)
			stack[n][i] = n * 1000 + i;
	wrmsr(FS_BASE, STACK + 0x100);
}

static bool thread_mapped(void)
{
	bool good = true;

	begin_thread();
	for (unsigned n = 0; n < 6; n++) {
		space[0].pt[16] = pte_of(n & 1);
		invlpg(STACK + 0x800);
		good &= thread_reads((n & 1) * 1000 + 0x128 / 8);
	}
	for (unsigned n = 0; n < 6; n++) {
		WRITE_CR(3, (uintptr_t)space[n & 1].pml4);
		good &= thread_reads(1000 + 0x128 / 8);
		stack[1][0x128 / 8]++;
		good &= thread_reads(1001 + 0x128 / 8);
		stack[1][0x128 / 8]--;
	}
	space[1].pt[16] = 0;
	invlpg(STACK);
	for (unsigned i = 0; i < RUNS; i++)
		good &= faulted(THREAD, STACK + 2048, PF_USER, STACK + 0x128);
	space[1].pt[16] = pte_of(0) & ~U;
	good &= faulted(THREAD, STACK + 2048, PF_USER | PF_PRESENT, STACK + 0x128);
	space[1].pt[16] = pte_of(0);
	return end(good & thread_reads(0x128 / 8));
}

static bool thread_base(void)
{
	bool good = true;

	begin_thread();
	for (unsigned n = 0; n < 600; n += 7) {
		wrmsr(FS_BASE, STACK + 8 * n);
		good &= thread_reads((n + 5 < 512 ? 0 : 3000 - 512) + n + 5);
	}
	wrmsr(FS_BASE, STACK + 0x1000 - 0x2c); /* the word is in two pages */
	stack[0][511] = 1ul << 32;
	stack[3][0] = 0;
	good &= thread_reads(1);
	return end(good);
}

static bool thread_changes_base(void)
{
	bool good = true;

	if (!(cpuid(7).b & 1))
		return true;
	WRITE_CR(4, READ_CR(4) | 1ul << 16);
	begin_thread();
	for (unsigned i = 0; i < 4 * RUNS; i++) {
		wrmsr(FS_BASE, STACK + 0x100);
		good &= expect("vector", run(NEW_THREAD, STACK + (i % 3) * 0x800), 0x80) &
			expect("before", trap.frame.rbx, 0x128 / 8) &
			expect("behind", trap.frame.rcx,
			       (i % 3 == 2 ? 3000 : i % 3 * 0x100) + 0x28 / 8);
	}
	WRITE_CR(4, READ_CR(4) & ~(1ul << 16));
	return end(good);
}

const struct check checks[] = {
	{1, "4.10.4: the stack's page mapped anew, with INVLPG", by_invlpg},
	{2, "4.10.4: the same address in two spaces", other_space},
	{3, "4.6: a stack that may not be written, read, is absent", rights},
	{4, "4.10.4: the stack's page mapped anew, after another page", displaced},
	{5, "8.1.3: code on the stack that changes", code_on_stack},
	{6, "4.7: a stack across two pages", crossing},
	{7, "6.15, #SS: stack pointers that are not canonical", not_canonical},
	{8, "4.7: at the ends of the address space", first_and_last},
	{9, "8.1.3: code on the stack that changes between calls", code_called},
	{10, "4.10.1: PCIDs", pcids},
	{11, "4.10.4: the FS base's page mapped anew", thread_mapped},
	{12, "3.4.4: another FS base", thread_base},
	{13, "WRFSBASE in user code", thread_changes_base},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
