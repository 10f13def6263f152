/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and interrupts: where they go. */
#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/entry.h"
#include "kernel/cpu/offsets.h"
#include "kernel/cpu/smp.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/space.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"
#include "kernel/sys/signal.h"

enum {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_DF = 8,
	EXC_PF = 14,
	EXC_MC = 18,
	EXC_COUNT = 32,
};

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

static struct idt_gate idt[256];
static struct irq_handler {
	irq_fn *fn;
	void *opaque;
} irqs[256];
static unsigned next_irq = VECTOR_IRQ;

extern const uint64_t fixup_table[], fixup_table_end[];

static void set_gate(unsigned vector, unsigned ist, unsigned dpl)
{
	uint64_t entry = (uint64_t)trap_entries + vector * 16UL;

	idt[vector] = (struct idt_gate){
		.offset_low = (uint16_t)entry,
		.selector = SEL_KCODE,
		.ist = (uint8_t)ist,
		.type = (uint8_t)(0x8e | dpl << 5),
		.offset_mid = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
}

void idt_init(void)
{
	for (unsigned i = 0; i < 256; i++)
		set_gate(i, 0, i == EXC_BP ? 3 : 0);
	set_gate(EXC_DF, 1, 0);
	set_gate(EXC_NMI, 2, 0);
	set_gate(EXC_MC, 3, 0);
}

void idt_load(void)
{
	struct table_register idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" ::"m"(idtr));
}

unsigned irq_alloc(irq_fn *fn, void *opaque)
{
	unsigned v = __atomic_fetch_add(&next_irq, 1, __ATOMIC_RELAXED);

	if (v > VECTOR_IRQ_END)
		return 0;
	irqs[v].opaque = opaque;
	__atomic_store_n(&irqs[v].fn, fn, __ATOMIC_RELEASE);
	return v;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

/* Kernel code that may touch bad memory or registers has a second way on; 0: it may not. */
static uint64_t second_way(const struct regs *r)
{
	for (const uint64_t *f = fixup_table; (uint64_t)f < (uint64_t)fixup_table_end; f += 2) {
		if (f[0] == r->rip)
			return f[1];
	}
	return 0;
}

static _Noreturn void die(const struct regs *r, const char *what)
{
	panic_begin();
	klog("rip %016lx rsp %016lx rflags %lx cs %lx cr2 %lx error %lx", r->rip, r->rsp, r->rflags,
	     r->cs, read_cr2(), r->error);
	klog("rax %016lx rbx %016lx rcx %016lx rdx %016lx", r->rax, r->rbx, r->rcx, r->rdx);
	klog("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", r->rsi, r->rdi, r->rbp, r->r8);
	klog("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", r->r9, r->r10, r->r11, r->r12);
	klog("r13 %016lx r14 %016lx r15 %016lx", r->r13, r->r14, r->r15);
	if (r->vector == EXC_MC)
		mce_report();
	backtrace(r->rip, r->rbp);
	panic("%s in %s", what, regs_user(r) ? "a program" : "the kernel");
}

static void page_fault(struct regs *r)
{
	uint64_t addr = read_cr2();
	struct thread *t = current_thread();
	int rc = -EFAULT;

	if (!regs_user(r) && !second_way(r))
		die(r, "page fault");
	if (addr < USER_END && t && t->proc)
		rc = space_fault(t->proc->space, addr,
				 r->error & 2    ? FAULT_WRITE
				 : r->error & 16 ? FAULT_EXEC
						 : FAULT_READ);
	if (rc && !regs_user(r))
		r->rip = second_way(r);
	else if (rc == -EFAULT)
		signal_fault(r, SIGSEGV, SEGV_MAPERR, addr);
	else if (rc)
		signal_fault(r, SIGBUS, BUS_ADRERR, addr);
}

static const struct {
	const char *name;
	int signal, code;
} exceptions[EXC_COUNT] = {
	[0] = {"divide error", SIGFPE, FPE_INTDIV},
	[1] = {"debug", SIGTRAP, TRAP_TRACE},
	[3] = {"breakpoint", SIGTRAP, SI_KERNEL},
	[4] = {"overflow", SIGSEGV, SI_KERNEL},
	[5] = {"bound", SIGSEGV, SI_KERNEL},
	[6] = {"invalid opcode", SIGILL, ILL_ILLOPN},
	[7] = {"no x87", SIGFPE, FPE_FLTINV},
	[8] = {"double fault", 0, 0},
	[10] = {"invalid TSS", SIGSEGV, SI_KERNEL},
	[11] = {"segment not present", SIGBUS, SI_KERNEL},
	[12] = {"stack fault", SIGBUS, SI_KERNEL},
	[13] = {"general protection", SIGSEGV, SI_KERNEL},
	[16] = {"x87 error", SIGFPE, FPE_FLTINV},
	[17] = {"alignment", SIGBUS, BUS_ADRALN},
	[18] = {"machine check", 0, 0},
	[19] = {"SIMD error", SIGFPE, FPE_FLTINV},
	[21] = {"control protection", SIGSEGV, SI_KERNEL},
};

static void exception(struct regs *r)
{
	unsigned v = (unsigned)r->vector;

	if (v == EXC_PF) {
		page_fault(r);
		return;
	}
	if (regs_user(r) && exceptions[v].signal) {
		signal_fault(r, exceptions[v].signal, exceptions[v].code,
			     exceptions[v].signal == SIGSEGV ? 0 : r->rip);
		return;
	}
	if (!second_way(r))
		die(r, exceptions[v].name ? exceptions[v].name : "exception");
	r->rip = second_way(r);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void interrupt(struct regs *r)
{
	unsigned v = (unsigned)r->vector;

	switch (v) {
	case VECTOR_TIMER:
		apic_eoi();
		timer_interrupt();
		return;
	case VECTOR_FLUSH:
		apic_eoi();
		flush_poll();
		return;
	case VECTOR_NMI:
		apic_eoi();
		klog("NMI on CPU %u (port 61h %02x)", this_cpu()->index, this_cpu()->nmi_reason);
		return;
	case VECTOR_SPURIOUS:
		return;
	}
	if (irqs[v].fn)
		irqs[v].fn(irqs[v].opaque);
	apic_eoi();
}

void trap_handle(struct regs *r)
{
	if (r->vector >= EXC_COUNT) {
		interrupt(r);
		return;
	}
	if (r->vector == EXC_NMI) {
		panic_stop_here();
		this_cpu()->nmi_reason = inb(0x61);
		this_cpu()->nmi_came = true;
		if (this_cpu()->apic_ready)
			apic_send_self(VECTOR_NMI);
		return;
	}
	/* Faults of programs may take their time, so they run with interrupts on. */
	if (regs_user(r))
		__asm__ volatile("sti");
	exception(r);
}

/* Last stop before user mode, with interrupts off: other threads' turn, signals. */
void return_to_user(struct regs *r)
{
	for (;;) {
		if (this_cpu()->need_resched) {
			schedule();
		} else if (signal_pending(current_thread()) || signal_unsettled(r)) {
			__asm__ volatile("sti");
			signal_deliver(r);
			__asm__ volatile("cli");
		} else if (r->rip >= USER_END) { /* IRET itself would fault */
			__asm__ volatile("sti");
			process_exit(SIGSEGV);
		} else {
			return;
		}
	}
}
