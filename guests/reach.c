/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More pages than a translator's TLB begins with: it gets larger while they are read, and each of
 * the ways to be rid of an entry must go on working: for addresses in registers and for constant
 * ones, whose checks may look elsewhere.
 */
#include "guests/lib/guest.h"

#define P      0x001ul
#define W      0x002ul
#define PS     0x080ul
#define G      0x100ul
#define ALL    (P | W)
#define WINDOW 0x8000000000ul /* PML4[1]: 1 GiB, 2 MiB over and over */
#define NPAGES (256 * 512)    /* of the window that are read: 512 MiB */
#define NPCIDS 40             /* more than there are TLBs */
#define SHARE  (64ul << 20)   /* addresses at this distance may be rivals for an entry */

#define PF_PRESENT 1
#define PF_WRITE   2

typedef uint64_t table[512] __attribute__((aligned(4096)));

extern table page_pml4;
static table pdpt, pd, pt;
static volatile uint64_t frame[512][512] __attribute__((aligned(4096)));
static volatile uint64_t large[2][512 * 512] __attribute__((aligned(2 << 20)));

/* A page that the checks change, by its address in a register and as a constant. */
#define PAGE      (WINDOW + SHARE + 0x5000)
#define CONSTANT  "0x8004005000"
#define RIVAL     (WINDOW + 0x5000)
#define OF_PAGE   5
#define NEW_FRAME 77

static void invlpg(uint64_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static void flush(void)
{
	WRITE_CR(3, READ_CR(3));
}

static void map(uint64_t flags)
{
	page_pml4[1] = (uintptr_t)pdpt | ALL;
	pdpt[0] = (uintptr_t)pd | ALL;
	for (unsigned i = 0; i < 512; i++) {
		pd[i] = (uintptr_t)pt | ALL;
		pt[i] = (uintptr_t)frame[i] | flags;
		frame[i][0] = i;
	}
	flush();
}

/* Reads a word of each page, so often that translated code meets them all. */
static bool read_all(void)
{
	uint64_t sum = 0, want = NPAGES / 512 * (511 * 512 / 2);

	for (uint64_t i = 0; i < NPAGES; i++)
		sum += *(volatile uint64_t *)(WINDOW + i * 4096);
	return expect("sum of all pages", sum, want);
}

__attribute__((noinline)) static uint64_t by_register(uint64_t addr)
{
	return *(volatile uint64_t *)addr;
}

__attribute__((noinline)) static uint64_t by_constant(void)
{
	uint64_t val;

	__asm__ volatile("movabs " CONSTANT ", %0" : "=a"(val) : : "memory");
	return val;
}

void store_by_constant(uint64_t val); /* without a frame, as it may fault */
__asm__("store_by_constant:\n\t"
	"mov %rdi, %rax\n\t"
	"movabs %rax, " CONSTANT "\n\t"
	"ret");

/* In both ways, over and over, with a rival for the entry in between. */
static bool reads(const char *what, uint64_t want)
{
	bool good = true;

	for (unsigned i = 0; i < 20 && good; i++)
		good = expect(what, by_register(PAGE), want) &
		       expect("rival", by_register(RIVAL), want) &
		       expect("constant address", by_constant(), want);
	return good;
}

/* INVLPG of PAGE, `beside` it, after a check of the constant address; before one of its rival. */
static bool flushed(uint64_t beside, uint64_t want)
{
	bool good;

	invlpg(PAGE + beside);
	good = expect("flushed", by_constant(), want) & expect("flushed", by_register(PAGE), want);
	invlpg(RIVAL + beside);
	return good;
}

static bool large_tlb(uint64_t flags)
{
	map(flags);
	return read_all() & read_all() & reads("before", OF_PAGE);
}

static void remap(uint64_t flags)
{
	pt[OF_PAGE] = (uintptr_t)frame[NEW_FRAME] | flags;
}

static bool page_flush(void)
{
	bool good = large_tlb(ALL);

	remap(ALL);
	return good & flushed(0, NEW_FRAME) & reads("after INVLPG", NEW_FRAME);
}

static bool root_load(void)
{
	bool good = large_tlb(ALL);

	remap(ALL);
	flush();
	return good & reads("after MOV to CR3", NEW_FRAME);
}

static bool global_flush(void)
{
	bool good;

	WRITE_CR(4, READ_CR(4) | 0x80);
	good = large_tlb(ALL | G);
	remap(ALL | G);
	WRITE_CR(4, READ_CR(4) & ~0x80ul);
	return good & reads("after CR4.PGE", NEW_FRAME);
}

static bool write_protected(void)
{
	bool good = large_tlb(ALL);
	int v;

	for (unsigned i = 0; i < 20; i++)
		store_by_constant(OF_PAGE);
	pt[OF_PAGE] &= ~W;
	invlpg(PAGE);
	v = TRY("call *%1", : : "D"(OF_PAGE), "r"(store_by_constant) : "rax", "memory");
	good &= expect("store", (unsigned)v, VEC_PF);
	good &= expect("error code", trap.frame.error, PF_PRESENT | PF_WRITE);
	return good & reads("nothing written", OF_PAGE);
}

/* INVLPG of one address in a large page makes all of it be looked up again. */
static bool large_pages(void)
{
	bool good = large_tlb(ALL);
	uint64_t *entry = &pd[(PAGE - WINDOW) >> 21], *rival = &pd[(RIVAL - WINDOW) >> 21];

	large[0][OF_PAGE * 512] = 100;
	large[1][OF_PAGE * 512] = 200;
	*entry = *rival = (uintptr_t)large[0] | ALL | PS;
	flush();
	good &= reads("large page", 100);
	*entry = *rival = (uintptr_t)large[1] | ALL | PS;
	return good & flushed(0x100000, 200) & reads("another one", 200);
}

/* mov $val, %eax; ret */
static uint64_t returning(uint8_t val)
{
	return 0xc300000000b8ul | (uint64_t)val << 8;
}

static uint64_t call_page(void)
{
	return ((uint32_t(*)(void))PAGE)();
}

/* A page that is written at a constant address becomes code, and changes. */
static bool code_written(void)
{
	bool good = large_tlb(ALL);

	for (unsigned n = 0; n < 6; n++) {
		for (unsigned i = 0; i < 20; i++)
			store_by_constant(returning((uint8_t)(40 + n)));
		for (unsigned i = 0; i < 20 && good; i++)
			good &= expect("code", call_page(), 40 + n);
	}
	return good;
}

/* TLBs are used again for other address spaces, with few entries at first. */
static bool many_spaces(void)
{
	uint64_t root = READ_CR(3), pcid = cpuid(1).c >> 17 & 1;
	bool good = true;

	map(ALL);
	WRITE_CR(4, READ_CR(4) | pcid << 17);
	for (unsigned n = 1; n < NPCIDS && good; n++) {
		WRITE_CR(3, root | (pcid ? n : 0));
		by_register(0); /* an entry of zeros would be this page's */
		good &= reads("few entries", OF_PAGE);
		good &= n % 4 ? true : read_all() & read_all() & reads("many entries", OF_PAGE);
	}
	WRITE_CR(3, root);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 17));
	return good;
}

const unsigned rounds = 2;
const struct check checks[] = {
	{1, "4.10.4.1: INVLPG, where a TLB has many entries", page_flush},
	{2, "4.10.4.1: MOV to CR3", root_load},
	{3, "4.10.4.1: a change of CR4.PGE", global_flush},
	{4, "4.6.1: a page that is not written any more", write_protected},
	{5, "4.10.4.1: INVLPG in a large page", large_pages},
	{6, "11.6: code in a page that is written", code_written},
	{7, "4.10.1: PCIDs, more than a processor has room for", many_spaces},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
