/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC: registers in memory and as MSRs, reset, the engine-neutral form. See lapic.h. */
#include "x86/lapic_regs.h"

/* ---- reset ----------------------------------------------------------------------------------- */

static uint32_t x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

static void id_update(struct lapic *a)
{
	if (is_x2apic(a)) {
		reg_set(a, REG_ID, a->hw.id);
		reg_set(a, REG_LDR, x2apic_ldr(a->hw.id));
	} else {
		reg_set(a, REG_ID, a->hw.id << 24);
	}
}

static void lvt_mask_all(struct lapic *a)
{
	for (uint32_t off = REG_LVT_TIMER; off <= REG_LVT_ERROR; off += 0x10)
		reg_set(a, off, reg_get(a, off) | LVT_MASKED);
}

void lapic_reset(struct lapic *a)
{
	for (uint32_t off = 0; off < 0x400; off += 0x10)
		reg_set(a, off, 0);
	for (unsigned i = 0; i < 8; i++) {
		atomic_store(&a->posted_irr[i], 0);
		atomic_store(&a->posted_tmr[i], 0);
	}
	reg_set(a, REG_VERSION, VERSION);
	reg_set(a, REG_DFR, 0xffffffff);
	reg_set(a, REG_SVR, 0xff);
	lvt_mask_all(a);
	/*
	 * Firmware opens LINT0 of the boot processor for the PIC ("virtual wire", MultiProcessor
	 * Specification 3.6.2.2). A kernel that is started without firmware relies on it too.
	 */
	if (a->hw.base & BASE_BSP)
		reg_set(a, REG_LVT_LINT0, LVT_MODE_EXT);
	a->hw.esr_pending = 0;
	id_update(a);
	lapic_timer_stop(a);
}

void lapic_init(struct lapic *a, uint32_t id, bool bsp, const struct lapic_ops *ops, void *opaque)
{
	a->ops = ops;
	a->opaque = opaque;
	a->hw.id = id;
	a->hw.base = LAPIC_DEFAULT_BASE | BASE_ENABLE | (bsp ? BASE_BSP : 0);
	lapic_reset(a);
}

/* ---- register access ------------------------------------------------------------------------- */

static void eoi_write(struct lapic *a)
{
	int vector = vector_highest(a, REG_ISR);

	if (vector < 0)
		return;
	vector_clear(a, REG_ISR, (uint8_t)vector);
	if (vector_test(a, REG_TMR, (uint8_t)vector))
		a->ops->eoi(a->opaque, (uint8_t)vector);
}

static void icr_send(struct lapic *a, uint32_t low, uint32_t dest)
{
	uint32_t mode = low >> 8 & 7;

	/* Fixed and lowest-priority messages carry a vector; 0 to 15 are reserved. */
	if (mode <= 1 && (low & 0xff) < 16) {
		lapic_error(a, ESR_SEND_VECTOR);
		return;
	}
	a->ops->send(a->opaque, low, dest, is_x2apic(a));
}

static void svr_write(struct lapic *a, uint32_t val)
{
	if ((reg_get(a, REG_SVR) & SVR_ENABLE) && !(val & SVR_ENABLE))
		lvt_mask_all(a);
	reg_set(a, REG_SVR, val & 0x3ff);
}

/* Bits of an LVT entry that software may write; 0 for what is no LVT entry. */
static uint32_t lvt_writable(uint32_t off)
{
	switch (off) {
	case REG_LVT_TIMER:
		return 0x700ff;
	case REG_LVT_THERMAL:
	case REG_LVT_PERF:
		return 0x107ff;
	case REG_LVT_LINT0:
	case REG_LVT_LINT1:
		return 0x1a7ff;
	case REG_LVT_ERROR:
		return 0x100ff;
	default:
		return 0;
	}
}

static void lvt_write(struct lapic *a, uint32_t off, uint32_t val)
{
	val &= lvt_writable(off);
	if (!(reg_get(a, REG_SVR) & SVR_ENABLE))
		val |= LVT_MASKED;
	if (off == REG_LVT_TIMER)
		lapic_timer_write_lvt(a, val);
	else
		reg_set(a, off, val);
}

/* What lies behind both the memory page and the MSRs; false: no such register. */
static bool common_write(struct lapic *a, uint32_t off, uint32_t val)
{
	switch (off) {
	case REG_TPR:
		reg_set(a, off, val & 0xff);
		return true;
	case REG_EOI:
		eoi_write(a);
		return true;
	case REG_SVR:
		svr_write(a, val);
		return true;
	case REG_ESR:
		reg_set(a, off, a->hw.esr_pending);
		a->hw.esr_pending = 0;
		return true;
	case REG_TIMER_INIT:
		lapic_timer_write_init(a, val);
		return true;
	case REG_TIMER_DIVIDE:
		lapic_timer_write_divide(a, val);
		return true;
	default:
		if (!lvt_writable(off))
			return false;
		lvt_write(a, off, val);
		return true;
	}
}

static bool register_exists(uint32_t off)
{
	return off == REG_ID || off == REG_VERSION || (off >= REG_TPR && off <= REG_PPR) ||
	       off == REG_LDR || off == REG_DFR || (off >= REG_SVR && off <= REG_ESR) ||
	       (off >= REG_ICR && off <= REG_TIMER_CURRENT) || off == REG_TIMER_DIVIDE;
}

void lapic_write(struct lapic *a, uint32_t off, uint32_t val)
{
	off &= 0x3f0;
	switch (off) {
	case REG_ID:
	case REG_ICR_HIGH:
		reg_set(a, off, val & 0xff000000);
		return;
	case REG_LDR:
		reg_set(a, off, val & 0xff000000);
		return;
	case REG_DFR:
		reg_set(a, off, val | 0x0fffffff);
		return;
	case REG_ICR:
		/* Delivery status (bit 12) reads idle: delivery is immediate. */
		reg_set(a, off, val & 0xccfff);
		icr_send(a, val & 0xccfff, reg_get(a, REG_ICR_HIGH) >> 24);
		return;
	default:
		if (!common_write(a, off, val) && !register_exists(off))
			lapic_error(a, ESR_REGISTER);
	}
}

uint32_t lapic_read(struct lapic *a, uint32_t off)
{
	off &= 0x3f0;
	if (!register_exists(off)) {
		lapic_error(a, ESR_REGISTER);
		return 0;
	}
	if (off == REG_PPR || off == REG_APR)
		return processor_priority(a);
	if (off == REG_TIMER_CURRENT)
		return lapic_timer_current(a);
	if (off >= REG_TMR && off < REG_ESR)
		lapic_collect(a);
	return reg_get(a, off);
}

/* ---- MSRs ------------------------------------------------------------------------------------ */

static bool base_write(struct lapic *a, uint64_t val)
{
	uint64_t old = a->hw.base, mode = val & (BASE_ENABLE | BASE_X2APIC);

	if (val & ~(0x000ffffffffff000ull | BASE_BSP | mode))
		return false;
	/* SDM 11.12.5: no x2APIC without the APIC, and out of x2APIC only by way of disabled. */
	if (mode == BASE_X2APIC || (mode == BASE_ENABLE && (old & BASE_X2APIC)))
		return false;
	if (mode == (BASE_ENABLE | BASE_X2APIC) && !(old & BASE_ENABLE))
		return false;
	__atomic_store_n(&a->hw.base, val, __ATOMIC_RELAXED);
	if ((old & BASE_ENABLE) && !(val & BASE_ENABLE))
		lapic_reset(a);
	else if ((old ^ val) & BASE_X2APIC)
		id_update(a);
	return true;
}

/* x2APIC registers that cannot be read: EOI, self-IPI; and those that exist only in memory. */
static bool x2apic_readable(uint32_t off)
{
	return register_exists(off) && off != REG_APR && off != REG_DFR && off != REG_ICR_HIGH;
}

static bool x2apic_write(struct lapic *a, uint32_t off, uint64_t val)
{
	uint32_t low = (uint32_t)val, writable = lvt_writable(off);

	if (off == REG_ICR) {
		if (low & ~0xccfffu)
			return false;
		a->hw.icr_dest = (uint32_t)(val >> 32);
		reg_set(a, off, low);
		icr_send(a, low, a->hw.icr_dest);
		return true;
	}
	if (val >> 32 || ((off == REG_EOI || off == REG_ESR) && val))
		return false;
	if (off == REG_SELF_IPI) {
		if (val > 0xff)
			return false;
		icr_send(a, 0x40000 | low, 0);
		return true;
	}
	/* The read-only bits 12 and 14 (delivery status, remote IRR) may be written back. */
	if ((writable && (low & ~(writable | 0x5000))) || (off == REG_TPR && low > 0xff))
		return false;
	return common_write(a, off, low);
}

bool lapic_msr_read(struct lapic *a, uint32_t msr, uint64_t *val)
{
	uint32_t off = (msr - MSR_X2APIC_FIRST) << 4;

	if (msr == MSR_APIC_BASE) {
		*val = a->hw.base;
		return true;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*val = a->hw.tsc_deadline;
		return true;
	}
	if (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST || !is_x2apic(a) || off > 0x3f0 ||
	    !x2apic_readable(off))
		return false;
	*val = lapic_read(a, off);
	if (off == REG_ICR)
		*val |= (uint64_t)a->hw.icr_dest << 32;
	return true;
}

bool lapic_msr_write(struct lapic *a, uint32_t msr, uint64_t val)
{
	if (msr == MSR_APIC_BASE)
		return base_write(a, val);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_write_deadline(a, val);
		return true;
	}
	if (msr < MSR_X2APIC_FIRST || msr - MSR_X2APIC_FIRST > 0x3f || !is_x2apic(a))
		return false;
	return x2apic_write(a, (msr - MSR_X2APIC_FIRST) << 4, val);
}

/* ---- engine-neutral form --------------------------------------------------------------------- */

void lapic_save(struct lapic *a, uint32_t regs[LAPIC_NREGS])
{
	lapic_collect(a);
	for (uint32_t off = 0; off < 0x400; off += 0x10)
		regs[off >> 4] = reg_get(a, off);
	regs[REG_TIMER_CURRENT >> 4] = lapic_timer_current(a);
	regs[REG_PPR >> 4] = processor_priority(a);
	if (is_x2apic(a))
		regs[REG_ICR_HIGH >> 4] = a->hw.icr_dest;
}

void lapic_load(struct lapic *a, const uint32_t regs[LAPIC_NREGS], uint64_t base, uint64_t deadline)
{
	__atomic_store_n(&a->hw.base, base, __ATOMIC_RELAXED);
	lapic_reset(a);
	for (uint32_t off = REG_TPR; off < 0x400; off += 0x10)
		reg_set(a, off, regs[off >> 4]);
	if (is_x2apic(a))
		a->hw.icr_dest = regs[REG_ICR_HIGH >> 4];
	else
		reg_set(a, REG_ID, regs[REG_ID >> 4]);
	reg_set(a, REG_TIMER_DIVIDE, regs[REG_TIMER_DIVIDE >> 4] & 0xb);
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_DEADLINE) {
		lapic_timer_write_deadline(a, deadline);
		return;
	}
	/* The count can't exceed what it started from. */
	if (regs[REG_TIMER_CURRENT >> 4] > reg_get(a, REG_TIMER_INIT))
		reg_set(a, REG_TIMER_INIT, regs[REG_TIMER_CURRENT >> 4]);
	lapic_timer_continue(a, regs[REG_TIMER_CURRENT >> 4]);
}
