/* SPDX-License-Identifier: Apache-2.0 */
/* Each exception: vector, error code, saved RIP, CR2, DR6, stack. */
#include "guests/lib/guest.h"

#define NONCANONICAL 0x8000000000000000ul
#define RF           0x10000ul
#define TF           0x100ul

/* After a TRY: vector, error code, and the address of the instruction at `label` as saved RIP. */
static bool ended_in(int got, int vector, uint64_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

static bool divide(void)
{
	uint64_t at;
	int v = TRY("lea 1f(%%rip), %0\n\txor %%eax, %%eax\n\tcltd\n1:\tdivl %%eax",
		    : "=&b"(at)
		    :
		    : "rax", "rdx", "memory");

	return ended_in(v, VEC_DE, 0) & expect("rip", trap.frame.rip, at);
}

static bool divide_overflow(void)
{
	int v = TRY("mov $0x80000000, %%eax\n\tcltd\n\tmov $-1, %%ecx\n\tidivl %%ecx",
		    :
		    :
		    : "rax", "rcx", "rdx", "memory");

	return ended_in(v, VEC_DE, 0);
}

static bool breakpoint(void)
{
	uint64_t at;
	int v = TRY("lea 1f(%%rip), %0\n\tint3\n1:\tnop", : "=&b"(at) : : "memory");

	return ended_in(v, VEC_BP, 0) & expect("rip past it", trap.frame.rip, at);
}

static bool software_interrupt(void)
{
	uint64_t at;
	int v = TRY("lea 1f(%%rip), %0\n\tint $0x55\n1:\tnop", : "=&b"(at) : : "memory");

	return ended_in(v, 0x55, 0) & expect("rip past it", trap.frame.rip, at);
}

static bool undefined(void)
{
	uint64_t at;
	int v = TRY("lea 1f(%%rip), %0\n1:\tud2", : "=&b"(at) : : "memory");

	return ended_in(v, VEC_UD, 0) & expect("rip", trap.frame.rip, at);
}

static bool resume_flag(void)
{
	bool good;

	TRY("ud2", : : : "memory");
	good = expect("fault", trap.frame.rflags & RF, RF);
	TRY("int3", : : : "memory");
	return good & expect("trap", trap.frame.rflags & RF, 0);
}

static bool undefined_in_long_mode(void)
{
	bool good = true;
	static const struct {
		const char *name;
		uint8_t code[4];
	} gone[] = {
		{"aaa", {0x37, 0xc3}},
		{"pusha", {0x60, 0xc3}},
		{"push es", {0x06, 0xc3}},
		{"into", {0xce, 0xc3}},
		{"daa", {0x27, 0xc3}},
		{"salc", {0xd6, 0xc3}},
		{"ud0", {0x0f, 0xff, 0xc0, 0xc3}},
		{"mov cs", {0x8e, 0xc8, 0xc3}},
	};

	for (unsigned i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		good &= expect(gone[i].name, (unsigned)try_exec((void *)gone[i].code), VEC_UD);
	return good;
}

static bool lock_prefix(void)
{
	static const struct {
		const char *name;
		uint8_t code[4];
	} bad[] = {
		{"nop", {0xf0, 0x90, 0xc3}},
		{"mov reg", {0xf0, 0x89, 0xc0, 0xc3}},
		{"add reg", {0xf0, 0x01, 0xc0, 0xc3}},
		{"cmp mem", {0xf0, 0x39, 0x07, 0xc3}},
	};
	bool good = true;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		good &= expect(bad[i].name, (unsigned)try_exec((void *)bad[i].code), VEC_UD);
	return good;
}

static bool no_fpu(void)
{
	int v;
	bool good;

	WRITE_CR(0, READ_CR(0) | 8); /* TS */
	v = TRY("fnop", : : : "memory");
	good = ended_in(v, VEC_NM, 0);
	v = TRY("movaps %%xmm0, %%xmm0", : : : "memory");
	good &= ended_in(v, VEC_NM, 0);
	v = TRY("fwait", : : : "memory"); /* MP and TS */
	good &= ended_in(v, VEC_NM, 0);
	__asm__ volatile("clts");
	WRITE_CR(0, READ_CR(0) | 4); /* EM: x87 is #NM, SSE is #UD */
	v = TRY("movaps %%xmm0, %%xmm0", : : : "memory");
	good &= expect("sse with EM", (unsigned)v, VEC_UD);
	WRITE_CR(0, READ_CR(0) & ~4ul);
	return good;
}

static bool sse_without_osfxsr(void)
{
	unsigned long cr4 = READ_CR(4);
	int v;

	WRITE_CR(4, cr4 & ~0x200ul);
	v = TRY("movaps %%xmm0, %%xmm0", : : : "memory");
	WRITE_CR(4, cr4);
	return ended_in(v, VEC_UD, 0);
}

static bool general_protection(void)
{
	bool good = true;
	int v = TRY("mov (%0), %%al", : : "r"(NONCANONICAL) : "rax", "memory");

	good &= ended_in(v, VEC_GP, 0);
	v = TRY("mov %w0, %%es", : : "r"(0x1230) : "memory");
	good &= ended_in(v, VEC_GP, 0x1230);
	v = TRY("mov %w0, %%ss", : : "r"(0) : "memory"); /* null is allowed at CPL 0 in long mode */
	good &= expect("null ss", (unsigned)v, (unsigned)-1);
	__asm__ volatile("mov %w0, %%ss" : : "r"(SEL_KDATA));
	return good;
}

static bool unknown_msr(void)
{
	bool good;
	int v = TRY("wrmsr", : : "c"(0x12345678), "a"(0), "d"(0) : "memory");

	good = ended_in(v, VEC_GP, 0);
	v = TRY("rdmsr", : : "c"(0x12345678) : "rax", "rdx", "memory");
	return good & ended_in(v, VEC_GP, 0);
}

static bool idt_limit(void)
{
	extern struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt_pointer;
	int v;

	idt_pointer.limit = 0x40 * 16 - 1;
	__asm__ volatile("lidt idt_pointer");
	v = TRY("int $0x50", : : : "memory");
	idt_pointer.limit = 256 * 16 - 1;
	__asm__ volatile("lidt idt_pointer");
	return ended_in(v, VEC_GP, 0x50 * 8 + 2);
}

static bool stack_fault(void)
{
	int v = TRY("mov %%rbp, %%rbx\n\tmov %0, %%rbp\n\tmov (%%rbp), %%al\n\tmov %%rbx, %%rbp",
		    :
		    : "r"(NONCANONICAL)
		    : "rax", "rbx", "memory");
	/* the fault skipped the restoring move */
	__asm__ volatile("mov %0, %%rbp" : : "r"(trap.frame.rbx));
	return ended_in(v, VEC_SS, 0);
}

static bool not_present(void)
{
	bool good;
	int v = TRY("mov %w0, %%es", : : "r"(SEL_ABSENT) : "memory");

	good = ended_in(v, VEC_NP, SEL_ABSENT);
	v = TRY("mov %w0, %%ss", : : "r"(SEL_ABSENT) : "memory");
	good &= ended_in(v, VEC_SS, SEL_ABSENT);
	gate_present(0x60, false);
	v = TRY("int $0x60", : : : "memory");
	gate_present(0x60, true);
	return good & ended_in(v, VEC_NP, 0x60 * 8 + 2);
}

static bool x87_error(void)
{
	static const uint16_t unmasked = 0x33b; /* zero divide */
	int v = TRY("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait",
		    :
		    : "m"(unmasked)
		    : "memory");

	__asm__ volatile("fninit");
	return ended_in(v, VEC_MF, 0);
}

static bool simd_error(void)
{
	static const uint32_t unmasked = 0x1d80, masked = 0x1f80;
	uint64_t at;
	uint32_t mxcsr;
	int v = TRY("ldmxcsr %1\n\txorps %%xmm1, %%xmm1\n\tpcmpeqd %%xmm0, %%xmm0\n\tpslld $31, "
		    "%%xmm0\n\t"
		    "psrld $2, %%xmm0\n\tlea 1f(%%rip), %0\n1:\tdivps %%xmm1, %%xmm0",
		    : "=&b"(at)
		    : "m"(unmasked)
		    : "memory");

	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(mxcsr) : "m"(masked));
	return ended_in(v, VEC_XM, 0) & expect("rip", trap.frame.rip, at) &
	       expect("mxcsr flags", mxcsr & 0x3f, 0x04);
}

static void user_unaligned(void)
{
	__asm__ volatile("mov 1(%rsp), %rax\n\tint $0x80");
}

static bool alignment(void)
{
	bool good;

	WRITE_CR(0, READ_CR(0) | 1ul << 18); /* AM */
	good = expect("without AC", (unsigned)user_run(user_unaligned, 0), 0x80);
	good &= ended_in(user_run(user_unaligned, 1ul << 18), VEC_AC, 0);
	WRITE_CR(0, READ_CR(0) & ~(1ul << 18));
	return good;
}

static uint8_t ist_stack[4096] __attribute__((aligned(16)));

static bool interrupt_stack(void)
{
	uint64_t top = (uintptr_t)ist_stack + sizeof(ist_stack), rsp;
	int v;

	tss.ist[2] = top - 8; /* the processor aligns it down to 16 bytes */
	gate_set(0x61, GATE_INTERRUPT, 0, 3);
	v = TRY("mov %%rsp, %0\n\tint $0x61", : "=&b"(rsp) : : "memory");
	gate_set(0x61, GATE_INTERRUPT, 0, 0);
	return ended_in(v, 0x61, 0) & expect("stack", trap.sp + sizeof(struct frame), top - 16) &
	       expect("saved rsp", trap.frame.rsp, rsp) &
	       expect("saved ss", trap.frame.ss, SEL_KDATA);
}

static bool stack_alignment(void)
{
	uint64_t rsp;
	int v = TRY("mov %%rsp, %0\n\tsub $3, %%rsp\n\tint $0x62", : "=&b"(rsp) : : "memory");

	return ended_in(v, 0x62, 0) & expect("saved rsp", trap.frame.rsp, rsp - 3) &
	       expect("frame's alignment", (trap.sp + sizeof(struct frame)) & 15, 0);
}

static bool double_fault(void)
{
	uint64_t top = (uintptr_t)ist_stack + sizeof(ist_stack);
	int v;
	bool good;

	tss.ist[0] = top;
	gate_set(VEC_DF, GATE_INTERRUPT, 0, 1);
	gate_present(VEC_PF, false); /* #PF, then #NP while it is delivered */
	v = TRY("mov (%0), %%al", : : "r"(0x4000000000ul) : "rax", "memory");
	good = ended_in(v, VEC_DF, 0) & expect("cr2", trap.cr2, 0x4000000000ul);
	gate_present(VEC_PF, true);
	/* #UD is benign: its #NP comes serially, with EXT for "while another was delivered" */
	gate_present(VEC_UD, false);
	v = TRY("ud2", : : : "memory");
	good &= ended_in(v, VEC_NP, VEC_UD * 8 + 3);
	gate_present(VEC_UD, true);
	/* contributory on contributory */
	gate_present(VEC_GP, false);
	v = TRY("mov (%0), %%al", : : "r"(NONCANONICAL) : "rax", "memory");
	good &= ended_in(v, VEC_DF, 0);
	gate_present(VEC_GP, true);
	return good;
}

#define READ_DR6()                                            \
	({                                                    \
		uint64_t v_;                                  \
		__asm__ volatile("mov %%dr6, %0" : "=r"(v_)); \
		v_;                                           \
	})
#define WRITE_DR(n, val) __asm__ volatile("mov %0, %%dr" #n : : "r"((uint64_t)(val)))

static bool single_step(void)
{
	uint64_t at;
	int v;

	WRITE_DR(6, 0);
	v = TRY("lea 1f(%%rip), %0\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n1:\tnop",
		: "=&b"(at)
		:
		: "memory");
	return ended_in(v, VEC_DB, 0) & expect("rip", trap.frame.rip, at) &
	       expect("dr6", READ_DR6() & 0xe00f, 0x4000) &
	       expect("tf in the image", trap.frame.rflags & TF, TF);
}

/* Virtual machines leave the guest for these. */
#define STEP_OVER(text)                                                                            \
	({                                                                                         \
		uint64_t at_;                                                                      \
		int vector_;                                                                       \
                                                                                                   \
		WRITE_DR(6, 0);                                                                    \
		vector_ =                                                                          \
			TRY("lea 1f(%%rip), %0\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t" text \
			    "\n1:\tnop",                                                           \
			    : "=&S"(at_)                                                           \
			    :                                                                      \
			    : "rax", "rbx", "rcx", "rdx", "memory");                               \
		ended_in(vector_, VEC_DB, 0) & expect("rip", trap.frame.rip, at_) &                \
			expect("dr6", READ_DR6() & 0xe00f, 0x4000);                                \
	})

static bool step_over_exits(void)
{
	return STEP_OVER("cpuid") & STEP_OVER("inb $0x61, %%al") &
	       STEP_OVER("movabs 0xfee00020, %%eax");
}

static bool step_over_mov_ss(void)
{
	uint64_t at;
	int v = TRY(
		"lea 1f(%%rip), %0\n\tmov %%ss, %%ecx\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
		"mov %%ecx, %%ss\n\tnop\n1:\tnop",
		: "=&b"(at)
		:
		: "rcx", "memory");

	return ended_in(v, VEC_DB, 0) & expect("rip", trap.frame.rip, at);
}

static bool step_over_rep(void)
{
	uint64_t at, left;
	static uint8_t buf[16];
	int v = TRY("lea 1f(%%rip), %0\n\tmov $8, %%ecx\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n"
		    "1:\trep stosb",
		    : "=&b"(at)
		    : "D"(buf), "a"(0x5a)
		    : "rcx", "memory");

	left = trap.frame.rcx;
	return ended_in(v, VEC_DB, 0) & expect("rip", trap.frame.rip, at) &
	       expect("count left", left, 7) & expect("stored", buf[0] | buf[1] << 8, 0x5a);
}

static volatile uint64_t watched;

static bool data_breakpoint(void)
{
	uint64_t at;
	int v;
	bool good;

	WRITE_DR(6, 0);
	WRITE_DR(1, &watched);
	WRITE_DR(7, 0x00900404 | 2 << 1); /* DR1: writes of 8 bytes (LEN 10) */
	v = TRY("movq $1, %1\n\tlea 1f(%%rip), %0\n\tmovb $1, 7+%1\n1:\tnop",
		: "=&b"(at), "+m"(watched)
		:
		: "memory");
	good = expect("vector", (unsigned)v, VEC_DB) & expect("dr6", READ_DR6() & 0xe00f, 2);
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0);
	return good;
}

static bool code_breakpoint(void)
{
	uint64_t at, dr6;
	int v = TRY("lea 1f(%%rip), %0\n\tmov %0, %%dr0\n\tmov $0x401, %%eax\n\tmov %%rax, "
		    "%%dr7\n1:\tnop",
		    : "=&b"(at)
		    :
		    : "rax", "memory");

	dr6 = READ_DR6();
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0);
	return ended_in(v, VEC_DB, 0) & expect("rip: a fault", trap.frame.rip, at) &
	       expect("dr6", dr6 & 0xe00f, 1);
}

static unsigned __attribute__((noinline)) warm(volatile unsigned *sum)
{
	for (unsigned i = 0; i < 20000; i++)
		*sum += i;
	return *sum;
}

/* The processor has long been running this code when the breakpoint comes. */
static bool hot_breakpoint(void)
{
	static volatile unsigned sum;
	uint64_t at = (uintptr_t)warm;
	int v;

	warm(&sum);
	WRITE_DR(6, 0);
	v = TRY("mov %0, %%dr0\n\tmov $0x401, %%eax\n\tmov %%rax, %%dr7\n\tcall *%0",
		:
		: "r"(at), "D"(&sum)
		: "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory");
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0);
	return ended_in(v, VEC_DB, 0) & expect("rip", trap.frame.rip, at);
}

static bool hot_watchpoint(void)
{
	static volatile unsigned sum;
	uint64_t dr6;
	int v;

	warm(&sum);
	WRITE_DR(6, 0);
	v = TRY("mov %0, %%dr2\n\tmov $0xd000420, %%eax\n\tmov %%rax, %%dr7\n\tcall *%1",
		:
		: "r"((uint64_t)&sum), "r"((uintptr_t)warm), "D"(&sum)
		: "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory");
	dr6 = READ_DR6();
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0);
	return ended_in(v, VEC_DB, 0) & expect("dr6", dr6 & 0xe00f, 4);
}

static bool debug_general_detect(void)
{
	uint64_t dr6;
	int v;

	WRITE_DR(7, 0x2400); /* GD */
	v = TRY("mov %%dr0, %%rax", : : : "rax", "memory");
	/* delivery cleared GD */
	dr6 = READ_DR6();
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0);
	return ended_in(v, VEC_DB, 0) & expect("dr6", dr6 & 0xe00f, 0x2000);
}

/* DR4 is DR6 unless CR4.DE is on, and nobody's then. */
static bool debug_register_names(void)
{
	uint64_t cr4 = READ_CR(4), dr4 = 0;
	int on, off;

	WRITE_DR(6, 5);
	off = TRY("mov %%dr4, %0", : "=b"(dr4) : : "memory");
	WRITE_CR(4, cr4 | 8);
	on = TRY("mov %%dr4, %%rax", : : : "rax", "memory");
	WRITE_CR(4, cr4);
	WRITE_DR(6, 0);
	return expect("vector", (unsigned)off, ~0u) & expect("dr4", dr4, 0xffff0ff5) &
	       ended_in(on, VEC_UD, 0);
}

static bool icebp(void)
{
	uint64_t at;
	int v = TRY("lea 1f(%%rip), %0\n\t.byte 0xf1\n1:\tnop", : "=&b"(at) : : "memory");

	return ended_in(v, VEC_DB, 0) & expect("rip past it", trap.frame.rip, at);
}

static bool instruction_length(void)
{
	/* fifteen bytes are the limit: fourteen prefixes and nop, then one more */
	static uint8_t code[20];

	for (unsigned i = 0; i < 15; i++)
		code[i] = 0x66;
	code[14] = 0x90;
	code[15] = 0xc3;
	if (!expect("15 bytes", (unsigned)try_exec(code), (unsigned)-1))
		return false;
	code[14] = 0x66;
	code[15] = 0x90;
	code[16] = 0xc3;
	return expect("16 bytes", (unsigned)try_exec(code), VEC_GP);
}

/* mov $NONCANONICAL, %rax; mov $stack, %rsp; call *%rax: by a user, whose stack the fault does not
 * use. */
static bool call_to_nowhere(void)
{
	static uint8_t code[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48,
				 0xbc, 0,    0, 0, 0, 0, 0, 0, 0, 0xff, 0xd0};
	static volatile uint64_t stack[4] = {1, 2, 3, 4};
	uint64_t top = (uintptr_t)&stack[3];
	bool good = true;

	for (unsigned i = 0; i < 8; i++)
		code[12 + i] = (uint8_t)(top >> 8 * i);
	for (unsigned i = 0; i < 10 && good; i++)
		good = ended_in(user_run(code, 0), VEC_GP, 0) &
		       expect("rip", trap.frame.rip, (uintptr_t)code + 20) &
		       expect("rsp", trap.frame.rsp, top) & expect("nothing pushed", stack[2], 3);
	return good;
}

const struct check checks[] = {
	{1, "6.15 #DE: divide by zero faults at the instruction", divide},
	{2, "6.15 #DE: quotient out of range", divide_overflow},
	{3, "6.15 #BP: saved RIP is past INT3", breakpoint},
	{4, "6.4.4: INT n, saved RIP is past it, no error code", software_interrupt},
	{5, "6.15 #UD: faults at the instruction", undefined},
	{6, "2B: encodings that are invalid in 64-bit mode", undefined_in_long_mode},
	{7, "2.5: CR0.TS, MP and EM decide between #NM and #UD", no_fpu},
	{8, "13.1.3: SSE without CR4.OSFXSR is #UD", sse_without_osfxsr},
	{9, "6.15 #GP: non-canonical address, bad MSR, selector past the limit",
	 general_protection},
	{10, "6.13 #GP: vector past the IDT's limit gives its index with the IDT bit", idt_limit},
	{11, "6.15 #SS: non-canonical stack reference", stack_fault},
	{12, "6.15 #NP: absent segment and gate; #SS for SS", not_present},
	{13, "6.15 #MF: at the next waiting instruction, with CR0.NE", x87_error},
	{14, "6.15 #XM: faults at the instruction, flag in MXCSR", simd_error},
	{15, "6.15 #AC: at CPL 3 with AM and AC", alignment},
	{16, "6.14.5: interrupt stack table, RSP aligned down to 16", interrupt_stack},
	{17, "6.14.2: the frame is aligned, the old RSP is saved", stack_alignment},
	{18, "6.15 #DF: page fault with an absent handler; contributory twice; benign is serial",
	 double_fault},
	{19, "17.3.1.4: single step, DR6.BS", single_step},
	{20, "6.8.3: no single step between MOV SS and the next instruction", step_over_mov_ss},
	{21, "17.3.1.4: single step stops REP after one iteration", step_over_rep},
	{22, "17.2: data breakpoint on a write", data_breakpoint},
	{23, "17.2: instruction breakpoint is a fault", code_breakpoint},
	{24, "17.2.4: general detect", debug_general_detect},
	{25, "6.15 #DB: INT1", icebp},
	{26, "2.3.11: an instruction of more than 15 bytes is #GP", instruction_length},
	{27, "17.3.1.1: RF is set in the image of a fault, not of a trap", resume_flag},
	{28, "2B LOCK: #UD without a memory destination that can be locked", lock_prefix},
	{29, "2B RDMSR, WRMSR: #GP for an unknown register", unknown_msr},
	{30, "17.2: instruction breakpoint in hot code", hot_breakpoint},
	{31, "17.2: data breakpoint in a hot loop", hot_watchpoint},
	{32, "2A CALL: a target that is not canonical faults before the push", call_to_nowhere},
	{33, "17.3.1.4: single step over CPUID, port and APIC", step_over_exits},
	{34, "17.2.2: other names of debug registers", debug_register_names},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
