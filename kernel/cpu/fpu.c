/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/cpu/fpu.h"

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"

/* x87, SSE, AVX, AVX-512: what programs and guests may use. */
#define WANTED 0xe7UL

static bool xsave;
static uint64_t xcr0 = 3;
static size_t size = 512;
static uint32_t mxcsr_mask;

static uint32_t read_mxcsr_mask(void)
{
	uint32_t image[128] __attribute__((aligned(64))) = {0};

	__asm__ volatile("fxsave (%0)" ::"r"(image) : "memory");
	return image[7] ? image[7] : 0xffbf;
}

void fpu_setup(void)
{
	struct cpuid c;

	__asm__ volatile("fninit");
	mxcsr_mask = read_mxcsr_mask();
	if (!(read_cr4() & CR4_OSXSAVE))
		return;
	c = cpuid(0xd, 0);
	xcr0 = ((uint64_t)c.edx << 32 | c.eax) & WANTED;
	if ((xcr0 & 0xe0) != 0xe0)
		xcr0 &= ~0xe0UL;
	xsetbv(xcr0);
	xsave = true;
	size = cpuid(0xd, 0).ebx;
}

size_t fpu_size(void)
{
	return size;
}

uint64_t fpu_features(void)
{
	return xcr0;
}

bool fpu_has_xsave(void)
{
	return xsave;
}

void fpu_init_area(void *area)
{
	uint8_t *p = area;

	memset(p, 0, size);
	*(uint16_t *)p = 0x37f;         /* FCW */
	*(uint32_t *)(p + 24) = 0x1f80; /* MXCSR */
	if (xsave)
		p[512] = 3; /* XSTATE_BV */
}

void fpu_save(void *area)
{
	if (xsave)
		__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void fpu_load(const void *area)
{
	if (xsave)
		__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

void fpu_sanitize(void *area)
{
	uint32_t *mxcsr = (uint32_t *)area + 6;
	uint64_t *header = (uint64_t *)area + 64;

	*mxcsr &= mxcsr_mask;
	if (xsave) {
		header[0] &= xcr0;
		memset(header + 1, 0, 56); /* XCOMP_BV and reserved */
	}
}

/* Where 16 bytes of a register are: XMM, the upper half of YMM. */
static size_t vector_part(unsigned n, unsigned part)
{
	return 16UL * n + (part ? cpuid(0xd, 2).ebx : 160);
}

void fpu_get_vector(const void *area, unsigned n, void *to, size_t bytes)
{
	for (unsigned part = 0; part < bytes / 16; part++)
		memcpy((char *)to + 16 * part, (const char *)area + vector_part(n, part), 16);
}

void fpu_set_vector(void *area, unsigned n, const void *from, size_t bytes)
{
	uint8_t *p = area;

	for (unsigned part = 0; part < bytes / 16; part++)
		memcpy(p + vector_part(n, part), (const char *)from + 16 * part, 16);
	if (xsave)
		p[512] |= bytes > 16 ? 6 : 2; /* XSTATE_BV */
	if (bytes > 16 && xcr0 & 1 << 6)
		memset(p + cpuid(0xd, 6).ebx + 32UL * n, 0, 32);
}
