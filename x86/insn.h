/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decoded x86 instruction, and the decoder (Intel SDM volume 2, AMD APM volume 3).
 *
 * The decoder is freestanding: no libc, no allocation, no global writable state. It is shared by
 * the interpreter, the translator, the KVM engine's diagnostics and the bare-metal kernel.
 * Semantics hang on `op` (one value per mnemonic, x86/ops.h, generated from the table
 * x86/insn.def).
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define X86_MAX_INSN_LEN 15
#define X86_MAX_OPERANDS 4

/* Default operand and address size. */
enum x86_mode {
	X86_MODE_16,
	X86_MODE_32,
	X86_MODE_64,
};

enum x86_opkind {
	X86_OPK_NONE,
	X86_OPK_GPR, /* reg 0..15 = enum x86_reg; size 1: 16..19 = AH, CH, DH, BH */
	X86_OPK_SEG, /* reg = enum x86_segreg */
	X86_OPK_CR,
	X86_OPK_DR,
	X86_OPK_MMX,
	X86_OPK_VEC,  /* 0..31; XMM, YMM, ZMM by size; below 16: the bytes of XMM that count */
	X86_OPK_X87,  /* reg = i of ST(i) */
	X86_OPK_MASK, /* k0..k7 */
	X86_OPK_MEM,  /* the instruction's one memory operand, see x86_insn.mem */
	X86_OPK_IMM,  /* x86_insn.imm, sign-extended if it is shorter than the operand; then imm2 */
	X86_OPK_REL,  /* branch displacement in x86_insn.imm, relative to the next instruction */
	X86_OPK_FAR,  /* imm = offset, imm2 = selector */
};

#define X86_ACC_READ  1
#define X86_ACC_WRITE 2

struct x86_operand {
	uint8_t kind; /* enum x86_opkind */
	uint8_t reg;
	uint8_t access; /* X86_ACC_* */
	uint16_t size;  /* bytes; 0: accesses none (LEA, INVLPG) or varies (FXSAVE, XSAVE) */
};

/* Prefix bits in x86_insn.prefixes. */
#define X86_PFX_LOCK 0x01
#define X86_PFX_REP  0x02 /* F3 */
#define X86_PFX_REPN 0x04 /* F2 */
#define X86_PFX_OPSZ 0x08 /* 66 */
#define X86_PFX_ADSZ 0x10 /* 67 */
#define X86_PFX_SEG  0x20
#define X86_PFX_REX  0x40
#define X86_PFX_VEX  0x80

#define X86_REG_NONE 0xff
#define X86_REG_RIP  0xfe /* base only */

enum x86_map {
	X86_MAP_1,
	X86_MAP_0F,
	X86_MAP_0F38,
	X86_MAP_0F3A,
};

/* Instruction classes, for choosing who executes it. */
enum x86_class {
	X86_CLS_INT,    /* integer, moves, flags, bit operations */
	X86_CLS_BRANCH, /* anything that ends a block: jumps, calls, returns, INT n */
	X86_CLS_STRING, /* MOVS CMPS SCAS LODS STOS INS OUTS */
	X86_CLS_X87,    /* includes FWAIT; FXSAVE/XSAVE and friends are X86_CLS_SYSTEM */
	X86_CLS_MMX,
	X86_CLS_SSE,    /* legacy-encoded SSE..SSE4.2, AES, SHA, PCLMUL, GFNI */
	X86_CLS_AVX,    /* VEX- and EVEX-encoded vector instructions */
	X86_CLS_SYSTEM, /* control, debug, segment and table registers, MSR, port I/O, CPUID, ... */
};

/* Status-flag sets of x86_desc: the bits have their RFLAGS values. */
#define X86_F_CF     0x001
#define X86_F_PF     0x004
#define X86_F_AF     0x010
#define X86_F_ZF     0x040
#define X86_F_SF     0x080
#define X86_F_OF     0x800
#define X86_F_STATUS 0x8d5
#define X86_F_DF     0x400
#define X86_F_IF     0x200

/* Attributes of x86_desc. */
#define X86_AT_LOCK    0x0001 /* LOCK allowed when the destination is memory */
#define X86_AT_PRIV    0x0002 /* #GP unless CPL 0 */
#define X86_AT_COND    0x0004 /* a count of 0 leaves the flags alone: old ones stay live */
#define X86_AT_D64     0x0008 /* 64-bit operand size by default in 64-bit mode */
#define X86_AT_NORM64  0x0010 /* undefined in 64-bit mode */
#define X86_AT_ONLY64  0x0020 /* undefined outside 64-bit mode */
#define X86_AT_NOTREAL 0x0040 /* #UD in real and V8086 mode (VEX, ARPL, LAR, SLDT, ...) */

/* One row of the table: what is known of the opcode before its operands. */
struct x86_desc {
	uint16_t op;          /* enum x86_op, x86/ops.h */
	uint8_t cls;          /* enum x86_class */
	uint8_t feature;      /* enum x86_feature: #UD unless the CPU model has it */
	uint16_t attr;        /* X86_AT_* */
	uint16_t flags_read;  /* status flags (and DF) it reads */
	uint16_t flags_write; /* status flags it sets to a defined value */
	uint16_t flags_undef; /* status flags it leaves undefined */
};

struct x86_insn {
	const struct x86_desc *desc;
	uint16_t op; /* = desc->op */
	uint8_t len;
	uint8_t mode; /* enum x86_mode it was decoded for */
	uint8_t nops;
	uint8_t opsize; /* effective integer operand size: 2, 4, 8 (byte forms: see the operand) */
	uint8_t addrsize;    /* 2, 4, 8 */
	uint8_t prefixes;    /* X86_PFX_* */
	uint8_t rex;         /* 0x40..0x4f or 0 */
	uint8_t ext;         /* W 8, R 4, X 2, B 1 of REX, VEX or EVEX, never inverted */
	uint8_t map, opcode; /* enum x86_map and the opcode byte in it */
	uint8_t modrm, sib;  /* valid if has_modrm / the form has one */
	bool has_modrm;
	bool is_evex;
	uint8_t vex_l;                    /* 0: 128, 1: 256, 2: 512 bits */
	uint8_t vex_w, vex_vvvv, vex_pp;  /* as encoded (vvvv inverted) */
	uint8_t evex_aaa, evex_z, evex_b; /* mask (no operand), zeroing, broadcast or rounding */
	uint8_t evex_r2, evex_p2;         /* R' (not inverted); the last prefix byte as encoded */
	/* Where the parts lie, as offsets from the first byte; lengths 0 when absent. */
	uint8_t opcode_off; /* of the last opcode byte */
	uint8_t modrm_off, disp_off, disp_len, imm_off, imm_len;
	struct {
		uint8_t seg;   /* enum x86_segreg, default or override */
		uint8_t base;  /* enum x86_reg, X86_REG_NONE or X86_REG_RIP */
		uint8_t index; /* enum x86_reg (vector number for VSIB) or X86_REG_NONE */
		uint8_t scale; /* 1, 2, 4, 8 */
		int64_t disp;  /* sign-extended; moffs64 in full; EVEX disp8*N already scaled */
	} mem;
	uint64_t imm, imm2;
	struct x86_operand opnd[X86_MAX_OPERANDS];
};

/* Why x86_decode() refused. */
#define X86_DECODE_UNDEFINED (-1) /* #UD */
#define X86_DECODE_PARTIAL   (-2) /* more bytes needed than `len`; fetch on, it may also fault */
#define X86_DECODE_TOO_LONG  (-3) /* over 15 bytes: #GP */

/*
 * Decodes the instruction at `code`, of which `len` bytes may be read. Returns its length (1..15)
 * or X86_DECODE_*. Explicit and implicit register operands that the manual names in the mnemonic
 * are in opnd[], destination first; implicit ones (RAX of MUL, RSI/RDI of MOVS, RSP of PUSH) are
 * not. #UD by LOCK is decided here; by CPU model, mode bits in CR0/CR4 or privilege it is not.
 *
 * String instructions have one memory operand, which tells the element size; `mem` is [rSI] with
 * its segment (MOVS CMPS LODS OUTS) or ES:[rDI] (STOS SCAS INS). XLAT, MASKMOVQ, MASKMOVDQU,
 * MONITOR and CLZERO have no memory operand, but `mem` says base register and segment of what they
 * access. LZCNT and TZCNT are BSR and BSF on a CPU model without ABM and BMI1.
 */
int x86_decode(const uint8_t *code, size_t len, enum x86_mode mode, struct x86_insn *out);

/* "add", "vpaddd": lower-case mnemonic, as in traces. Never NULL. */
const char *x86_op_name(unsigned op);

#endif
