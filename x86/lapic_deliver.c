/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC's interrupts: whom a message is for, what waits, what is delivered next. See
 * lapic.h. */
#include "x86/lapic_regs.h"

/* ---- local interrupts ------------------------------------------------------------------------ */

void lapic_error(struct lapic *a, uint32_t bits)
{
	uint32_t lvt = reg_get(a, REG_LVT_ERROR);

	a->hw.esr_pending |= bits;
	/* An unusable vector in the error LVT must not come back here: it is only recorded. */
	if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16)
		lapic_post(a, (uint8_t)lvt, false);
}

void lapic_raise_local(struct lapic *a, uint32_t lvt)
{
	if (lvt & LVT_MASKED)
		return;
	if ((lvt & 0xff) < 16)
		lapic_error(a, ESR_RECEIVE_VECTOR);
	else
		lapic_post(a, (uint8_t)lvt, false);
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

void lapic_collect(struct lapic *a)
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
			lapic_error(a, ESR_RECEIVE_VECTOR);
		}
		tmr = atomic_load_explicit(&a->posted_tmr[i], memory_order_relaxed);
		reg_set(a, REG_TMR + off, (reg_get(a, REG_TMR + off) & ~irr) | (tmr & irr));
		reg_set(a, REG_IRR + off, reg_get(a, REG_IRR + off) | irr);
	}
}

int lapic_pending(struct lapic *a)
{
	int vector;

	lapic_collect(a);
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
