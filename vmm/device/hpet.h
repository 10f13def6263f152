/* SPDX-License-Identifier: Apache-2.0 */
/* The high precision event timer's place and shape, which ACPI tells the guest too. */
#ifndef VMM_DEVICE_HPET_H
#define VMM_DEVICE_HPET_H

#include "vmm/device.h"

#define HPET_BASE       0xfed00000ull
#define HPET_SIZE       0x400
#define HPET_TIMERS     3
#define HPET_PERIOD_FS  10000000u /* 100 MHz */
#define HPET_CAP_LEGACY 0x8000u
/* Low half of the capabilities: Intel, 64-bit counter, timers, revision 1. */
#define HPET_ID (0x80860000u | 0x2000u | (HPET_TIMERS - 1) << 8 | 1)

extern const struct device_ops hpet_ops; /* [legacy=1: can take the lines of PIT and RTC] */

#endif
