/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jumps and calls of user code to another page, hot for long enough that a translator may have made
 * one jump of them, when what is mapped at their target changes.
 *
 * The code is a loop in page 0 of the window that calls into page 1 and jumps there and back. What
 * is there adds to RAX: how much tells which page was mapped. A third call leads to an instruction
 * in the last bytes of page 1 whose upper bytes are in page 2.
 */
#include "guests/lib/guest.h"

#define P       0x001ul
#define W       0x002ul
#define U       0x004ul
#define PS      0x080ul
#define NX      (1ul << 63)
#define ALL     (P | W | U)
#define WINDOW  0x8000000000ul /* PML4[1]: the checks' own tables */
#define TARGET  (WINDOW + 0x1000)
#define TURNS   50
#define HEAT    80000000 /* of the TSC: much longer than code must be undisturbed to be linked */
#define NSPACES 18       /* more than a translator keeps apart */
#define NOFLUSH (1ul << 63)
#define WP      0x10000ul /* CR0 */
#define AM      0x40000ul
#define PGE     0x80ul    /* CR4 */
#define AC      0x40000ul /* RFLAGS */

#define PF_PRESENT 1
#define PF_USER    4
#define PF_FETCH   16

typedef uint64_t table[512] __attribute__((aligned(4096)));

extern table page_pml4;
static struct space {
	table pml4, pdpt, pd, pt;
} space[NSPACES];
static uint8_t loop[4096] __attribute__((aligned(4096)));
static volatile uint8_t target[2][4096] __attribute__((aligned(4096)));
static volatile uint8_t tail[2][4096] __attribute__((aligned(4096)));
static volatile uint8_t large[2 << 20] __attribute__((aligned(2 << 20)));

extern const uint8_t template[3][4096];
__asm__(".pushsection .rodata\n\t"
	".balign 4096\n"
	"template:\n\t"
	"mov $50, %ecx\n\t"
	"xor %eax, %eax\n"
	"1:	call template + 0x1000\n\t"
	"test %ecx, %ecx\n\t"
	"jne template + 0x1010\n"
	"2:	call template + 0x1ffe\n\t"
	"dec %ecx\n\t"
	"jne 1b\n\t"
	"int $0x80\n\t"
	".org template + 0x1000\n\t"
	"add $0x01000000, %eax\n\t"
	"ret\n\t"
	".org template + 0x1010\n\t"
	"add $0x01000000, %eax\n\t"
	"jmp 2b\n\t"
	".org template + 0x1ffe\n\t"
	"add $0x100, %eax\n\t"
	"ret\n\t"
	".org template + 0x3000\n\t"
	".popsection");

/* What target[t] and tail[l] make of RAX in the three ways of a turn. */
static uint64_t sum(unsigned t, unsigned l)
{
	return TURNS * (2 * (t + 1ul) + 256 * (l + 1ul));
}

static void write_code(void)
{
	for (unsigned i = 0; i < 4096; i++) {
		loop[i] = template[0][i];
		for (unsigned n = 0; n < 2; n++) {
			target[n][i] = template[1][i];
			tail[n][i] = template[2][i];
		}
	}
	for (unsigned n = 0; n < 2; n++) {
		for (unsigned at = 0; at <= 0x10; at += 0x10) {
			target[n][at + 1] = (uint8_t)(n + 1);
			target[n][at + 4] = 0;
		}
		tail[n][0] = (uint8_t)(n + 1);
	}
}

static uint64_t pte_of_target(unsigned n)
{
	return (uintptr_t)target[n] | ALL;
}

/* The program and the window, with target[t] and tail[0]. */
static void build(struct space *s, unsigned t)
{
	for (unsigned i = 0; i < 512; i++)
		s->pml4[i] = page_pml4[i];
	s->pml4[1] = (uintptr_t)s->pdpt | ALL;
	s->pdpt[0] = (uintptr_t)s->pd | ALL;
	s->pd[0] = (uintptr_t)s->pt | ALL;
	s->pt[0] = (uintptr_t)loop | ALL;
	s->pt[1] = pte_of_target(t);
	s->pt[2] = (uintptr_t)tail[0] | ALL;
}

static void invlpg(uint64_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static void flush(void)
{
	WRITE_CR(3, READ_CR(3));
}

static unsigned long rflags; /* of the loop */

/* RAX of the loop, or the vector that ended it. */
static uint64_t run(void)
{
	int v = user_run((void *)WINDOW, rflags);

	return v == 0x80 ? trap.frame.rax : (unsigned)v;
}

static bool runs_to(const char *what, uint64_t want)
{
	return expect(what, run(), want);
}

/* Until it may have been linked, and on. */
static bool heat(uint64_t want)
{
	uint64_t start = rdtsc();
	bool good;

	do
		good = runs_to("while it gets hot", want);
	while (good && rdtsc() - start < HEAT);
	return good;
}

/* In space 0, hot. */
static bool begin(void)
{
	write_code();
	build(&space[0], 0);
	WRITE_CR(3, (uintptr_t)space[0].pml4);
	return heat(sum(0, 0));
}

static bool end(bool good)
{
	WRITE_CR(3, (uintptr_t)page_pml4);
	return good;
}

static bool faulted(uint64_t error)
{
	return runs_to("vector", VEC_PF) & expect("error code", trap.frame.error, error) &
	       expect("CR2", trap.cr2, TARGET) & expect("RIP", trap.frame.rip, TARGET);
}

static bool by_invlpg(void)
{
	bool good = begin();

	for (unsigned n = 1; n < 6; n++) {
		space[0].pt[1] = pte_of_target(n & 1);
		invlpg(TARGET);
		good &= runs_to("after INVLPG", sum(n & 1, 0));
	}
	good &= heat(sum(1, 0));
	space[0].pt[1] = pte_of_target(0);
	invlpg(TARGET + 0xfff);
	return end(good & runs_to("after INVLPG, hot again", sum(0, 0)));
}

static bool by_flush(void)
{
	bool good = begin();

	space[0].pt[1] = pte_of_target(1);
	flush();
	good &= heat(sum(1, 0));
	space[0].pt[1] = pte_of_target(0);
	WRITE_CR(4, READ_CR(4) ^ 0x80);
	WRITE_CR(4, READ_CR(4) ^ 0x80);
	return end(good & runs_to("after a change of CR4.PGE", sum(0, 0)));
}

static bool crossing_tail(void)
{
	bool good = begin();

	space[0].pt[2] = (uintptr_t)tail[1] | ALL;
	invlpg(WINDOW + 0x2000);
	good &= heat(sum(0, 1));
	space[0].pt[2] = (uintptr_t)tail[0] | ALL;
	flush();
	return end(good & runs_to("after a flush", sum(0, 0)));
}

static bool absent(void)
{
	bool good = begin();

	space[0].pt[1] = 0;
	invlpg(TARGET);
	good &= faulted(PF_USER | PF_FETCH);
	space[0].pt[1] = pte_of_target(1);
	good &= heat(sum(1, 0));
	space[0].pd[0] &= ~P;
	flush();
	good &= expect("all is absent", run(), VEC_PF);
	space[0].pd[0] |= P;
	return end(good & runs_to("present again", sum(1, 0)));
}

static bool no_execute(void)
{
	bool good = begin();

	space[0].pt[1] |= NX;
	invlpg(TARGET);
	good &= faulted(PF_PRESENT | PF_USER | PF_FETCH);
	space[0].pt[1] &= ~NX;
	invlpg(TARGET);
	good &= heat(sum(0, 0));
	space[0].pt[1] |= NX;
	flush();
	return end(good & faulted(PF_PRESENT | PF_USER | PF_FETCH));
}

static bool supervisor(void)
{
	bool good = begin();

	space[0].pt[1] &= ~U;
	invlpg(TARGET);
	return end(good & faulted(PF_PRESENT | PF_USER | PF_FETCH));
}

static bool written(void)
{
	bool good = begin();

	target[0][1] = target[0][0x11] = 2; /* as in target[1] */
	good &= heat(sum(1, 0));
	tail[0][0] = 2;
	return end(good & runs_to("the second part of an instruction", sum(1, 1)));
}

/* What a fork does: the process has a copy of the page from now on, which it changes. */
static bool copied(void)
{
	bool good = begin();

	space[0].pt[1] &= ~W;
	invlpg(TARGET);
	good &= heat(sum(0, 0));
	build(&space[1], 0);
	space[0].pt[1] = pte_of_target(1);
	invlpg(TARGET);
	good &= runs_to("the copy", sum(1, 0));
	WRITE_CR(3, (uintptr_t)space[1].pml4);
	return end(good & runs_to("the original", sum(0, 0)));
}

/* The large page is a copy of the three, and of the other target behind them. */
static bool split_page(void)
{
	static table small;
	bool good;

	write_code();
	for (unsigned i = 0; i < 4096; i++) {
		large[i] = loop[i];
		large[0x1000 + i] = target[0][i];
		large[0x2000 + i] = tail[0][i];
		large[0x3000 + i] = target[1][i];
	}
	build(&space[0], 0);
	space[0].pd[0] = (uintptr_t)large | ALL | PS;
	WRITE_CR(3, (uintptr_t)space[0].pml4);
	good = heat(sum(0, 0));
	for (unsigned i = 0; i < 512; i++)
		small[i] = ((uintptr_t)large + i * 4096) | ALL;
	small[1] = ((uintptr_t)large + 0x3000) | ALL;
	space[0].pd[0] = (uintptr_t)small | ALL;
	invlpg(WINDOW + 0x5000); /* of any address in the page */
	return end(good & runs_to("after the split", sum(1, 0)));
}

/* Where every access is checked for its alignment a translator may have nothing else to remember a
 * page by than its code. */
static bool split_checked(void)
{
	bool good;

	WRITE_CR(0, READ_CR(0) | AM);
	rflags = AC;
	good = split_page();
	rflags = 0;
	WRITE_CR(0, READ_CR(0) & ~AM);
	return good;
}

/* The translations of a page of code 64 MiB away, which there is none of. */
#define ALIAS (TARGET + 0x4000000)

/*
 * A translator may know the target's code by its links only: others have taken its places in a
 * cache of jumps, by the sum of an address and its page's number.
 */
static bool aliased(void)
{
	static const uint32_t places[] = {0x14fed, 0x14ffd, 0x15fea}; /* target, its jump, tail */
	static volatile uint8_t others[4096] __attribute__((aligned(4096)));
	bool good = begin();

	space[0].pt[0x14] = space[0].pt[0x15] = (uintptr_t)others | ALL;
	for (unsigned i = 0; i < 3; i++) {
		others[places[i] & 0xfff] = 0xcd; /* INT 80h */
		others[(places[i] + 1) & 0xfff] = 0x80;
		for (unsigned n = 0; n < 1000; n++)
			good &= user_run((void *)(WINDOW + places[i]), 0) == 0x80;
	}
	invlpg(ALIAS);
	space[0].pt[1] = pte_of_target(1);
	invlpg(TARGET);
	return end(good & runs_to("after INVLPG of two pages", sum(1, 0)));
}

/*
 * The large page has a page of data that turns into code, which runs at another address. A
 * translator may remember where it has to look at stores.
 */
static bool split_data(void)
{
	const uint64_t data = WINDOW + (2ul << 20) + 0x9000, far = 64ul << 20;
	volatile uint8_t *byte = (volatile uint8_t *)data + 0x800;
	static table small;
	bool good;

	write_code();
	build(&space[0], 0);
	for (unsigned i = 0; i < 4096; i++)
		large[0x9000 + i] = target[0][i];
	space[0].pt[1] = ((uintptr_t)large + 0x9000) | ALL;
	space[0].pd[1] = space[0].pd[33] = (uintptr_t)large | ALL | PS;
	WRITE_CR(3, (uintptr_t)space[0].pml4);
	*byte = 1;
	(void)*(byte + far);
	good = heat(sum(0, 0));
	for (unsigned i = 0; i < 512; i++)
		small[i] = (uintptr_t)tail[1] | ALL;
	tail[1][0x800] = 1;
	space[0].pd[1] = (uintptr_t)small | ALL;
	invlpg(WINDOW + (2ul << 20)); /* of any address in the page */
	*byte = 2;
	space[0].pd[1] = 0;
	return end(good & expect("the old page", large[0x9800], 1) &
		   expect("the new page", tail[1][0x800], 2));
}

/* Further than 2 GiB from where its block begins. */
static bool far_call(void)
{
	static const uint8_t code[] = {0x90, 0x6a, 0x55, 0xe8, 0xff, 0xff, 0xff, 0x7f};
	static const uint8_t end_of_it[] = {0x58, 0x5a, 0xcd, 0x80}; /* POP RAX, RDX; INT 80h */
	const uint64_t to = WINDOW + sizeof(code) + 0x7fffffff;
	bool good = true;

	build(&space[0], 0);
	for (unsigned i = 0; i < 4; i++) {
		loop[i] = code[i];
		loop[i + 4] = code[i + 4];
		target[0][(to + i) & 0xfff] = end_of_it[i];
	}
	build(&space[1], 0);
	space[1].pt[0] = pte_of_target(0);
	space[0].pdpt[2] = (uintptr_t)space[1].pd | ALL;
	WRITE_CR(3, (uintptr_t)space[0].pml4);
	for (unsigned n = 0; n < 200; n++)
		good &= runs_to("return address", WINDOW + sizeof(code)) &
			expect("what was pushed", trap.frame.rdx, 0x55);
	return end(good);
}

static bool other_space(void)
{
	bool good = begin();

	build(&space[1], 1);
	for (unsigned i = 0; i < 6; i++) {
		WRITE_CR(3, (uintptr_t)space[~i & 1].pml4);
		good &= i < 3 ? heat(sum(~i & 1, 0)) : runs_to("after a switch", sum(~i & 1, 0));
	}
	/* Nothing changes by itself when a root comes back, and what has changed meanwhile counts.
	 */
	space[1].pt[1] = pte_of_target(0);
	WRITE_CR(3, (uintptr_t)space[1].pml4);
	return end(good & runs_to("changed before the switch", sum(0, 0)));
}

static bool many_spaces(void)
{
	bool good = begin();

	for (unsigned n = 1; n < NSPACES; n++)
		build(&space[n], n & 1);
	for (unsigned n = 0; n < 3 * NSPACES; n++) {
		WRITE_CR(3, (uintptr_t)space[n % NSPACES].pml4);
		good &= runs_to("each its own", sum(n % NSPACES & 1, 0));
	}
	return end(good & heat(sum((3 * NSPACES - 1) % NSPACES & 1, 0)));
}

/* The program in small pages that are not global. */
static void build_supervisor(struct space *s, unsigned t)
{
	static table pdpt, pd, pt[8];

	build(s, t);
	s->pml4[0] = (uintptr_t)pdpt | P | W;
	pdpt[0] = (uintptr_t)pd | P | W;
	for (unsigned i = 0; i < 8; i++)
		pd[i] = (uintptr_t)pt[i] | P | W;
	for (unsigned i = 0; i < 8 * 512; i++)
		pt[i / 512][i % 512] = i * 4096ul | P | W;
	s->pt[1] &= ~U;
}

/*
 * A translator may keep one memory of code for each value of CR0.WP, and find by a look at the page
 * tables, behind a flush, that all of it still holds. Another root flushes it nevertheless.
 */
static bool supervisor_code(void)
{
	uint64_t cr0 = READ_CR(0), rax;
	bool good = true;

	write_code();
	build_supervisor(&space[0], 0);
	build_supervisor(&space[1], 1);
	for (unsigned n = 0; n < 400; n++) {
		if (n % 4 == 0)
			WRITE_CR(3, (uintptr_t)space[n / 4 & 1].pml4);
		__asm__ volatile("xor %%eax, %%eax\n\tcall *%1" : "=&a"(rax) : "r"(TARGET));
		good &= expect("the root's code", rax, (n / 4 & 1) + 1);
		WRITE_CR(0, cr0 & ~WP);
		WRITE_CR(4, READ_CR(4) ^ PGE);
		WRITE_CR(4, READ_CR(4) ^ PGE);
		WRITE_CR(0, cr0 | WP);
	}
	return end(good);
}

static void enter(unsigned n, uint64_t bits)
{
	WRITE_CR(3, (uintptr_t)space[n].pml4 | (n + 1) | bits);
}

static bool pcids(void)
{
	bool good;

	if (!(cpuid(1).c >> 17 & 1))
		return true;
	good = begin();
	build(&space[1], 1);
	WRITE_CR(4, READ_CR(4) | 1ul << 17);
	for (unsigned i = 0; i < 6; i++) {
		enter(i & 1, NOFLUSH);
		good &= i < 4 ? heat(sum(i & 1, 0)) : runs_to("after a switch", sum(i & 1, 0));
	}
	good &= heat(sum(1, 0));
	space[1].pt[1] = pte_of_target(0); /* while it is current: loaded anew, with a flush */
	enter(1, 0);
	good &= heat(sum(0, 0));
	enter(0, NOFLUSH);
	space[1].pt[1] = pte_of_target(1);
	space[0].pt[1] = pte_of_target(1);
	enter(1, 0); /* flushes its own PCID only */
	good &= runs_to("PCID 2", sum(1, 0));
	enter(0, 0);
	good &= runs_to("PCID 1", sum(1, 0));
	WRITE_CR(3, (uintptr_t)page_pml4);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 17));
	return good;
}

const struct check checks[] = {
	{1, "4.10.4: another page behind INVLPG", by_invlpg},
	{2, "4.10.4: another page behind a flush", by_flush},
	{3, "4.10.4: another page for the rest of an instruction", crossing_tail},
	{4, "4.7: an absent page", absent},
	{5, "4.6: no-execute", no_execute},
	{6, "4.6: a supervisor's page", supervisor},
	{7, "8.1.3: code that is written to", written},
	{8, "4.10.4: copied on a write", copied},
	{9, "4.10.4: a large page is split", split_page},
	{10, "4.10.4: address spaces by CR3", other_space},
	{11, "4.10.4: many address spaces", many_spaces},
	{12, "4.10.1: PCIDs", pcids},
	{13, "4.10.4: another page with the same low bits", aliased},
	{14, "4.10.4: a large page with data is split", split_data},
	{15, "CALL: as far as it reaches, behind a push", far_call},
	{16, "4.10.4: a supervisor's code by CR3", supervisor_code},
	{17, "4.10.4: a large page is split where alignment is checked", split_checked},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
