/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's clock: nanoseconds since the VM was created, less the time it was paused. Everything a
 * guest sees as time (PIT, RTC, PM timer, local APIC timer, TSC, kvmclock) derives from it, so that
 * they never drift apart and all stop together in a pause.
 */
#ifndef VMM_CLOCK_H
#define VMM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/loop.h"

struct vm_clock {
	struct loop *loop;
	uint64_t offset;    /* VM time = host monotonic - offset while running */
	uint64_t paused_at; /* VM time at which it stands, valid while !running */
	bool running;
	int64_t kvmclock_offset;   /* ns that the guest's kvmclock is ahead of VM time */
	struct clock_timer *armed; /* list of armed timers, so that a pause can park them */
};

struct clock_timer {
	struct loop_timer host;
	struct vm_clock *clock;
	struct clock_timer *next, **link;
	loop_fn *fn;
	void *opaque;
	uint64_t deadline; /* VM time, ns */
	bool is_armed;
};

void clock_init(struct vm_clock *c, struct loop *loop); /* stands at 0, paused */
uint64_t clock_now(const struct vm_clock *c);           /* any thread */
void clock_pause(struct vm_clock *c);
void clock_resume(struct vm_clock *c);
/* A loaded machine goes on at this VM time. While it stands, before devices look at it. */
void clock_set(struct vm_clock *c, uint64_t now);

void clock_timer_init(struct clock_timer *t, struct vm_clock *c, loop_fn *fn, void *opaque);
void clock_timer_set(struct clock_timer *t, uint64_t deadline); /* replaces an earlier deadline */
void clock_timer_cancel(struct clock_timer *t);

#endif
