/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Not a test but a scale: what leaving the guest costs, in ticks of its TSC, each as "cost NAME N".
 * On an emulated host whose clock counts instructions (QEMU's -icount) the numbers repeat.
 */
#include "guests/lib/guest.h"

#define BATCHES 5
#define ROUNDS  512
/* The VMM's: the RTC's index port, and memory where there would be an HPET. */
#define PORT_VMM 0x70
#define MMIO_VMM 0xfed00000ul
#define FRESH    0x2000000ul /* memory that nobody has touched: a large page a batch */

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
} scales[] = {
	{"cpuid", one_cpuid},         {"port-write", one_port_write}, {"mmio-read", one_mmio_read},
	{"msr-write", one_msr_write}, {"nested-fault", one_page},
};

static void tell(const char *name, uint64_t ticks, unsigned times)
{
	print("cost %s %u\n", name, (unsigned long)(ticks / times));
}

/* The least of some batches: a host has other things to do now and then. */
static bool measure_exits(void)
{
	for (unsigned s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
		uint64_t least = ~0ul;

		for (unsigned batch = 0; batch < BATCHES; batch++) {
			uint64_t start = rdtsc();

			for (unsigned i = 0; i < ROUNDS; i++)
				scales[s].fn(batch * ROUNDS + i);
			start = rdtsc() - start;
			least = start < least ? start : least;
		}
		tell(scales[s].name, least, ROUNDS);
	}
	return true;
}

/* ---- interrupts: what they add to a loop, and there and back between two processors ---------- */

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define X2APIC_ENABLED   0xc00
#define X2APIC_EOI       0x80b
#define X2APIC_SPURIOUS  0x80f
#define X2APIC_ICR       0x830
#define X2APIC_LVT_TIMER 0x832
#define DEADLINE_MODE    (2u << 17)
#define ICR_INIT         0x4500
#define ICR_STARTUP      0x4600
#define OTHER            (1ul << 32)
#define VECTOR_TIMER     0x60
#define VECTOR_IPI       0x61
#define PERIOD           250000
#define SPINS            10000000

extern char ap_trampoline[], ap_trampoline_end[];
void ap_main(void);

static volatile bool other_lives;

static void x2apic_on(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC_ENABLED);
	wrmsr(X2APIC_SPURIOUS, 0x1ff);
}

static void timer_again(struct frame *f)
{
	(void)f;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + PERIOD);
	wrmsr(X2APIC_EOI, 0);
}

static uint64_t spin(void)
{
	uint64_t start = rdtsc(), n = SPINS;

	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
	return rdtsc() - start;
}

static bool measure_timer(void)
{
	uint64_t without, with;

	if (!(cpuid(1).c >> 24 & 1)) /* TSC deadline */
		return true;
	x2apic_on();
	trap_handler[VECTOR_TIMER] = timer_again;
	wrmsr(X2APIC_LVT_TIMER, DEADLINE_MODE | VECTOR_TIMER);
	sti();
	without = spin();
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + PERIOD);
	with = spin();
	cli();
	wrmsr(MSR_TSC_DEADLINE, 0);
	tell("timer", with - without, hits[VECTOR_TIMER]);
	return true;
}

static void end_of_interrupt(struct frame *f)
{
	(void)f;
	wrmsr(X2APIC_EOI, 0);
}

/* The other processor: each interrupt is answered with one, each from HLT. */
void ap_main(void)
{
	x2apic_on();
	other_lives = true;
	for (;;) {
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
		wrmsr(X2APIC_ICR, VECTOR_IPI);
	}
}

static void start_other(void)
{
	for (char *from = ap_trampoline, *to = (char *)AP_TRAMPOLINE; from < ap_trampoline_end;)
		*to++ = *from++;
	wrmsr(X2APIC_ICR, OTHER | ICR_INIT);
	delay_us(10000);
	wrmsr(X2APIC_ICR, OTHER | ICR_STARTUP | AP_TRAMPOLINE >> 12);
	delay_us(10000);
}

static bool measure_ipi(void)
{
	uint64_t start;

	trap_handler[VECTOR_IPI] = end_of_interrupt;
	x2apic_on();
	start_other();
	start = rdtsc();
	for (unsigned i = 0; i < ROUNDS && other_lives; i++) {
		wrmsr(X2APIC_ICR, OTHER | VECTOR_IPI);
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	}
	if (other_lives)
		tell("ipi", rdtsc() - start, 2 * ROUNDS);
	return true;
}

const struct check checks[] = {
	{1, "exits", measure_exits},
	{2, "timer interrupts", measure_timer},
	{3, "IPIs", measure_ipi},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
