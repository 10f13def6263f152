/* SPDX-License-Identifier: Apache-2.0 */
/* The XSAVE image: AVX-512 lies at different places on AMD's and Intel's processors. */
#include <cpuid.h>
#include <string.h>

#include "tests/oracle/oracle.h"

static uint64_t host_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

bool fp_has_avx512(void)
{
	const unsigned v4 = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL;
	static int known;
	unsigned a, b, c, d;

	if (known)
		return known > 1;
	__cpuid(1, a, b, c, d);
	known = 1;
	if ((c & bit_OSXSAVE) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & v4) == v4 &&
	    (host_xcr0() & 0xe0) == 0xe0)
		known = 2;
	return known > 1;
}

/* Components 5 to 7: where they lie here, their size, and where they lie on the host. */
static const struct {
	uint16_t at, size;
} component[] = {{FP_K, 64}, {FP_ZMM, 512}, {FP_ZMM16, 1024}};

static unsigned host_offset(unsigned i)
{
	static unsigned offset[3];
	unsigned a, c, d;

	if (!offset[i])
		__cpuid_count(0xd, 5 + i, a, offset[i], c, d);
	return offset[i];
}

void fp_to_host(uint8_t *host, const uint8_t *fp)
{
	memcpy(host, fp, FP_IMAGE);
	for (unsigned i = 0; i < 3 && fp_has_avx512(); i++)
		memcpy(host + host_offset(i), fp + component[i].at, component[i].size);
}

void fp_from_host(uint8_t *fp, const uint8_t *host)
{
	memcpy(fp, host, FP_IMAGE);
	for (unsigned i = 0; i < 3 && fp_has_avx512(); i++)
		memcpy(fp + component[i].at, host + host_offset(i), component[i].size);
}

unsigned fp_vector(unsigned reg, unsigned part)
{
	if (reg >= 16)
		return FP_ZMM16 + 64 * (reg - 16) + 16 * part;
	return part == 0   ? FP_XMM + 16 * reg
	       : part == 1 ? FP_YMM + 16 * reg
			   : FP_ZMM + 32 * reg + 16 * (part - 2);
}
