/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic of the guest by the host's own instructions, which give the flags as well: for the
 * translator's interpreter and for the bare-metal kernel's. Each operation is a function of the
 * form x86_alu; the macros here define them.
 */
#ifndef X86_ALU_H
#define X86_ALU_H

#include "x86/insn.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Result of an operation on `size` bytes; reads and updates the status flags in *fl. */
typedef uint64_t x86_alu(unsigned size, uint64_t d, uint64_t s, uint64_t *fl);

/* AH for SAHF and AL = OF, which the asm turns into the host's flags and back. */
ALWAYS_INLINE uint32_t x86_flags_pack(uint64_t fl)
{
	return (uint32_t)((fl & 0xd5) << 8 | (fl >> 11 & 1));
}
ALWAYS_INLINE uint64_t x86_flags_unpack(uint32_t ax)
{
	return (ax >> 8 & 0xd5) | (ax & 1) << 11;
}
#define X86_FLAGS_IN  "addb $127, %%al\n\tsahf\n\t"
#define X86_FLAGS_OUT "\n\tlahf\n\tseto %%al"

#define X86_ALU_CASE(asm_text) \
	__asm__(X86_FLAGS_IN asm_text X86_FLAGS_OUT : [d] "+&r"(d), "+&a"(f) : [s] "r"(s) : "cc")

#define X86_ALU_SIZES(name, b, w, l, q)                                                  \
	ALWAYS_INLINE uint64_t name(unsigned size, uint64_t d, uint64_t s, uint64_t *fl) \
	{                                                                                \
		uint32_t f = x86_flags_pack(*fl);                                        \
                                                                                         \
		switch (size) {                                                          \
		case 1:                                                                  \
			X86_ALU_CASE(b);                                                 \
			break;                                                           \
		case 2:                                                                  \
			X86_ALU_CASE(w);                                                 \
			break;                                                           \
		case 4:                                                                  \
			X86_ALU_CASE(l);                                                 \
			break;                                                           \
		default:                                                                 \
			X86_ALU_CASE(q);                                                 \
		}                                                                        \
		*fl = (*fl & ~(uint64_t)X86_F_STATUS) | x86_flags_unpack(f);             \
		return d;                                                                \
	}

/* From an instruction with operands "source, destination". */
#define X86_ALU(name, insn)                                                                      \
	X86_ALU_SIZES(name, insn "b %b[s], %b[d]", insn "w %w[s], %w[d]", insn "l %k[s], %k[d]", \
		      insn "q %[s], %[d]")

/* From one with one operand: `s` is not used. */
#define X86_ALU_UNARY(name, insn) \
	X86_ALU_SIZES(name, insn "b %b[d]", insn "w %w[d]", insn "l %k[d]", insn "q %[d]")

/* From a bit test, which has no form for bytes. The bit's number is taken modulo the size. */
#define X86_ALU_BIT(name, insn)                                                                  \
	X86_ALU_SIZES(name, insn "w %w[s], %w[d]", insn "w %w[s], %w[d]", insn "l %k[s], %k[d]", \
		      insn "q %[s], %[d]")

#endif
