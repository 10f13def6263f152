/* SPDX-License-Identifier: Apache-2.0 */
/* What a translator can get wrong: string instructions, code that changes itself. */
#include "guests/lib/guest.h"

#define WINDOW 0x8000000000ul

extern uint64_t page_pml4[512];
static uint8_t buf[256], other[256];

static void fill(void)
{
	for (unsigned i = 0; i < sizeof(buf); i++) {
		buf[i] = (uint8_t)i;
		other[i] = 0;
	}
}

static bool string_move(void)
{
	uint8_t *src = buf, *dst = other;
	uint64_t n = 10;

	fill();
	__asm__ volatile("rep movsb" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	return expect("count", n, 0) & expect("source", (uintptr_t)src, (uintptr_t)buf + 10) &
	       expect("last", other[9], 9) & expect("beyond", other[10], 0);
}

static bool string_overlap(void)
{
	uint8_t *src = buf, *dst = buf + 1;
	uint64_t n = 32;

	fill();
	buf[0] = 0x5a;
	__asm__ volatile("rep movsb" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	return expect("propagated byte by byte", buf[32], 0x5a) & expect("beyond", buf[33], 33);
}

static bool string_backwards(void)
{
	uint8_t *src = buf + 31, *dst = buf + 32;
	uint64_t n = 32;

	fill();
	__asm__ volatile("std\n\trep movsb\n\tcld" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	return expect("moved up", buf[32], 31) & expect("first", buf[1], 0) &
	       expect("source", (uintptr_t)src, (uintptr_t)buf - 1);
}

static bool string_scan(void)
{
	uint8_t *at = buf;
	uint64_t n = 256;
	uint8_t zf;

	fill();
	__asm__ volatile("repne scasb\n\tsete %2"
			 : "+D"(at), "+c"(n), "=r"(zf)
			 : "a"(77)
			 : "memory");
	return expect("found", (uintptr_t)at, (uintptr_t)buf + 78) & expect("left", n, 256 - 78) &
	       expect("zf", zf, 1);
}

static bool string_compare(void)
{
	uint8_t *a = buf, *b = other;
	uint64_t n = 100;
	uint8_t below;

	fill();
	for (unsigned i = 0; i < 256; i++)
		other[i] = (uint8_t)i;
	other[40] = 200;
	__asm__ volatile("repe cmpsb\n\tsetb %3"
			 : "+S"(a), "+D"(b), "+c"(n), "=r"(below)
			 :
			 : "memory");
	return expect("stopped", (uintptr_t)a, (uintptr_t)buf + 41) & expect("left", n, 59) &
	       expect("below", below, 1);
}

static bool string_zero_count(void)
{
	uint64_t n = 0;
	uint8_t *dst = (uint8_t *)WINDOW; /* not mapped */
	int v = TRY("rep stosb", : "+D"(dst), "+c"(n) : "a"(0) : "memory");

	return expect("no access", (unsigned)v, (unsigned)-1) & expect("flags kept", n, 0);
}

static bool string_address_size(void)
{
	uint64_t dst = 0xffffffff00000000ul | (uintptr_t)other, n = 0xffffffff00000004ul;

	fill();
	__asm__ volatile("addr32 rep stosb" : "+D"(dst), "+c"(n) : "a"(0x11) : "memory");
	return expect("stored", other[3], 0x11) & expect("beyond", other[4], 0) &
	       expect("ecx", n, 0) & expect("edi", dst, (uintptr_t)other + 4);
}

static bool string_fault(void)
{
	static uint64_t pdpt[512] __attribute__((aligned(4096))),
		pd[512] __attribute__((aligned(4096))), pt[512] __attribute__((aligned(4096)));
	static uint8_t page[4096] __attribute__((aligned(4096)));
	uint64_t dst = WINDOW + 4096 - 5, src = (uintptr_t)buf, n = 20;
	bool good;
	int v;

	pdpt[0] = (uintptr_t)pd | 7;
	pd[0] = (uintptr_t)pt | 7;
	pt[0] = (uintptr_t)page | 7;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	v = TRY("rep stosb", : "+D"(dst), "+c"(n) : "a"(0x33) : "memory");
	good = expect("vector", (unsigned)v, VEC_PF) & expect("cr2", trap.cr2, WINDOW + 4096);
	good &= expect("count left", trap.frame.rcx, 15) &
		expect("destination", trap.frame.rdi, WINDOW + 4096);
	good &= expect("stored", page[4095], 0x33);
	dst = WINDOW + 4096 - 12;
	n = 4;
	v = TRY("rep movsq", : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	good &= expect("vector", (unsigned)v, VEC_PF) & expect("count left", trap.frame.rcx, 3);
	page_pml4[1] = 0;
	WRITE_CR(3, READ_CR(3));
	return good;
}

/* ---- code that changes ----------------------------------------------------------------------- */

static volatile uint8_t code[64] __attribute__((aligned(64)));

static unsigned call_code(void)
{
	return ((unsigned (*)(void))(uintptr_t)code)();
}

static void put_mov(unsigned at, uint32_t val)
{
	code[at] = 0xb8; /* mov $val, %eax; ret */
	for (unsigned i = 0; i < 4; i++)
		code[at + 1 + i] = (uint8_t)(val >> i * 8);
	code[at + 5] = 0xc3;
}

static bool code_patched(void)
{
	bool good = true;

	put_mov(0, 0);
	for (unsigned i = 0; i < 300 && good; i++) {
		put_mov(0, i);
		good &= expect("value", call_code(), i);
	}
	return good;
}

static bool code_patched_hot(void)
{
	bool good = true;

	for (unsigned i = 0; i < 5 && good; i++) {
		put_mov(0, 1000 + i);
		for (unsigned j = 0; j < 5000 && good; j++)
			good &= expect("value", call_code(), 1000 + i);
	}
	return good;
}

/* The store hits an instruction further on in the same straight line. */
static bool code_patches_itself(void)
{
	bool good = true;

	for (unsigned i = 0; i < 100 && good; i++) {
		uint32_t got;

		__asm__ volatile("movb %b1, 1f+1\n\tjmp 1f\n1:\tmov $0, %%eax"
				 : "=a"(got)
				 : "q"(i)
				 : "memory");
		good &= expect("value", got, i);
	}
	return good;
}

static bool code_patches_next(void)
{
	bool good = true;

	for (unsigned i = 1; i < 100 && good; i++) {
		uint32_t got;

		/* no jump between: the same processor sees its own stores in order */
		__asm__ volatile("movb %b1, 1f+1\n1:\tmov $0, %%eax"
				 : "=a"(got)
				 : "q"(i)
				 : "memory");
		good &= expect("value", got, i);
	}
	return good;
}

static bool code_by_alias(void)
{
	static uint64_t pdpt[512] __attribute__((aligned(4096))),
		pd[512] __attribute__((aligned(4096)));
	volatile uint8_t *alias = (volatile uint8_t *)(WINDOW + ((uintptr_t)code & 0x1fffff));
	bool good = true;

	pdpt[0] = (uintptr_t)pd | 7;
	pd[0] = ((uintptr_t)code & ~0x1ffffful) | 0x87;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	put_mov(0, 0);
	for (unsigned i = 0; i < 100 && good; i++) {
		alias[1] = (uint8_t)i;
		good &= expect("value", call_code(), i);
	}
	page_pml4[1] = 0;
	WRITE_CR(3, READ_CR(3));
	return good;
}

static bool data_beside_code(void)
{
	bool good = true;

	put_mov(0, 7);
	for (unsigned i = 0; i < 20000 && good; i++) {
		code[32] = (uint8_t)i;
		good &= call_code() == 7;
	}
	return expect("value", good, true) & expect("data", code[32], (uint8_t)19999);
}

/* ---- flags and arithmetic that only bare code can see ---------------------------------------- */

static bool high_bytes(void)
{
	uint64_t val = 0x1122334455667788;

	__asm__ volatile("mov $0xaa, %%ah\n\tadd %%ah, %%al" : "+a"(val));
	return expect("rax", val, 0x112233445566aa32);
}

static bool thirty_two_bit_writes(void)
{
	uint64_t a = ~0ul, b = ~0ul;

	__asm__ volatile("mov $1, %k0\n\tmov $1, %w1" : "+r"(a), "+r"(b));
	return expect("32 bits clear the rest", a, 1) &
	       expect("16 bits keep it", b, 0xffffffffffff0001);
}

static bool compare_exchange16(void)
{
	uint64_t pair[2] __attribute__((aligned(16))) = {1, 2};
	uint64_t low = 1, high = 2;
	uint8_t zf;

	__asm__ volatile("lock cmpxchg16b %0\n\tsete %1"
			 : "+m"(pair), "=q"(zf), "+a"(low), "+d"(high)
			 : "b"(3ul), "c"(4ul)
			 : "memory");
	return expect("zf", zf, 1) & expect("low", pair[0], 3) & expect("high", pair[1], 4);
}

static bool deep_calls(void)
{
	uint64_t sum = 0;

	/* more returns than any return-address predictor holds */
	__asm__ volatile("mov $1000, %%ecx\n\tcall 1f\n\tjmp 2f\n"
			 "1:\tinc %0\n\tdec %%ecx\n\tjz 3f\n\tcall 1b\n3:\tadd $2, %0\n\tret\n2:"
			 : "+r"(sum)
			 :
			 : "rcx", "memory", "cc");
	return expect("sum", sum, 3000);
}

static bool mismatched_return(void)
{
	uint64_t got;

	__asm__ volatile(
		"call 1f\n\tmov $1, %0\n\tjmp 3f\n1:\tmovq $2f, (%%rsp)\n\tret\n2:\tmov $2, %0\n3:"
		: "=r"(got)
		:
		: "memory");
	return expect("where", got, 2);
}

const struct check checks[] = {
	{1, "2B REP MOVS", string_move},
	{2, "2B REP MOVS: overlap", string_overlap},
	{3, "2B REP MOVS: direction flag", string_backwards},
	{4, "2B REPNE SCAS", string_scan},
	{5, "2B REPE CMPS", string_compare},
	{6, "2B REP: a count of zero touches nothing", string_zero_count},
	{7, "2B REP: 32-bit addresses use ECX, EDI", string_address_size},
	{8, "7.3.9.3: a fault inside REP leaves what is done", string_fault},
	{9, "11.6: code changed between calls", code_patched},
	{10, "11.6: hot code changed", code_patched_hot},
	{11, "11.6: a store ahead in the same block, with a jump", code_patches_itself},
	{12, "11.6: a store to the next instruction", code_patches_next},
	{13, "11.6: code changed through another mapping", code_by_alias},
	{14, "data in the same line as code", data_beside_code},
	{15, "3.4.1: high byte registers", high_bytes},
	{16, "3.4.1.1: partial register writes", thirty_two_bit_writes},
	{17, "2A CMPXCHG16B", compare_exchange16},
	{18, "1 6.4: a thousand nested calls", deep_calls},
	{19, "1 6.4: a return to elsewhere", mismatched_return},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 5;
