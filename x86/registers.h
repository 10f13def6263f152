/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which registers a processor has besides those that instructions name, and which values it takes
 * (Intel SDM volumes 3 and 4, AMD APM volume 2): what is not taken raises #GP. For the engines and
 * for the bare-metal kernel.
 */
#ifndef X86_REGISTERS_H
#define X86_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

/* What an MSR takes. */
enum x86_msr_rule {
	X86_MSR_ANY,
	X86_MSR_CANONICAL,  /* addresses */
	X86_MSR_LOW32,      /* 32 bits */
	X86_MSR_PAT,        /* eight memory types, also "uncached minus" */
	X86_MSR_MTRR_TYPE,  /* a memory type and two switches */
	X86_MSR_MTRR_FIXED, /* eight memory types */
};

/* MSRs that are nothing but a field of the state (x86/state.h): F(index, field, rule) makes
 * a row of a table. */
/* clang-format off */
#define X86_MSR_FIELDS(F)                               \
	F(0x174, sysenter_cs, LOW32),                   \
	F(0x175, sysenter_esp, CANONICAL),              \
	F(0x176, sysenter_eip, CANONICAL),              \
	F(0x1a0, misc_enable, ANY),                     \
	F(0x277, pat, PAT),                             \
	F(0x2ff, mtrr_def_type, MTRR_TYPE),             \
	F(0x250, mtrr_fixed[0], MTRR_FIXED),            \
	F(0x258, mtrr_fixed[1], MTRR_FIXED),            \
	F(0x259, mtrr_fixed[2], MTRR_FIXED),            \
	F(0x268, mtrr_fixed[3], MTRR_FIXED),            \
	F(0x269, mtrr_fixed[4], MTRR_FIXED),            \
	F(0x26a, mtrr_fixed[5], MTRR_FIXED),            \
	F(0x26b, mtrr_fixed[6], MTRR_FIXED),            \
	F(0x26c, mtrr_fixed[7], MTRR_FIXED),            \
	F(0x26d, mtrr_fixed[8], MTRR_FIXED),            \
	F(0x26e, mtrr_fixed[9], MTRR_FIXED),            \
	F(0x26f, mtrr_fixed[10], MTRR_FIXED),           \
	F(0xc0000081, star, ANY),                       \
	F(0xc0000082, lstar, CANONICAL),                \
	F(0xc0000083, cstar, CANONICAL),                \
	F(0xc0000084, sfmask, LOW32),                   \
	F(0xc0000102, kernel_gs_base, CANONICAL),       \
	F(0xc0000103, tsc_aux, LOW32)
/* clang-format on */

bool x86_msr_takes(enum x86_msr_rule rule, uint64_t val);
/* MTRRs of ranges: even ones have an address and a memory type, odd ones a mask and a valid bit. */
bool x86_range_mtrr_takes(uint32_t msr, uint64_t val, unsigned phys_bits);
bool x86_canonical(uint64_t addr);

/* By itself: more depends on EFER and on CR4. */
bool x86_cr0_valid(uint64_t val);

/* Components come in steps: x87 always, AVX needs SSE, AVX-512 all three of its own and AVX. */
bool x86_xcr0_valid(uint64_t val, uint64_t allowed);

#endif
