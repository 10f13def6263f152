/* SPDX-License-Identifier: Apache-2.0 */
/* Random instructions: bytes that the decoder accepts, of those that can be compared. */
#include <string.h>

#include "tests/oracle/generate.h"
#include "x86/ops.h"

/* ---- instructions --------------------------------------------------------------------------- */

static uint8_t put_segment(struct rng *r, enum x86_mode mode)
{
	static const uint8_t segments[] = {0x64, 0x65, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26};

	/* FS and GS are null in compatibility mode. */
	return segments[mode == X86_MODE_64 ? rng_below(r, 8) : 4 + rng_below(r, 4)];
}

static uint8_t *put_prefixes(struct rng *r, enum x86_mode mode, uint8_t *p, bool vector)
{
	if (rng_one_in(r, 10))
		*p++ = put_segment(r, mode);
	if (rng_one_in(r, mode == X86_MODE_64 ? 12 : 6))
		*p++ = 0x67;
	if (!vector && rng_one_in(r, 10))
		*p++ = 0xf0;
	if (rng_one_in(r, vector ? 3 : 5))
		*p++ = 0x66;
	if (rng_one_in(r, vector ? 3 : 8))
		*p++ = 0xf2 | (rng_next(r) & 1);
	if (mode == X86_MODE_64 && rng_one_in(r, 2))
		*p++ = 0x40 | (rng_next(r) & 15);
	return p;
}

/* Outside 64-bit mode the first two bits of the second byte are set, or it is LES or LDS. */
static uint8_t *put_vex(struct rng *r, enum x86_mode mode, uint8_t *p, unsigned map)
{
	uint8_t set = mode == X86_MODE_64 ? 0 : 0xc0;

	if (rng_one_in(r, 10))
		*p++ = 0x67;
	if (rng_one_in(r, 16))
		*p++ = put_segment(r, mode);
	if (map == 1 && rng_one_in(r, 2)) {
		*p++ = 0xc5;
		*p++ = rng_next(r) | set;
		return p;
	}
	*p++ = 0xc4;
	*p++ = (rng_next(r) & 0xe0) | map | set;
	*p++ = rng_one_in(r, 3) ? rng_next(r) : (rng_next(r) & 0x87) | 0x78;
	return p;
}

/* The prefix bits: R X B R' 0 0 m m, W vvvv 1 pp, z L'L b V' aaa. */
static uint8_t *put_evex(struct rng *r, enum x86_mode mode, uint8_t *p)
{
	unsigned map = 1 + rng_below(r, 3);

	if (rng_one_in(r, 10))
		*p++ = 0x67;
	if (rng_one_in(r, 16))
		*p++ = put_segment(r, mode);
	*p++ = 0x62;
	*p++ = (mode == X86_MODE_64 ? rng_next(r) & 0xf0 : 0xf0) | map;
	*p++ = (rng_one_in(r, 2) ? rng_next(r) : (rng_next(r) & 0x83) | 0x78) | 4;
	*p = rng_next(r);
	if (rng_one_in(r, 2)) /* no broadcast and no rounding */
		*p &= ~0x10;
	if (rng_one_in(r, 2) || mode != X86_MODE_64)
		*p |= 8;
	p++;
	*p++ = rng_next(r);
	return p;
}

static uint8_t *put_int_opcode(struct rng *r, enum x86_mode mode, uint8_t *p)
{
	unsigned kind = rng_below(r, 16);

	if (kind == 0) { /* BMI */
		p = put_vex(r, mode, p, rng_one_in(r, 4) ? 3 : 2);
		*p++ = 0xf0 | (rng_next(r) & 7);
		return p;
	}
	p = put_prefixes(r, mode, p, false);
	if (kind < 3) {
		*p++ = 0x0f;
		*p++ = 0x38;
		*p++ = 0xf0 | (rng_next(r) & 7);
		return p;
	}
	if (kind < 8)
		*p++ = 0x0f;
	*p++ = rng_next(r);
	return p;
}

static uint8_t *put_vector_opcode(struct rng *r, enum x86_mode mode, uint8_t *p)
{
	unsigned kind = rng_below(r, 16);

	if (fp_has_avx512() && rng_one_in(r, 3))
		return put_evex(r, mode, p);
	if (kind < 7) {
		p = put_vex(r, mode, p, kind < 3 ? 1 : kind < 6 ? 2 : 3);
		*p++ = rng_next(r);
		return p;
	}
	p = put_prefixes(r, mode, p, true);
	if (kind < 10) {
		*p++ = 0xd8 | (rng_next(r) & 7);
		return p;
	}
	*p++ = 0x0f;
	if (kind == 10)
		*p++ = 0x38;
	else if (kind == 11)
		*p++ = 0x3a;
	*p++ = rng_next(r);
	return p;
}

const struct x86_operand *operand_of(const struct x86_insn *in, unsigned kind)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == kind)
			return &in->opnd[i];
	return NULL;
}

static bool near_branch(const struct x86_insn *in)
{
	unsigned reg = in->modrm >> 3 & 7;

	if (in->map == X86_MAP_0F)
		return in->opcode >= 0x80 && in->opcode <= 0x8f;
	switch (in->opcode) {
	case 0x70 ... 0x7f:
	case 0xe0 ... 0xe3:
	case 0xc2:
	case 0xc3:
	case 0xe8:
	case 0xe9:
	case 0xeb:
		return true;
	case 0xff:
		return reg == 2 || reg == 4;
	}
	return false;
}

bool xstate(const struct x86_insn *in)
{
	return in->map == X86_MAP_0F && in->modrm < 0xc0 &&
	       (in->opcode == 0xae || (in->opcode == 0xc7 && in->desc->cls == X86_CLS_SYSTEM));
}

bool insn_comparable(const struct x86_insn *in)
{
	if (in->desc->attr & X86_AT_PRIV)
		return false;
	if ((in->is_evex || operand_of(in, X86_OPK_MASK)) && !fp_has_avx512())
		return false;
	/* EVEX.X does not count beside a general register, but a Zen 5 then forgets that PUSH and
	 * CALL have changed RSP. */
	if (in->is_evex && in->ext & 2 && in->modrm >= 0xc0 && operand_of(in, X86_OPK_GPR))
		return false;
	/* Vendors differ: register forms of PREFETCH are undefined or NOP; 66 on a near branch too.
	 */
	if (in->map == X86_MAP_0F && in->opcode == 0x0d && in->modrm >= 0xc0)
		return false;
	if (in->desc->cls == X86_CLS_BRANCH && in->prefixes & X86_PFX_OPSZ &&
	    in->mode == X86_MODE_64)
		return false;
	/* W chooses 64 bits: ignored by Intel outside 64-bit mode, undefined on AMD. */
	if (in->mode != X86_MODE_64 && (in->op == X86_OP_VPINSRD || in->op == X86_OP_VPEXTRD))
		return false;
	if (in->op == X86_OP_MOVSXD && in->opsize == 2) /* reads 16 bits or 32 */
		return false;
	/* With a repeat prefix LOOPE and LOOPNE obey the prefix on AMD. */
	if (in->map == X86_MAP_1 && (in->opcode & 0xfe) == 0xe0 &&
	    in->prefixes & (X86_PFX_REP | X86_PFX_REPN))
		return false;
	switch (in->desc->cls) {
	case X86_CLS_SYSTEM:
		return xstate(in);
	case X86_CLS_BRANCH:
		return near_branch(in);
	case X86_CLS_STRING:
		return in->opcode < 0x6c || in->opcode > 0x6f;
	}
	return true;
}

bool draw_insn(struct rng *r, enum oracle_set set, enum x86_mode mode, uint8_t *code,
	       struct x86_insn *in)
{
	bool vector = set == SET_VECTOR || (set == SET_ALL && rng_one_in(r, 2));
	uint64_t tail[2] = {rng_next(r), rng_next(r)};
	uint8_t *p = vector ? put_vector_opcode(r, mode, code) : put_int_opcode(r, mode, code);

	memcpy(p, tail, 16 - (p - code));
	if (rng_one_in(r, 3))
		*p |= 0xc0;
	if (x86_decode(code, 15, mode, in) <= 0 || !insn_comparable(in))
		return false;
	return set != SET_VECTOR ||
	       (in->desc->cls >= X86_CLS_X87 && in->desc->cls <= X86_CLS_AVX) || xstate(in);
}
