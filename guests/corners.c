/* SPDX-License-Identifier: Apache-2.0 */
/* Corners of the instruction set where emulators have been seen to differ from processors. */
#include "guests/lib/guest.h"

#define WINDOW 0x8000000000ul

extern uint64_t page_pml4[512];
static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096))),
	pt[512] __attribute__((aligned(4096)));
static uint8_t pages[3][4096] __attribute__((aligned(4096)));

static bool ended_in(int got, int vector, uint64_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

/* Page `n` of the window, with the flags of an entry; upper levels allow everything. */
static void map(unsigned n, void *frame, uint64_t flags)
{
	pdpt[0] = (uintptr_t)pd | 7;
	pd[0] = (uintptr_t)pt | 7;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	pt[n] = (uintptr_t)frame | flags;
	__asm__ volatile("invlpg (%0)" : : "r"(WINDOW + n * 4096ul) : "memory");
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static bool idiv_overflow(void)
{
	bool good = true;
	int v;

	v = TRY("mov $0x8000, %%eax\n\tmov $0xff, %%cl\n\tidiv %%cl", : : : "eax", "ecx", "memory");
	good &= ended_in(v, VEC_DE, 0);
	v = TRY("mov $0x8000, %%edx\n\txor %%eax, %%eax\n\tmov $-1, %%ecx\n\tidiv %%cx",
		:
		:
		: "eax", "ecx", "edx", "memory");
	good &= ended_in(v, VEC_DE, 0);
	v = TRY("mov $0x80000000, %%eax\n\tcltd\n\tmov $-1, %%ecx\n\tidiv %%ecx",
		:
		:
		: "eax", "ecx", "edx", "memory");
	good &= ended_in(v, VEC_DE, 0) & expect("eax stays", (uint32_t)trap.frame.rax, 0x80000000);
	v = TRY("movabs $0x8000000000000000, %%rax\n\tcqto\n\tmov $-1, %%rcx\n\tidiv %%rcx",
		:
		:
		: "rax", "rcx", "rdx", "memory");
	return good & ended_in(v, VEC_DE, 0) & expect("rdx stays", trap.frame.rdx, ~0ul);
}

/* Intel leaves the destination undefined, AMD and every Intel processor leave it alone. */
static bool scan_of_zero(void)
{
	uint64_t forward = 0x1122334455667788, reverse = forward;
	uint32_t word = 0x99aabbcc;
	uint8_t zf[3];

	__asm__ volatile("bsf %4, %0\n\tsetz %3"
			 : "+r"(forward), "+r"(reverse), "+r"(word), "=m"(zf[0])
			 : "r"(0ul)
			 : "cc");
	__asm__ volatile("bsr %2, %0\n\tsetz %1" : "+r"(reverse), "=m"(zf[1]) : "r"(0ul) : "cc");
	__asm__ volatile("bsf %w2, %w0\n\tsetz %1" : "+r"(word), "=m"(zf[2]) : "r"(0) : "cc");
	return expect("bsf", forward, 0x1122334455667788) &
	       expect("bsr", reverse, 0x1122334455667788) & expect("16 bits", word, 0x99aabbcc) &
	       expect("zf", zf[0] & zf[1] & zf[2], 1);
}

/* REX.W beats 66h; in the 0F38 map 66h is a part of some opcodes and a size for others. */
static bool operand_size_prefix(void)
{
	uint64_t sum = 0x1ffffffff, swapped, source = 0x1122334455667788, crc = 0, crc16 = 0;
	bool good;

	__asm__ volatile(".byte 0x66, 0x48, 0x05, 1, 0, 0, 0" : "+a"(sum)); /* ADD RAX, 1 */
	good = expect("add", sum, 0x200000000);
	if (cpuid(1).c >> 22 & 1) {
		__asm__ volatile(".byte 0x66, 0x48, 0x0f, 0x38, 0xf0, 0x06" /* MOVBE RAX, [RSI] */
				 : "=a"(swapped)
				 : "S"(&source), "m"(source));
		good &= expect("movbe", swapped, 0x8877665544332211);
	}
	__asm__ volatile(".byte 0x66, 0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc1" /* CRC32 RAX, RCX */
			 : "+a"(crc)
			 : "c"(source));
	__asm__ volatile(".byte 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1" /* CRC32 EAX, CX */
			 : "+a"(crc16)
			 : "c"(source));
	/* The 64-bit sum is that of its four words one after the other. */
	good &= expect("16-bit crc32 is another", crc16 != crc, true);
	for (unsigned i = 1; i < 4; i++)
		__asm__ volatile("crc32w %w1, %k0" : "+r"(crc16) : "r"(source >> i * 16));
	return good & expect("crc32", crc, crc16);
}

/* FIST 2.5 goes to 2 or 3 by the rounding mode; C1 tells that it went up (SDM 1 8.1.3.3). */
static bool x87_rounding(void)
{
	static const uint64_t two_and_a_half = 0x4004000000000000;
	uint16_t down = 0x037f, up = 0x0b7f, sw_down, sw_up;
	uint32_t low, high;

	__asm__ volatile("fninit\n\tfldcw %4\n\tfldl %6\n\tfistpl %0\n\tfnstsw %2\n\tfnclex\n\t"
			 "fldcw %5\n\tfldl %6\n\tfistpl %1\n\tfnstsw %3\n\tfninit"
			 : "=m"(low), "=m"(high), "=m"(sw_down), "=m"(sw_up)
			 : "m"(down), "m"(up), "m"(two_and_a_half));
	return expect("to even", low, 2) & expect("up", high, 3) &
	       expect("precision", sw_down & 0x23f, 0x20) &
	       expect("precision, C1", sw_up & 0x23f, 0x220);
}

/* ---- stacks and privilege -------------------------------------------------------------------- */

#define USER_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n.globl " #name "\n" #name ":\n" text)

USER_CODE(user_iret_refused, "mov %rsp, %rbx\nmovabs $0x8000000f00, %rsp\niretq\n");
USER_CODE(user_retf, "movabs $0x8000000f00, %rsp\nlretq\n");
USER_CODE(user_callf, "movabs $0x8000000f00, %rsp\nlcall *user_far\nint $0x80\n");
struct {
	uint32_t offset;
	uint16_t selector;
} __attribute__((packed)) user_far = {0, SEL_UCODE | 3};

/* Ring 3 reads and writes its stack with its own rights, whatever the instruction. */
static bool user_rights(void)
{
	bool good;

	map(0, pages[0], 3); /* the supervisor's */
	user_far.offset = (uint32_t)(uintptr_t)user_iret_refused;
	good = ended_in(user_run(user_iret_refused, 0), VEC_PF, 5) &
	       expect("cr2", trap.cr2, WINDOW + 0xf00);
	good &= ended_in(user_run(user_retf, 0), VEC_PF, 5);
	good &= ended_in(user_run(user_callf, 0), VEC_PF, 7) &
		expect("cr2", trap.cr2 & ~15ul, WINDOW + 0xef0);
	return good;
}

USER_CODE(user_iret_good, "mov %rsp, %rbx\npush $0x23\npush %rbx\npush $2\npush $0x2b\n"
			  "push $user_after_iret\niretq\nuser_after_iret: int $0x80\n");

static bool user_iret(void)
{
	return ended_in(user_run(user_iret_good, 0), 0x80, 0) &
	       expect("stack", trap.frame.rsp, trap.frame.rbx);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static int wrmsr_try(uint32_t msr, uint64_t val)
{
	return TRY("wrmsr",
		   :
		   : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
		   : "memory");
}

static bool canonical_bases(void)
{
	/* FS, GS, the other GS, LSTAR, CSTAR */
	static const uint32_t msrs[] = {0xc0000100, 0xc0000101, 0xc0000102, 0xc0000082, 0xc0000083};
	bool good = true;

	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		uint64_t before = rdmsr(msrs[i]);

		good &= ended_in(wrmsr_try(msrs[i], 0x800000000000), VEC_GP, 0);
		good &= ended_in(wrmsr_try(msrs[i], 0xffff7fffffffffff), VEC_GP, 0);
		good &= expect("stays", rdmsr(msrs[i]), before);
		good &= expect("canonical", (unsigned)wrmsr_try(msrs[i], 0xffff800000000000),
			       (unsigned)-1);
		good &= expect("kept", rdmsr(msrs[i]), 0xffff800000000000);
		wrmsr(msrs[i], before);
	}
	return good;
}

/* JMP and CALL m16:64 as Intel has them: targets above 4 GiB. */
static bool far_pointer_64(void)
{
	static const uint8_t text[] = {0x89, 0xd8, 0xff, 0xe1}; /* mov %ebx,%eax; jmp *%rcx */
	static const uint8_t call_text[] = {0x8d, 0x43, 1, 0x48,
					    0xcb}; /* lea 1(%rbx),%eax; lretq */
	static struct {
		uint64_t offset;
		uint16_t selector;
	} __attribute__((packed)) to = {WINDOW + 0x10, SEL_KCODE};
	uint32_t jumped = 0, called = 0;
	bool good;
	int v;

	for (unsigned i = 0; i < sizeof(text); i++)
		pages[1][0x10 + i] = text[i];
	for (unsigned i = 0; i < sizeof(call_text); i++)
		pages[1][0x40 + i] = call_text[i];
	map(0, pages[1], 3);
	to.offset = WINDOW + 0x10;
	v = TRY("lea 1f(%%rip), %%rcx\n\t.byte 0x48\n\tljmp *%2\n1:\tmov %%eax, %0",
		: "=m"(jumped)
		: "b"(77), "m"(to)
		: "rax", "rcx", "memory");
	good = expect("jump", (unsigned)v, (unsigned)-1) & expect("got there", jumped, 77);
	to.offset = WINDOW + 0x40;
	v = TRY(".byte 0x48\n\tlcall *%2\n\tmov %%eax, %0",
		: "=m"(called)
		: "b"(77), "m"(to)
		: "rax", "memory");
	return good & expect("call", (unsigned)v, (unsigned)-1) & expect("and back", called, 78);
}

/* Both halves of an operand count: nothing is written if either page refuses. */
static bool crossing_operands(void)
{
	uint64_t at = WINDOW + 0x1000 - 3, old, a = 0, d = 0;
	bool good;
	int v;

	map(0, pages[2], 3);
	map(1, pages[0], 3);
	*(volatile uint64_t *)at = 0x1122334455667788;
	good = expect("first part", pages[2][0xffd], 0x88) &
	       expect("second part", pages[0][0], 0x55);
	__asm__ volatile("lock xaddq %0, (%1)" : "=r"(old) : "r"(at), "0"(1ul) : "memory");
	good &= expect("xadd", old, 0x1122334455667788) &
		expect("sum", *(volatile uint64_t *)at, 0x1122334455667789);
	map(1, pages[0], 1);
	v = TRY("lock incq (%0)", : : "r"(at) : "memory");
	good &= ended_in(v, VEC_PF, 3) & expect("cr2", trap.cr2, WINDOW + 0x1000);
	v = TRY("xchg %0, (%1)", : : "r"(5ul), "r"(at) : "memory");
	good &= ended_in(v, VEC_PF, 3) & expect("unchanged", pages[2][0xffd], 0x89);
	v = TRY("cmpxchg %2, (%1)", : "+a"(a) : "r"(at), "r"(9ul) : "memory");
	good &= ended_in(v, VEC_PF, 3); /* though it would not exchange */
	v = TRY("movups %%xmm0, (%0)", : : "r"(at - 9) : "memory");
	good &= ended_in(v, VEC_PF, 3) & expect("unchanged", pages[2][0xffd], 0x89);
	map(1, pages[0], 0);
	v = TRY("mov (%1), %0", : "=r"(d) : "r"(at) : "memory");
	return good & ended_in(v, VEC_PF, 0) & expect("cr2", trap.cr2, WINDOW + 0x1000);
}

static uint8_t avx2_result[16];

/* With 32-bit addresses each element's address wraps at 4 GiB (VGATHERDPS's description). */
static bool gather_wraps(void)
{
	static const uint32_t index[4] __attribute__((aligned(16))) = {0x7fffffff, 0, 0, 0};
	static uint32_t data[4];
	uint32_t base = (uint32_t)(uintptr_t)&data[2] - 0x7fffffffu * 4; /* index * 4 wraps */
	uint32_t got;

	if (!(cpuid(7).b >> 5 & 1) || !(cpuid(1).c >> 26 & 1))
		return true;
	data[2] = 0xfeedf00d;
	WRITE_CR(4, READ_CR(4) | 1ul << 18);
	__asm__ volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
	__asm__ volatile("vmovdqa (%1), %%xmm1\n\tvpcmpeqd %%xmm2, %%xmm2, %%xmm2\n\t"
			 "vpslldq $12, %%xmm2, %%xmm2\n\tvpsrldq $12, %%xmm2, %%xmm2\n\t"
			 "vpgatherdd %%xmm2, (%k2, %%xmm1, 4), %%xmm0\n\tvmovdqu %%xmm0, %0"
			 : "=m"(avx2_result)
			 : "r"(index), "r"((uint64_t)base)
			 : "memory");
	got = *(uint32_t *)avx2_result;
	WRITE_CR(4, READ_CR(4) & ~(1ul << 18));
	return expect("element", got, 0xfeedf00d);
}

const struct check checks[] = {
	{1, "2A IDIV: a quotient that does not fit is #DE", idiv_overflow},
	{2, "2A BSF, BSR: zero leaves the destination", scan_of_zero},
	{3, "2.2.1.2: REX.W, 66h and the 0F38 map", operand_size_prefix},
	{4, "1 8.1.3.3: C1 and the precision flag", x87_rounding},
	{5, "4.6: IRET and far transfers of ring 3 have its rights", user_rights},
	{6, "2A IRET: inside ring 3", user_iret},
	{7, "5.8.8: base registers are canonical", canonical_bases},
	{8, "2A JMP, CALL: far pointers m16:64", far_pointer_64},
	{9, "4.7: operands that cross pages", crossing_operands},
	{10, "2C VPGATHERDD: 32-bit addresses wrap", gather_wraps},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 20;
