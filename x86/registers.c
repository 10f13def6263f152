/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/registers.h"

#define CR0_PE (1u << 0)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define XCR0_X87    1u
#define XCR0_SSE    2u
#define XCR0_AVX    4u
#define XCR0_AVX512 0xe0u

bool x86_canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

static bool memory_type_valid(uint8_t type)
{
	return type <= 1 || (type >= 4 && type <= 6);
}

/* 7 is "uncached minus", which only the PAT knows. */
static bool memory_types_valid(uint64_t val, bool pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint8_t type = (uint8_t)(val >> i);

		if (!memory_type_valid(type) && !(pat && type == 7))
			return false;
	}
	return true;
}

bool x86_msr_takes(enum x86_msr_rule rule, uint64_t val)
{
	switch (rule) {
	case X86_MSR_CANONICAL:
		return x86_canonical(val);
	case X86_MSR_LOW32:
		return !(val >> 32);
	case X86_MSR_PAT:
		return memory_types_valid(val, true);
	case X86_MSR_MTRR_TYPE:
		return !(val & ~0xcffull) && memory_type_valid((uint8_t)val);
	case X86_MSR_MTRR_FIXED:
		return memory_types_valid(val, false);
	case X86_MSR_ANY:
		break;
	}
	return true;
}

bool x86_range_mtrr_takes(uint32_t msr, uint64_t val, unsigned phys_bits)
{
	bool mask = msr & 1;
	uint64_t reserved = (mask ? 0x7ffull : 0xf00ull) | ~0ull << phys_bits;

	return !(val & reserved) && (mask || memory_type_valid((uint8_t)val));
}

bool x86_cr0_valid(uint64_t val)
{
	if (val >> 32 || (val & CR0_PG && !(val & CR0_PE)))
		return false;
	return !(val & CR0_NW) || val & CR0_CD;
}

bool x86_xcr0_valid(uint64_t val, uint64_t allowed)
{
	uint64_t wide = val & XCR0_AVX512;

	if (!(val & XCR0_X87) || val & ~allowed || (val & XCR0_AVX && !(val & XCR0_SSE)))
		return false;
	return !wide || (wide == XCR0_AVX512 && val & XCR0_AVX);
}
