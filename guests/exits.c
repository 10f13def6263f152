/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Not a test but a scale: what leaving the guest costs, in ticks of its TSC, each as "cost NAME N".
 * On an emulated host whose clock counts instructions (QEMU's -icount) the numbers repeat.
 */
#include "guests/lib/guest.h"

#define ROUNDS 200
/* A register of the VMM's: the RTC's index port is read back, HPET's capabilities are memory. */
#define PORT_VMM 0x70
#define MMIO_VMM 0xfed00000ul
#define PAGES    256
#define FRESH    0x2000000ul /* memory that nobody has touched */

static void one_cpuid(unsigned i)
{
	uint32_t a = 0, b, c = 0, d;

	(void)i;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void one_port_write(unsigned i)
{
	outb(PORT_VMM, (uint8_t)(0x80 | (i & 15)));
}

static void one_mmio_read(unsigned i)
{
	(void)i;
	(void)*(volatile uint32_t *)MMIO_VMM;
}

static void one_msr_write(unsigned i)
{
	wrmsr(0x250, i & 1 ? 0 : 0x0606060606060606);
}

static void one_page(unsigned i)
{
	*(volatile uint8_t *)(FRESH + i * 4096ul) = 1;
}

static const struct {
	const char *name;
	void (*fn)(unsigned i);
	unsigned rounds;
} scales[] = {
	{"cpuid", one_cpuid, ROUNDS},         {"port-write", one_port_write, ROUNDS},
	{"mmio-read", one_mmio_read, ROUNDS}, {"msr-write", one_msr_write, ROUNDS},
	{"nested-fault", one_page, PAGES},
};

static bool measure_all(void)
{
	for (unsigned s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
		uint64_t start;

		if (scales[s].fn != one_page)
			scales[s].fn(0); /* what the first one pays for once */
		start = rdtsc();
		for (unsigned i = 0; i < scales[s].rounds; i++)
			scales[s].fn(i);
		print("cost %s %u\n", scales[s].name,
		      (unsigned long)((rdtsc() - start) / scales[s].rounds));
	}
	return true;
}

const struct check checks[] = {
	{1, "the scale", measure_all},
};
const unsigned nchecks = 1;
const unsigned rounds = 1;
