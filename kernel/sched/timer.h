/* SPDX-License-Identifier: Apache-2.0 */
/* Time: nanoseconds since boot from the TSC, the wall clock, and calls at a later time. */
#ifndef KERNEL_SCHED_TIMER_H
#define KERNEL_SCHED_TIMER_H

#include "kernel/lib/lib.h"

#define NSEC_PER_SEC 1000000000UL
#define NEVER        UINT64_MAX

void clock_init(void); /* measures the TSC and reads the real-time clock */
uint64_t now_ns(void);
uint64_t tsc_khz(void);
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t tsc_at(uint64_t ns); /* the TSC's value then */
/* Nanoseconds to add to now_ns() for the time since 1970. */
uint64_t wall_offset_ns(void);
void wall_set(uint64_t ns_since_1970);
void delay_us(unsigned us);

/* Calls `fn` at `deadline` in interrupt context, on the CPU that started it. */
struct ktimer {
	struct list link;
	uint64_t deadline;
	void (*fn)(struct ktimer *t);
	unsigned cpu;
	bool armed;
};

void timer_init_cpu(unsigned cpu);
void timer_start(struct ktimer *t, uint64_t deadline); /* moves it if it is armed */
/* After this the call does not begin any more; it may still be under way on another CPU. */
void timer_cancel(struct ktimer *t);
/* And this waits for it, even if it starts the timer again; not with a lock that the call takes. */
void timer_end(struct ktimer *t);
void timer_interrupt(void);
/* The scheduler's next look at this CPU; NEVER for none. */
void timer_set_slice(uint64_t deadline);

#endif
