/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out of a virtual machine: every MSR, every port, every physical address. What the guest sees
 * is checked here; that its host goes on as before is the business of whoever runs it, on a host
 * with something at PORT_OF_HOST.
 */
#include "guests/lib/guest.h"

#define WINDOW       0x8000000000ul
#define PORT_OF_HOST 0x501

extern uint64_t page_pml4[512];
static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096)));

/* ---- model-specific registers ---------------------------------------------------------------- */

/* Not among them: the guest's own clock, its APIC, EFER and the bases of FS and GS. */
static const struct {
	uint32_t first, last;
} msrs[] = {
	{0x0, 0xf},               /* machine check */
	{0x11, 0x1a},             /* platform */
	{0x1c, 0x3a},             /* FEATURE_CONTROL */
	{0x3c, 0x6df},            /* SMBASE, MISC_ENABLE, DEBUGCTL, VMX's 480h and on */
	{0x6e1, 0x7ff},           /* */
	{0x900, 0x1fff},          /* */
	{0x40000000, 0x400001ff}, /* hypervisors' own */
	{0xc0000000, 0xc000007f}, /* */
	{0xc0000081, 0xc00000ff}, /* STAR, LSTAR, CSTAR, SFMASK */
	{0xc0000102, 0xc00003ff}, /* KERNEL_GS_BASE, TSC_AUX */
	{0xc0010000, 0xc00103ff}, /* HWCR, SMM, VM_CR, VM_HSAVE_PA */
	{0xc0011000, 0xc00110ff}, /* debugging */
};

static bool write_msrs(void)
{
	static const uint64_t values[] = {~0ul, 0xfffff000, 0};

	for (unsigned r = 0; r < sizeof(msrs) / sizeof(msrs[0]); r++) {
		for (uint32_t m = msrs[r].first; m <= msrs[r].last; m++) {
			for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
				(void)TRY("wrmsr",
					  :
					  : "c"(m), "a"((uint32_t)values[i]), "d"(values[i] >> 32)
					  : "memory");
			(void)TRY("rdmsr", : : "c"(m) : "rax", "rdx", "memory");
		}
	}
	return true;
}

/* What a guest may never have, and what it has itself. */
static bool precious_msrs(void)
{
	bool good = true;
	int v;

	v = TRY("wrmsr", : : "c"(0xc0000080), "a"(0x1d01), "d"(0) : "memory");
	good &= expect("EFER.SVME", (unsigned)v, VEC_GP);
	v = TRY("wrmsr", : : "c"(0xc0010117), "a"(0x1000), "d"(0) : "memory");
	good &= expect("VM_HSAVE_PA", v == VEC_GP || v == -1, true);
	wrmsr(0xc0000082, 0x123456789000);
	wrmsr(0xc0000102, 0xffff888800001000);
	for (unsigned i = 0; i < 100; i++)
		inb(0x80);
	return good & expect("LSTAR", rdmsr(0xc0000082), 0x123456789000) &
	       expect("KERNEL_GS_BASE", rdmsr(0xc0000102), 0xffff888800001000);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Those with an effect on the guest itself: its end, its output, its interrupts. */
static bool is_own(unsigned port)
{
	return port < 0x100 || (port >= 0x3f8 && port < 0x404) || (port >= 0x600 && port < 0x640) ||
	       (port >= 0xcf8 && port < 0xd00);
}

static bool all_ports(void)
{
	bool good = expect("nothing at the host's", inb(PORT_OF_HOST), 0xff);

	for (unsigned port = 0; port < 0x10000; port++) {
		if (is_own(port) || is_own(port + 3))
			continue;
		inb((uint16_t)port);
		outb((uint16_t)port, 0);
		if (port % 4 == 1) { /* across the next ones, at the end beyond them all */
			inl((uint16_t)port);
			outl((uint16_t)port, 0xffffffff);
		}
	}
	return good;
}

/* Strings go another way than single values. */
static bool string_ports(void)
{
	uint8_t buf[16];
	void *at = buf;
	unsigned long n = sizeof(buf);
	bool good = true;

	__asm__ volatile("rep insb" : "+D"(at), "+c"(n) : "d"(PORT_OF_HOST) : "memory");
	for (unsigned i = 0; i < sizeof(buf); i++)
		good &= expect("nothing there", buf[i], 0xff);
	at = buf;
	n = sizeof(buf);
	__asm__ volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(PORT_OF_HOST) : "memory");
	return good;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Devices that have registers where there is no memory. */
static bool is_device(uint64_t gpa)
{
	return gpa >= 0xb0000000 && gpa < 0x100000000;
}

static bool reads_ones(uint64_t gpa)
{
	volatile uint64_t *at = (volatile uint64_t *)(WINDOW + (gpa & 0x1fffff));
	bool good;

	pdpt[0] = (uintptr_t)pd | 7;
	pd[0] = (gpa & ~0x1ffffful) | 0x87;
	page_pml4[1] = (uintptr_t)pdpt | 7;
	WRITE_CR(3, READ_CR(3));
	good = expect("reads ones", *at, ~0ul);
	*at = 0;
	good &= expect("keeps nothing", *at, ~0ul);
	if (!good)
		print("  at %x\n", gpa);
	return good;
}

/* As far as the processor has address bits: what the host has there, this guest has not. */
static bool all_addresses(void)
{
	unsigned bits = cpuid(0x80000000).a >= 0x80000008 ? cpuid(0x80000008).a & 0xff : 36;
	bool good = true;

	for (uint64_t gpa = 256ul << 20; gpa < 4ul << 30 && good; gpa += 2ul << 20)
		good &= is_device(gpa) || reads_ones(gpa);
	for (unsigned bit = 32; bit < bits && bit < 52 && good; bit++)
		good &= reads_ones(1ul << bit) & reads_ones((1ul << bit) + 0x100000);
	return good;
}

const struct check checks[] = {
	{1, "4: MSRs that matter", precious_msrs},
	{2, "4: each MSR is written", write_msrs},
	{3, "1 19: each port is written", all_ports},
	{4, "1 19.3: strings of ports", string_ports},
	{5, "addresses beyond the memory", all_addresses},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 1;
