/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder's files share: the forms of the generated tables and the state of a
 * decoding. */
#ifndef X86_DECODE_INT_H
#define X86_DECODE_INT_H

#include "x86/insn.h"

/* Where an operand is encoded. */
enum place {
	PLACE_NONE,
	PLACE_RM,  /* ModRM.rm: register or memory */
	PLACE_REG, /* ModRM.reg */
	PLACE_VVVV,
	PLACE_OPREG, /* low three bits of the opcode */
	PLACE_IS4,   /* bits 7:4 of an immediate byte */
	PLACE_FIXED,
	PLACE_IMM,
	PLACE_REL,
	PLACE_FAR,
	PLACE_MOFFS,
	PLACE_STRING,
};

/* Operand sizes as x86/insn.def names them. */
enum opnd_size {
	SIZE_n,
	SIZE_b,
	SIZE_w,
	SIZE_d,
	SIZE_q,
	SIZE_t,
	SIZE_o,
	SIZE_h,
	SIZE_u,
	SIZE_v,
	SIZE_z,
	SIZE_y,
	SIZE_Q,
	SIZE_m,
	SIZE_p,
	SIZE_s,
	SIZE_a,
	SIZE_e,
	SIZE_f,
	SIZE_x,
	SIZE_hx,
	SIZE_qx,
	SIZE_ex,
	SIZE_hv,
	SIZE_sb,
};

/* One form of operand: the same for a register and for memory but for the size. */
struct spec {
	uint8_t place;            /* enum place */
	uint8_t kind;             /* enum x86_opkind, if it is no memory */
	uint8_t reg;              /* PLACE_FIXED: its number (or value) */
	uint8_t regsize, memsize; /* enum opnd_size */
	uint8_t access;
};

/* Memory that an instruction addresses without ModRM. */
enum implicit_mem {
	IMPL_NONE,
	IMPL_SI,
	IMPL_DI,
	IMPL_ES_DI,
	IMPL_BX,
	IMPL_AX
};

/* Which byte sequences the opcode maps of a space follow. */
enum space {
	SPACE_LEGACY,
	SPACE_VEX,
	SPACE_EVEX
};

#define ROW_MODRM    0x01
#define ROW_PREFIX66 0x02 /* 66 is part of the opcode (or forbidden): no operand-size prefix */
#define ROW_D64      0x04
#define ROW_F64      0x08
#define ROW_NOMOD    0x10
#define ROW_ICOUNT   0x20 /* descs[desc + 1] holds unless the immediate shift count is 0 */
#define ROW_VVVV     0x40
#define ROW_VSIB     0x80
#define ROW_DISTINCT 0x100
#define ROW_BC4      0x200 /* EVEX.b broadcasts an element of 4 or 8 bytes in memory */
#define ROW_BC8      0x400
#define ROW_ER       0x800  /* EVEX.b in a register form: rounding control in L'L */
#define ROW_SAE      0x1000 /* EVEX.b in a register form: no exceptions */
#define ROW_MASK     0x2000 /* EVEX.aaa and EVEX.z may be other than 0 */
#define ROW_ZERO     0x4000
#define ROW_NEEDK    0x8000 /* EVEX.aaa must not be 0 */

/* One row of x86/insn.def. */
struct row {
	uint16_t desc;  /* index of its struct x86_desc */
	uint16_t flags; /* ROW_* */
	uint8_t mem;    /* enum implicit_mem */
	uint8_t scale;  /* EVEX: what disp8 is multiplied with, 0: the size of the memory operand */
	uint8_t spec[X86_MAX_OPERANDS];
};

/* An instruction being decoded. */
struct decoder {
	const uint8_t *code;
	uint8_t pos, avail; /* avail <= 15 */
	bool cut;           /* fewer than 15 bytes were given */
	bool w, r, x, b;    /* extension bits of REX, VEX, EVEX */
	bool r2, v2;        /* EVEX.R', EVEX.V' */
	uint8_t vvvv;       /* register number */
	uint8_t space;      /* enum space */
	uint8_t override;   /* enum x86_segreg, or X86_REG_NONE */
	uint16_t flags;     /* of the row */
	int error;          /* X86_DECODE_*; the first one stays */
	struct x86_insn *in;
};

/* Keeps the first error. */
static inline void decode_fail(struct decoder *d, int error)
{
	if (!d->error)
		d->error = error;
}

static inline bool decode_have(struct decoder *d, unsigned n)
{
	if (d->avail - d->pos >= (int)n)
		return true;
	decode_fail(d, d->cut ? X86_DECODE_PARTIAL : X86_DECODE_TOO_LONG);
	return false;
}

/* Reads prefixes and opcode: everything up to ModRM. */
void decode_opcode(struct decoder *d);

/* The next byte, if there is one, is left to be fetched. */
static inline uint8_t decode_peek(struct decoder *d)
{
	return decode_have(d, 1) ? d->code[d->pos] : 0;
}

/* The next `n` (1, 2, 4, 8) bytes; 0 and d->error if they are not there. */
static inline uint64_t decode_fetch(struct decoder *d, unsigned n)
{
	const uint8_t *p = d->code + d->pos;
	uint64_t v = 0;

	if (!decode_have(d, n))
		return 0;
	d->pos += n;
	switch (n) {
	case 1:
		return *p;
	case 2:
		__builtin_memcpy(&v, p, 2);
		return v;
	case 4:
		__builtin_memcpy(&v, p, 4);
		return v;
	case 8:
		__builtin_memcpy(&v, p, 8);
		return v;
	}
	return 0;
}

/* Reads SIB and displacement behind d->in->modrm, whose form is a memory one, into d->in->mem. */
void decode_memory(struct decoder *d);

/* Sets d->in->mem for instructions without ModRM.rm. */
void decode_implicit_memory(struct decoder *d, enum implicit_mem mem);

/* Fills in one operand; reads immediates. */
void decode_operand(struct decoder *d, const struct spec *spec, struct x86_operand *o);

#endif
