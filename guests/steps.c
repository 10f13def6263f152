/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single step and the debug registers at odd places: around STI, MOV SS, SYSCALL and SYSRET, on
 * ports, and what a #DB does to DR7.
 */
#include "guests/lib/guest.h"

#define TF 0x100ul
#define DE 0x8ul

#define DR6_BD    0x2000ul
#define DR6_BS    0x4000ul
#define DR6_KNOWN 0xe00ful
#define DR7_NONE  0x400ul
#define DR7_GD    0x2000ul
/* DR0, by what makes it match, and its length less one. */
#define DR7_WRITE(len) (DR7_NONE | 1ul | 1ul << 16 | (len) << 18)
#define DR7_PORT(len)  (DR7_NONE | 1ul | 2ul << 16 | (len) << 18)
#define DR7_ACCESS(n)  (DR7_NONE | 1ul | 3ul << 16 | (n) << 18)

#define MSR_STAR   0xc0000081
#define MSR_LSTAR  0xc0000082
#define MSR_SFMASK 0xc0000084

#define READ_DR(n)                                                 \
	({                                                         \
		uint64_t v_;                                       \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v_)); \
		v_;                                                \
	})
#define WRITE_DR(n, val) __asm__ volatile("mov %0, %%dr" #n : : "r"((uint64_t)(val)) : "memory")

/* Every #DB since start(): where it came back to, and what DR6 and DR7 said. */
static struct {
	uint64_t rip, cs, dr6, dr7, rcx;
} seen[16];
static unsigned nseen;

static void note(struct frame *f)
{
	unsigned i = nseen < 15 ? nseen++ : 15;

	seen[i].rip = f->rip;
	seen[i].cs = f->cs;
	seen[i].rcx = f->rcx;
	seen[i].dr7 = READ_DR(7);
	seen[i].dr6 = READ_DR(6) & DR6_KNOWN;
	WRITE_DR(6, 0);
	if (nseen == 15) /* enough */
		f->rflags &= ~TF;
}

static void start(void)
{
	nseen = 0;
	WRITE_DR(6, 0);
	trap_handler[VEC_DB] = note;
}

static bool stepped(unsigned n, uint64_t rip)
{
	return expect("rip", seen[n].rip, rip) & expect("dr6", seen[n].dr6, DR6_BS);
}

/* TF on, the text, TF off: the last #DB comes behind the POPF. */
#define SET_TF   "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
#define CLEAR_TF "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"

static bool step_sti(void)
{
	uint64_t at;

	start();
	__asm__ volatile("cli\n\t" SET_TF "sti\n1:\tnop\n\t" CLEAR_TF "cli\n\tlea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "memory", "cc");
	return expect("count", nseen, 5) & stepped(0, at) & stepped(1, at + 1);
}

static bool step_mov_ss(void)
{
	uint64_t at;

	start();
	__asm__ volatile("mov %%ss, %%ecx\n\t" SET_TF "mov %%ecx, %%ss\n\tnop\n1:\tnop\n\t" CLEAR_TF
			 "lea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "rcx", "memory", "cc");
	return expect("count", nseen, 5) & stepped(0, at) & stepped(1, at + 1);
}

/* ---- a watched operand of MOV SS --------------------------------------------------------------
 */

static uint64_t stack_selector = SEL_KDATA;

static void watch_selector(void)
{
	start();
	WRITE_DR(0, &stack_selector);
	WRITE_DR(7, DR7_ACCESS(1));
}

static bool watched_once(uint64_t rip)
{
	WRITE_DR(7, DR7_NONE);
	return expect("count", nseen, 1) & expect("rip", seen[0].rip, rip) &
	       expect("dr6", seen[0].dr6, 1);
}

static bool mov_ss_waits(void)
{
	uint64_t at;

	watch_selector();
	__asm__ volatile("mov %1, %%ss\n\tnop\n1:\tlea 1b(%%rip), %0"
			 : "=r"(at)
			 : "m"(stack_selector)
			 : "memory");
	return watched_once(at);
}

static bool mov_ss_int1(void)
{
	uint64_t at;

	watch_selector();
	__asm__ volatile("mov %1, %%ss\n\t.byte 0xf1\n1:\tlea 1b(%%rip), %0"
			 : "=r"(at)
			 : "m"(stack_selector)
			 : "memory");
	return watched_once(at);
}

static void nothing(struct frame *f)
{
	(void)f;
}

static bool mov_ss_int3(void)
{
	extern char trap_stubs[];

	trap_handler[VEC_BP] = nothing;
	hits[VEC_BP] = 0;
	watch_selector();
	__asm__ volatile("mov %0, %%ss\n\tint3" : : "m"(stack_selector) : "memory");
	return watched_once((uintptr_t)trap_stubs + VEC_BP * 16) & expect("#BP", hits[VEC_BP], 1);
}

/* ---- SYSCALL ----------------------------------------------------------------------------------
 */

#define USER_CODE(name, text) \
	void name(void);      \
	__asm__(".text\n.globl " #name "\n" #name ":\n" text)

USER_CODE(user_call, "nop\nuser_at_call: syscall\nuser_behind_call: int $0x80\n");
USER_CODE(entry, "nop\nsysretq\n");
extern char user_at_call[], user_behind_call[];

static void syscalls(uint64_t mask)
{
	wrmsr(MSR_STAR, (uint64_t)SEL_KCODE << 32 | (uint64_t)SEL_UCODE32 << 48);
	wrmsr(MSR_LSTAR, (uintptr_t)entry);
	wrmsr(MSR_SFMASK, mask);
	start();
}

static bool step_over_syscall(void)
{
	bool good;

	syscalls(TF);
	good = expect("ended by", (unsigned)user_run(user_call, TF), 0x80);
	good &= expect("count", nseen, 2) & stepped(0, (uintptr_t)user_at_call);
	return good & stepped(1, (uintptr_t)user_behind_call) &
	       expect("cs", seen[1].cs, SEL_UCODE | 3);
}

static bool step_into_syscall(void)
{
	bool good;

	syscalls(0);
	good = expect("ended by", (unsigned)user_run(user_call, TF), 0x80);
	good &= expect("count", nseen, 4) & stepped(1, (uintptr_t)entry);
	return good & expect("cs", seen[1].cs, SEL_KCODE) & stepped(2, (uintptr_t)entry + 1) &
	       stepped(3, (uintptr_t)user_behind_call);
}

/* Without a step before it SYSRET may still be told to begin one. */
USER_CODE(entry_sets_tf, "or $0x100, %r11\nsysretq\n");

static bool step_from_sysret(void)
{
	bool good;

	syscalls(TF);
	wrmsr(MSR_LSTAR, (uintptr_t)entry_sets_tf);
	good = expect("ended by", (unsigned)user_run(user_call, 0), 0x80);
	return good & expect("count", nseen, 1) & stepped(0, (uintptr_t)user_behind_call);
}

/* ---- ports ------------------------------------------------------------------------------------
 */

#define PORT 0x61 /* the speaker's: reading has no effect */
#define POST 0x80

static void watch_port(uint64_t port, uint64_t dr7)
{
	start();
	WRITE_CR(4, READ_CR(4) | DE);
	WRITE_DR(0, port);
	WRITE_DR(7, dr7);
}

static bool unwatch_port(bool good)
{
	WRITE_DR(7, DR7_NONE);
	WRITE_CR(4, READ_CR(4) & ~DE);
	return good;
}

static bool port_breakpoint(void)
{
	uint64_t at;
	bool good;

	watch_port(PORT, DR7_PORT(0ul));
	__asm__ volatile("in $0x60, %%al\n\tin $0x61, %%al\n1:\tlea 1b(%%rip), %0"
			 : "=r"(at)
			 :
			 : "rax", "memory");
	good = expect("count", nseen, 1) & expect("rip", seen[0].rip, at) &
	       expect("dr6", seen[0].dr6, 1);
	watch_port(POST, DR7_PORT(1ul));
	__asm__ volatile("out %%al, $0x81\n1:\tlea 1b(%%rip), %0" : "=r"(at) : : "memory");
	return unwatch_port(good & expect("word", nseen, 1) & expect("rip", seen[0].rip, at));
}

static bool port_breakpoint_in_rep(void)
{
	static const uint8_t bytes[3];
	const uint8_t *from = bytes;
	uint64_t at, left = 3;

	watch_port(POST, DR7_PORT(0ul));
	__asm__ volatile("1:\trep outsb\n\tlea 1b(%%rip), %0"
			 : "=&r"(at), "+c"(left), "+S"(from)
			 : "d"(POST)
			 : "memory");
	return unwatch_port(expect("count", nseen, 3) & expect("rip", seen[0].rip, at) &
			    expect("left", seen[0].rcx, 2) &
			    expect("left at last", seen[2].rcx, 0));
}

static bool debug_extensions(void)
{
	bool good;
	int v;

	WRITE_DR(6, DR6_BS | 1);
	good = expect("DR4 is DR6", READ_DR(4) & DR6_KNOWN, DR6_BS | 1);
	WRITE_CR(4, READ_CR(4) | DE);
	v = TRY("mov %%dr4, %%rax", : : : "rax", "memory");
	WRITE_CR(4, READ_CR(4) & ~DE);
	WRITE_DR(6, 0);
	return good & expect("DR4 with CR4.DE", (unsigned)v, VEC_UD);
}

static bool general_detect_off(void)
{
	uint64_t at;

	start();
	__asm__ volatile("mov %2, %%dr7\n\t.byte 0xf1\n1:\tlea 1b(%%rip), %0"
			 : "=r"(at)
			 : "0"(0), "r"(DR7_NONE | DR7_GD)
			 : "memory");
	WRITE_DR(7, DR7_NONE);
	return expect("count", nseen, 1) & expect("rip", seen[0].rip, at) &
	       expect("dr7", seen[0].dr7, DR7_NONE) & expect("dr6", seen[0].dr6, 0);
}

/* A breakpoint is told with the step that ended at it; DR6 bits of the guest's stay. */
static bool sticky_dr6(void)
{
	static volatile uint64_t word;

	start();
	trap_handler[VEC_DB] = nothing;
	WRITE_DR(6, DR6_BS | 2);
	WRITE_DR(0, &word);
	WRITE_DR(7, DR7_WRITE(2ul));
	word = 1;
	WRITE_DR(7, DR7_NONE);
	return expect("dr6", READ_DR(6) & DR6_KNOWN, DR6_BS | 2 | 1);
}

/* ---- breakpoints in code that has long been running -------------------------------------------
 */

#define RF       0x10000ul
#define STATUS   0x8d5ul
#define TIMES    40ul
#define DR7_CODE (DR7_NONE | 1ul)

static struct {
	unsigned count, odd;
	uint64_t rip, flags;
} met;

/* Goes on behind an instruction breakpoint; notes what differs from the first. */
static void count_up(struct frame *f)
{
	if (met.count++ && (met.rip != f->rip || met.flags != (f->rflags & STATUS)))
		met.odd++;
	met.rip = f->rip;
	met.flags = f->rflags & STATUS;
	f->rflags |= RF;
}

static uint8_t far_page[2][4096] __attribute__((aligned(4096)));
extern char hot_add[], hot_store[], hot_behind[];

/* Flags before hot_add: those of 1 - 2; RCX counts. */
__asm__(".text\n.globl hot_loop\nhot_loop:\n1:\tmov $1, %eax\n\tcmp $2, %eax\n"
	"hot_add:\tlea 3(%rax), %rdx\nhot_store:\tmov %rdx, (%rdi)\n"
	"hot_behind:\tmov (%rsi), %rax\n\tadd $1, %eax\n\tdec %rcx\n\tjnz 1b\n\tret\n");

static void run_hot_loop(void)
{
	uint64_t n = TIMES;

	__asm__ volatile("call hot_loop"
			 : "+c"(n)
			 : "D"(far_page[0]), "S"(far_page[1])
			 : "rax", "rdx", "memory", "cc");
}

static bool meets(const char *what, uint64_t at, uint64_t dr7, uint64_t rip, unsigned count)
{
	bool good;

	met.count = met.odd = 0;
	WRITE_DR(6, 0);
	WRITE_DR(0, at);
	WRITE_DR(7, dr7);
	run_hot_loop();
	WRITE_DR(7, DR7_NONE);
	good = expect(what, met.count, count) & expect("odd ones", met.odd, 0);
	return count ? good & expect("rip", met.rip, rip) & expect("flags", met.flags, 0x95) &
			       expect("dr6", READ_DR(6) & DR6_KNOWN, 1)
		     : good;
}

static bool hot_breakpoints(void)
{
	uint64_t stored = (uintptr_t)far_page[0], beside = stored + 8;

	start();
	trap_handler[VEC_DB] = count_up;
	run_hot_loop();
	return meets("code", (uintptr_t)hot_add, DR7_CODE, (uintptr_t)hot_add, TIMES) &
	       meets("other code", (uintptr_t)hot_store, DR7_CODE, (uintptr_t)hot_store, TIMES) &
	       meets("off", (uintptr_t)hot_store, DR7_NONE, 0, 0) &
	       meets("data", stored, DR7_WRITE(1ul), (uintptr_t)hot_behind, TIMES) &
	       meets("data beside", beside, DR7_WRITE(3ul), 0, 0) &
	       meets("the same code", (uintptr_t)hot_store, DR7_CODE, (uintptr_t)hot_store, TIMES) &
	       meets("code again", (uintptr_t)hot_add, DR7_CODE, (uintptr_t)hot_add, TIMES);
}

static void skip_ud2(struct frame *f)
{
	f->rip += 2;
}

/* What UD2 pushes as SS is watched: the trap comes before its handler's first instruction. */
static bool pushed_in_delivery(void)
{
	extern char trap_stubs[];
	bool good;

	start();
	trap_handler[VEC_UD] = skip_ud2;
	hits[VEC_UD] = 0;
	__asm__ volatile("mov %%rsp, %%rax\n\tand $-16, %%rax\n\tsub $8, %%rax\n\t"
			 "mov %%rax, %%dr0\n\tmov %0, %%dr7\n\tud2\n\tmov %1, %%dr7"
			 :
			 : "r"(DR7_WRITE(2ul)), "r"(DR7_NONE)
			 : "rax", "memory");
	good = expect("#UD", hits[VEC_UD], 1) & expect("count", nseen, 1);
	return good & expect("rip", seen[0].rip, (uintptr_t)trap_stubs + VEC_UD * 16) &
	       expect("dr6", seen[0].dr6, 1);
}

const struct check checks[] = {
	{1, "17.3.1.4, 2B STI: its shadow does not keep a step back", step_sti},
	{2, "6.8.3: MOV SS does", step_mov_ss},
	{3, "6.8.3: a data breakpoint of MOV SS comes behind the next instruction", mov_ss_waits},
	{4, "6.8.3: with the #DB of INT1, if that is the next", mov_ss_int1},
	{5, "6.8.3: before the handler's first instruction, if INT3 is the next", mov_ss_int3},
	{6,
	 "2B SYSCALL: a masked TF gives no step in the kernel, SYSRET gives it behind the SYSCALL",
	 step_over_syscall},
	{7, "2B SYSCALL: TF that is not masked steps on", step_into_syscall},
	{8, "2B SYSRET: restoring TF gives a step at once", step_from_sysret},
	{9, "17.2.5: breakpoints on ports, by byte", port_breakpoint},
	{10, "17.2.5: on each iteration of REP OUTS", port_breakpoint_in_rep},
	{11, "17.2.2: DR4 with and without CR4.DE", debug_extensions},
	{12, "17.2.4: every #DB clears DR7.GD", general_detect_off},
	{13, "17.2.3: DR6 keeps what was set in it", sticky_dr6},
	{14, "17.3.1: every breakpoint in hot code, with its flags, and none beside",
	 hot_breakpoints},
	{15, "6.8.3, 17.3.1.2: on what an exception pushes", pushed_in_delivery},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
