/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cpu/apic.h"

#include "kernel/cpu/apic_regs.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/pagetable.h"
#include "kernel/sched/timer.h"

static volatile uint32_t *xapic;
static bool x2apic, deadline;
static uint64_t timer_per_tsc; /* APIC timer ticks per TSC tick, 32.32 fixed point */

static uint32_t reg_read(unsigned reg)
{
	return x2apic ? (uint32_t)rdmsr(0x800 + reg / 16) : xapic[reg / 4];
}

static void reg_write(unsigned reg, uint32_t v)
{
	if (x2apic)
		wrmsr(0x800 + reg / 16, v);
	else
		xapic[reg / 4] = v;
}

void apic_send(uint32_t id, unsigned command)
{
	uint64_t flags;

	if (x2apic) {
		wrmsr(0x800 + REG_ICR / 16, (uint64_t)id << 32 | command);
		return;
	}
	flags = irq_save();
	reg_write(REG_ICR_HIGH, id << 24);
	reg_write(REG_ICR, command);
	while (reg_read(REG_ICR) & ICR_PENDING)
		__builtin_ia32_pause();
	irq_restore(flags);
}

void apic_setup(void)
{
	struct cpuid c = cpuid(1, 0);
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (c.ecx & 1 << 21) {
		x2apic = true;
		wrmsr(MSR_APIC_BASE, base | 0xc00);
	} else {
		xapic = map_device(base & 0xffffff000, PAGE_SIZE);
		wrmsr(MSR_APIC_BASE, base | 0x800);
	}
	deadline = c.ecx & 1 << 24;
	reg_write(REG_LVT_LINT0, LVT_MASKED);
	reg_write(REG_LVT_LINT1, LVT_NMI);
	reg_write(REG_LVT_ERROR, LVT_MASKED);
	reg_write(REG_LVT_TIMER, VECTOR_TIMER | (deadline ? LVT_TSC_DEADLINE : 0));
	reg_write(REG_TIMER_DIVIDE, 3); /* by 16 */
	reg_write(REG_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	this_cpu()->apic_ready = true;
	if (this_cpu()->nmi_came)
		apic_send_self(VECTOR_NMI);
}

uint32_t apic_id(void)
{
	return x2apic ? reg_read(REG_ID) : reg_read(REG_ID) >> 24;
}

void apic_eoi(void)
{
	reg_write(REG_EOI, 0);
}

void apic_nmi_all_others(void)
{
	apic_send(0, ICR_ALL_OTHERS | ICR_NMI);
}

void apic_send_self(unsigned vector)
{
	reg_write(REG_ICR, ICR_SELF | vector);
}

void apic_start_cpu(uint32_t id, uint32_t address)
{
	apic_send(id, ICR_INIT);
	delay_us(10000);
	for (int i = 0; i < 2; i++) {
		apic_send(id, ICR_STARTUP | address >> PAGE_SHIFT);
		delay_us(200);
	}
}

void apic_timer_init(void)
{
	uint64_t start, end;
	uint32_t ticks;

	if (deadline)
		return;
	reg_write(REG_LVT_TIMER, LVT_MASKED);
	start = rdtsc(); /* before: a timer that comes too early is set again */
	reg_write(REG_TIMER_INITIAL, ~0u);
	delay_us(10000);
	ticks = ~0u - reg_read(REG_TIMER_CURRENT);
	end = rdtsc();
	reg_write(REG_TIMER_INITIAL, 0);
	reg_write(REG_LVT_TIMER, VECTOR_TIMER);
	timer_per_tsc = ((uint64_t)ticks << 32) / (end - start);
}

void apic_timer(uint64_t tsc)
{
	uint64_t now, ticks;

	if (deadline) {
		wrmsr(MSR_TSC_DEADLINE, tsc);
		return;
	}
	now = rdtsc();
	ticks = tsc > now ? (uint64_t)((unsigned __int128)(tsc - now) * timer_per_tsc >> 32) : 0;
	reg_write(REG_TIMER_INITIAL, (uint32_t)MIN(MAX(ticks, 1UL), 0xffffffffUL));
}

/* ---- I/O APICs ------------------------------------------------------------------------------- */

#define MAX_IOAPICS 8

static struct {
	volatile uint32_t *regs;
	uint32_t gsi, count;
} ioapic[MAX_IOAPICS];
static unsigned nioapics;
static struct {
	uint32_t gsi;
	unsigned flags; /* MADT: polarity in bits 0-1, trigger in bits 2-3; 3 is low and level */
	bool set;
} isa_override[16];

static void ioapic_write(unsigned i, unsigned reg, uint32_t v)
{
	ioapic[i].regs[0] = reg;
	ioapic[i].regs[4] = v;
}

void ioapic_add(uint64_t phys, uint32_t gsi)
{
	unsigned i = nioapics;

	if (i == MAX_IOAPICS)
		return;
	ioapic[i].regs = map_device(phys, PAGE_SIZE);
	ioapic[i].gsi = gsi;
	ioapic[i].regs[0] = 1;
	ioapic[i].count = (ioapic[i].regs[4] >> 16 & 0xff) + 1;
	for (unsigned pin = 0; pin < ioapic[i].count; pin++)
		ioapic_write(i, 0x10 + pin * 2, LVT_MASKED);
	nioapics++;
}

void ioapic_override(unsigned isa, uint32_t gsi, unsigned flags)
{
	if (isa >= ARRAY_SIZE(isa_override))
		return;
	isa_override[isa].gsi = gsi;
	isa_override[isa].flags = flags;
	isa_override[isa].set = true;
}

static void route(uint32_t gsi, unsigned vector, bool low, bool level)
{
	for (unsigned i = 0; i < nioapics; i++) {
		uint32_t pin = gsi - ioapic[i].gsi;

		if (gsi < ioapic[i].gsi || pin >= ioapic[i].count)
			continue;
		ioapic_write(i, 0x11 + pin * 2, cpus[0].apic_id << 24);
		ioapic_write(i, 0x10 + pin * 2,
			     vector | (low ? 1u << 13 : 0) | (level ? 1u << 15 : 0));
	}
}

void ioapic_route_isa(unsigned isa, unsigned vector)
{
	unsigned flags = isa_override[isa].flags;

	route(isa_override[isa].set ? isa_override[isa].gsi : isa, vector, (flags & 3) == 3,
	      (flags >> 2 & 3) == 3);
}

/* Where firmware says nothing of the line, PCI's own habit: low and level. */
void ioapic_route_pci(unsigned line, unsigned vector)
{
	if (isa_override[line].set)
		ioapic_route_isa(line, vector);
	else
		route(line, vector, true, true);
}
