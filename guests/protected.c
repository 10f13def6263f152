/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit protected mode: segment limits and types, call gates with parameters, ring 3, 16-bit code,
 * virtual-8086 mode, real mode and back, SYSENTER, two-level and PAE paging.
 */
#include "guests/lib/guest.h"

#define IF   0x200ul
#define IOPL 0x3000ul
#define VM   0x20000ul

#define USER_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n.globl " #name "\n" #name ":\n" text)

extern char real_code[], real_code_end[];
void real_call(unsigned offset);
void v86_enter(unsigned cs, unsigned ip, unsigned ss, unsigned sp, unsigned long eflags);

static bool ended_in(int got, int vector, uint32_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

static bool passed(const char *what, int v)
{
	return expect(what, (unsigned)v, (unsigned)-1);
}

/* A descriptor in slot `n` of SEL_FREE; type and S/DPL/P in `access`, G and D/B in `flags`. */
static unsigned segment(unsigned n, uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	gdt[SEL_FREE / 8 + n] = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
				(uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
				(uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
	return SEL_FREE + n * 8;
}

#define DATA_RW   0x93
#define DATA_RO   0x91
#define DATA_DOWN 0x97
#define CODE_X    0x99
#define CODE_R    0x9b
#define BIG       4
#define GRANULAR  8

static uint8_t area[0x2000] __attribute__((aligned(4096)));

static int fs_read(unsigned sel, uint32_t off)
{
	return TRY("mov %w0, %%fs\n\tmovb %%fs:(%1), %%al",
		   :
		   : "r"(sel), "r"(off)
		   : "eax", "memory");
}

static int fs_read32(unsigned sel, uint32_t off)
{
	return TRY("mov %w0, %%fs\n\tmovl %%fs:(%1), %%eax",
		   :
		   : "r"(sel), "r"(off)
		   : "eax", "memory");
}

static int fs_write(unsigned sel, uint32_t off)
{
	return TRY("mov %w0, %%fs\n\tmovb $1, %%fs:(%1)", : : "r"(sel), "r"(off) : "memory");
}

static bool segment_base(void)
{
	unsigned sel = segment(0, (uintptr_t)area + 0x100, 0xffff, DATA_RW, BIG);
	uint8_t got;

	area[0x123] = 0x77;
	__asm__ volatile("mov %w1, %%fs\n\tmovb %%fs:0x23, %0" : "=q"(got) : "r"(sel) : "memory");
	return expect("base added", got, 0x77);
}

static bool segment_limit(void)
{
	unsigned sel = segment(0, (uintptr_t)area, 0xfff, DATA_RW, BIG);
	bool good;

	good = passed("last byte", fs_read(sel, 0xfff));
	good &= ended_in(fs_read(sel, 0x1000), VEC_GP, 0);
	good &= ended_in(fs_read32(sel, 0xffd), VEC_GP, 0);
	good &= passed("last word", fs_read32(sel, 0xffc));
	sel = segment(0, (uintptr_t)area, 0, DATA_RW, BIG | GRANULAR);
	good &= passed("page granularity", fs_read(sel, 0xfff));
	return good & ended_in(fs_read(sel, 0x1000), VEC_GP, 0);
}

static bool segment_down(void)
{
	unsigned sel = segment(0, (uintptr_t)area, 0xfff, DATA_DOWN, BIG);
	bool good;

	good = ended_in(fs_read(sel, 0xfff), VEC_GP, 0);
	good &= passed("above the limit", fs_read(sel, 0x1000));
	sel = segment(0, (uintptr_t)area, 0xfff, DATA_DOWN, 0); /* upper bound ffffh */
	return good & ended_in(fs_read(sel, 0x10000), VEC_GP, 0);
}

static bool segment_types(void)
{
	unsigned ro = segment(0, (uintptr_t)area, 0xfff, DATA_RO, BIG);
	unsigned x = segment(1, (uintptr_t)area, 0xfff, CODE_X, BIG);
	unsigned r = segment(2, (uintptr_t)area, 0xfff, CODE_R, BIG);
	bool good;
	int v;

	good = passed("read-only: read", fs_read(ro, 0));
	good &= ended_in(fs_write(ro, 0), VEC_GP, 0);
	good &= ended_in(fs_read(x, 0), VEC_GP, x); /* execute-only can't be loaded */
	good &= passed("readable code", fs_read(r, 0));
	good &= ended_in(fs_write(r, 0), VEC_GP, 0);
	v = TRY("mov %w0, %%ss", : : "r"(ro) : "memory");
	good &= ended_in(v, VEC_GP, ro); /* a stack must be writable */
	v = TRY("mov %w0, %%fs\n\tmovb %%fs:0, %%al", : : "r"(0) : "eax", "memory");
	good &= ended_in(v, VEC_GP, 0); /* null: fails at use */
	v = TRY("mov %w0, %%ss", : : "r"(0) : "memory");
	good &= ended_in(v, VEC_GP, 0);
	v = TRY("mov %w0, %%fs", : : "r"(SEL_ABSENT) : "memory");
	good &= ended_in(v, VEC_NP, SEL_ABSENT);
	v = TRY("mov %w0, %%fs", : : "r"(0x7ff8) : "memory");
	good &= ended_in(v, VEC_GP, 0x7ff8);
	v = TRY("mov %w0, %%fs", : : "r"(SEL_TSS) : "memory"); /* a system descriptor */
	return good & ended_in(v, VEC_GP, SEL_TSS);
}

/* Adds to up to 200 words, one after the other, until the segment ends: where that was. */
static uint32_t fs_walk(unsigned sel, uint32_t from)
{
	int v = TRY("mov %w0, %%fs\n\tmov %1, %%ecx\n\tmov $200, %%edx\n"
		    "1:	incl %%fs:(%%ecx)\n\tinc %%ecx\n\tdec %%edx\n\tjnz 1b",
		    :
		    : "r"(sel), "r"(from)
		    : "ecx", "edx", "memory");

	return ended_in(v, VEC_GP, 0) ? trap.frame.ecx : 0;
}

static uint32_t fs_calls(unsigned sel, unsigned n)
{
	uint32_t got = 0;

	__asm__ volatile("mov %w1, %%fs\n\tmovl $3f, %%fs:4\n"
			 "1:	call *%%fs:4\n\tdec %2\n\tjnz 1b\n\tjmp 4f\n"
			 "3:	addl $3, %0\n\tret\n"
			 "4:"
			 : "+r"(got)
			 : "r"(sel), "r"(n)
			 : "memory");
	return got;
}

/* The same code often enough that it is worth translating, with one segment after the other. */
static bool segment_often(void)
{
	unsigned all = segment(0, (uintptr_t)area + 0x1000, 0xfffff, DATA_RW, BIG | GRANULAR);
	unsigned some = segment(1, (uintptr_t)area, 0x63, DATA_RW, BIG);
	unsigned few = segment(2, (uintptr_t)area, 0x3f, DATA_RW, BIG);
	unsigned ro = segment(3, (uintptr_t)area, 0x63, DATA_RO, BIG);
	bool good;

	area[0xff0] = 5;
	good = expect("walk to the end", fs_walk(some, 0), 0x61);
	good &= expect("below a base", fs_walk(all, 0xfffffff0), 0xfffffffd) &
		expect("its word", area[0xff0], 6);
	good &= expect("a smaller segment", fs_walk(few, 0), 0x3d);
	good &= expect("read-only", fs_walk(ro, 8), 8) & expect("null", fs_walk(0, 8), 8);
	return good & expect("calls", fs_calls(some, 50), 150);
}

static bool segment_accessed(void)
{
	unsigned sel = segment(0, (uintptr_t)area, 0xfff, DATA_RW & ~1, BIG);

	fs_read(sel, 0);
	return expect("accessed bit", gdt[SEL_FREE / 8] >> 40 & 0xff, DATA_RW);
}

static bool load_rights(void)
{
	bool good;
	unsigned sel = segment(0, 0, 0xfffff, DATA_RW, BIG); /* 1 MiB: our stack lies above */
	int v = TRY("mov %w0, %%fs\n\tlar %w0, %%eax\n\tlsl %w0, %%ecx\n\tmov %%eax, %1\n\tmov "
		    "%%ecx, %2",
		    :
		    : "r"(sel), "m"(area[0]), "m"(area[4])
		    : "eax", "ecx", "memory");

	good = passed("lar, lsl", v);
	good &= expect("access rights", *(uint32_t *)&area[0] & 0xf0ff00, 0x409300);
	return good & expect("limit", *(uint32_t *)&area[4], 0xfffff);
}

/* ---- gates and rings ------------------------------------------------------------------------- */

uint32_t gate_params[2], gate_esp, gate_ss, gate_old_esp;
USER_CODE(gate_target,
	  "mov %esp, gate_esp\nmov %ss, gate_ss\nmov 8(%esp), %eax\nmov %eax, gate_params\n"
	  "mov 12(%esp), %eax\nmov %eax, gate_params+4\nlret $8\n");
USER_CODE(user_call_gate,
	  "mov %esp, %ebx\npush $0x22222222\npush $0x11111111\nlcall $0x50, $0\nint $0x80\n");

static bool call_gate(void)
{
	uintptr_t to = (uintptr_t)gate_target;
	bool good;

	gdt[SEL_GATE / 8] = (to & 0xffff) | (uint64_t)SEL_KCODE << 16 | 2ull << 32 | 0xecull << 40 |
			    (uint64_t)(to >> 16) << 48;
	good = ended_in(user_run(user_call_gate, 0), 0x80, 0);
	good &= expect("first parameter", gate_params[0], 0x11111111);
	good &= expect("second parameter", gate_params[1], 0x22222222);
	good &= expect("stack segment inside", gate_ss, SEL_KDATA) &
		expect("stack inside", gate_esp, tss.esp0 - 24);
	return good & expect("both stacks released", trap.frame.rsp, trap.frame.ebx);
}

USER_CODE(user_int_80, "int $0x80\n");
USER_CODE(user_int_81, "int $0x81\n");
USER_CODE(user_cli, "cli\n");
USER_CODE(user_kernel_data, "mov $0x10, %eax\nmov %eax, %ds\n");
USER_CODE(user_far_kernel, "ljmp $0x08, $0\n");

static bool ring3(void)
{
	bool good;

	good = ended_in(user_run(user_int_80, IF), 0x80, 0);
	good &= expect("cs", trap.frame.cs, SEL_UCODE32 | 3) &
		expect("ss", trap.frame.ss, SEL_UDATA | 3);
	good &= ended_in(user_run(user_int_81, 0), VEC_GP, 0x81 * 8 + 2);
	good &= ended_in(user_run(user_cli, 0), VEC_GP, 0);
	good &= ended_in(user_run(user_kernel_data, 0), VEC_GP, SEL_KDATA);
	return good & ended_in(user_run(user_far_kernel, 0), VEC_GP, SEL_KCODE);
}

USER_CODE(user_sysenter, "sysenter\n");
USER_CODE(sysenter_entry, "mov %esp, sysenter_esp\nmov %cs, sysenter_cs\nmov %ss, sysenter_ss\n"
			  "mov $sysexit_target, %edx\nmov $0x9000, %ecx\nsti\nsysexit\n");
USER_CODE(sysexit_target, "int $0x80\n");
uint32_t sysenter_esp;
uint16_t sysenter_cs, sysenter_ss;

static bool sysenter(void)
{
	bool good;

	if (!(cpuid(1).d >> 11 & 1))
		return true;
	wrmsr(0x174, SEL_KCODE);
	wrmsr(0x175, (uintptr_t)area + sizeof(area));
	wrmsr(0x176, (uintptr_t)sysenter_entry);
	good = ended_in(user_run(user_sysenter, 0), 0x80, 0);
	good &= expect("esp inside", sysenter_esp, (uintptr_t)area + sizeof(area));
	good &= expect("cs inside", sysenter_cs, SEL_KCODE) &
		expect("ss inside", sysenter_ss, SEL_KDATA);
	good &= expect("cs after", trap.frame.cs, SEL_UCODE32 | 3) &
		expect("ss after", trap.frame.ss, SEL_UDATA | 3);
	good &= expect("esp after", trap.frame.rsp, 0x9000);
	wrmsr(0x174, 0);
	return good & ended_in(user_run(user_sysenter, 0), VEC_GP, 0);
}

/* ---- instructions that only exist here ------------------------------------------------------- */

static bool legacy_instructions(void)
{
	uint32_t eax, bounds[2] = {10, 20};
	bool good;
	int v;

	__asm__ volatile("mov $0x0f, %%al\n\tadd $0x01, %%al\n\tdaa" : "=a"(eax) : : "cc");
	good = expect("daa", eax & 0xff, 0x16);
	__asm__ volatile("mov $0x0205, %%eax\n\taad" : "=a"(eax) : : "cc");
	good &= expect("aad", eax & 0xffff, 25);
	__asm__ volatile("mov $123, %%eax\n\taam" : "=a"(eax) : : "cc");
	good &= expect("aam", eax & 0xffff, 0x0c03);
	v = TRY("mov $0, %%eax\n\taam $0", : : : "eax", "memory");
	good &= ended_in(v, VEC_DE, 0);
	v = TRY("bound %0, %1", : : "r"(15), "m"(bounds) : "memory");
	good &= passed("inside the bounds", v);
	v = TRY("bound %0, %1", : : "r"(21), "m"(bounds) : "memory");
	good &= ended_in(v, VEC_BR, 0);
	v = TRY("mov $0x7fffffff, %%eax\n\tinc %%eax\n\tinto", : : : "eax", "cc", "memory");
	good &= ended_in(v, VEC_OF, 0);
	v = TRY("arpl %w0, %w1", : : "r"(3), "r"(0x10) : "cc", "memory");
	return good & passed("arpl", v);
}

static bool code16(void)
{
	static const uint8_t text[] = {
		0xb8, 0x34, 0x12,                                 /* mov $0x1234, %ax */
		0x66, 0xbb, 0x78, 0x56, 0x34, 0x12,               /* mov $0x12345678, %ebx */
		0x66, 0xea, 0,    0,    0,    0,    SEL_KCODE, 0, /* ljmpl back */
	};
	uint32_t eax, ebx;
	unsigned sel = segment(3, (uintptr_t)area, 0xffff, CODE_R, 0);

	for (unsigned i = 0; i < sizeof(text); i++)
		area[i] = text[i];
	__asm__ volatile("movl $1f, %4\n\tmov %2, gate_far+4\n\tmovl $0xffff0000, %%eax\n\t"
			 "ljmp *gate_far\n1:"
			 : "=&a"(eax), "=&b"(ebx)
			 : "r"((uint16_t)sel), "m"(area), "m"(*(uint32_t *)&area[11])
			 : "memory");
	return expect("eax", eax, 0xffff1234) & expect("ebx", ebx, 0x12345678);
}

uint32_t stack16_seen[3];

/* SP wraps, and the upper half of ESP stays. */
static bool stack16(void)
{
	unsigned sel = segment(0, (uintptr_t)area - 0xe000, 0xffff, DATA_RW, 0);
	const uint32_t *seen = stack16_seen;

	__asm__ volatile("mov %%esp, %%esi\n\tmov %%ss, %%edi\n\t"
			 "mov %w0, %%ss\n\tmov $0x5a5a0000, %%esp\n\t"
			 "push $0x11223344\n\tmov %%esp, stack16_seen\n\t"
			 "call 1f\n1:\tmov %%esp, stack16_seen+4\n\t"
			 "movl $2f, %%ss:0xfff8\n\tret $4\n2:\tmov %%esp, stack16_seen+8\n\t"
			 "mov %%edi, %%ss\n\tmov %%esi, %%esp"
			 :
			 : "r"(sel)
			 : "esi", "edi", "memory");
	return expect("ESP behind PUSH", seen[0], 0x5a5afffc) &
	       expect("pushed", *(uint32_t *)(area + 0x1ffc), 0x11223344) &
	       expect("ESP behind CALL", seen[1], 0x5a5afff8) &
	       expect("ESP behind RET", seen[2], 0x5a5a0000);
}

struct {
	uint32_t offset;
	uint16_t selector;
} __attribute__((packed)) gate_far = {0, 0};

/* An instruction that begins inside the code segment and ends beyond its limit. */
static bool code_beyond_limit(void)
{
	static const uint8_t text[] = {
		0x90,                                    /* nop */
		0xb8, 0x34, 0x12,                        /* mov $0x1234, %ax */
		0x66, 0xea, 0,    0, 0, 0, SEL_KCODE, 0, /* ljmpl back */
	};
	bool good = true;

	for (unsigned i = 0; i < sizeof(text); i++)
		area[i] = text[i];
	for (unsigned limit = 1; limit < 3; limit++) {
		unsigned sel = segment(3, (uintptr_t)area, limit, CODE_R, 0);
		int v = TRY("movl $1f, %2\n\tmov %0, gate_far+4\n\tljmp *gate_far\n1:",
			    :
			    : "r"((uint16_t)sel), "m"(area), "m"(*(uint32_t *)&area[6])
			    : "eax", "memory");

		good &= ended_in(v, VEC_GP, 0) & expect("eip", trap.frame.rip, 1);
	}
	return good;
}

/* ---- virtual-8086 mode ----------------------------------------------------------------------- */

#define V86_CODE 0x6000

static void v86_put(const uint8_t *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		((volatile uint8_t *)V86_CODE)[i] = text[i];
}

static int v86_run(const uint8_t *text, unsigned len, unsigned long flags)
{
	v86_put(text, len);
	v86_enter(V86_CODE >> 4, 0, 0x500, 0x800, VM | 2 | flags);
	return (int)trap.frame.vector;
}

#define V86(flags, ...) \
	v86_run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), flags)

static bool v86_state(void)
{
	bool good;
	/* mov %ds,%ax; mov %es,%bx; mov %fs,%cx; mov %gs,%dx; push %ax; hlt */
	int v = V86(0, 0x8c, 0xd8, 0x8c, 0xc3, 0x8c, 0xe1, 0x8c, 0xea, 0x50, 0xf4);

	good = ended_in(v, VEC_GP, 0); /* HLT is privileged */
	good &= expect("ds", trap.frame.eax & 0xffff, 0x1000) &
		expect("es", trap.frame.ebx & 0xffff, 0x2000);
	good &= expect("fs", trap.frame.ecx & 0xffff, 0x3000) &
		expect("gs", trap.frame.edx & 0xffff, 0x4000);
	good &= expect("saved ds", trap.frame.v86_ds, 0x1000) &
		expect("saved gs", trap.frame.v86_gs, 0x4000);
	good &= expect("cs", trap.frame.cs, V86_CODE >> 4) & expect("ip", trap.frame.rip, 9);
	good &= expect("vm", trap.frame.rflags & VM, VM) & expect("sp", trap.frame.rsp, 0x7fe);
	return good & expect("pushed", *(volatile uint16_t *)(0x5000 + 0x7fe), 0x1000);
}

static bool v86_addressing(void)
{
	bool good;

	*(volatile uint8_t *)0x15678 = 0x5a;
	/* mov $0x5678,%bx; mov (%bx),%al; int3 */
	V86(IOPL, 0xbb, 0x78, 0x56, 0x8a, 0x07, 0xf4);
	good = expect("ds:bx", trap.frame.eax & 0xff, 0x5a);
	/* mov $0xffff,%bx; mov (%bx),%ax: beyond the 64 KiB limit */
	return good & ended_in(V86(0, 0xbb, 0xff, 0xff, 0x8b, 0x07), VEC_GP, 0);
}

static bool v86_interrupts(void)
{
	bool good;

	good = ended_in(V86(0, 0xcd, 0x80), VEC_GP, 0); /* INT with IOPL < 3 */
	good &= ended_in(V86(IOPL, 0xcd, 0x80), 0x80, 0) & expect("ip past it", trap.frame.rip, 2);
	good &= ended_in(V86(0, 0xfa), VEC_GP, 0); /* CLI */
	good &= ended_in(V86(0, 0x9c), VEC_GP, 0); /* PUSHF */
	good &= ended_in(V86(IOPL, 0xfa, 0xcd, 0x80), 0x80, 0) &
		expect("if", trap.frame.rflags & IF, 0);
	good &= ended_in(V86(0, 0x0f, 0x20, 0xc0), VEC_GP, 0);       /* MOV CR0 */
	return good & ended_in(V86(0, 0x0f, 0x00, 0xc0), VEC_UD, 0); /* SLDT */
}

static bool v86_io(void)
{
	bool good;

	good = ended_in(V86(IOPL, 0xe4, 0x27), VEC_GP, 0); /* the bitmap counts whatever IOPL */
	tss.bitmap[0x27 / 8] = 0;
	good &= ended_in(V86(0, 0xe4, 0x27, 0xf4), VEC_GP, 0) &
		expect("past IN", trap.frame.rip, 2);
	tss.bitmap[0x27 / 8] = 0xff;
	return good;
}

/* ---- real mode ------------------------------------------------------------------------------- */

#define REAL_TEXT    0x7800
#define REAL_HANDLER 0x7a00

/* Real-mode vector `n` to REAL_HANDLER. The compiler must not know that this is address zero. */
static void real_vector(unsigned n, const uint8_t *text, unsigned len)
{
	uintptr_t at = n * 4;
	volatile uint16_t *entry;

	__asm__("" : "+r"(at));
	entry = (volatile uint16_t *)at;
	entry[0] = REAL_HANDLER;
	entry[1] = 0;
	for (unsigned i = 0; i < len; i++)
		((volatile uint8_t *)REAL_HANDLER)[i] = text[i];
}

static void real_run(const uint8_t *text, unsigned len)
{
	for (char *from = real_code, *to = (char *)REAL_CODE; from < real_code_end;)
		*to++ = *from++;
	for (unsigned i = 0; i < len; i++)
		((volatile uint8_t *)REAL_TEXT)[i] = text[i];
	real_call(REAL_TEXT);
}

#define REAL(...)   real_run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define REAL_RESULT (*(volatile uint16_t *)0x7f00)

static bool real_mode(void)
{
	REAL_RESULT = 0;
	/* mov %cr0,%eax; mov %ax,0x7f00; lret */
	REAL(0x0f, 0x20, 0xc0, 0xa3, 0x00, 0x7f, 0xcb);
	return expect("PE", REAL_RESULT & 1, 0) & expect("PE back", READ_CR(0) & 1, 1);
}

static bool real_interrupt(void)
{
	/* mov $0xbeef,%ax; mov %ax,0x7f00; iret */
	static const uint8_t text[] = {0xb8, 0xef, 0xbe, 0xa3, 0x00, 0x7f, 0xcf};

	real_vector(0x40, text, sizeof(text));
	REAL_RESULT = 0;
	REAL(0xcd, 0x40, 0xcb);
	return expect("handler ran", REAL_RESULT, 0xbeef);
}

static bool real_segments(void)
{
	*(volatile uint16_t *)0x12350 = 0xabcd;
	REAL_RESULT = 0;
	/* mov $0x1234,%ax; mov %ax,%es; mov %es:0x10,%ax; mov %ax,0x7f00; lret */
	REAL(0xb8, 0x34, 0x12, 0x8e, 0xc0, 0x26, 0xa1, 0x10, 0x00, 0xa3, 0x00, 0x7f, 0xcb);
	return expect("16 * segment + offset", REAL_RESULT, 0xabcd);
}

static bool real_divide(void)
{
	/* pop %bx; add $2,%bx; push %bx; movw $0xd1d1,0x7f00; iret: #DE saves the DIV's own IP */
	static const uint8_t text[] = {0x5b, 0x83, 0xc3, 0x02, 0x53, 0xc7,
				       0x06, 0x00, 0x7f, 0xd1, 0xd1, 0xcf};

	real_vector(0, text, sizeof(text));
	REAL_RESULT = 0;
	/* push %bx; xor %ax,%ax; div %al; pop %bx; lret */
	REAL(0x53, 0x31, 0xc0, 0xf6, 0xf0, 0x5b, 0xcb);
	return expect("handler ran", REAL_RESULT, 0xd1d1);
}

/* ---- paging ---------------------------------------------------------------------------------- */

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t small[1024] __attribute__((aligned(4096)));

static bool two_level(void)
{
	bool good;
	int v;

	for (unsigned i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x87; /* 4 MiB pages, one to one */
	directory[0x200] = (uintptr_t)small | 7;
	small[0] = (uintptr_t)area | 5; /* 80000000h: read-only */
	small[1] = 0;
	area[0x10] = 0x3c;
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, (uintptr_t)directory);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	good = expect("mapped", *(volatile uint8_t *)0x80000010, 0x3c);
	good &= expect("accessed", small[0] & 0x60, 0x20) &
		expect("directory", directory[0x200] & 0x20, 0x20);
	v = TRY("movb $0, (%0)", : : "r"(0x80000010) : "memory");
	good &= ended_in(v, VEC_PF, 3) & expect("cr2", (uint32_t)trap.cr2, 0x80000010);
	v = TRY("movb (%0), %%al", : : "r"(0x80001010) : "eax", "memory");
	good &= ended_in(v, VEC_PF, 0);
	good &= expect("4 MiB page dirty", directory[0] & 0x60, 0x60);
	WRITE_CR(0, READ_CR(0) & ~0x80010000ul);
	WRITE_CR(4, READ_CR(4) & ~0x10ul);
	return good;
}

uint32_t push_esp;
USER_CODE(user_pushes, ".balign 512\nmov $0x23, %eax\nmov %eax, %fs\nmov push_esp, %esp\njmp 1f\n"
		       "1: .rept 40\npush %fs:push_esp\n.endr\nint $0x80\n");

/* As many checks of memory as fit into one piece of translated code: the last one counts, too. */
static bool pushes(void)
{
	bool good = true;

	for (unsigned i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x87;
	directory[0x200] = (uintptr_t)small | 7;
	small[0] = 0;
	small[1] = (uintptr_t)area | 7;
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, (uintptr_t)directory);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	push_esp = 0x80001800;
	for (unsigned i = 0; i < 10; i++)
		good &= ended_in(user_run(user_pushes, 0), 0x80, 0);
	push_esp = 0x80001000 + 39 * 4;
	good &= ended_in(user_run(user_pushes, 0), VEC_PF, 6) &
		expect("cr2", (uint32_t)trap.cr2, 0x80000ffc) &
		expect("esp", trap.frame.rsp, 0x80001000);
	WRITE_CR(0, READ_CR(0) & ~0x80010000ul);
	WRITE_CR(4, READ_CR(4) & ~0x10ul);
	return good;
}

static uint64_t pae_pdpt[4] __attribute__((aligned(4096)));
static uint64_t pae_dir[4][512] __attribute__((aligned(4096)));

static bool pae(void)
{
	bool good;
	int v;

	for (unsigned i = 0; i < 4; i++) {
		pae_pdpt[i] = (uintptr_t)pae_dir[i] | 1;
		for (unsigned j = 0; j < 512; j++)
			pae_dir[i][j] = (uint64_t)i << 30 | j << 21 | 0x83;
	}
	pae_dir[2][0] = ((uintptr_t)area & ~0x1fffffu) | 0x83;
	area[0x20] = 0x4d;
	WRITE_CR(4, READ_CR(4) | 0x20);
	WRITE_CR(3, (uintptr_t)pae_pdpt);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	good = expect("mapped",
		      *(volatile uint8_t *)(0x80000000 + ((uintptr_t)&area[0x20] & 0x1fffff)),
		      0x4d);
	/* the four PDPTEs are registers: a change in memory counts at the next load of CR3 */
	pae_pdpt[2] = 0;
	WRITE_CR(3, (uintptr_t)pae_pdpt);
	v = TRY("movb (%0), %%al", : : "r"(0x80000020) : "eax", "memory");
	good &= ended_in(v, VEC_PF, 0);
	pae_pdpt[2] = 0x1e7; /* reserved bits */
	v = TRY("mov %0, %%cr3", : : "r"((uintptr_t)pae_pdpt) : "memory");
	good &= ended_in(v, VEC_GP, 0);
	pae_pdpt[2] = 0;
	WRITE_CR(0, READ_CR(0) & ~0x80010000ul);
	WRITE_CR(4, READ_CR(4) & ~0x20ul);
	return good;
}

const struct check checks[] = {
	{1, "3.4.5: segment base", segment_base},
	{2, "5.3: limit and granularity", segment_limit},
	{3, "5.3: expand-down segments", segment_down},
	{4, "5.5: segment types and null selectors", segment_types},
	{5, "3.4.5.1: accessed bit", segment_accessed},
	{6, "2A LAR, LSL", load_rights},
	{7, "5.8.5: call gate copies parameters to the inner stack", call_gate},
	{8, "5.8: ring 3 and back", ring3},
	{9, "5.8.7: SYSENTER and SYSEXIT", sysenter},
	{10, "2A: DAA, AAD, AAM, BOUND, INTO, ARPL", legacy_instructions},
	{11, "21.1: 16-bit code segment", code16},
	{12, "20.2: virtual-8086 mode, segments and frame", v86_state},
	{13, "20.1.1: addresses of virtual-8086 mode", v86_addressing},
	{14, "20.3: INT, CLI, PUSHF and IOPL", v86_interrupts},
	{15, "20.2.8: ports in virtual-8086 mode", v86_io},
	{16, "9.9: to real mode and back", real_mode},
	{17, "20.1.4: interrupt vectors of real mode", real_interrupt},
	{18, "20.1.1: addresses of real mode", real_segments},
	{19, "20.1.4: #DE in real mode", real_divide},
	{20, "4.3: two-level paging, 4 MiB pages", two_level},
	{21, "4.4: PAE paging", pae},
	{22, "5.3: an instruction that ends beyond the limit", code_beyond_limit},
	{23, "5.3: limits of FS in code that runs often", segment_often},
	{24, "4.7: the last of 40 pushes faults", pushes},
	{25, "6.2.3: PUSH, CALL and RET with a 16-bit stack pointer", stack16},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
