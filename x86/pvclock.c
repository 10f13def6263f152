/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/pvclock.h"

#define TSC_STABLE 1 /* flag: all vCPUs count the same */

/* mul as precise as it goes. */
static void scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t num = 1000000, den = khz ? khz : 1000000;

	*shift = 0;
	while (num >= den) {
		den <<= 1;
		++*shift;
	}
	while (num * 2 < den) {
		num <<= 1;
		--*shift;
	}
	*mul = (uint32_t)((num << 32) / den);
}

struct pvclock pvclock_at(uint32_t version, uint64_t tsc, uint64_t ns, uint32_t khz)
{
	struct pvclock p = {
		.version = version, .tsc_timestamp = tsc, .system_time = ns, .flags = TSC_STABLE};

	scale(khz, &p.mul, &p.shift);
	return p;
}

struct pvclock_wall pvclock_wall_at(uint64_t ns)
{
	return (struct pvclock_wall){2, (uint32_t)(ns / 1000000000), (uint32_t)(ns % 1000000000)};
}
