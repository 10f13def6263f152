/* SPDX-License-Identifier: Apache-2.0 */
/* Ways between privilege levels in long mode: gates, IRET, SYSCALL, far transfers, ports. */
#include "guests/lib/guest.h"

#define IF   0x200ul
#define DF   0x400ul
#define NT   0x4000ul
#define IOPL 0x3000ul

#define MSR_STAR   0xc0000081
#define MSR_LSTAR  0xc0000082
#define MSR_SFMASK 0xc0000084

#define USER_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n.globl " #name "\n" #name ":\n" text)

static bool ended_in(int got, int vector, uint64_t error)
{
	return expect("vector", (unsigned)got, (unsigned)vector) &
	       expect("error code", trap.frame.error, error);
}

/* ---- interrupt and trap gates ---------------------------------------------------------------- */

static uint64_t seen_flags;

static void note_flags(struct frame *f)
{
	(void)f;
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(seen_flags));
}

static bool gate_interrupt_flag(void)
{
	bool good = true;

	trap_handler[0x70] = note_flags;
	__asm__ volatile("sti\n\tint $0x70\n\tcli" : : : "memory");
	good &= expect("interrupt gate clears IF", seen_flags & IF, 0);
	good &= expect("saved IF", trap.frame.rflags & IF, IF);
	gate_set(0x70, GATE_TRAP, 0, 0);
	__asm__ volatile("sti\n\tint $0x70\n\tcli" : : : "memory");
	good &= expect("trap gate keeps IF", seen_flags & IF, IF);
	gate_set(0x70, GATE_INTERRUPT, 0, 0);
	return good;
}

USER_CODE(user_int_71, "int $0x71\n");
USER_CODE(user_int_80, "mov $0x1234, %eax\nint $0x80\n");

static bool gate_privilege(void)
{
	bool good;

	good = ended_in(user_run(user_int_71, 0), VEC_GP, 0x71 * 8 + 2);
	good &= expect("rip at the INT", trap.frame.rip, (uintptr_t)user_int_71);
	good &= ended_in(user_run(user_int_80, IF), 0x80, 0);
	return good & expect("cs", trap.frame.cs, SEL_UCODE | 3) &
	       expect("ss", trap.frame.ss, SEL_UDATA | 3) & expect("rax", trap.frame.rax, 0x1234) &
	       expect("flags", trap.frame.rflags & (IF | IOPL), IF) &
	       expect("kernel stack", trap.sp + sizeof(struct frame), tss.rsp[0]);
}

static bool gate_to_data(void)
{
	extern struct {
		uint16_t offset_low, selector, attr, offset_mid;
		uint32_t offset_high, reserved;
	} idt[256];
	bool good;
	int v;

	idt[0x72].selector = SEL_KDATA;
	v = TRY("int $0x72", : : : "memory");
	good = ended_in(v, VEC_GP, SEL_KDATA);
	idt[0x72].selector = 0;
	v = TRY("int $0x72", : : : "memory");
	good &= ended_in(v, VEC_GP, 0);
	idt[0x72].selector = SEL_KCODE32; /* not 64-bit code */
	v = TRY("int $0x72", : : : "memory");
	good &= ended_in(v, VEC_GP, SEL_KCODE32);
	gate_set(0x72, GATE_INTERRUPT, 0, 0);
	return good;
}

/* ---- ring 3 ---------------------------------------------------------------------------------- */

USER_CODE(user_cli, "cli\n");
USER_CODE(user_hlt, "hlt\n");
USER_CODE(user_mov_cr, "mov %cr0, %rax\n");
USER_CODE(user_rdmsr, "mov $0x10, %ecx\nrdmsr\n");
USER_CODE(user_lgdt, "lgdt (%rsp)\n");
USER_CODE(user_ltr, "ltr %ax\n");
USER_CODE(user_invlpg, "invlpg (%rsp)\n");
USER_CODE(user_wbinvd, "wbinvd\n");
USER_CODE(user_clts, "clts\n");
USER_CODE(user_mov_dr, "mov %dr7, %rax\n");

static bool privileged(void)
{
	static const struct {
		const char *name;
		void (*code)(void);
	} list[] = {
		{"cli", user_cli},        {"hlt", user_hlt},       {"mov cr0", user_mov_cr},
		{"rdmsr", user_rdmsr},    {"lgdt", user_lgdt},     {"ltr", user_ltr},
		{"invlpg", user_invlpg},  {"wbinvd", user_wbinvd}, {"clts", user_clts},
		{"mov dr7", user_mov_dr},
	};
	bool good = true;

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		good &= expect(list[i].name, (unsigned)user_run(list[i].code, 0), VEC_GP);
		good &= expect("error code", trap.frame.error, 0);
	}
	return good;
}

USER_CODE(user_popf, "pushq $0x3202\npopfq\npushfq\npop %rax\nint $0x80\n");

static bool flags_from_ring3(void)
{
	bool good;

	user_run(user_popf, IF);
	good = expect("IOPL stays 0", trap.frame.rax & IOPL, 0) &
	       expect("IF stays", trap.frame.rax & IF, IF);
	user_run(user_popf, 0);
	return good & expect("IF stays clear", trap.frame.rax & IF, 0);
}

USER_CODE(user_sti, "sti\nint $0x80\n");

static bool io_privilege_level(void)
{
	bool good = ended_in(user_run(user_sti, 0), VEC_GP, 0);

	good &= ended_in(user_run(user_sti, IOPL), 0x80, 0);
	return good & expect("IF", trap.frame.rflags & IF, IF);
}

USER_CODE(user_in, "mov $0x27, %edx\nin %dx, %al\nint $0x80\n");
USER_CODE(user_in_word, "mov $0x27, %edx\nin %dx, %ax\nint $0x80\n");

static bool io_bitmap(void)
{
	bool good;

	good = ended_in(user_run(user_in, 0), VEC_GP, 0);
	tss.bitmap[0x27 / 8] &= 0x7f;
	good &= ended_in(user_run(user_in, 0), 0x80, 0);
	good &= ended_in(user_run(user_in_word, 0), VEC_GP, 0); /* port 28h is closed */
	tss.bitmap[0x28 / 8] &= 0xfe;
	good &= ended_in(user_run(user_in_word, 0), 0x80, 0);
	tss.bitmap[0x27 / 8] = tss.bitmap[0x28 / 8] = 0xff;
	return good & ended_in(user_run(user_in, IOPL), 0x80, 0);
}

USER_CODE(user_load_kdata, "mov $0x10, %eax\nmov %eax, %ds\n");
USER_CODE(user_load_kss, "mov $0x10, %eax\nmov %eax, %ss\n");
USER_CODE(user_load_null, "xor %eax, %eax\nmov %eax, %ds\nmov %eax, %es\nint $0x80\n");

static bool data_privilege(void)
{
	return ended_in(user_run(user_load_kdata, 0), VEC_GP, SEL_KDATA) &
	       ended_in(user_run(user_load_kss, 0), VEC_GP, SEL_KDATA) &
	       ended_in(user_run(user_load_null, 0), 0x80, 0);
}

/* ---- IRET ------------------------------------------------------------------------------------ */

static int iret_to(uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t rsp, uint64_t ss)
{
	return TRY("push %4\n\tpush %3\n\tpush %2\n\tpush %1\n\tpush %0\n\tiretq",
		   :
		   : "r"(rip), "r"(cs), "r"(rflags), "r"(rsp), "r"(ss)
		   : "memory");
}

static bool iret_checks(void)
{
	uint64_t here = (uintptr_t)user_int_80;
	bool good;

	good = ended_in(iret_to(here, 0, 2, 0x9000, SEL_UDATA | 3), VEC_GP, 0);
	good &= ended_in(iret_to(here, SEL_KDATA, 2, 0x9000, SEL_KDATA), VEC_GP, SEL_KDATA);
	good &= ended_in(iret_to(here, 0x1000, 2, 0x9000, SEL_UDATA | 3), VEC_GP, 0x1000);
	good &= ended_in(iret_to(here, SEL_UCODE | 3, 2, 0x9000, SEL_KDATA), VEC_GP, SEL_KDATA);
	good &= ended_in(iret_to(here, SEL_UCODE, 2, 0x9000, SEL_UDATA), VEC_GP, SEL_UCODE);
	return good;
}

USER_CODE(user_selectors, "mov %ds, %eax\nmov %es, %ecx\nmov %fs, %edx\nmov %fs:0, %rsi\n"
			  "int $0x80\n");

/* Null selectors lose their RPL, a register of the inner ring becomes null; FS keeps its base. */
static bool iret_null_selectors(void)
{
	static const uint64_t word = 0x1122334455667788;
	bool good;
	int v;

	__asm__ volatile("mov %w0, %%ds\n\tmov %w1, %%es\n\tmov %w0, %%fs"
			 :
			 : "r"(3), "r"(SEL_KDATA));
	wrmsr(0xc0000100, (uintptr_t)&word);
	v = user_run(user_selectors, 0);
	good = ended_in(v, 0x80, 0) & expect("ds", (uint32_t)trap.frame.rax, 0) &
	       expect("es", (uint32_t)trap.frame.rcx, 0) &
	       expect("fs", (uint32_t)trap.frame.rdx, 0) & expect("fs base", trap.frame.rsi, word);
	__asm__ volatile("mov %w0, %%ds\n\tmov %w0, %%es\n\tmov %w1, %%fs"
			 :
			 : "r"(SEL_KDATA), "r"(0));
	return good;
}

static bool iret_nested_task(void)
{
	int v = TRY("pushfq\n\torq $0x4000, (%%rsp)\n\tpopfq\n\tiretq", : : : "memory");

	__asm__ volatile("pushfq\n\tandq $~0x4000, (%%rsp)\n\tpopfq" : : : "memory");
	return ended_in(v, VEC_GP, 0);
}

USER_CODE(compat_code, "mov %esp, %ebx\n.byte 0x40\nint $0x80\n"); /* 40h: INC EAX in 32-bit code */

static bool iret_compatibility(void)
{
	int v;

	v = TRY("mov $5, %%eax\n\tpush %3\n\tpush %2\n\tpush $2\n\tpush %1\n\tpush %0\n\tiretq",
		:
		: "r"((uintptr_t)compat_code), "r"((uint64_t)SEL_UCODE32 | 3), "r"(0x100008000ul),
		  "r"((uint64_t)SEL_UDATA | 3)
		: "rax", "memory");
	return ended_in(v, 0x80, 0) & expect("eax", (uint32_t)trap.frame.rax, 6) &
	       expect("cs", trap.frame.cs, SEL_UCODE32 | 3);
}

/* ---- SYSCALL --------------------------------------------------------------------------------- */

USER_CODE(user_syscall, "mov $0x77, %eax\nsyscall\nuser_after_syscall: int $0x80\n");
USER_CODE(syscall_entry, "mov %rcx, syscall_rcx\nmov %r11, syscall_r11\nmov %cs, syscall_cs\n"
			 "mov %ss, syscall_ss\npushfq\npop syscall_flags\nsysretq\n");
extern char user_after_syscall[];
uint64_t syscall_rcx, syscall_r11, syscall_flags;
uint16_t syscall_cs, syscall_ss;

static bool syscall_sysret(void)
{
	bool good;
	int v;

	wrmsr(MSR_STAR, (uint64_t)SEL_KCODE << 32 | (uint64_t)SEL_UCODE32 << 48);
	wrmsr(MSR_LSTAR, (uintptr_t)syscall_entry);
	wrmsr(MSR_SFMASK, IF | DF);
	v = user_run(user_syscall, IF | DF);
	good = ended_in(v, 0x80, 0) & expect("rcx", syscall_rcx, (uintptr_t)user_after_syscall);
	good &= expect("r11", syscall_r11 & (IF | DF), IF | DF);
	good &= expect("masked flags", syscall_flags & (IF | DF), 0);
	good &= expect("cs inside", syscall_cs, SEL_KCODE) &
		expect("ss inside", syscall_ss, SEL_KDATA);
	return good & expect("rip after", trap.frame.rip, (uintptr_t)user_after_syscall + 2) &
	       expect("cs after", trap.frame.cs, SEL_UCODE | 3) &
	       expect("ss after", trap.frame.ss, SEL_UDATA | 3) &
	       expect("flags after", trap.frame.rflags & (IF | DF), IF | DF);
}

static bool syscall_disabled(void)
{
	bool good;

	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ul);
	good = ended_in(user_run(user_syscall, 0), VEC_UD, 0);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
	return good;
}

/* ---- far transfers --------------------------------------------------------------------------- */

USER_CODE(gate_target, "mov %rsp, gate_rsp\nmov %cs, gate_cs\nmov %ss, gate_ss\nlretq\n");
USER_CODE(user_call_gate, "mov %rsp, %rbx\nlcall *gate_pointer\nint $0x80\n");
uint64_t gate_rsp;
uint16_t gate_cs, gate_ss;
struct {
	uint32_t offset;
	uint16_t selector;
} __attribute__((packed)) gate_pointer = {0, SEL_GATE};

static void call_gate_set(unsigned dpl)
{
	uint64_t to = (uintptr_t)gate_target;

	gdt[SEL_GATE / 8] = (to & 0xffff) | (uint64_t)SEL_KCODE << 16 |
			    (0x8c00ull | dpl << 13) << 32 | (to >> 16 & 0xffff) << 48;
	gdt[SEL_GATE / 8 + 1] = to >> 32;
}

static bool call_gate(void)
{
	bool good;
	int v;

	call_gate_set(3);
	v = user_run(user_call_gate, 0);
	good = ended_in(v, 0x80, 0) & expect("cs inside", gate_cs, SEL_KCODE) &
	       expect("ss inside", gate_ss, 0);
	good &= expect("stack inside", gate_rsp, tss.rsp[0] - 32);
	good &= expect("stack after", trap.frame.rsp, trap.frame.rbx);
	call_gate_set(0);
	return good & ended_in(user_run(user_call_gate, 0), VEC_GP, SEL_GATE);
}

static bool far_return(void)
{
	uint64_t cs;
	int v = TRY("push %1\n\tlea 1f(%%rip), %0\n\tpush %0\n\tlretq\n1:\tmov %%cs, %0",
		    : "=&r"(cs)
		    : "r"((uint64_t)SEL_KCODE)
		    : "memory");

	return expect("vector", (unsigned)v, (unsigned)-1) & expect("cs", cs & 0xffff, SEL_KCODE);
}

static bool segment_bases(void)
{
	uint64_t val = 0x1122334455667788, got;
	bool good;

	wrmsr(0xc0000100, (uintptr_t)&val - 0x10);
	__asm__ volatile("mov %%fs:0x10, %0" : "=r"(got));
	good = expect("fs base", got, val);
	wrmsr(0xc0000101, (uintptr_t)&val);
	wrmsr(0xc0000102, 0x1234);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(got));
	good &= expect("gs base", got, val);
	__asm__ volatile("swapgs");
	good &= expect("swapgs", rdmsr(0xc0000101), 0x1234) &
		expect("kernel base", rdmsr(0xc0000102), (uintptr_t)&val);
	__asm__ volatile("mov %w0, %%fs\n\tmov %w0, %%gs" : : "r"(0));
	return good;
}

const struct check checks[] = {
	{1, "6.12.1.3: interrupt gates clear IF, trap gates keep it", gate_interrupt_flag},
	{2, "6.12.1: INT n checks the gate's DPL; stack from the TSS", gate_privilege},
	{3, "6.12.1: a gate must lead to 64-bit code", gate_to_data},
	{4, "5.9: privileged instructions at CPL 3", privileged},
	{5, "2B POPF: ring 3 changes neither IOPL nor IF", flags_from_ring3},
	{6, "1 19.5: STI needs CPL <= IOPL", io_privilege_level},
	{7, "1 19.5.2: I/O permission bitmap, also for the last byte", io_bitmap},
	{8, "5.6, 5.7: privilege of data and stack segments", data_privilege},
	{9, "2A IRET: refused return targets", iret_checks},
	{10, "2A IRET: NT in long mode", iret_nested_task},
	{11, "5.8.1: IRET to compatibility mode", iret_compatibility},
	{12, "5.8.8: SYSCALL and SYSRET", syscall_sysret},
	{13, "2B SYSCALL: #UD without EFER.SCE", syscall_disabled},
	{14, "5.8.3.1: call gate with stack switch, far return to ring 3; its DPL", call_gate},
	{15, "2B RET: far return at the same level", far_return},
	{16, "3.4.4.1: FS and GS bases by MSR, SWAPGS", segment_bases},
	{17, "2A IRET: data registers in an outer ring", iret_null_selectors},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
