/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC's registers and priority logic, xAPIC and x2APIC (Intel SDM volume 3A chapter 11).
 * Freestanding: time and delivery to other processors come from outside. Used by the translation
 * engine and by the bare-metal kernel. Not thread-safe except lapic_post(): incoming interrupts are
 * posted into atomic words by any thread and taken over by the owner.
 */
#ifndef X86_LAPIC_H
#define X86_LAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LAPIC_DEFAULT_BASE  0xfee00000ull
#define LAPIC_TICK_NS       1ull /* timer clock before the divider: 1 GHz, as in KVM */
#define LAPIC_TIMER_STOPPED UINT64_MAX
#define LAPIC_NREGS         64

/* How a message is delivered: bits 10:8 of an ICR, of an MSI's data, of an I/O APIC's entry. */
enum lapic_mode {
	LAPIC_FIXED,
	LAPIC_LOWEST,
	LAPIC_SMI,
	LAPIC_NMI = 4,
	LAPIC_INIT,
	LAPIC_STARTUP,
	LAPIC_EXTINT,
};

/* How one APIC speaks to its surroundings. All run on the owner's thread. */
struct lapic_ops {
	/* ICR written: deliver to the others (and itself); `dest` as in the ICR. */
	void (*send)(void *opaque, uint32_t icr_low, uint32_t dest, bool x2apic);
	void (*eoi)(void *opaque, uint8_t vector); /* of a level-triggered interrupt */
	void (*arm_timer)(void *opaque, uint64_t tsc_or_ns, bool deadline_is_tsc); /* 0: disarm */
	uint64_t (*now_ns)(void *opaque);
};

struct lapic_hw {         /* what a save holds */
	uint32_t reg[64]; /* register at byte offset n*16 */
	uint64_t base;    /* IA32_APIC_BASE: enable bit 11, x2APIC bit 10, BSP bit 8 */
	uint64_t tsc_deadline;
	uint64_t timer_start_ns; /* when the current count was last full, or LAPIC_TIMER_STOPPED */
	uint32_t id;
	uint32_t esr_pending; /* errors since the last write to ESR */
	uint32_t icr_dest;    /* x2APIC: upper half of the ICR */
};

struct lapic {
	struct lapic_hw hw;
	_Atomic uint32_t posted_irr[8], posted_tmr[8];
	atomic_bool posted; /* set after a bit of posted_irr */
	const struct lapic_ops *ops;
	void *opaque;
};

void lapic_init(struct lapic *a, uint32_t id, bool bsp, const struct lapic_ops *ops, void *opaque);
/* INIT: the registers; id and the enable bits of `base` stay, as the SDM says. */
void lapic_reset(struct lapic *a);

/* Register at byte offset `off` (0..0x3f0, xAPIC page layout). */
uint32_t lapic_read(struct lapic *a, uint32_t off);
void lapic_write(struct lapic *a, uint32_t off, uint32_t val);
/* x2APIC MSR 800h..8ffh and IA32_APIC_BASE/TSC_DEADLINE policy; false: #GP. */
bool lapic_msr_read(struct lapic *a, uint32_t msr, uint64_t *val);
bool lapic_msr_write(struct lapic *a, uint32_t msr, uint64_t val);

/* The form in struct x86_cpu_state: register n at offset n*16, the timer as its current count. */
void lapic_save(struct lapic *a, uint32_t regs[LAPIC_NREGS]);
void lapic_load(struct lapic *a, const uint32_t regs[LAPIC_NREGS], uint64_t base,
		uint64_t deadline);

/* Fixed interrupt for this APIC. Any thread; the caller then wakes the owner. */
void lapic_post(struct lapic *a, uint8_t vector, bool level);
/* Does a message with this destination concern this APIC? Any thread. */
bool lapic_match(const struct lapic *a, uint32_t dest, bool logical, bool x2apic);

/* Same for an ICR value with its shorthand; `is_sender`: `a` wrote that ICR. Any thread. */
bool lapic_icr_match(const struct lapic *a, bool is_sender, uint32_t icr_low, uint32_t dest,
		     bool x2apic);

/* Takes posted interrupts over and returns the vector to deliver now, or -1. TPR/PPR respected. */
int lapic_pending(struct lapic *a);
/* The highest vector that is requested, also if the priorities hold it back; -1: none. */
int lapic_requested(const struct lapic *a);
/* The processor accepts what lapic_pending() returned: IRR to ISR. */
void lapic_accept(struct lapic *a, uint8_t vector);
/* Local vector table entry fires: the timer (0x320), LINT0 (0x350), ... */
void lapic_timer_fired(struct lapic *a);
/* true when LINT0 is open for the PIC (ExtINT mode, or the APIC is off). */
bool lapic_accepts_extint(const struct lapic *a);
/* Task priority as CR8 sees it (bits 7:4 of TPR). */
uint8_t lapic_get_cr8(const struct lapic *a);
void lapic_set_cr8(struct lapic *a, uint8_t cr8);

#endif
