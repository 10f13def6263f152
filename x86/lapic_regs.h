/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of a local APIC, for the files that make it up: see lapic.h. */
#ifndef X86_LAPIC_REGS_H
#define X86_LAPIC_REGS_H

#include "x86/lapic.h"

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

static inline uint32_t reg_get(const struct lapic *a, uint32_t off)
{
	return __atomic_load_n(&a->hw.reg[off >> 4], __ATOMIC_RELAXED);
}

/* Other threads read ID, LDR, DFR and SVR in lapic_match(), hence atomic. */
static inline void reg_set(struct lapic *a, uint32_t off, uint32_t val)
{
	__atomic_store_n(&a->hw.reg[off >> 4], val, __ATOMIC_RELAXED);
}

static inline uint64_t base_get(const struct lapic *a)
{
	return __atomic_load_n(&a->hw.base, __ATOMIC_RELAXED);
}

static inline bool is_x2apic(const struct lapic *a)
{
	return (base_get(a) & (BASE_ENABLE | BASE_X2APIC)) == (BASE_ENABLE | BASE_X2APIC);
}

static inline bool is_enabled(const struct lapic *a)
{
	return (base_get(a) & BASE_ENABLE) && (reg_get(a, REG_SVR) & SVR_ENABLE);
}

/* ISR, TMR and IRR are 256-bit registers: 32 bits in each of eight consecutive offsets. */
static inline uint32_t vector_reg(uint32_t off, uint8_t vector)
{
	return off + (vector >> 5) * 0x10u;
}

static inline bool vector_test(const struct lapic *a, uint32_t off, uint8_t vector)
{
	return reg_get(a, vector_reg(off, vector)) >> (vector & 31) & 1;
}

static inline void vector_set(struct lapic *a, uint32_t off, uint8_t vector)
{
	uint32_t r = vector_reg(off, vector);

	reg_set(a, r, reg_get(a, r) | 1u << (vector & 31));
}

static inline void vector_clear(struct lapic *a, uint32_t off, uint8_t vector)
{
	uint32_t r = vector_reg(off, vector);

	reg_set(a, r, reg_get(a, r) & ~(1u << (vector & 31)));
}

static inline int vector_highest(const struct lapic *a, uint32_t off)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = reg_get(a, off + (uint32_t)i * 0x10u);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

static inline uint32_t processor_priority(const struct lapic *a)
{
	int in_service = vector_highest(a, REG_ISR);
	uint32_t tpr = reg_get(a, REG_TPR), isrv = in_service < 0 ? 0 : (uint32_t)in_service;

	return (tpr & 0xf0) >= (isrv & 0xf0) ? tpr : isrv & 0xf0;
}

/* ---- lapic_deliver.c ------------------------------------------------------------------------- */

/* Notes errors, and raises the interrupt that tells them. */
void lapic_error(struct lapic *a, uint32_t bits);
/* An entry of the local vector table fires. */
void lapic_raise_local(struct lapic *a, uint32_t lvt);
/* Posted requests become IRR bits; what reaches a disabled APIC is lost, as on the bus. */
void lapic_collect(struct lapic *a);

/* ---- lapic_timer.c --------------------------------------------------------------------------- */

uint32_t lapic_timer_current(const struct lapic *a);
void lapic_timer_stop(struct lapic *a);
/* Moves the start so that `count` ticks remain from now on: after a change of mode or divisor. */
void lapic_timer_continue(struct lapic *a, uint32_t count);
/* Writes to the timer's registers. */
void lapic_timer_write_lvt(struct lapic *a, uint32_t val);
void lapic_timer_write_init(struct lapic *a, uint32_t val);
void lapic_timer_write_divide(struct lapic *a, uint32_t val);
void lapic_timer_write_deadline(struct lapic *a, uint64_t val);

#endif
