/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC's timer: one-shot, periodic and TSC deadline. See lapic.h. */
#include "x86/lapic_regs.h"

/* A guest may ask for a period of one nanosecond; interrupts faster than this help nobody. */
#define TIMER_MIN_PERIOD_NS 20000ull

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

uint32_t lapic_timer_current(const struct lapic *a)
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

void lapic_timer_stop(struct lapic *a)
{
	a->hw.timer_start_ns = LAPIC_TIMER_STOPPED;
	a->hw.tsc_deadline = 0;
	a->ops->arm_timer(a->opaque, 0, false);
}

void lapic_timer_continue(struct lapic *a, uint32_t count)
{
	uint64_t done = (reg_get(a, REG_TIMER_INIT) - (uint64_t)count) * timer_divisor(a);
	uint64_t now = a->ops->now_ns(a->opaque);

	if (!count)
		a->hw.timer_start_ns = LAPIC_TIMER_STOPPED;
	else
		a->hw.timer_start_ns = now - done * LAPIC_TICK_NS;
	timer_arm(a);
}

void lapic_timer_write_lvt(struct lapic *a, uint32_t val)
{
	uint32_t count = lapic_timer_current(a);
	uint32_t old = TIMER_MODE(reg_get(a, REG_LVT_TIMER));

	reg_set(a, REG_LVT_TIMER, val);
	if (old == TIMER_MODE(val))
		return;
	/* SDM 11.5.4.1: to or from deadline mode disarms the timer. */
	if (old == TIMER_DEADLINE || TIMER_MODE(val) == TIMER_DEADLINE)
		lapic_timer_stop(a);
	else
		lapic_timer_continue(a, count);
}

void lapic_timer_write_init(struct lapic *a, uint32_t val)
{
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) == TIMER_DEADLINE)
		return;
	reg_set(a, REG_TIMER_INIT, val);
	a->hw.timer_start_ns = val ? a->ops->now_ns(a->opaque) : LAPIC_TIMER_STOPPED;
	timer_arm(a);
}

void lapic_timer_write_divide(struct lapic *a, uint32_t val)
{
	uint32_t count = lapic_timer_current(a);

	reg_set(a, REG_TIMER_DIVIDE, val & 0xb);
	lapic_timer_continue(a, count);
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
	lapic_raise_local(a, lvt);
}

void lapic_timer_write_deadline(struct lapic *a, uint64_t val)
{
	if (TIMER_MODE(reg_get(a, REG_LVT_TIMER)) != TIMER_DEADLINE)
		return;
	a->hw.tsc_deadline = val;
	timer_arm(a);
}
