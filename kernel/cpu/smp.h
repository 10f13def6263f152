/* SPDX-License-Identifier: Apache-2.0 */
/* Start of the other processors, and what processors ask of one another. */
#ifndef KERNEL_CPU_SMP_H
#define KERNEL_CPU_SMP_H

#include <stdint.h>

struct space;

/* Starts every processor that ACPI lists; returns when they all run their idle threads. */
void smp_start(void);

/*
 * Makes every CPU that runs in `s` forget its translations (of all, or of one page). Returns when
 * they have. May be called with locks held and interrupts off: CPUs that wait for a lock serve
 * requests meanwhile.
 */
void flush_space(struct space *s);
/* Serves a request to this CPU, if there is one. */
void flush_poll(void);

/* Stops the other processors for good. */
void smp_stop_others(void);

#endif
