/* SPDX-License-Identifier: Apache-2.0 */
/* What no sane program does: nonsense as code, tables and stacks where there is no memory. */
#include "guests/lib/guest.h"

#define WINDOW  0x8000000000ul
#define NOWHERE 0xd0000000ul /* no memory, no device */
#define LAPIC   0xfee00000ul

extern uint64_t page_pml4[512];
static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096))),
	pt[512] __attribute__((aligned(4096)));
static uint8_t code[3 * 4096] __attribute__((aligned(4096)));

struct gate {
	uint16_t offset_low, selector, attr, offset_mid;
	uint32_t offset_high, reserved;
};
extern struct gate idt[256];

static bool ended_in(int got, int vector, uint64_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

static void put(unsigned at, const uint8_t *bytes, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		((volatile uint8_t *)code)[at + i] = bytes[i];
}

/* Maps `n` pages of `code` at the window, and what is behind them not. */
static void map(unsigned n)
{
	for (unsigned i = 0; i < 4; i++)
		pt[i] = i < n ? ((uintptr_t)code + i * 4096ul) | 7 : 0;
	pdpt[0] = (uintptr_t)pd | 7;
	pd[0] = (uintptr_t)pt | 7;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	WRITE_CR(3, READ_CR(3));
}

/* ---- nonsense as code ------------------------------------------------------------------------ */

static bool undefined_opcodes(void)
{
	static const uint8_t list[][6] = {
		{0x06},
		{0x27},
		{0x60},
		{0x82, 0xc0, 1},
		{0x9a, 0, 0, 0, 0, 0},
		{0xc4, 0x01, 0x02},
		{0xd6},
		{0xea, 0, 0, 0, 0, 0},
		{0x0f, 0x04},
		{0x0f, 0x0a},
		{0x0f, 0x24, 0xc0},
		{0x0f, 0x36},
		{0x0f, 0x39},
		{0x0f, 0xa6, 0xc0},
		{0x0f, 0xff, 0xc0},
		{0x0f, 0xb9, 0xc0},
		{0xff, 0xf8},
		{0xfe, 0xd0},
		{0x8c, 0xf0},
		{0x8d, 0xc0},
		{0x0f, 0x01, 0xc6},
		{0x0f, 0xc7, 0xc8},
		{0xf0, 0x90},
		{0xc6, 0xc8, 0},
		{0x0f, 0x20, 0xc8},
		{0x0f, 0xba, 0xc0, 0},
		{0x8f, 0xc8},
		{0x62, 0xf1, 0x7c, 0x48, 0xff, 0xff},
	};
	bool good = true;

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		put(0, list[i], 6);
		good &= expect("vector", (unsigned)try_exec(code), VEC_UD) &
			expect("rip", trap.frame.rip, (uintptr_t)code);
		if (!good)
			print("  opcode %x %x\n", (unsigned long)list[i][0],
			      (unsigned long)list[i][1]);
	}
	return good;
}

/* Prefixes alone are too long after 15 bytes, whatever follows, even on a missing page. */
static bool length_limit(void)
{
	bool good;

	map(1);
	for (unsigned i = 0; i < 4096; i++)
		code[i] = 0x66;
	code[100] = 0x90;
	code[101] = 0xc3;
	good = expect("15 bytes", (unsigned)try_exec(code + 86), (unsigned)-1);
	good &= ended_in(try_exec(code + 85), VEC_GP, 0);
	good &= ended_in(try_exec((void *)(WINDOW + 4096 - 15)), VEC_GP, 0);
	good &= ended_in(try_exec((void *)(WINDOW + 4096 - 14)), VEC_PF, 0x10) &
		expect("cr2", trap.cr2, WINDOW + 4096);
	map(2);
	code[4096] = 0x90;
	code[4097] = 0xc3;
	good &= expect("14 and 1", (unsigned)try_exec((void *)(WINDOW + 4096 - 14)), (unsigned)-1);
	return good & ended_in(try_exec((void *)(WINDOW + 4096 - 15)), VEC_GP, 0);
}

/* REP STOS over the instructions behind it, then over the code that runs, block by block. */
static bool code_erases_itself(void)
{
	static const uint8_t text[] = {
		0x48, 0x8d, 0x3d, 0x04, 0,    0, 0, /* lea 4(%rip), %rdi: behind REP STOSB */
		0xf3, 0xaa,                         /* rep stosb */
		0x0f, 0x0b,                         /* ud2: becomes NOPs */
		0x0f, 0x0b, 0x0f, 0x0b, 0xc3,
	};
	bool good = true;

	for (unsigned i = 0; i < 50 && good; i++) {
		uint64_t rcx = 6, rax = 0x90;
		int v;

		put(0, text, sizeof(text));
		code[3] = 2; /* at the first UD2 */
		v = TRY("call *%2", : "+c"(rcx), "+a"(rax) : "r"(code) : "rdi", "memory");
		good &= expect("runs through", (unsigned)v, (unsigned)-1) & expect("rcx", rcx, 0);
	}
	return good;
}

/* A store that overlaps the next instruction from its middle, and one that makes a jump of it. */
static bool code_becomes_other(void)
{
	static const uint8_t text[] =
		{
			0x66, 0xc7, 0x05, 0,    0,
			0,    0,    0xeb, 0x02, /* movw $0x2eb, 0(%rip): the next becomes JMP +2 */
			0x0f, 0x0b, 0x0f, 0x0b, 0xb8,
			7,    0,    0,    0,    0xc3, /* mov $7, %eax; ret */
		};
	bool good = true;

	for (unsigned i = 0; i < 50 && good; i++) {
		uint32_t eax = 0;
		int v;

		put(0, text, sizeof(text));
		v = TRY("call *%1", : "=a"(eax) : "r"(code) : "memory");
		good &= expect("no UD2", (unsigned)v, (unsigned)-1) & expect("eax", eax, 7);
	}
	return good;
}

/* ---- where there is no memory ---------------------------------------------------------------- */

static bool tables_nowhere(void)
{
	static const uint64_t places[] = {NOWHERE, LAPIC, 0x6000000000};
	bool good = true;

	pdpt[0] = (uintptr_t)pd | 7;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int v;

		pd[0] = places[i] | 7;
		WRITE_CR(3, READ_CR(3));
		v = TRY("movb $1, (%0)", : : "r"(WINDOW) : "memory");
		good &= expect("page table nowhere", (unsigned)v, VEC_PF) &
			expect("cr2", trap.cr2, WINDOW);
		page_pml4[1] = places[i] | 7;
		WRITE_CR(3, READ_CR(3));
		v = TRY("mov (%0), %%eax", : : "r"(WINDOW) : "eax", "memory");
		good &= expect("directories nowhere", (unsigned)v, VEC_PF);
		page_pml4[1] = (uintptr_t)pdpt | 7;
	}
	return good;
}

static bool code_nowhere(void)
{
	bool good = expect("all ones", (unsigned)try_exec((void *)NOWHERE), VEC_UD) &
		    expect("rip", trap.frame.rip, NOWHERE);

	/* Registers as code: whatever they say, it ends in a trap. */
	good &= expect("in a device", try_exec((void *)(LAPIC + 0xff0)) >= 0, true);
	return good;
}

static bool data_nowhere(void)
{
	volatile uint64_t *at = (volatile uint64_t *)NOWHERE;
	uint64_t old = 5;
	bool good = expect("reads ones", *at, ~0ul);

	*at = 1;
	good &= expect("keeps nothing", *at, ~0ul);
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(old) : "r"(at) : "memory");
	good &= expect("xadd", old, ~0ul);
	__asm__ volatile("rep movsb" : : "S"(at), "D"(code), "c"(64ul) : "memory");
	return good & expect("copied", *(uint64_t *)code, ~0ul);
}

/* An interrupt whose frame goes nowhere: the handler finds its own stack. */
__asm__(".text\nbare_handler: mov try_rsp, %rsp\nmovq $0x77, try_vector\njmp *try_resume\n");
extern char bare_handler[];

static void bare_gate(unsigned vector)
{
	uintptr_t to = (uintptr_t)bare_handler;

	idt[vector] = (struct gate){(uint16_t)to, SEL_KCODE, 0x8e00, (uint16_t)(to >> 16), 0, 0};
}

static bool stack_nowhere(void)
{
	uint64_t popped = 0;
	bool good;
	int v;

	__asm__ volatile(
		"mov %%rsp, %%rbx\n\tmov %1, %%rsp\n\tpush $5\n\tpop %0\n\tmov %%rbx, %%rsp"
		: "=r"(popped)
		: "r"(NOWHERE + 0x800)
		: "rbx", "memory");
	good = expect("pops ones", popped, ~0ul);
	bare_gate(VEC_PF);
	bare_gate(0x73);
	v = TRY("mov %0, %%rsp\n\tcall 1f\n1:\tret", : : "r"(NOWHERE + 0x800) : "memory");
	good &= expect("returns to ones", (unsigned)v, 0x77) & expect("cr2", READ_CR(2), ~0ul);
	v = TRY("mov %0, %%rsp\n\tint $0x73", : : "r"(NOWHERE + 0x800) : "memory");
	good &= expect("interrupt", (unsigned)v, 0x77);
	v = TRY("mov %0, %%rsp\n\tint $0x73", : : "r"(LAPIC + 0x70) : "memory");
	good &= expect("in a device", (unsigned)v, 0x77);
	gate_set(VEC_PF, GATE_INTERRUPT, 0, 0);
	gate_set(0x73, GATE_INTERRUPT, 0, 0);
	return good;
}

/* ---- far jumps to nowhere -------------------------------------------------------------------- */

static struct {
	uint64_t offset;
	uint16_t selector;
} __attribute__((packed)) far64;

static bool far_nowhere(void)
{
	static const struct {
		uint16_t selector, error;
		uint8_t vector;
	} list[] = {
		{0, 0, VEC_GP},
		{3, 0, VEC_GP},
		{0xfff8, 0xfff8, VEC_GP},
		{0x0c, 0x0c, VEC_GP},
		{SEL_KDATA, SEL_KDATA, VEC_GP},
		{SEL_UCODE | 3, SEL_UCODE, VEC_GP},
		{SEL_TSS, SEL_TSS, VEC_GP},
	};
	bool good = true;
	int v;

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		far64.selector = list[i].selector;
		v = TRY("ljmpl *(%0)", : : "r"((uint8_t *)&far64 + 4) : "memory");
		good &= ended_in(v, list[i].vector, list[i].error);
		v = TRY("lcall *(%0)", : : "r"((uint8_t *)&far64 + 4) : "memory");
		good &= ended_in(v, list[i].vector, list[i].error);
	}
	v = TRY("jmp *%0", : : "r"(0x800000000000ul) : "memory");
	good &= ended_in(v, VEC_GP, 0);
	v = TRY("push %0\n\tret", : : "r"(0x800000000000ul) : "memory");
	return good & ended_in(v, VEC_GP, 0);
}

const struct check checks[] = {
	{1, "2A: undefined opcodes", undefined_opcodes},
	{2, "2.3.11: 15 bytes, also across pages", length_limit},
	{3, "11.6: code that overwrites what follows", code_erases_itself},
	{4, "11.6: code that makes another instruction of the next", code_becomes_other},
	{5, "4.5: page tables that are not in memory", tables_nowhere},
	{6, "code that is not in memory", code_nowhere},
	{7, "data that is not in memory", data_nowhere},
	{8, "stacks that are not in memory", stack_nowhere},
	{9, "5.8: far transfers to nowhere", far_nowhere},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 20;
