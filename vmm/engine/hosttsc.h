/* SPDX-License-Identifier: Apache-2.0 */
/* The frequency of this host's time-stamp counter. */
#ifndef VMM_ENGINE_HOSTTSC_H
#define VMM_ENGINE_HOSTTSC_H

#include <stdint.h>

/*
 * In kHz. Told by CPUID where the processor or the hypervisor above does; else measured against
 * CLOCK_MONOTONIC_RAW, which Linux derives from the TSC, to some 20 ppm in about half a
 * millisecond.
 */
uint32_t host_tsc_khz(void);

#endif
