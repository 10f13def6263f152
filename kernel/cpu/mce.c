/* SPDX-License-Identifier: Apache-2.0 */
/* Machine checks (Intel SDM vol. 3, chapter 16): the processor tells of failed hardware. */
#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"

#define MSR_MCG_CAP    0x179 /* number of banks in bits 0 to 7 */
#define MSR_CONTROL(n) (0x400 + 4 * (n))
#define MSR_STATUS(n)  (0x401 + 4 * (n))
#define MSR_ADDRESS(n) (0x402 + 4 * (n))
#define STATUS_VALID   (1UL << 63)
#define STATUS_ADDRESS (1UL << 58)
#define CPUID_MCA      (1u << 14)

static unsigned banks(void)
{
	return cpuid(1, 0).edx & CPUID_MCA ? rdmsr(MSR_MCG_CAP) & 0xff : 0;
}

void mce_setup(void)
{
	for (unsigned i = 0; i < banks(); i++)
		wrmsr(MSR_CONTROL(i), ~0UL);
}

void mce_report(void)
{
	for (unsigned i = 0; i < banks(); i++) {
		uint64_t status = rdmsr(MSR_STATUS(i));

		if (status & STATUS_VALID)
			klog("CPU %u, bank %u: status %016lx, address %lx", this_cpu()->index, i,
			     status, status & STATUS_ADDRESS ? rdmsr(MSR_ADDRESS(i)) : 0);
	}
}
