/* SPDX-License-Identifier: Apache-2.0 */
/* Four-level paging: permissions, accessed and dirty bits, page sizes, error codes, flushes. */
#include "guests/lib/guest.h"

#define P      0x001ul
#define W      0x002ul
#define U      0x004ul
#define A      0x020ul
#define D      0x040ul
#define PS     0x080ul
#define G      0x100ul
#define NX     (1ul << 63)
#define ALL    (P | W | U)
#define WINDOW 0x8000000000ul /* PML4[1]: the checks' own tables */

#define PF_PRESENT 1
#define PF_WRITE   2
#define PF_USER    4
#define PF_RSVD    8
#define PF_FETCH   16

typedef uint64_t table[512] __attribute__((aligned(4096)));

extern table page_pml4;
static table pdpt, pd, pt;
static volatile uint8_t page[2][4096] __attribute__((aligned(4096)));
static uint8_t user_code[4096] __attribute__((aligned(4096)));

static void invlpg(uint64_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static void flush(void)
{
	WRITE_CR(3, READ_CR(3));
}

/* WINDOW + n pages: page n & 1 of `page`, with `flags` in every PTE; upper levels allow all. */
static void map(uint64_t flags)
{
	page_pml4[1] = (uintptr_t)pdpt | ALL;
	pdpt[0] = (uintptr_t)pd | ALL;
	pd[0] = (uintptr_t)pt | ALL;
	for (unsigned i = 0; i < 512; i++)
		pt[i] = (uintptr_t)page[i & 1] | flags;
	flush();
}

static int try_read(uint64_t addr)
{
	return TRY("mov (%0), %%al", : : "r"(addr) : "rax", "memory");
}

static int try_write(uint64_t addr)
{
	return TRY("movb $0x77, (%0)", : : "r"(addr) : "memory");
}

static bool faulted(const char *what, int v, uint64_t error, uint64_t cr2)
{
	return expect(what, (unsigned)v, VEC_PF) & expect("error code", trap.frame.error, error) &
	       expect("cr2", trap.cr2, cr2);
}

static bool passed(const char *what, int v)
{
	return expect(what, (unsigned)v, (unsigned)-1);
}

static bool mapped(void)
{
	map(ALL);
	page[1][5] = 0x42;
	return expect("read", *(volatile uint8_t *)(WINDOW + 0x1005), 0x42) &
	       expect("alias", *(volatile uint8_t *)(WINDOW + 0x3005), 0x42);
}

static bool absent(void)
{
	bool good = true;

	map(0);
	good &= faulted("read", try_read(WINDOW + 0x123), 0, WINDOW + 0x123);
	good &= faulted("write", try_write(WINDOW + 0x124), PF_WRITE, WINDOW + 0x124);
	pd[0] = 0;
	flush();
	good &= faulted("PDE", try_read(WINDOW), 0, WINDOW);
	pdpt[0] = 0;
	flush();
	good &= faulted("PDPTE", try_read(WINDOW), 0, WINDOW);
	page_pml4[1] = 0;
	flush();
	return good & faulted("PML4E", try_read(WINDOW + 8), 0, WINDOW + 8);
}

static bool absent_exec(void)
{
	map(0);
	return faulted("fetch", try_exec((void *)(WINDOW + 0x40)), PF_FETCH, WINDOW + 0x40);
}

static bool crossing(void)
{
	bool good = true;
	int v;

	map(ALL);
	pt[1] = 0;
	flush();
	page[0][4095] = 0x11;
	v = TRY("mov (%0), %%eax", : : "r"(WINDOW + 0xffe) : "rax", "memory");
	good &= faulted("read", v, 0, WINDOW + 0x1000);
	v = TRY("movl $0, (%0)", : : "r"(WINDOW + 0xffe) : "memory");
	good &= faulted("write", v, PF_WRITE, WINDOW + 0x1000);
	return good & expect("nothing written", page[0][4095], 0x11);
}

static bool crossing_code(void)
{
	static const uint8_t mov_eax[] = {0xb8, 1, 2, 3, 4, 0xc3};

	map(ALL);
	for (unsigned i = 0; i < 2; i++)
		page[0][4094 + i] = mov_eax[i];
	for (unsigned i = 2; i < sizeof(mov_eax); i++)
		page[1][i - 2] = mov_eax[i];
	if (!passed("both present", try_exec((void *)(WINDOW + 0xffe))))
		return false;
	pt[1] = 0;
	flush();
	return faulted("second absent", try_exec((void *)(WINDOW + 0xffe)), PF_FETCH,
		       WINDOW + 0x1000);
}

static bool write_protect(void)
{
	bool good = true;

	map(P | U);
	good &= passed("read", try_read(WINDOW));
	good &= faulted("write with WP", try_write(WINDOW), PF_PRESENT | PF_WRITE, WINDOW);
	WRITE_CR(0, READ_CR(0) & ~(1ul << 16));
	good &= passed("write without WP", try_write(WINDOW));
	WRITE_CR(0, READ_CR(0) | 1ul << 16);
	good &= faulted("write with WP again", try_write(WINDOW), PF_PRESENT | PF_WRITE, WINDOW);
	map(ALL);
	pd[0] &= ~W;
	flush();
	return good & faulted("upper level", try_write(WINDOW), PF_PRESENT | PF_WRITE, WINDOW);
}

static bool no_execute(void)
{
	bool good = true;

	page[0][0] = 0xc3;
	map(ALL | NX);
	good &= passed("read", try_read(WINDOW));
	good &= faulted("fetch", try_exec((void *)WINDOW), PF_PRESENT | PF_FETCH, WINDOW);
	map(ALL);
	good &= passed("fetch without NX", try_exec((void *)WINDOW));
	pdpt[0] |= NX;
	flush();
	return good &
	       faulted("upper level", try_exec((void *)WINDOW), PF_PRESENT | PF_FETCH, WINDOW);
}

static bool reserved_bits(void)
{
	bool good = true;

	map(ALL | 1ul << 51);
	good &= faulted("PTE", try_read(WINDOW), PF_PRESENT | PF_RSVD, WINDOW);
	map(ALL);
	page_pml4[1] |= PS;
	flush();
	good &= faulted("PML4E.PS", try_read(WINDOW), PF_PRESENT | PF_RSVD, WINDOW);
	map(ALL);
	pd[0] = 0x2000 | ALL | PS; /* bit 13 of a 2 MiB page's address */
	flush();
	return good & faulted("PDE", try_read(WINDOW), PF_PRESENT | PF_RSVD, WINDOW);
}

static bool no_execute_disabled(void)
{
	bool good;

	map(ALL | NX);
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ul);
	flush();
	good = faulted("NX is reserved", try_read(WINDOW), PF_PRESENT | PF_RSVD, WINDOW);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
	return good;
}

static bool accessed_dirty(void)
{
	bool good = true;

	map(ALL);
	try_read(WINDOW);
	good &= expect("read sets A", pt[0] & (A | D), A);
	good &= expect("PDE", pd[0] & (A | D), A) & expect("PDPTE", pdpt[0] & (A | D), A);
	good &= expect("PML4E", page_pml4[1] & (A | D), A);
	good &= expect("neighbour untouched", pt[1] & (A | D), 0);
	try_write(WINDOW);
	good &= expect("write sets D", pt[0] & (A | D), A | D);
	try_write(WINDOW + 0x1000);
	return good & expect("first write sets both", pt[1] & (A | D), A | D);
}

static bool accessed_on_fault(void)
{
	map(P | U);
	try_write(WINDOW);
	return expect("no D from a refused write", pt[0] & D, 0);
}

static bool accessed_again(void)
{
	bool good = true;

	map(ALL);
	try_write(WINDOW);
	pt[0] &= ~(A | D);
	invlpg(WINDOW);
	try_read(WINDOW);
	good &= expect("A again", pt[0] & (A | D), A);
	try_write(WINDOW);
	good &= expect("D again", pt[0] & (A | D), A | D);
	page[0][0] = 0xc3;
	pt[2] = (uintptr_t)page[0] | ALL;
	invlpg(WINDOW + 0x2000);
	try_exec((void *)(WINDOW + 0x2000));
	return good & expect("fetch sets A", pt[2] & (A | D), A);
}

static bool read_modify_write(void)
{
	bool good = true;
	int v;

	map(P | U);
	v = TRY("lock incb (%0)", : : "r"(WINDOW) : "memory");
	good &= faulted("lock inc", v, PF_PRESENT | PF_WRITE, WINDOW);
	v = TRY("xor %%eax, %%eax\n\tmov $1, %%ecx\n\tlock cmpxchg %%ecx, (%0)",
		:
		: "r"(WINDOW + 64)
		: "rax", "rcx", "memory");
	good &= faulted("cmpxchg writes in any case", v, PF_PRESENT | PF_WRITE, WINDOW + 64);
	return good;
}

static bool large_page(void)
{
	bool good = true;
	static const uint32_t mark = 0x12345678;

	map(ALL);
	pd[0] = 0 | ALL | PS; /* physical 0..2 MiB: this program */
	flush();
	good &= expect("2 MiB", *(volatile uint32_t *)(WINDOW + (uintptr_t)&mark), mark);
	good &= expect("A", pd[0] & (A | D), A);
	try_write(WINDOW + 0x500);
	good &= expect("D", pd[0] & (A | D), A | D);
	if (cpuid(0x80000001).d >> 26 & 1) {
		pdpt[0] = ALL | PS;
		flush();
		good &= expect("1 GiB", *(volatile uint32_t *)(WINDOW + (uintptr_t)&mark), mark);
		good &= expect("A", pdpt[0] & A, A);
	}
	return good;
}

static bool stale_until_invlpg(void)
{
	map(ALL);
	page[0][0] = 1;
	page[1][0] = 2;
	try_read(WINDOW);
	pt[0] = (uintptr_t)page[1] | ALL;
	invlpg(WINDOW);
	return expect("after INVLPG", *(volatile uint8_t *)WINDOW, 2);
}

static bool global_pages(void)
{
	bool good;

	WRITE_CR(4, READ_CR(4) | 0x80);
	map(ALL | G);
	page[0][0] = 1;
	page[1][0] = 2;
	try_read(WINDOW);
	pt[0] = (uintptr_t)page[1] | ALL | G;
	WRITE_CR(4, READ_CR(4) & ~0x80ul); /* flushes global entries too */
	good = expect("after CR4.PGE", *(volatile uint8_t *)WINDOW, 2);
	return good;
}

/* ---- lists: each load gives the address of the next ---- */

#define NODES 24  /* one a page */
#define PAIRS 600 /* of steps */

struct node {
	struct node *next;
	uint64_t value;
};

static struct node *node(unsigned n)
{
	return (struct node *)(WINDOW + (n % NODES) * 4096ul + n % NODES * 64ul);
}

/* A ring through the window's pages, `step` pages at a time; values count on from `first`. */
static void link_nodes(unsigned step, uint64_t first)
{
	for (unsigned n = 0; n < NODES; n++)
		*node(n) = (struct node){.next = node(n + step), .value = first + n};
}

/* The sum of the values of the nodes behind `*p`, which moves on by 2 * `pairs`. */
static uint64_t follow(struct node **p, uint64_t pairs)
{
	uint64_t sum = 0;

	__asm__ volatile("1:	mov (%0), %0\n\t"
			 "	add 8(%0), %1\n\t"
			 "	mov (%0), %0\n\t"
			 "	sub $1, %2\n\t"
			 "	jne 1b"
			 : "+r"(*p), "+r"(sum), "+r"(pairs)
			 :
			 : "memory");
	return sum;
}

static bool follow_ring(const char *what, unsigned step, uint64_t first)
{
	struct node *p = node(0);
	uint64_t want = 0;

	link_nodes(step, first);
	for (unsigned n = 0; n < PAIRS; n++)
		want += first + (2 * n + 1) * step % NODES;
	return expect(what, follow(&p, PAIRS), want) &
	       expect("last", (uintptr_t)p, (uintptr_t)node(2 * PAIRS * step));
}

static bool lists(void)
{
	bool good = true;

	map(ALL);
	good &= follow_ring("two pages", NODES / 2, 1) & follow_ring("four pages", NODES / 4, 2);
	good &= follow_ring("all pages", 5, 3);
	for (unsigned n = 0; n < NODES; n++) {
		pt[n] = (uintptr_t)page[~n & 1] | ALL;
		invlpg((uintptr_t)node(n));
	}
	return good & follow_ring("pages that were exchanged", 5, 1000);
}

/* The load that faults has moved on to the node, and no further. */
static bool list_into_absent_page(void)
{
	struct node *p = node(0);
	uint64_t at;
	int v;

	map(ALL);
	link_nodes(1, 0);
	pt[5] = 0;
	invlpg((uintptr_t)node(5));
	v = TRY("1:\tmov (%0), %0\n\tmov %0, %1\n\tjmp 1b", : "+r"(p), "=&r"(at) : : "memory");
	return faulted("node", v, 0, (uintptr_t)node(5)) &
	       expect("register", at, (uintptr_t)node(5));
}

/* ---- ring 3 ---- */

static int user_access(const uint8_t *code, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		user_code[i] = code[i];
	return user_run(user_code, 0);
}

/* mov $WINDOW, %rax; then the access; int $0x80 */
static int user_read(void)
{
	static const uint8_t code[] = {0x48, 0xb8, 0, 0,    0,    0,    0x80,
				       0,    0,    0, 0x8a, 0x08, 0xcd, 0x80};

	return user_access(code, sizeof(code));
}

static int user_write(void)
{
	static const uint8_t code[] = {0x48, 0xb8, 0, 0,    0,    0,    0x80,
				       0,    0,    0, 0x88, 0x08, 0xcd, 0x80};

	return user_access(code, sizeof(code));
}

static int user_jump(void)
{
	static const uint8_t code[] = {0x48, 0xb8, 0, 0, 0, 0, 0x80, 0, 0, 0, 0xff, 0xe0};

	return user_access(code, sizeof(code));
}

static bool user_supervisor(void)
{
	bool good = true;

	map(ALL);
	good &= expect("user page, read", (unsigned)user_read(), 0x80);
	good &= expect("user page, write", (unsigned)user_write(), 0x80);
	map(P | W);
	good &= faulted("supervisor page, read", user_read(), PF_PRESENT | PF_USER, WINDOW);
	good &= faulted("supervisor page, write", user_write(), PF_PRESENT | PF_WRITE | PF_USER,
			WINDOW);
	good &= faulted("supervisor page, fetch", user_jump(),
			rdmsr(0xc0000080) & 0x800 ? PF_PRESENT | PF_USER | PF_FETCH
						  : PF_PRESENT | PF_USER,
			WINDOW);
	map(P | U);
	good &= faulted("read-only page, write", user_write(), PF_PRESENT | PF_WRITE | PF_USER,
			WINDOW);
	map(0);
	good &= faulted("absent", user_read(), PF_USER, WINDOW);
	map(ALL);
	pdpt[0] &= ~U;
	flush();
	return good & faulted("upper level", user_read(), PF_PRESENT | PF_USER, WINDOW);
}

static bool user_write_without_wp(void)
{
	bool good;

	map(P | U);
	WRITE_CR(0, READ_CR(0) & ~(1ul << 16));
	good = faulted("CR0.WP is for supervisors", user_write(), PF_PRESENT | PF_WRITE | PF_USER,
		       WINDOW);
	WRITE_CR(0, READ_CR(0) | 1ul << 16);
	return good;
}

static struct cpuid features(void)
{
	struct cpuid r;

	if (cpuid(0).a < 7)
		return (struct cpuid){0};
	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(7), "c"(0));
	return r;
}

/* This program lies in pages of ring 3: these two need it in supervisor pages. */
static void own_pages(bool user)
{
	extern table page_pd;

	page_pd[0] = user ? page_pd[0] | U : page_pd[0] & ~U;
	flush();
}

static bool smep(void)
{
	bool good = true;

	if (!(features().b >> 7 & 1))
		return true;
	map(ALL);
	page[0][0] = 0xc3;
	own_pages(false);
	WRITE_CR(4, READ_CR(4) | 1ul << 20);
	good &= faulted("fetch from a user page", try_exec((void *)WINDOW), PF_PRESENT | PF_FETCH,
			WINDOW);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 20));
	good &= passed("without SMEP", try_exec((void *)WINDOW));
	own_pages(true);
	return good;
}

static bool smap(void)
{
	bool good = true;
	int v;

	if (!(features().b >> 20 & 1))
		return true;
	map(ALL);
	own_pages(false);
	WRITE_CR(4, READ_CR(4) | 1ul << 21);
	good &= faulted("read of a user page", try_read(WINDOW), PF_PRESENT, WINDOW);
	good &= faulted("write of a user page", try_write(WINDOW), PF_PRESENT | PF_WRITE, WINDOW);
	v = TRY("stac\n\tmov (%0), %%al\n\tclac", : : "r"(WINDOW) : "rax", "memory");
	good &= passed("with AC", v);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 21));
	own_pages(true);
	return good;
}

static bool pcid(void)
{
	bool good = true;
	unsigned long cr3 = READ_CR(3);

	if (!(cpuid(1).c >> 17 & 1))
		return true;
	map(ALL);
	page[0][0] = 1;
	page[1][0] = 2;
	WRITE_CR(4, READ_CR(4) | 1ul << 17);
	try_read(WINDOW);
	WRITE_CR(3, cr3 | 1);
	try_read(WINDOW);
	pt[0] = (uintptr_t)page[1] | ALL;
	WRITE_CR(3, cr3); /* without bit 63: flushes PCID 0 */
	good &= expect("PCID 0", *(volatile uint8_t *)WINDOW, 2);
	WRITE_CR(3, cr3 | 1);
	good &= expect("PCID 1", *(volatile uint8_t *)WINDOW, 2);
	WRITE_CR(3, cr3);
	WRITE_CR(4, READ_CR(4) & ~(1ul << 17));
	return good;
}

static bool cr3_switch(void)
{
	static table other;
	bool good = true;

	map(ALL);
	page[0][0] = 1;
	page[1][0] = 2;
	for (unsigned i = 0; i < 512; i++)
		other[i] = page_pml4[i];
	other[1] = 0;
	for (unsigned i = 0; i < 50; i++) {
		good &= passed("mapped", try_read(WINDOW));
		WRITE_CR(3, (uintptr_t)other);
		good &= expect("absent", (unsigned)try_read(WINDOW), VEC_PF);
		WRITE_CR(3, (uintptr_t)page_pml4);
	}
	return good;
}

/* ---- code and stores that a translator has already seen many times --------------------------- */

#define HOT 3000

static void put_mov(volatile uint8_t *at, uint8_t val)
{
	static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $val, %eax; ret */

	for (unsigned i = 0; i < sizeof(code); i++)
		at[i] = code[i];
	at[1] = val;
}

static unsigned call(uint64_t at)
{
	return ((unsigned (*)(void))at)();
}

static unsigned window_call(void)
{
	return call(WINDOW);
}

static bool hot_call_at(uint64_t at, unsigned want)
{
	for (unsigned i = 0; i < HOT; i++)
		if (call(at) != want)
			return expect("called", call(at), want);
	return true;
}

static bool hot_call(unsigned want)
{
	return hot_call_at(WINDOW, want);
}

static bool hot_code_remapped(void)
{
	bool good;

	map(ALL);
	put_mov(page[0], 1);
	put_mov(page[1], 2);
	good = hot_call(1);
	pt[0] = (uintptr_t)page[1] | ALL;
	invlpg(WINDOW);
	good &= expect("other page", window_call(), 2) & hot_call(2);
	pt[0] = (uintptr_t)page[0] | ALL;
	flush();
	return good & expect("first page again", window_call(), 1);
}

/* From global page to global page: WINDOW + 100h jumps to WINDOW + 1000h, over and over. */
static bool hot_global_jump(void)
{
	static const uint8_t jump[] = {0xe9, 0xfb, 0x0e, 0, 0};
	bool good;

	WRITE_CR(4, READ_CR(4) | 0x80);
	map(ALL | G);
	for (unsigned i = 0; i < sizeof(jump); i++)
		page[0][0x100 + i] = jump[i];
	put_mov(page[0], 1);
	put_mov(page[1], 2);
	good = hot_call_at(WINDOW + 0x100, 2);
	pt[1] = (uintptr_t)page[0] | ALL | G;
	invlpg(WINDOW + 0x1000);
	good &= hot_call_at(WINDOW + 0x100, 1);
	pt[1] = (uintptr_t)page[1] | ALL | G;
	WRITE_CR(4, READ_CR(4) & ~0x80ul);
	good &= hot_call_at(WINDOW + 0x100, 2);
	pt[1] |= NX;
	invlpg(WINDOW + 0x1000);
	return good & faulted("fetch", try_exec((void *)(WINDOW + 0x100)), PF_PRESENT | PF_FETCH,
			      WINDOW + 0x1000);
}

static bool hot_code_forbidden(void)
{
	bool good;

	map(ALL);
	put_mov(page[0], 3);
	good = hot_call(3);
	pt[0] |= NX;
	invlpg(WINDOW);
	good &= faulted("fetch", try_exec((void *)WINDOW), PF_PRESENT | PF_FETCH, WINDOW);
	pt[0] = 0;
	invlpg(WINDOW);
	return good & faulted("fetch", try_exec((void *)WINDOW), PF_FETCH, WINDOW);
}

static bool hot_store_forbidden(void)
{
	bool good = true;
	int v = -1;

	map(ALL);
	for (unsigned i = 0; i < HOT && good; i++) {
		if (i == HOT - 1) {
			pt[0] &= ~W;
			invlpg(WINDOW);
		}
		v = TRY("movb $0x66, (%0)", : : "r"(WINDOW + 0x80) : "memory");
		good &= i == HOT - 1 || v == -1;
	}
	return good & faulted("write", v, PF_PRESENT | PF_WRITE, WINDOW + 0x80);
}

static bool hot_loop_faults(void)
{
	uint64_t at = WINDOW, sum = 0;
	int v;

	map(ALL);
	pt[5] = 0; /* the loop runs into it */
	flush();
	for (unsigned i = 0; i < 4096; i++)
		page[0][i] = page[1][i] = 1;
	v = TRY("1:\tmovzbl (%0), %%eax\n\tadd %%rax, %1\n\tinc %0\n\tjmp 1b",
		: "+r"(at), "+r"(sum)
		:
		: "rax", "cc", "memory");
	return faulted("read", v, 0, WINDOW + 0x5000) & expect("sum", sum, 0x5000) &
	       expect("pointer", at, WINDOW + 0x5000);
}

/* nop; then an instruction that ends with `how` */
static void put_end(volatile uint8_t *at, uint16_t how)
{
	at[0] = 0x90;
	at[1] = (uint8_t)how;
	at[2] = (uint8_t)(how >> 8);
}

static bool user_code_remapped(void)
{
	/* mov 0x10, %al; int $0x80: the page's number is the window's, in its low bits */
	static const uint8_t displace[] = {0x8a, 0x04, 0x25, 0x10, 0, 0, 0, 0xcd, 0x80};
	bool good = true;

	map(ALL);
	for (unsigned at = 0x100; at <= 0x200; at += 0x100) {
		put_end(page[0] + at, 0x80cd); /* int $0x80 */
		put_end(page[1] + at, 0x0b0f); /* ud2 */
	}
	for (unsigned i = 0; i < 20; i++)
		good &= expect("first page", (unsigned)user_run((void *)(WINDOW + 0x100), 0), 0x80);
	pt[0] = (uintptr_t)page[1] | ALL;
	/* Both pages are right now; the other place may be found in the new one. */
	for (unsigned i = 0; i < 20; i++) {
		user_access(displace, sizeof(displace));
		user_run((void *)(WINDOW + 0x200), 0);
	}
	WRITE_CR(3, READ_CR(3));
	good &= expect("second page", (unsigned)user_run((void *)(WINDOW + 0x100), 0), VEC_UD);
	pt[0] = (uintptr_t)page[0] | ALL;
	WRITE_CR(3, READ_CR(3));
	return good &
	       expect("first page again", (unsigned)user_run((void *)(WINDOW + 0x100), 0), 0x80);
}

const struct check checks[] = {
	{1, "4.5: four-level translation", mapped},
	{2, "4.7: absent entries at each level, error code and CR2", absent},
	{3, "4.7: fetch from an absent page has I/D in its error code", absent_exec},
	{4, "4.7: CR2 of an access that crosses into an absent page; nothing is written", crossing},
	{5, "4.7: instruction that crosses into an absent page", crossing_code},
	{6, "4.6: read-only pages and CR0.WP", write_protect},
	{7, "4.6: no-execute at the lowest and an upper level", no_execute},
	{8, "4.7: reserved bits", reserved_bits},
	{9, "4.5: bit 63 is reserved without EFER.NXE", no_execute_disabled},
	{10, "4.8: accessed and dirty bits", accessed_dirty},
	{11, "4.8: a write that faults leaves no dirty bit", accessed_on_fault},
	{12, "4.8: bits cleared and INVLPG: set again", accessed_again},
	{13, "4.6: read-modify-write is a write", read_modify_write},
	{14, "4.5: 2 MiB and 1 GiB pages", large_page},
	{15, "4.10.4: INVLPG", stale_until_invlpg},
	{16, "4.10.4: CR4.PGE flushes global pages", global_pages},
	{17, "4.6: user and supervisor pages", user_supervisor},
	{18, "4.6: ring 3 can't write read-only pages whatever CR0.WP", user_write_without_wp},
	{19, "4.6: SMEP", smep},
	{20, "4.6: SMAP", smap},
	{21, "4.10.1: PCIDs", pcid},
	{22, "4.10.4: address spaces by CR3", cr3_switch},
	{23, "4.10.4: hot code behind another mapping", hot_code_remapped},
	{24, "4.6: hot code becomes no-execute, then absent", hot_code_forbidden},
	{25, "4.6: a hot store's page becomes read-only", hot_store_forbidden},
	{27, "4.10.4: hot jump from global page to global page", hot_global_jump},
	{26, "6.5: registers are exact when a hot loop faults", hot_loop_faults},
	{28, "4.10.4: lists through more and fewer pages, and after INVLPG", lists},
	{29, "6.5: registers are exact when a list leads into an absent page",
	 list_into_absent_page},
	{30, "4.10.4: user code behind another mapping, without INVLPG", user_code_remapped},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
