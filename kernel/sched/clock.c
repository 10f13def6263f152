/* SPDX-License-Identifier: Apache-2.0 */
/* The TSC as the clock. All machines with hardware virtualization have a constant one. */
#include "kernel/cpu/cpu.h"
#include "kernel/sched/timer.h"

static uint64_t tsc_base, khz;
static uint64_t ns_per_tick, ticks_per_ns; /* 32.32 fixed point */
static uint64_t wall_offset;

/* CPUID 15h: crystal frequency and ratio; 40000010h: what hypervisors tell. */
static uint64_t khz_from_cpuid(void)
{
	struct cpuid c = cpuid(0, 0);

	if (c.eax >= 0x15) {
		c = cpuid(0x15, 0);
		if (c.eax && c.ebx && c.ecx)
			return (uint64_t)c.ecx * c.ebx / c.eax / 1000;
	}
	if (cpuid(1, 0).ecx & 1u << 31) {
		c = cpuid(0x40000000, 0);
		if (c.eax >= 0x40000010 && c.eax < 0x40010000)
			return cpuid(0x40000010, 0).eax;
	}
	return 0;
}

/*
 * Against the PIT's channel 2: 1193182 Hz, counted down from 11932 in 10 ms. Returns in how many
 * ticks of the TSC the count began and ended, somewhere: a virtual machine may stand still just
 * then.
 */
static uint64_t count_10_ms(uint64_t *doubt)
{
	uint64_t before, start, last, end;

	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb0);
	outb(0x42, 11932 & 0xff);
	before = rdtsc();
	outb(0x42, 11932 >> 8);
	for (start = last = end = rdtsc(); !(inb(0x61) & 0x20); end = rdtsc())
		last = end;
	end = rdtsc();
	*doubt = start - before + end - last;
	return end - start;
}

/* Of some tries the best; a good one is enough. */
static uint64_t khz_from_pit(void)
{
	uint64_t best = 1, least = UINT64_MAX, doubt;

	for (unsigned i = 0; i < 20 && least > best / 256; i++) {
		uint64_t ticks = count_10_ms(&doubt);

		if (doubt < least) {
			least = doubt;
			best = ticks;
		}
	}
	return best / 10;
}

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg | 0x80);
	return inb(0x71);
}

static unsigned cmos_number(uint8_t reg, bool bcd)
{
	uint8_t v = cmos(reg);

	return bcd ? (v >> 4) * 10u + (v & 15) : v;
}

/* Days since 1970 of a date in the Gregorian calendar. */
static uint64_t days(unsigned y, unsigned m, unsigned d)
{
	y -= m <= 2;
	m = m > 2 ? m - 3 : m + 9;
	return 365UL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 1 - 719468;
}

static uint64_t read_rtc(void)
{
	bool bcd = !(cmos(0x0b) & 4);
	unsigned s, m, h, d, mon, y;

	do {
		while (cmos(0x0a) & 0x80) /* update in progress */
			__builtin_ia32_pause();
		s = cmos_number(0, bcd);
		m = cmos_number(2, bcd);
		h = cmos_number(4, bcd);
		d = cmos_number(7, bcd);
		mon = cmos_number(8, bcd);
		y = cmos_number(9, bcd);
	} while (cmos_number(0, bcd) != s);
	return ((days(2000 + y, mon, d) * 24 + h) * 60 + m) * 60 + s;
}

void clock_init(void)
{
	khz = khz_from_cpuid();
	if (!khz)
		khz = khz_from_pit();
	ns_per_tick = (1000000UL << 32) / khz;
	ticks_per_ns = (khz << 32) / 1000000;
	tsc_base = rdtsc();
	wall_offset = read_rtc() * NSEC_PER_SEC;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return (uint64_t)((unsigned __int128)ticks * ns_per_tick >> 32);
}

uint64_t now_ns(void)
{
	return tsc_to_ns(rdtsc() - tsc_base);
}

uint64_t tsc_at(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * ticks_per_ns >> 32) + tsc_base + 1;
}

uint64_t tsc_khz(void)
{
	return khz;
}

uint64_t wall_offset_ns(void)
{
	return wall_offset;
}

void wall_set(uint64_t ns)
{
	wall_offset = ns - now_ns();
}

void delay_us(unsigned us)
{
	uint64_t end = rdtsc() + us * khz / 1000;

	while (rdtsc() < end)
		__builtin_ia32_pause();
}
