/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers: which values are refused. */
#include "guests/lib/guest.h"

static bool refused(int vector)
{
	return expect("vector", (unsigned)vector, VEC_GP) &
	       expect("error code", trap.frame.error, 0);
}

static bool cr0(unsigned long val)
{
	return refused(TRY("mov %0, %%cr0", : : "r"(val) : "memory"));
}

static bool cr4(unsigned long val)
{
	return refused(TRY("mov %0, %%cr4", : : "r"(val) : "memory"));
}

static bool cr4_reserved(void)
{
	return cr4(READ_CR(4) | 1ul << 31) & cr4(READ_CR(4) | 1ul << 32);
}

static bool cr0_reserved(void)
{
	return cr0(READ_CR(0) | 1ul << 32);
}

static bool cr0_write_through(void)
{
	return cr0(READ_CR(0) | 1ul << 29); /* NW without CD */
}

static bool cr8_reserved(void)
{
	return refused(TRY("mov %0, %%cr8", : : "r"(16ul) : "memory"));
}

static bool paging_without_protection(void)
{
	return cr0(READ_CR(0) & ~1ul);
}

static bool long_mode_without_pae(void)
{
	return cr4(READ_CR(4) & ~0x20ul);
}

static bool long_mode_bit(void)
{
	return refused(TRY("wrmsr",
			   :
			   : "c"(0xc0000080), "a"((uint32_t)rdmsr(0xc0000080) & ~0x100u), "d"(0)
			   : "memory"));
}

static bool efer_reserved(void)
{
	return refused(TRY("wrmsr",
			   :
			   : "c"(0xc0000080), "a"((uint32_t)rdmsr(0xc0000080) | 2), "d"(0)
			   : "memory"));
}

static bool canonical_msr(void)
{
	return refused(TRY("wrmsr", : : "c"(0xc0000100), "a"(0), "d"(0x80000000) : "memory"));
}

/* UEFI firmware sets it without asking CPUID. */
static bool machine_check_enable(void)
{
	unsigned long before = READ_CR(4);

	WRITE_CR(4, before | 1ul << 6);
	if (!expect("CR4.MCE", READ_CR(4) >> 6 & 1, 1))
		return false;
	WRITE_CR(4, before);
	return true;
}

static bool mtrr(uint32_t msr, uint64_t val)
{
	return refused(TRY("wrmsr",
			   :
			   : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			   : "memory"));
}

#define MTRR_BASE0 0x200
#define MTRR_MASK0 0x201
#define MTRR_DEF   0x2ff

static bool mtrr_reserved(void)
{
	return mtrr(MTRR_BASE0, 2) & mtrr(MTRR_BASE0, 0x100) & mtrr(MTRR_BASE0, 1ull << 60) &
	       mtrr(MTRR_MASK0, 1) & mtrr(MTRR_MASK0, 1ull << 60) & mtrr(MTRR_DEF, 0x307);
}

const struct check checks[] = {
	{1, "2.5: reserved bits of CR4", cr4_reserved},
	{2, "2.5: upper half of CR0", cr0_reserved},
	{3, "2.5: CR0.NW without CR0.CD", cr0_write_through},
	{4, "10.8.6: reserved bits of CR8", cr8_reserved},
	{5, "2.5: CR0.PG without CR0.PE", paging_without_protection},
	{6, "2.5: CR4.PAE can't be cleared in long mode", long_mode_without_pae},
	{7, "2.2.1: EFER.LME can't change while paging is on", long_mode_bit},
	{8, "2.2.1: reserved bits of EFER", efer_reserved},
	{9, "2B WRMSR: FS.base must be canonical", canonical_msr},
	{10, "2.5: CR4.MCE can be set", machine_check_enable},
	{11, "11.11.2: types and reserved bits of MTRRs", mtrr_reserved},
};
const unsigned nchecks = sizeof(checks) / sizeof(checks[0]);
const unsigned rounds = 50;
