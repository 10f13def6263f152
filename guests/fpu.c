/* SPDX-License-Identifier: Apache-2.0 */
/* State of x87, SSE and AVX: saving and restoring, control bits, exceptions, survival of
 * interrupts. */
#include "guests/lib/guest.h"

/* The compiler keeps off vector registers here (-mgeneral-regs-only), so they are the checks' own.
 */

static uint8_t image[4096] __attribute__((aligned(64)));
static uint8_t second[4096] __attribute__((aligned(64)));

static void clear(uint8_t *area)
{
	for (unsigned i = 0; i < 4096; i++)
		area[i] = 0;
}

static uint64_t at64(const uint8_t *area, unsigned off)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < 8; i++)
		val |= (uint64_t)area[off + i] << i * 8;
	return val;
}

static uint16_t at16(const uint8_t *area, unsigned off)
{
	return (uint16_t)at64(area, off);
}

static bool fxsave_image(void)
{
	uint64_t low = 0x1122334455667788, high = 0x99aabbccddeeff00;

	clear(image);
	__asm__ volatile("fninit\n\tfld1\n\tfldpi\n\tmovq %0, %%xmm3\n\tmovq %1, %%xmm4\n\t"
			 "punpcklqdq %%xmm4, %%xmm3\n\tfxsave64 %2"
			 :
			 : "r"(low), "r"(high), "m"(image)
			 : "memory");
	return expect("control word", at16(image, 0), 0x37f) &
	       expect("top of stack", at16(image, 2) >> 11 & 7, 6) &
	       expect("tags", image[4], 0xc0) & expect("mxcsr", (uint32_t)at64(image, 24), 0x1f80) &
	       expect("st0: pi", at64(image, 32), 0xc90fdaa22168c235) &
	       expect("st0: exponent", at16(image, 40), 0x4000) &
	       expect("st1: 1", at64(image, 48), 0x8000000000000000) &
	       expect("xmm3 low", at64(image, 160 + 3 * 16), low) &
	       expect("xmm3 high", at64(image, 160 + 3 * 16 + 8), high);
}

static bool fxrstor_image(void)
{
	uint64_t got;
	bool good;

	fxsave_image();
	__asm__ volatile("fninit\n\tpxor %%xmm3, %%xmm3\n\tfxrstor64 %0\n\tmovq %%xmm3, %1"
			 :
			 : "m"(image), "r"(0ul)
			 : "memory");
	__asm__ volatile("movq %%xmm3, %0" : "=r"(got));
	good = expect("xmm3", got, 0x1122334455667788);
	clear(second);
	__asm__ volatile("fxsave64 %0" : "=m"(second) : : "memory");
	return good & expect("st0", at64(second, 32), 0xc90fdaa22168c235) &
	       expect("tags", second[4], 0xc0);
}

static bool fxrstor_refuses(void)
{
	bool good;
	int v;

	__asm__ volatile("fxsave64 %0" : "=m"(image) : : "memory");
	image[26] = 1; /* a reserved bit of MXCSR */
	v = TRY("fxrstor64 (%0)", : : "r"(image) : "memory");
	good = expect("reserved MXCSR bit", (unsigned)v, VEC_GP);
	v = TRY("fxsave64 (%0)", : : "r"(image + 8) : "memory");
	return good & expect("not on 16 bytes", (unsigned)v, VEC_GP);
}

static bool mxcsr_refuses(void)
{
	static const uint32_t bad = 0x11f80;
	int v = TRY("ldmxcsr %0", : : "m"(bad) : "memory");

	return expect("reserved bit", (unsigned)v, VEC_GP);
}

static bool movaps_alignment(void)
{
	bool good;
	int v = TRY("movaps (%0), %%xmm0", : : "r"(image + 8) : "memory");

	good = expect("movaps", (unsigned)v, VEC_GP);
	v = TRY("movups (%0), %%xmm0", : : "r"(image + 8) : "memory");
	good &= expect("movups", (unsigned)v, (unsigned)-1);
	v = TRY("paddd (%0), %%xmm0", : : "r"(image + 4) : "memory");
	return good & expect("paddd", (unsigned)v, VEC_GP);
}

static bool x87_stack(void)
{
	uint16_t status;

	__asm__ volatile("fninit\n\tfld1\n\tfaddp\n\tfnstsw %0\n\tfninit" : "=a"(status));
	return expect("underflow: IE, SF, C1 clear", status & 0x0241, 0x0041);
}

static bool mmx_aliases(void)
{
	uint64_t val = 0x0102030405060708, got;

	__asm__ volatile("fninit\n\tmovq %1, %%mm5\n\tfxsave64 %2\n\tmovq %%mm5, %0\n\temms"
			 : "=r"(got)
			 : "r"(val), "m"(image)
			 : "memory");
	return expect("mm5", got, val) & expect("tags: all valid", image[4], 0xff) &
	       expect("st5", at64(image, 32 + 5 * 16), val) &
	       expect("exponent", at16(image, 40 + 5 * 16), 0xffff);
}

/* With an exception pending: without one, AMD's processors save no pointers. */
static bool last_pointers(void)
{
	static const uint16_t unmasked = 0x33b;
	uint64_t at;

	__asm__ volatile("fninit\n\tfldcw %2\n\tfld1\n\tfldz\n\tlea 1f(%%rip), %0\n"
			 "1:\tfdivrp\n\tfxsave64 %1\n\tfninit"
			 : "=&r"(at)
			 : "m"(image), "m"(unmasked)
			 : "memory");
	return expect("instruction", at64(image, 8), at) &
	       expect("summary", at16(image, 2) & 0x84, 0x84);
}

extern const uint8_t divide[], divide_at[], divide_end[];
__asm__(".pushsection .rodata\n"
	"divide:\n\t"
	"fld1\n\t"
	"fninit\n\t"
	"fldcw (%rdx)\n\t"
	"fld1\n"
	"divide_at:\n\t"
	"fdivl 8(%rdi)\n\t"
	"fxsave64 (%rsi)\n\t"
	"fninit\n\t"
	"ret\n"
	"divide_end:\n\t"
	".popsection");

/* Hot code above 4 GiB; FNINIT in its middle forgets what has been before. */
static bool pointers_of_hot_code(void)
{
	typedef uint64_t table[512] __attribute__((aligned(4096)));
	extern table page_pml4;
	static table pdpt, pd, pt;
	static uint8_t code[4096] __attribute__((aligned(4096)));
	static const uint16_t unmasked = 0x33b;
	static const double data[2] = {1, 0};
	const uint64_t window = 0x8000000000;
	bool good = true;

	page_pml4[1] = (uintptr_t)pdpt | 3;
	pdpt[0] = (uintptr_t)pd | 3;
	pd[0] = (uintptr_t)pt | 3;
	pt[0] = (uintptr_t)code | 3;
	WRITE_CR(3, READ_CR(3));
	for (unsigned i = 0; &divide[i] < divide_end; i++)
		code[i] = divide[i];
	for (unsigned i = 0; i < 20 && good; i++) {
		((void (*)(const void *, void *, const void *))window)(data, image, &unmasked);
		good = expect("instruction", at64(image, 8),
			      window + (uint64_t)(divide_at - divide)) &
		       expect("data", at64(image, 16), (uintptr_t)&data[1]) &
		       expect("opcode", at16(image, 6), 0x477);
	}
	return good;
}

static void ignore(struct frame *f)
{
	(void)f;
	__asm__ volatile("outb %%al, $0x80" : : : "memory"); /* leaves the processor */
}

/* Vector registers are the engine's to lose whenever it does something for the guest. */
static bool survives_traps(void)
{
	uint64_t got, want = 0xa5a5a5a55a5a5a5a;

	trap_handler[0x70] = ignore;
	__asm__ volatile("fninit\n\tfldpi\n\tmovq %0, %%xmm15" : : "r"(want));
	for (unsigned i = 0; i < 100; i++) {
		__asm__ volatile("int $0x70" : : : "memory");
		cpuid(0);
		inb(0x64);
		WRITE_CR(3, READ_CR(3));
	}
	__asm__ volatile("movq %%xmm15, %0" : "=r"(got));
	__asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(image) : : "memory");
	return expect("xmm15", got, want) & expect("st0", at64(image, 32), 0xc90fdaa22168c235);
}

/* ---- XSAVE ----------------------------------------------------------------------------------- */

#define OSXSAVE (1ul << 18)

static bool has_xsave(void)
{
	return cpuid(1).c >> 26 & 1;
}

static struct cpuid leaf_d(uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(13), "c"(sub));
	return r;
}

static int xsetbv(uint64_t val)
{
	return TRY("xsetbv", : : "c"(0), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)) : "memory");
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

static void xsave(uint8_t *area, uint32_t mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(mask), "d"(0) : "memory");
}

static void xrstor(const uint8_t *area, uint32_t mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(mask), "d"(0) : "memory");
}

static bool xsave_off(void)
{
	bool good;
	int v;

	WRITE_CR(4, READ_CR(4) & ~OSXSAVE);
	v = TRY("xgetbv", : : "c"(0) : "rax", "rdx", "memory");
	good = expect("xgetbv without OSXSAVE", (unsigned)v, VEC_UD);
	good &= expect("OSXSAVE in CPUID", cpuid(1).c >> 27 & 1, 0);
	if (!has_xsave())
		return good;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	return good & expect("OSXSAVE in CPUID", cpuid(1).c >> 27 & 1, 1);
}

static bool xcr0_values(void)
{
	bool good;

	if (!has_xsave())
		return true;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	good = expect("without x87", (unsigned)xsetbv(2), VEC_GP);
	good &= expect("AVX without SSE", (unsigned)xsetbv(5), VEC_GP);
	good &= expect("reserved", (unsigned)xsetbv(3 | 1ul << 62), VEC_GP);
	good &= expect("x87, SSE", (unsigned)xsetbv(3), (unsigned)-1) &
		expect("read back", xgetbv(), 3);
	good &= expect("size for them", leaf_d(0).b, 576);
	if (!(leaf_d(0).a & 4))
		return good;
	good &= expect("AVX", (unsigned)xsetbv(7), (unsigned)-1) & expect("read back", xgetbv(), 7);
	return good & expect("size with AVX", leaf_d(0).b, 832);
}

static bool xsave_image(void)
{
	uint64_t got, want = 0x7777777788888888;
	bool good;

	if (!has_xsave())
		return true;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	xsetbv(3);
	clear(image);
	__asm__ volatile("movq %0, %%xmm2" : : "r"(want));
	xsave(image, 3);
	good = expect("header", at64(image, 512) & 2, 2) &
	       expect("xmm2", at64(image, 160 + 2 * 16), want);
	__asm__ volatile("pxor %%xmm2, %%xmm2" : :);
	xrstor(image, 1); /* only x87 */
	__asm__ volatile("movq %%xmm2, %0" : "=r"(got));
	good &= expect("not asked for", got, 0);
	xrstor(image, 3);
	__asm__ volatile("movq %%xmm2, %0" : "=r"(got));
	good &= expect("restored", got, want);
	for (unsigned i = 512; i < 576; i++)
		image[i] = 0;
	xrstor(image, 3); /* the header says: initial values */
	__asm__ volatile("movq %%xmm2, %0" : "=r"(got));
	return good & expect("initial", got, 0);
}

static bool xrstor_refuses(void)
{
	bool good;
	int v;

	if (!has_xsave())
		return true;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	xsetbv(3);
	clear(image);
	image[512] = 4; /* AVX is not enabled */
	v = TRY("xrstor64 (%0)", : : "r"(image), "a"(3), "d"(0) : "memory");
	good = expect("component not in XCR0", (unsigned)v, VEC_GP);
	image[512] = 0;
	v = TRY("xrstor64 (%0)", : : "r"(image + 16), "a"(3), "d"(0) : "memory");
	good &= expect("not on 64 bytes", (unsigned)v, VEC_GP);
	image[527] = 0x80; /* compacted: XSAVEC's format */
	v = TRY("xrstor64 (%0)", : : "r"(image), "a"(3), "d"(0) : "memory");
	image[527] = 0;
	return good & expect("compacted", (unsigned)v, leaf_d(1).a & 2 ? (unsigned)-1 : VEC_GP);
}

static bool has_avx(void)
{
	return has_xsave() && (cpuid(1).c >> 28 & 1);
}

static bool avx_needs_xcr0(void)
{
	bool good;
	int v;

	if (!has_avx())
		return true;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	xsetbv(3);
	v = TRY("vaddps %%ymm0, %%ymm0, %%ymm0", : : : "memory");
	good = expect("XCR0 without AVX", (unsigned)v, VEC_UD);
	xsetbv(7);
	v = TRY("vaddps %%ymm0, %%ymm0, %%ymm0", : : : "memory");
	good &= expect("with it", (unsigned)v, (unsigned)-1);
	WRITE_CR(0, READ_CR(0) | 8);
	v = TRY("vaddps %%ymm0, %%ymm0, %%ymm0", : : : "memory");
	__asm__ volatile("clts");
	return good & expect("CR0.TS", (unsigned)v, VEC_NM);
}

static bool avx_state(void)
{
	uint64_t want = 0x123456789, got;
	bool good;

	if (!has_avx())
		return true;
	WRITE_CR(4, READ_CR(4) | OSXSAVE);
	xsetbv(7);
	clear(image);
	__asm__ volatile("movq %0, %%xmm1\n\tvinsertf128 $1, %%xmm1, %%ymm1, %%ymm1" : : "r"(want));
	xsave(image, 7);
	good = expect("upper half", at64(image, 576 + 16), want);
	__asm__ volatile("vzeroall");
	for (unsigned i = 0; i < 100; i++)
		inb(0x64);
	xrstor(image, 7);
	for (unsigned i = 0; i < 100; i++)
		inb(0x64);
	__asm__ volatile("vextractf128 $1, %%ymm1, %%xmm2\n\tmovq %%xmm2, %0" : "=r"(got));
	good &= expect("restored", got, want);
	/* a legacy SSE instruction keeps the upper half, its VEX form clears it */
	__asm__ volatile(
		"movaps %%xmm1, %%xmm1\n\tvextractf128 $1, %%ymm1, %%xmm2\n\tmovq %%xmm2, %0"
		: "=r"(got));
	good &= expect("after SSE", got, want);
	__asm__ volatile(
		"vmovaps %%xmm1, %%xmm1\n\tvextractf128 $1, %%ymm1, %%xmm2\n\tmovq %%xmm2, %0"
		: "=r"(got));
	return good & expect("after VEX.128", got, 0);
}

/* MASKMOVDQU at RDI, with a base of 64 KiB in DS. */
static bool masked_move(void)
{
	static uint8_t bytes[32] __attribute__((aligned(16)));
	uint64_t some = 0x80008000, data = 0x1122334455667788;

	gdt[SEL_GATE / 8] = 0x00cf92010000ffff;
	__asm__ volatile("movq %1, %%xmm0\n\tmovq %2, %%xmm1\n\tmov %%ds, %%ecx\n\t"
			 "mov %3, %%ds\n\tmaskmovdqu %%xmm1, %%xmm0\n\tmov %%ecx, %%ds"
			 :
			 : "D"(bytes), "r"(data), "r"(some), "r"(SEL_GATE)
			 : "rcx", "memory");
	return expect("stored", at64(bytes, 0), 0x55007700);
}

const struct check checks[] = {
	{1, "1 10.5.1: FXSAVE image", fxsave_image},
	{2, "1 10.5.2: FXRSTOR", fxrstor_image},
	{3, "2A FXRSTOR, FXSAVE: reserved bits, alignment", fxrstor_refuses},
	{4, "1 10.2.3: reserved bits of MXCSR", mxcsr_refuses},
	{5, "1 10.4.1: aligned operands", movaps_alignment},
	{6, "1 8.5.1.1: x87 stack underflow", x87_stack},
	{7, "1 9.2.1: MMX registers are the x87 registers", mmx_aliases},
	{8, "1 8.1.8: last instruction pointer", last_pointers},
	{17, "1 8.1.8: last instruction, operand and opcode of hot code", pointers_of_hot_code},
	{9, "vector state survives traps, exits and CR3", survives_traps},
	{10, "2.6: CR4.OSXSAVE", xsave_off},
	{11, "2.6: XCR0 values", xcr0_values},
	{12, "1 13.7: XSAVE and XRSTOR", xsave_image},
	{13, "1 13.8: what XRSTOR refuses", xrstor_refuses},
	{14, "1 14.8: AVX needs XCR0; CR0.TS", avx_needs_xcr0},
	{15, "1 14.3: upper halves of YMM registers", avx_state},
	{16, "3A 3.2.4: a base of DS does not count in 64-bit mode", masked_move},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);

const unsigned rounds = 30;
