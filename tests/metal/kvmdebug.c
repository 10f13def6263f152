// SPDX-License-Identifier: Apache-2.0
/*
 * A program for Linux's KVM interface: a debugger of a small guest (KVM_SET_GUEST_DEBUG). It prints
 * what was tried; what goes wrong ends it.
 *
 *     kvmdebug            everything
 *     kvmdebug steps      without INT3 and breakpoint registers, which QEMU's AMD-V lacks
 *     kvmdebug points     only those
 *     kvmdebug places     the same, but what DR6 tells, which Bochs' AMD-V leaves as it was
 */
#include "tinyvm.h"

#define RAM    0x10000
#define AT     0x800
#define STEP   KVM_GUESTDBG_SINGLESTEP
#define POINTS KVM_GUESTDBG_USE_HW_BP
#define DB     1
#define BP     3

static void control(const struct tinyvm *t, uint32_t bits, uint64_t dr0, uint64_t dr7)
{
	struct kvm_guest_debug g = {.control = bits ? bits | KVM_GUESTDBG_ENABLE : 0};

	g.arch.debugreg[0] = dr0;
	g.arch.debugreg[7] = dr7;
	CHECK(!ioctl(t->vcpu, KVM_SET_GUEST_DEBUG, &g));
}

static void vector(const struct tinyvm *t, unsigned n, uint16_t ip)
{
	memcpy(t->ram + 4 * n, &ip, 2);
	memset(t->ram + 4 * n + 2, 0, 2);
}

/* Runs until something but a port access comes; that of the port is remembered. */
static unsigned last_port;

static unsigned run(const struct tinyvm *t)
{
	do {
		CHECK(!ioctl(t->vcpu, KVM_RUN, 0));
		if (t->run->exit_reason == KVM_EXIT_IO)
			last_port = t->run->io.port;
	} while (t->run->exit_reason == KVM_EXIT_IO);
	return t->run->exit_reason;
}

static bool dr6_tells = true;

static void stops(const struct tinyvm *t, unsigned exception, unsigned ip, uint64_t dr6)
{
	unsigned reason = run(t);
	const struct kvm_debug_exit_arch *a = &t->run->debug.arch;

	if (reason != KVM_EXIT_DEBUG || a->exception != exception || a->pc != ip ||
	    (exception == DB && dr6_tells && (a->dr6 & 0xe00f) != dr6)) {
		printf("exit %u, exception %u at %#llx (wanted %#x), dr6 %#llx\n", reason,
		       a->exception, (unsigned long long)a->pc, ip, (unsigned long long)a->dr6);
		exit(1);
	}
	CHECK(tinyvm_regs(t).rip == ip);
}

/* Instructions that the processor executes, and some that are executed for it. */
CODE16(step_code, "nop\n"            /* 0 */
		  "xor %eax, %eax\n" /* 1 */
		  "cpuid\n"          /* 4 */
		  "out %al, $0x80\n" /* 6 */
		  "in $0x81, %al\n"  /* 8 */
		  "rep stosb\n"      /* 10, twice */
		  "jmp 1f\n"         /* 12 */
		  "nop\n"
		  "1: pushf\n" /* 15 */
		  "pop %ax\n"
		  "hlt"); /* 17 */

/* The processor would refuse to enter the guest. */
static void impossible(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_guest_debug g = {.control = KVM_GUESTDBG_ENABLE | POINTS};

	tinyvm_start(&t, AT, step_code, step_code_end);
	g.arch.debugreg[7] = 1UL << 32;
	CHECK(ioctl(t.vcpu, KVM_SET_GUEST_DEBUG, &g) && errno == EINVAL);
	tinyvm_end(&t);
	puts("impossible");
}

static void steps(void)
{
	static const uint8_t after[] = {1, 4, 6, 8, 10, 10, 12, 15, 16, 17};
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_regs r;

	tinyvm_start(&t, AT, step_code, step_code_end);
	r = tinyvm_regs(&t);
	r.rdi = 0x2000;
	CHECK(!ioctl(t.vcpu, KVM_SET_REGS, &r));
	for (unsigned i = 0; i < sizeof(after); i++) {
		if (i == 5) {
			CHECK(last_port == 0x81);
			r = tinyvm_regs(&t);
			r.rcx = 2;
			CHECK(!ioctl(t.vcpu, KVM_SET_REGS, &r));
		}
		control(&t, STEP, 0, 0); /* Linux wants it again after KVM_SET_REGS */
		stops(&t, DB, AT + after[i], 0x4000);
		CHECK(!(tinyvm_regs(&t).rflags & 0x100));
	}
	control(&t, 0, 0, 0);
	CHECK(run(&t) == KVM_EXIT_HLT);
	tinyvm_end(&t);
	puts("steps");
}

/* NMIs wait while the debugger steps with KVM_GUESTDBG_BLOCKIRQ. */
CODE16(wait_code, "nop\nnop\nnop\n1: jmp 1b");
CODE16(nmi_code, "hlt");

static void interrupts_wait(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);

	vector(&t, 2, 0x900);
	memcpy(t.ram + 0x900, nmi_code, (size_t)(nmi_code_end - nmi_code));
	tinyvm_start(&t, AT, wait_code, wait_code_end);
	control(&t, STEP | KVM_GUESTDBG_BLOCKIRQ, 0, 0);
	CHECK(!ioctl(t.vcpu, KVM_NMI, 0));
	stops(&t, DB, AT + 1, 0x4000);
	stops(&t, DB, AT + 2, 0x4000);
	control(&t, 0, 0, 0);
	CHECK(run(&t) == KVM_EXIT_HLT && tinyvm_regs(&t).rip == 0x901);
	tinyvm_end(&t);
	puts("interrupts");
}

/* The guest's debug registers are its own, whether the debugger has the processor's or not. */
CODE16(dr_code, "mov $0x1234, %eax\n"
		"mov %eax, %dr0\n"
		"mov $0x500, %eax\n"
		"mov %eax, %dr7\n"
		"xor %eax, %eax\n"
		"mov %dr0, %ebx\n"
		"mov %dr7, %ecx\n"
		"mov %dr6, %edx\n"
		"hlt");

static void debug_registers(uint32_t debugger)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_debugregs d;
	struct kvm_regs r;

	tinyvm_start(&t, AT, dr_code, dr_code_end);
	control(&t, debugger, 0x7777, 0x602);
	CHECK(run(&t) == KVM_EXIT_HLT);
	r = tinyvm_regs(&t);
	CHECK(r.rbx == 0x1234 && r.rcx == 0x500 && r.rdx == 0xffff0ff0);
	CHECK(!ioctl(t.vcpu, KVM_GET_DEBUGREGS, &d) && d.db[0] == 0x1234 && d.dr7 == 0x500);
	tinyvm_end(&t);
}

CODE16(watch_code, "nop\n"             /* 0 */
		   "mov %ax, 0x2000\n" /* 1 */
		   "mov 0x2000, %bx\n" /* 4 */
		   "nop\n"             /* 8 */
		   "hlt");

static void points(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_regs r;

	tinyvm_start(&t, AT, watch_code, watch_code_end);
	control(&t, POINTS, AT + 8, 0x602); /* code */
	stops(&t, DB, AT + 8, 1);
	r = tinyvm_regs(&t);
	r.rflags |= 0x10000; /* RF: goes on past it */
	r.rip = AT + 8;
	CHECK(!ioctl(t.vcpu, KVM_SET_REGS, &r));
	CHECK(run(&t) == KVM_EXIT_HLT);
	r.rip = AT;
	r.rflags = 2;
	CHECK(!ioctl(t.vcpu, KVM_SET_REGS, &r));
	control(&t, POINTS, 0x2000, 0x602 | 5u << 16); /* two bytes, written */
	stops(&t, DB, AT + 4, 1);
	control(&t, POINTS, 0x2000, 0x602 | 7u << 16); /* read or written */
	stops(&t, DB, AT + 8, 1);
	control(&t, POINTS, 0x2001, 0x602 | 4u << 16); /* not read */
	CHECK(run(&t) == KVM_EXIT_HLT);
	tinyvm_end(&t);
	puts("points");
}

CODE16(int3_code, "int3\n"
		  "nop\n"
		  "int3\n"
		  "hlt");
CODE16(bp_code, "out %al, $0x83\n"
		"iret");

static void int3(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);
	struct kvm_regs r;

	vector(&t, BP, 0x900);
	memcpy(t.ram + 0x900, bp_code, (size_t)(bp_code_end - bp_code));
	tinyvm_start(&t, AT, int3_code, int3_code_end);
	control(&t, KVM_GUESTDBG_USE_SW_BP, 0, 0);
	stops(&t, BP, AT, 0);
	r = tinyvm_regs(&t);
	r.rip++; /* the debugger's */
	CHECK(!ioctl(t.vcpu, KVM_SET_REGS, &r));
	stops(&t, BP, AT + 2, 0);
	last_port = 0; /* the guest's own */
	control(&t, KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP, 0, 0);
	CHECK(run(&t) == KVM_EXIT_HLT && last_port == 0x83);
	CHECK(tinyvm_regs(&t).rip == AT + 4);
	tinyvm_end(&t);
	puts("int3");
}

/* The guest steps itself while the debugger watches something else. */
CODE16(own_code, "pushf\n"
		 "pop %ax\n"
		 "or $0x100, %ax\n"
		 "push %ax\n"
		 "popf\n"
		 "nop\n" /* 7 */
		 "hlt");
CODE16(db_code, "mov %dr6, %edx\n"
		"hlt");

static void own_traps_go_on(void)
{
	struct tinyvm t = tinyvm_new(RAM, 0);

	vector(&t, DB, 0x900);
	memcpy(t.ram + 0x900, db_code, (size_t)(db_code_end - db_code));
	tinyvm_start(&t, AT, own_code, own_code_end);
	control(&t, POINTS, 0x7777, 0x602);
	stops(&t, DB, AT + 8, 0x4000);
	control(&t, POINTS | KVM_GUESTDBG_INJECT_DB, 0x7777, 0x602);
	CHECK(run(&t) == KVM_EXIT_HLT && tinyvm_regs(&t).rip == 0x904);
	tinyvm_end(&t);
	puts("own traps");
}

int main(int argc, char **argv)
{
	bool all = argc < 2;

	if (all || !strcmp(argv[1], "steps")) {
		impossible();
		steps();
		interrupts_wait();
		debug_registers(POINTS);
		debug_registers(KVM_GUESTDBG_USE_SW_BP);
		puts("debug registers");
		own_traps_go_on();
	}
	dr6_tells = all || strcmp(argv[1], "places");
	if (all || !strcmp(argv[1], "points") || !dr6_tells) {
		points();
		int3();
	}
	return 0;
}
