/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC: registers, priorities, timer and destination matching. See lapic.h. */
#include "x86/lapic.h"

#include <stddef.h>

/* Register offsets, xAPIC page layout (Intel SDM volume 3A table 11-1). */
enum {
	REG_ID = 0x020,
	REG_VERSION = 0x030,
	REG_TPR = 0x080,
	REG_APR = 0x090,
	REG_PPR = 0x0a0,
	REG_EOI = 0x0b0,
	REG_LDR = 0x0d0,
	REG_DFR = 0x0e0,
	REG_SVR = 0x0f0,
	REG_ISR = 0x100,
	REG_TMR = 0x180,
	REG_IRR = 0x200,
	REG_ESR = 0x280,
	REG_ICR = 0x300,
	REG_ICR_HIGH = 0x310,
	REG_LVT_TIMER = 0x320,
	REG_LVT_THERMAL = 0x330,
	REG_LVT_PERF = 0x340,
	REG_LVT_LINT0 = 0x350,
	REG_LVT_LINT1 = 0x360,
	REG_LVT_ERROR = 0x370,
	REG_TIMER_INIT = 0x380,
	REG_TIMER_CURRENT = 0x390,
	REG_TIMER_DIVIDE = 0x3e0,
	REG_SELF_IPI = 0x3f0,
};

#define VERSION       0x00050014u /* six LVT entries, integrated APIC, no EOI-broadcast suppression */
#define SVR_ENABLE    0x100u
#define LVT_MASKED    0x10000u
#define LVT_MODE_EXT  0x700u
#define LVT_MODE_MASK 0x700u

#define TIMER_MODE(lvt) (((lvt) >> 17) & 3)
enum {
	TIMER_ONE_SHOT,
	TIMER_PERIODIC,
	TIMER_DEADLINE
};

#define ESR_SEND_VECTOR    0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER       0x80u

#define BASE_BSP    0x100ull
#define BASE_X2APIC 0x400ull
#define BASE_ENABLE 0x800ull

#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu

/* A guest may ask for a period of one nanosecond; interrupts faster than this help nobody. */
#define TIMER_MIN_PERIOD_NS 20000ull

static uint32_t reg_get(const struct lapic *a, uint32_t off)
{
	return __atomic_load_n(&a->hw.reg[off >> 4], __ATOMIC_RELAXED);
}

/* Other threads read ID, LDR, DFR and SVR in lapic_match(), hence atomic. */
static void reg_set(struct lapic *a, uint32_t off, uint32_t val)
{
	__atomic_store_n(&a->hw.reg[off >> 4], val, __ATOMIC_RELAXED);
}

static uint64_t base_get(const struct lapic *a)
{
	return __atomic_load_n(&a->hw.base, __ATOMIC_RELAXED);
}

static bool is_x2apic(const struct lapic *a)
{
	return (base_get(a) & (BASE_ENABLE | BASE_X2APIC)) == (BASE_ENABLE | BASE_X2APIC);
}

static bool is_enabled(const struct lapic *a)
{
	return (base_get(a) & BASE_ENABLE) && (reg_get(a, REG_SVR) & SVR_ENABLE);
}

/* ISR, TMR and IRR are 256-bit registers: 32 bits in each of eight consecutive offsets. */
static uint32_t vector_reg(uint32_t off, uint8_t vector)
{
	return off + (vector >> 5) * 0x10u;
}

static bool vector_test(const struct lapic *a, uint32_t off, uint8_t vector)
{
	return reg_get(a, vector_reg(off, vector)) >> (vector & 31) & 1;
}

static void vector_set(struct lapic *a, uint32_t off, uint8_t vector)
{
	uint32_t r = vector_reg(off, vector);

	reg_set(a, r, reg_get(a, r) | 1u << (vector & 31));
}

static void vector_clear(struct lapic *a, uint32_t off, uint8_t vector)
{
	uint32_t r = vector_reg(off, vector);

	reg_set(a, r, reg_get(a, r) & ~(1u << (vector & 31)));
}

static int vector_highest(const struct lapic *a, uint32_t off)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = reg_get(a, off + (uint32_t)i * 0x10u);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

static uint32_t processor_priority(const struct lapic *a)
{
	int in_service = vector_highest(a, REG_ISR);
	uint32_t tpr = reg_get(a, REG_TPR), isrv = in_service < 0 ? 0 : (uint32_t)in_service;

	return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : isrv & 0xf0;
}

/* ---- local interrupts ------------------------------------------------------------------------ */

static void error_raise(struct lapic *a, uint32_t bits)
{
	uint32_t lvt = reg_get(a, REG_LVT_ERROR);

	a->hw.esr_pending |= bits;
	/* An unusable vector in the error LVT must not come back here: it is only recorded. */
	if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
		lapic_post(a, (uint8_t)lvt, false);
}

static void local_raise(struct lapic *a, uint32_t lvt)
{
	if (lvt & LVT_MASKED)
		return;
	if ((lvt & 0xff) < 16)
		error_raise(a, ESR_RECEIVE_VECTOR);
	else
		lapic_post(a, (uint8_t)lvt, false);
}

/* ---- timer ----------------------------------------------------------------------------------- */

static uint64_t timer_divisor(const struct lapic *a)
{
	uint32_t dcr = reg_get(a, REG_TIMER_DIVIDE);
	uint32_t code = (dcr & 3) | (dcr >> 1 & 4);

	return 1ull << ((code + 1) & 7);
}

static uint64_t timer_period_ns(const struct lapic *a)
{
	return reg_get(a, REG_TIMER_INIT) * timer_divisor(a) * LAPIC_TICK_NS;
}

static uint64_t timer_elapsed_ns(const struct lapic *a)
{
	/* Modulo 2^64: a change of divisor may put the start before time 0. */
	return a->ops->now_ns(a->opaque) - a->hw.timer_start_ns;
}

static uint32_t timer_current(const struct lapic *a)
{
	uint64_t period = timer_period_ns(a), elapsed;

	if (a->hw.timer_start_ns == LAPIC_TIMER_STOPPED || !period)
		return 0;
	elapsed = timer_elapsed_ns(a);
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_PERIODIC)
		elapsed %= period;
	else if (elapsed >= period)
		return 0;
	return reg_get(a, REG_TIMER_INIT) -
	       (uint32_t)(elapsed / (timer_divisor(a) * LAPIC_TICK_NS));
}

/* Asks for the next call of lapic_timer_fired(), or for none. */
static void timer_arm(struct lapic *a)
{
	uint64_t period = timer_period_ns(a), deadline;

	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_DEADLINE) {
		a->ops->arm_timer(a->opaque, a->hw.tsc_deadline, true);
		return;
	}
	if (a->hw.timer_start_ns == LAPIC_TIMER_STOPPED || !period) {
		a->ops->arm_timer(a->opaque, 0, false);
		return;
	}
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_PERIODIC && period < TIMER_MIN_PERIOD_NS)
		period = TIMER_MIN_PERIOD_NS;
	deadline = a->hw.timer_start_ns + period;
	a->ops->arm_timer(a->opaque, deadline ? deadline : 1, false);
}

static void timer_stop(struct lapic *a)
{
	a->hw.timer_start_ns = LAPIC_TIMER_STOPPED;
	a->hw.tsc_deadline = 0;
	a->ops->arm_timer(a->opaque, 0, false);
}

/* Moves the start so that `count` ticks remain from now on: after a change of mode or divisor. */
static void timer_continue(struct lapic *a, uint32_t count)
{
	uint64_t done = (reg_get(a, REG_TIMER_INIT) - (uint64_t)count) * timer_divisor(a);
	uint64_t now = a->ops->now_ns(a->opaque);

	if (!count)
		a->hw.timer_start_ns = LAPIC_TIMER_STOPPED;
	else
		a->hw.timer_start_ns = now - done * LAPIC_TICK_NS;
	timer_arm(a);
}

static void timer_write_lvt(struct lapic *a, uint32_t val)
{
	uint32_t count = timer_current(a);
	uint32_t old = TIMER_MODE(reg_get(a, REG_LVT_TIMER));

	reg_set(a, REG_LVT_TIMER, val);
	if (old == TIMER_MODE(val))
		return;
	/* SDM 11.5.4.1: to or from deadline mode disarms the timer. */
	if (old == TIMER_DEADLINE || TIMER_MODE(val) == TIMER_DEADLINE)
		timer_stop(a);
	else
		timer_continue(a, count);
}

static void timer_write_init(struct lapic *a, uint32_t val)
{
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_DEADLINE)
		return;
	reg_set(a, REG_TIMER_INIT, val);
	a->hw.timer_start_ns = val ? a->ops->now_ns(a->opaque) : LAPIC_TIMER_STOPPED;
	timer_arm(a);
}

static void timer_write_divide(struct lapic *a, uint32_t val)
{
	uint32_t count = timer_current(a);

	reg_set(a, REG_TIMER_DIVIDE, val & 0xb);
	timer_continue(a, count);
}

void lapic_timer_fired(struct lapic *a)
{
	uint32_t lvt = reg_get(a, REG_LVT_TIMER);
	uint64_t period = timer_period_ns(a);

	switch (TIMER_MODE(lvt)) {
	case TIMER_DEADLINE:
		if (!a->hw.tsc_deadline)
			return;
		a->hw.tsc_deadline = 0;
		break;
	case TIMER_PERIODIC:
		if (a->hw.timer_start_ns == LAPIC_TIMER_STOPPED || !period)
			return;
		/* Late: the missed periods are one interrupt, and the phase is kept. */
		a->hw.timer_start_ns += timer_elapsed_ns(a) / period * period;
		timer_arm(a);
		break;
	default:
		if (a->hw.timer_start_ns == LAPIC_TIMER_STOPPED)
			return;
		a->hw.timer_start_ns = LAPIC_TIMER_STOPPED;
	}
	local_raise(a, lvt);
}

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
	timer_stop(a);
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
		error_raise(a, ESR_SEND_VECTOR);
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
		timer_write_lvt(a, val);
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
		timer_write_init(a, val);
		return true;
	case REG_TIMER_DIVIDE:
		timer_write_divide(a, val);
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
			error_raise(a, ESR_REGISTER);
	}
}

static void posted_collect(struct lapic *a);

uint32_t lapic_read(struct lapic *a, uint32_t off)
{
	off &= 0x3f0;
	if (!register_exists(off)) {
		error_raise(a, ESR_REGISTER);
		return 0;
	}
	if (off == REG_PPR || off == REG_APR)
		return processor_priority(a);
	if (off == REG_TIMER_CURRENT)
		return timer_current(a);
	if (off >= REG_TMR && off < REG_ESR)
		posted_collect(a);
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

static void deadline_write(struct lapic *a, uint64_t val)
{
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) != TIMER_DEADLINE)
		return;
	a->hw.tsc_deadline = val;
	timer_arm(a);
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
		deadline_write(a, val);
		return true;
	}
	if (msr < MSR_X2APIC_FIRST || msr - MSR_X2APIC_FIRST > 0x3f || !is_x2apic(a))
		return false;
	return x2apic_write(a, (msr - MSR_X2APIC_FIRST) << 4, val);
}

/* ---- messages -------------------------------------------------------------------------------- */

void lapic_post(struct lapic *a, uint8_t vector, bool level)
{
	uint32_t bit = 1u << (vector & 31);

	/* The trigger mode must be there when the owner sees the request: its exchange acquires. */
	if (level)
		atomic_fetch_or_explicit(&a->posted_tmr[vector >> 5], bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&a->posted_tmr[vector >> 5], ~bit, memory_order_relaxed);
	atomic_fetch_or_explicit(&a->posted_irr[vector >> 5], bit, memory_order_release);
	atomic_store(&a->posted, true);
}

static bool match_logical(const struct lapic *a, uint32_t dest, bool x2apic)
{
	uint32_t ldr = reg_get(a, REG_LDR);

	if (is_x2apic(a)) {
		if (x2apic && dest == 0xffffffff)
			return true;
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	}
	if (dest == 0xff || (x2apic && dest == 0xffffffff))
		return true;
	ldr >>= 24;
	if (reg_get(a, REG_DFR) >> 28 == 0xf)
		return ldr & dest & 0xff;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

bool lapic_match(const struct lapic *a, uint32_t dest, bool logical, bool x2apic)
{
	if (logical)
		return match_logical(a, dest, x2apic);
	if (dest == (x2apic ? 0xffffffff : 0xff))
		return true;
	return dest == (is_x2apic(a) ? a->hw.id : reg_get(a, REG_ID) >> 24);
}

bool lapic_icr_match(const struct lapic *a, bool is_sender, uint32_t icr_low, uint32_t dest,
		     bool x2apic)
{
	switch (icr_low >> 18 & 3) {
	case 0:
		return lapic_match(a, dest, icr_low & 0x800, x2apic);
	case 1:
		return is_sender;
	case 2:
		return true;
	default:
		return !is_sender;
	}
}

/* Posted requests become IRR bits; what reaches a disabled APIC is lost, as on the bus. */
static void posted_collect(struct lapic *a)
{
	if (!atomic_load_explicit(&a->posted, memory_order_relaxed))
		return;
	atomic_exchange_explicit(&a->posted, false, memory_order_acquire);
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t irr = 0, tmr, off = i * 0x10;

		if (atomic_load_explicit(&a->posted_irr[i], memory_order_relaxed))
			irr = atomic_exchange_explicit(&a->posted_irr[i], 0, memory_order_acquire);
		if (!irr || !is_enabled(a))
			continue;
		if (i == 0 && (irr & 0xffff)) {
			irr &= 0xffff0000;
			error_raise(a, ESR_RECEIVE_VECTOR);
		}
		tmr = atomic_load_explicit(&a->posted_tmr[i], memory_order_relaxed);
		reg_set(a, REG_TMR + off, (reg_get(a, REG_TMR + off) & ~irr) | (tmr & irr));
		reg_set(a, REG_IRR + off, reg_get(a, REG_IRR + off) | irr);
	}
}

int lapic_pending(struct lapic *a)
{
	int vector;

	posted_collect(a);
	if (!is_enabled(a))
		return -1;
	vector = vector_highest(a, REG_IRR);
	if (vector < 0 || ((uint32_t)vector & 0xf0) <= (processor_priority(a) & 0xf0))
		return -1;
	return vector;
}

int lapic_requested(const struct lapic *a)
{
	return vector_highest(a, REG_IRR);
}

void lapic_accept(struct lapic *a, uint8_t vector)
{
	vector_clear(a, REG_IRR, vector);
	vector_set(a, REG_ISR, vector);
}

bool lapic_accepts_extint(const struct lapic *a)
{
	uint32_t lvt = reg_get(a, REG_LVT_LINT0);

	if (!(base_get(a) & BASE_ENABLE))
		return true;
	return !(lvt & LVT_MASKED) && (lvt & LVT_MODE_MASK) == LVT_MODE_EXT;
}

uint8_t lapic_get_cr8(const struct lapic *a)
{
	return (uint8_t)(reg_get(a, REG_TPR) >> 4);
}

void lapic_set_cr8(struct lapic *a, uint8_t cr8)
{
	reg_set(a, REG_TPR, (uint32_t)(cr8 & 15) << 4);
}

/* ---- engine-neutral form --------------------------------------------------------------------- */

void lapic_save(struct lapic *a, uint32_t regs[LAPIC_NREGS])
{
	posted_collect(a);
	for (uint32_t off = 0; off < 0x400; off += 0x10)
		regs[off >> 4] = reg_get(a, off);
	regs[REG_TIMER_CURRENT >> 4] = timer_current(a);
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
		a->hw.tsc_deadline = deadline;
		timer_arm(a);
		return;
	}
	/* The count can't exceed what it started from. */
	if (regs[REG_TIMER_CURRENT >> 4] > reg_get(a, REG_TIMER_INIT))
		reg_set(a, REG_TIMER_INIT, regs[REG_TIMER_CURRENT >> 4]);
	timer_continue(a, regs[REG_TIMER_CURRENT >> 4]);
}
