/* SPDX-License-Identifier: Apache-2.0 */
/* The host's TSC frequency, from CPUID or by a short measurement. */
#include "vmm/engine/hosttsc.h"

#include <cpuid.h>
#include <stdbool.h>
#include <time.h>
#include <x86intrin.h>

#define MIN_MEASURE_NS 500000u /* long enough where the clock is read without a system call */
#define MAX_MEASURE_NS 4000000u
#define WANTED_PPM     40u

/* Processor crystal and ratio (Intel SDM volume 2, leaf 15h); the crystal may be left out. */
static uint32_t khz_from_leaf_15(void)
{
	uint32_t denominator, numerator, crystal_hz, edx;

	if (!__get_cpuid(0x15, &denominator, &numerator, &crystal_hz, &edx))
		return 0;
	if (!denominator || !numerator || !crystal_hz)
		return 0;
	return (uint32_t)((uint64_t)crystal_hz * numerator / denominator / 1000);
}

/* The leaf that hypervisors use to tell the frequency: TSC kHz in EAX. */
static uint32_t khz_from_hypervisor(void)
{
	uint32_t max, khz, b, c, d;

	if (!__get_cpuid(1, &max, &b, &c, &d) || !(c >> 31))
		return 0;
	__cpuid(0x40000000, max, b, c, d);
	if (max < 0x40000010 || max > 0x400000ff)
		return 0;
	__cpuid(0x40000010, khz, b, c, d);
	return khz;
}

struct sample {
	uint64_t ns, tsc;
	uint64_t window; /* TSC ticks within which `ns` was read */
};

static uint64_t raw_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of several readings the one least disturbed. */
static struct sample take_sample(void)
{
	struct sample best = {.window = UINT64_MAX};

	for (int i = 0; i < 16; i++) {
		uint64_t before = __rdtsc(), ns = raw_ns(), after = __rdtsc();

		if (after - before < best.window)
			best = (struct sample){ns, before + (after - before) / 2, after - before};
	}
	return best;
}

static bool good_enough(const struct sample *a, const struct sample *b)
{
	uint64_t ns = b->ns - a->ns, error = (a->window + b->window) / 2;

	if (ns < MIN_MEASURE_NS)
		return false;
	return ns >= MAX_MEASURE_NS || error * 1000000 <= (b->tsc - a->tsc) * WANTED_PPM;
}

static uint32_t measured_khz(void)
{
	struct sample a = take_sample(), b;

	do
		b = take_sample();
	while (!good_enough(&a, &b));
	return (uint32_t)((b.tsc - a.tsc) * 1000000 / (b.ns - a.ns));
}

uint32_t host_tsc_khz(void)
{
	uint32_t khz = khz_from_leaf_15();

	if (!khz)
		khz = khz_from_hypervisor();
	return khz ? khz : measured_khz();
}
