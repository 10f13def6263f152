/* SPDX-License-Identifier: Apache-2.0 */
/* Hardware task switches of 32-bit protected mode: jumps, calls, IRET, task gates. */
#include "guests/lib/guest.h"

#define NT 0x4000u
#define TS 8u

#define SEL_OTHER (SEL_FREE + 0)  /* TSS of the other task */
#define SEL_SMALL (SEL_FREE + 8)  /* a TSS that is too small */
#define SEL_TASK  (SEL_FREE + 16) /* a task gate */
#define SEL_OLD   (SEL_FREE + 24) /* 16-bit TSS */

#define AVAILABLE 0x89
#define BUSY      0x8b

#define TASK_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n.globl " #name "\n" #name ":\n" text)

struct gate {
	uint16_t offset_low, selector, attr, offset_mid;
};
extern struct gate idt[256];

static struct tss other;
static uint8_t stack[2048] __attribute__((aligned(16)));
uint32_t seen_esp, seen_eax, seen_flags, seen_error, seen_cr0, seen_tr, seen_count;

static bool ended_in(int got, int vector, uint32_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

static void descriptor(unsigned sel, const void *at, uint32_t limit, unsigned access)
{
	uintptr_t base = (uintptr_t)at;

	gdt[sel / 8] = limit | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
		       (uint64_t)(base >> 24) << 56;
}

static unsigned access_of(unsigned sel)
{
	return gdt[sel / 8] >> 40 & 0xff;
}

/* The other task begins at `code`. */
static void prepare(void (*code)(void))
{
	other = (struct tss){
		.eip = (uintptr_t)code,
		.eflags = 2,
		.gpr = {0x11, 0x22, 0x33, 0x44, (uintptr_t)stack + sizeof(stack), 0x55, 0x66, 0x77},
		.seg = {SEL_KDATA, SEL_KCODE, SEL_KDATA, SEL_KDATA, SEL_KDATA, SEL_KDATA},
	};
	seen_esp = seen_eax = seen_flags = seen_error = seen_count = 0;
	descriptor(SEL_OTHER, &other, sizeof(other) - 1, AVAILABLE);
}

static void no_nested_task(void)
{
	__asm__ volatile("pushf\n\tandl $~0x4000, (%%esp)\n\tpopf\n\tclts" : : : "memory", "cc");
}

/* Notes what it finds, then goes back by a jump to the first task's TSS. */
TASK_CODE(jump_back, "mov %esp, seen_esp\nmov %eax, seen_eax\npushf\npop seen_flags\n"
		     "mov %cr0, %ecx\nmov %ecx, seen_cr0\nstr seen_tr\nincl seen_count\n"
		     "ljmp $0x38, $0\n");
/* As a subroutine: back by IRET, and on from there the next time. */
TASK_CODE(return_back, "1: mov %esp, seen_esp\nmov %eax, seen_eax\npushf\npop seen_flags\n"
		       "incl seen_count\niret\njmp 1b\n");
/* An exception's task: takes the error code, and lets the first one go on past "mov %eax, %fs". */
TASK_CODE(exception_task, "mov %esp, seen_esp\npop seen_error\nincl seen_count\n"
			  "addl $2, tss+0x20\niret\n");

static bool jump(void)
{
	uint32_t kept = 0x12345678;
	bool good;

	prepare(jump_back);
	__asm__ volatile("mov $0x99, %%eax\n\tljmp %1, $0"
			 : "+b"(kept)
			 : "i"(SEL_OTHER)
			 : "eax", "ecx", "memory");
	good = expect("ran once", seen_count, 1) &
	       expect("its stack", seen_esp, (uintptr_t)stack + sizeof(stack));
	good &= expect("its eax", seen_eax, 0x11) & expect("no NT", seen_flags & NT, 0);
	good &= expect("CR0.TS", seen_cr0 & TS, TS) & expect("its TR", seen_tr & 0xffff, SEL_OTHER);
	good &= expect("registers kept", kept, 0x12345678);
	good &= expect("it is free again", access_of(SEL_OTHER), AVAILABLE) &
		expect("we are busy", access_of(SEL_TSS), BUSY);
	good &= expect("saved eip is past its jump", other.eip != (uintptr_t)jump_back, true);
	no_nested_task();
	return good;
}

static bool call(void)
{
	bool good;

	prepare(return_back);
	for (unsigned i = 1; i <= 3; i++) {
		__asm__ volatile("lcall %0, $0" : : "i"(SEL_OTHER) : "eax", "ecx", "edx", "memory");
		good = expect("ran", seen_count, i);
	}
	good &= expect("NT", seen_flags & NT, NT) & expect("link", other.link & 0xffff, SEL_TSS);
	good &= expect("NT is saved clear", other.eflags & NT, 0);
	good &= expect("free again", access_of(SEL_OTHER), AVAILABLE) &
		expect("we stay busy", access_of(SEL_TSS), BUSY);
	no_nested_task();
	return good;
}

static bool gate_in_gdt(void)
{
	bool good;

	prepare(return_back);
	gdt[SEL_TASK / 8] = (uint64_t)SEL_OTHER << 16 | 0x85ull << 40;
	__asm__ volatile("lcall %0, $0" : : "i"(SEL_TASK) : "eax", "ecx", "edx", "memory");
	good = expect("ran", seen_count, 1);
	no_nested_task();
	return good;
}

static bool software_interrupt(void)
{
	bool good;

	prepare(return_back);
	idt[0x60] = (struct gate){.selector = SEL_OTHER, .attr = 0x8500};
	__asm__ volatile("int $0x60\n\tint $0x60" : : : "eax", "ecx", "edx", "memory");
	good = expect("ran", seen_count, 2) &
	       expect("no error code", seen_esp, (uintptr_t)stack + sizeof(stack));
	gate_set(0x60, GATE_INTERRUPT, 0, 0);
	no_nested_task();
	return good;
}

/* #GP through an absent gate is #NP, which makes #DF: its task has a stack of its own. */
static bool double_fault(void)
{
	bool good;

	prepare(exception_task);
	idt[VEC_DF] = (struct gate){.selector = SEL_OTHER, .attr = 0x8500};
	gate_present(VEC_GP, false);
	__asm__ volatile("mov $0xfff8, %%eax\n\tmov %%eax, %%fs" : : : "eax", "memory");
	gate_present(VEC_GP, true);
	gate_set(VEC_DF, GATE_INTERRUPT, 0, 0);
	good = expect("ran", seen_count, 1) & expect("error code", seen_error, 0) &
	       expect("pushed on its stack", seen_esp, (uintptr_t)stack + sizeof(stack) - 4);
	no_nested_task();
	return good;
}

static bool refused(void)
{
	bool good;
	int v;

	prepare(jump_back);
	v = TRY("ljmp %0, $0", : : "i"(SEL_TSS) : "memory");
	good = ended_in(v, VEC_GP, SEL_TSS); /* we are busy */
	descriptor(SEL_SMALL, &other, 0x66, AVAILABLE);
	v = TRY("ljmp %0, $0", : : "i"(SEL_SMALL) : "memory");
	good &= ended_in(v, VEC_TS, SEL_SMALL);
	descriptor(SEL_SMALL, &other, 0x67, AVAILABLE & 0x7f);
	v = TRY("lcall %0, $0", : : "i"(SEL_SMALL) : "memory");
	good &= ended_in(v, VEC_NP, SEL_SMALL);
	return good & expect("nothing ran", seen_count, 0) &
	       expect("still free", access_of(SEL_OTHER), AVAILABLE);
}

/* Faults of the new task's selectors are raised there, with its EIP. The registers hold what the
 * TSS says, also what is wrong with it. */
uint32_t seen_eip, seen_ds;
TASK_CODE(bad_selector, "mov %ds, %ebx\nmov $0x10, %eax\nmov %eax, %ds\nmov %eax, %es\n"
			"mov %ebx, seen_ds\npop seen_error\npop seen_eip\nadd $8, %esp\n"
			"jmp jump_back\n");

static bool bad_segment(void)
{
	uintptr_t to = (uintptr_t)bad_selector;
	bool good;

	prepare(jump_back);
	other.seg[3] = SEL_KCODE | 4; /* DS from an LDT that is not there */
	other.eip = 0x1234;
	idt[VEC_TS] = (struct gate){(uint16_t)to, SEL_KCODE, 0x8e00, (uint16_t)(to >> 16)};
	__asm__ volatile("ljmp %0, $0" : : "i"(SEL_OTHER) : "eax", "ecx", "memory");
	gate_set(VEC_TS, GATE_INTERRUPT, 0, 0);
	good = expect("error code", seen_error, SEL_KCODE | 4) & expect("ran then", seen_count, 1);
	good &= expect("eip", seen_eip, 0x1234) & expect("ds", seen_ds & 0xffff, SEL_KCODE | 4);
	no_nested_task();
	return good;
}

static bool sixteen_bits(void)
{
	static uint16_t small[22];
	static const uint8_t text[] = {0xa3, 0, 0, 0, 0, 0xea, 0, 0, 0, 0, SEL_TSS, 0};
	uint8_t *code = (uint8_t *)0x6000;
	bool good;

	for (unsigned i = 0; i < sizeof(text); i++) /* mov %eax, seen_eax; ljmp SEL_TSS, 0 */
		code[i] = text[i];
	*(uint32_t *)(code + 1) = (uintptr_t)&seen_eax;
	prepare(jump_back);
	for (unsigned i = 0; i < 22; i++)
		small[i] = 0;
	small[0x0e / 2] = 0x6000;
	small[0x10 / 2] = 2;
	small[0x12 / 2] = 0xabcd;
	small[0x1a / 2] = 0x5ff0;
	small[0x22 / 2] = small[0x26 / 2] = small[0x28 / 2] = SEL_KDATA;
	small[0x24 / 2] = SEL_KCODE;
	descriptor(SEL_OLD, small, 0x2b, 0x81);
	__asm__ volatile("mov $0x7777, %%eax\n\tljmp %0, $0"
			 :
			 : "i"(SEL_OLD)
			 : "eax", "ecx", "memory");
	good = expect("ax", seen_eax & 0xffff, 0xabcd) &
	       expect("saved ip", small[0x0e / 2], 0x6000 + sizeof(text));
	good &= expect("free", access_of(SEL_OLD), 0x81);
	__asm__ volatile("mov %0, %%fs\n\tmov %0, %%gs" : : "r"(SEL_KDATA));
	no_nested_task();
	return good;
}

const struct check checks[] = {
	{1, "7.3: JMP to a TSS and back", jump},
	{2, "7.4: CALL nests, IRET returns", call},
	{3, "7.2.5: a task gate in the GDT", gate_in_gdt},
	{4, "6.12.2: INT n through a task gate", software_interrupt},
	{5, "6.12.2: #DF has a task of its own", double_fault},
	{6, "7.3: busy, small and absent TSSs", refused},
	{7, "7.3: a bad selector faults in the new task", bad_segment},
	{8, "7.6: 16-bit TSS", sixteen_bits},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 20;
