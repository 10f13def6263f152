/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host instruction emitter. Errors are sticky: when the buffer is full, output stops and `full` is
 * set, to be looked at once when a block is closed.
 */
#ifndef VMM_ENGINE_BT_TRANSLATE_EMIT_H
#define VMM_ENGINE_BT_TRANSLATE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/bt/translate/regs.h"

/* `holds`: the word of the context block that a register is known to hold, by its offset, 0: none.
 * Only guest registers and windows' slots are followed. */
struct emit {
	uint8_t *p, *end;
	bool full;
	uint64_t ctx; /* where the context block is, from where `p` is in the mapping to execute */
	int32_t holds[H_R15 + 1];
};

/* A host memory operand: [base + index*scale + disp], the same behind the GS base, or the word at
 * `disp` of the context block, relative to RIP. */
struct hmem {
	uint8_t base, index; /* enum host_reg or H_NONE */
	uint8_t scale;
	bool gs, ctx;
	bool wide_disp; /* 32-bit displacement even if 8 bits would do (EVEX scales those) */
	uint8_t imm;    /* ctx: bytes of the instruction behind the displacement */
	int32_t disp;
};

static inline struct hmem hmem_base(unsigned base, int32_t disp)
{
	return (struct hmem){.base = base, .index = H_NONE, .scale = 1, .disp = disp};
}

static inline struct hmem hmem_index(unsigned base, unsigned index, int32_t disp)
{
	return (struct hmem){.base = base, .index = index, .scale = 1, .disp = disp};
}

static inline struct hmem hmem_ctx(int32_t off)
{
	return (struct hmem){.base = H_NONE, .index = H_NONE, .scale = 1, .disp = off, .ctx = true};
}

/* In the view. */
static inline struct hmem hmem_view(int32_t off)
{
	return (struct hmem){.base = H_NONE, .index = H_NONE, .scale = 1, .disp = off, .gs = true};
}

static inline struct hmem hmem_view_base(unsigned base, int32_t off)
{
	return (struct hmem){.base = base, .index = H_NONE, .scale = 1, .disp = off, .gs = true};
}

/* An array of 8-byte elements in the view. */
static inline struct hmem hmem_view_array(unsigned index, int32_t off)
{
	return (struct hmem){.base = H_NONE, .index = index, .scale = 8, .disp = off, .gs = true};
}

static inline bool hmem_uses(const struct hmem *m, unsigned reg)
{
	return m->base == reg || m->index == reg;
}

/* An opcode: map in bits 15:8 (enum x86_map), byte in 7:0, mandatory prefix in 23:16. */
#define OPC(b)        (b)
#define OPC_0F(b)     (1 << 8 | (b))
#define OPC_0F38(b)   (2 << 8 | (b))
#define OPC_PFX(p, o) ((p) << 16 | (o))

/* Condition codes of Jcc/SETcc/CMOVcc. */
enum {
	CC_O,
	CC_NO,
	CC_B,
	CC_AE,
	CC_E,
	CC_NE,
	CC_BE,
	CC_A,
	CC_S,
	CC_NS,
	CC_P,
	CC_NP,
	CC_L,
	CC_GE,
	CC_LE,
	CC_G
};

/* An instruction's next bytes, the lowest first: gathered in a register, written at once. */
struct word {
	uint64_t bytes;
	unsigned n; /* at most 8 */
};

static inline void word_add(struct word *w, unsigned byte)
{
	w->bytes |= (uint64_t)(byte & 0xff) << 8 * w->n++;
}

static inline void word_add32(struct word *w, uint32_t d)
{
	w->bytes |= (uint64_t)d << 8 * w->n;
	w->n += 4;
}

/* What is behind them may be overwritten. */
static inline void emit_word(struct emit *e, struct word w)
{
	if (e->end - e->p < (int)sizeof(w.bytes)) {
		e->full = true;
		return;
	}
	__builtin_memcpy(e->p, &w.bytes, sizeof(w.bytes));
	e->p += w.n;
}

static inline void emit_u8(struct emit *e, unsigned b)
{
	emit_word(e, (struct word){b & 0xff, 1});
}

static inline void emit_u32(struct emit *e, uint32_t d)
{
	emit_word(e, (struct word){d, 4});
}

void emit_u16(struct emit *e, unsigned w);
void emit_u64(struct emit *e, uint64_t q);
void emit_bytes(struct emit *e, const uint8_t *b, unsigned n); /* n: at most 8 */

/* The register has another value now; the word of the context block has; scratch registers have,
 * where code can come from elsewhere. */
void emit_changes(struct emit *e, unsigned reg);
void emit_changes_word(struct emit *e, const struct hmem *m);
void emit_forget(struct emit *e);
/* A register that holds the word, H_NONE: there is none. */
unsigned emit_holder(const struct emit *e, int32_t word);

/* ModRM, SIB and displacement for a memory operand. */
void emit_modrm_mem(struct emit *e, unsigned reg, const struct hmem *m);
/* REX.X and REX.B bits (0x02, 0x01) that a memory operand needs. */
unsigned hmem_rex(const struct hmem *m);

/* One instruction with ModRM; size 1, 2, 4, 8 picks 66h and REX.W (the opcode byte is as given). */
void emit_rr(struct emit *e, unsigned opc, unsigned size, unsigned reg, unsigned rm);
void emit_rm(struct emit *e, unsigned opc, unsigned size, unsigned reg, const struct hmem *m);
/* The same with one byte of immediate operand. */
void emit_rm_imm8(struct emit *e, unsigned opc, unsigned size, unsigned reg, struct hmem m,
		  unsigned imm);

void emit_mov(struct emit *e, unsigned size, unsigned dst, unsigned src);
/* Nothing or a MOV if a scratch register holds the word. */
void emit_load(struct emit *e, unsigned size, unsigned dst, struct hmem m);
void emit_store(struct emit *e, unsigned size, struct hmem m, unsigned src);
void emit_lea(struct emit *e, unsigned size, unsigned dst, struct hmem m);
/* Any value, flags untouched. */
void emit_mov_imm(struct emit *e, unsigned dst, uint64_t imm);
/* MOV [m], sign-extended imm32. */
void emit_store_imm(struct emit *e, unsigned size, struct hmem m, uint32_t imm);
/* Arithmetic with imm32: op is the /digit of opcode 81h (0 ADD, 1 OR, 4 AND, 5 SUB, 7 CMP). */
void emit_alu_imm(struct emit *e, unsigned op, unsigned size, unsigned dst, int32_t imm);
/* Shifts by a constant: op is the /digit of C1h (4 SHL, 5 SHR, 7 SAR). */
void emit_shift(struct emit *e, unsigned op, unsigned size, unsigned dst, unsigned n);
/* NOT: no flags. */
void emit_not(struct emit *e, unsigned reg);
/* Status flags to AX, and from it. */
void emit_flags_to_ax(struct emit *e);
void emit_flags_from_ax(struct emit *e);

/* BMI2, which leaves flags alone. */
void emit_rorx(struct emit *e, unsigned size, unsigned dst, unsigned src, unsigned n);
enum emit_shiftx {
	EMIT_SHLX = 1, /* VEX.pp */
	EMIT_SARX,
	EMIT_SHRX
};
void emit_shift_by(struct emit *e, enum emit_shiftx op, unsigned size, unsigned dst, unsigned src,
		   unsigned count);
void emit_pext_mem(struct emit *e, unsigned dst, unsigned src, struct hmem mask);
void emit_pdep_mem(struct emit *e, unsigned dst, unsigned src, struct hmem mask);

/* BMI1: changes flags. */
void emit_bextr(struct emit *e, unsigned size, unsigned dst, unsigned src, unsigned control);

/* A vector register, 0 to 15, to or from 32 bytes; VEX zeroes what it does not load, of 8, 16 or 32
 * bytes. Flags stay. */
void emit_vector_store(struct emit *e, unsigned size, struct hmem m, unsigned reg);
void emit_vector_load(struct emit *e, unsigned size, unsigned reg, struct hmem m);
void emit_vector_clear(struct emit *e, unsigned reg);

/* Jumps. The ones to an address yet unknown return the place of the displacement for emit_patch().
 */
void emit_jmp(struct emit *e, const uint8_t *target);
void emit_jmp_mem(struct emit *e, struct hmem m);
void emit_call_reg(struct emit *e, unsigned reg);
uint8_t *emit_jmp_far(struct emit *e);
uint8_t *emit_jcc(struct emit *e, unsigned cc);
uint8_t *emit_jrcxz(struct emit *e);
uint8_t *emit_jmp_short(struct emit *e);
void emit_patch32(uint8_t *at, const uint8_t *target);
void emit_patch8(uint8_t *at, const uint8_t *target);

#endif
