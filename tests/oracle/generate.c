/* SPDX-License-Identifier: Apache-2.0 */
/* Random instructions, and state that makes them do something: operands in reach, corner values. */
#include "tests/oracle/oracle.h"

#include <string.h>

#include "x86/ops.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static uint64_t value64(struct rng *r)
{
	unsigned bit = rng_below(r, 64);

	switch (rng_below(r, 10)) {
	case 0:
		return 0;
	case 1:
		return rng_below(r, 256);
	case 2:
		return -(uint64_t)rng_below(r, 256);
	case 3:
		return 1ull << bit;
	case 4:
		return (1ull << bit) - 1;
	case 5:
		return ~(1ull << bit);
	case 6:
		return (uint32_t)rng_next(r);
	case 7:
		return 0x8080808080808080ull >> (rng_next(r) & 1);
	}
	return rng_next(r);
}

static uint32_t value_float(struct rng *r)
{
	static const uint32_t corner[] = {
		0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
		0xffc00001, 0x7f800001, 0xffbfffff, 1,          0x807fffff, 0x00800000, 0x7f7fffff,
		0x4f000000, 0xcf000000, 0x5f000000, 0x4effffff, 0x3f000000, 0xbfc00000, 0x40200000,
	};

	if (rng_one_in(r, 2))
		return corner[rng_below(r, sizeof(corner) / sizeof(corner[0]))];
	if (rng_one_in(r, 2)) /* near 1: sums and products stay finite */
		return (rng_next(r) & 0x807fffff) | (110 + rng_below(r, 40)) << 23;
	return rng_next(r);
}

static uint64_t value_double(struct rng *r)
{
	static const uint64_t corner[] = {
		0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001,
		0x7ff0000000000001, 0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000,
		0x41dfffffffc00000, 0x3fe0000000000000, 0xbff8000000000000, 0x47efffffe0000000,
		0x3690000000000000, 0x380fffffffffffff,
	};

	if (rng_one_in(r, 2))
		return corner[rng_below(r, sizeof(corner) / sizeof(corner[0]))];
	if (rng_one_in(r, 2))
		return (rng_next(r) & 0x800fffffffffffff) | (1000ull + rng_below(r, 60)) << 52;
	return rng_next(r);
}

static void fill_values(struct rng *r, uint8_t *p, unsigned len)
{
	unsigned kind = rng_below(r, 4);

	for (unsigned i = 0; i < len; i += 8) {
		uint64_t n = kind == 0   ? value64(r)
			     : kind == 1 ? value_double(r)
			     : kind == 2 ? value_float(r) | (uint64_t)value_float(r) << 32
					 : rng_next(r);

		memcpy(p + i, &n, len - i < 8 ? len - i : 8);
	}
}

static void fill_extended(struct rng *r, uint8_t *p)
{
	static const struct {
		uint64_t mantissa;
		uint16_t exponent;
	} corner[] = {
		{0, 0},                       /* zero */
		{1ull << 63, 0x3fff},         /* one */
		{1ull << 63, 0x7fff},         /* infinity */
		{3ull << 62, 0x7fff},         /* quiet NaN */
		{1ull << 63 | 1, 0x7fff},     /* signalling NaN */
		{1, 0},                       /* denormal */
		{1ull << 63, 0},              /* pseudo-denormal */
		{1, 0x3fff},                  /* unnormal: unsupported */
		{0, 0x7fff},                  /* pseudo-infinity: unsupported */
		{UINT64_MAX, 0x7ffe},         /* greatest */
		{0xc90fdaa22168c235, 0x4000}, /* pi */
		{1ull << 63, 0x401e},         /* 2^31 */
		{1ull << 63, 0x403e},         /* 2^63 */
		{0xc000000000000000, 0x3ffe}, /* 0.75 */
	};
	unsigned i = rng_below(r, sizeof(corner) / sizeof(corner[0]));
	uint64_t mantissa = corner[i].mantissa;
	uint16_t exponent = corner[i].exponent;

	if (!rng_one_in(r, 3)) {
		mantissa = rng_next(r) | 1ull << 63;
		if (rng_one_in(r, 3))
			mantissa &= ~0ull << rng_below(r, 63);
		exponent =
			rng_one_in(r, 4) ? rng_next(r) & 0x7fff : 0x3fff - 40 + rng_below(r, 120);
	}
	exponent |= rng_next(r) & 0x8000;
	memcpy(p, &mantissa, 8);
	memcpy(p + 8, &exponent, 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static uint32_t value_mxcsr(struct rng *r)
{
	uint32_t m = 0x1f80;

	if (rng_one_in(r, 8))
		m &= rng_next(r); /* unmasked */
	m |= rng_next(r) & 0x6000;
	if (rng_one_in(r, 2))
		m |= rng_next(r) & 0x3f;
	if (rng_one_in(r, 4))
		m |= rng_next(r) & 0x8040;
	return m;
}

static void fill_fp(struct rng *r, uint8_t *fp)
{
	uint16_t fcw = 0x37f, fsw = rng_next(r) & 0x7f7f;
	uint32_t mxcsr = value_mxcsr(r);

	memset(fp, 0, FP_SIZE);
	if (rng_one_in(r, 2))
		fcw = 0x7f | (rng_next(r) & 0x1f00);
	if (rng_one_in(r, 10))
		fcw &= rng_next(r) | 0xffc0;
	if (!rng_one_in(r, 8))
		fsw &= ~(~fcw & 0x3f); /* nothing pending */
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	put16(fp + FP_FCW, fcw);
	put16(fp + FP_FSW, fsw);
	fp[FP_FTW] = rng_one_in(r, 3) ? rng_next(r) : rng_one_in(r, 4) ? 0 : 0xff;
	memcpy(fp + FP_MXCSR, &mxcsr, 4);
	for (unsigned i = 0; i < 8; i++)
		fill_extended(r, fp + FP_ST + 16 * i);
	for (unsigned i = 0; i < 16; i++) {
		fill_values(r, fp + FP_XMM + 16 * i, 16);
		fill_values(r, fp + FP_YMM + 16 * i, 16);
	}
	fp[FP_BV] = 7;
}

/* ---- instructions -----------------------------------------------------------------------------
 */

static uint8_t *put_prefixes(struct rng *r, uint8_t *p, bool vector)
{
	static const uint8_t segments[] = {0x64, 0x65, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26};

	if (rng_one_in(r, 10))
		*p++ = segments[rng_below(r, sizeof(segments))];
	if (rng_one_in(r, 12))
		*p++ = 0x67;
	if (!vector && rng_one_in(r, 10))
		*p++ = 0xf0;
	if (rng_one_in(r, vector ? 3 : 5))
		*p++ = 0x66;
	if (rng_one_in(r, vector ? 3 : 8))
		*p++ = 0xf2 | (rng_next(r) & 1);
	if (rng_one_in(r, 2))
		*p++ = 0x40 | (rng_next(r) & 15);
	return p;
}

static uint8_t *put_vex(struct rng *r, uint8_t *p, unsigned map)
{
	if (rng_one_in(r, 10))
		*p++ = 0x67;
	if (rng_one_in(r, 16))
		*p++ = 0x64;
	if (map == 1 && rng_one_in(r, 2)) {
		*p++ = 0xc5;
		*p++ = rng_next(r);
		return p;
	}
	*p++ = 0xc4;
	*p++ = (rng_next(r) & 0xe0) | map;
	*p++ = rng_one_in(r, 3) ? rng_next(r) : (rng_next(r) & 0x87) | 0x78;
	return p;
}

static uint8_t *put_int_opcode(struct rng *r, uint8_t *p)
{
	unsigned kind = rng_below(r, 16);

	if (kind == 0) { /* BMI */
		p = put_vex(r, p, rng_one_in(r, 4) ? 3 : 2);
		*p++ = 0xf0 | (rng_next(r) & 7);
		return p;
	}
	p = put_prefixes(r, p, false);
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

static uint8_t *put_vector_opcode(struct rng *r, uint8_t *p)
{
	unsigned kind = rng_below(r, 16);

	if (kind < 7) {
		p = put_vex(r, p, kind < 3 ? 1 : kind < 6 ? 2 : 3);
		*p++ = rng_next(r);
		return p;
	}
	p = put_prefixes(r, p, true);
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

static const struct x86_operand *operand_of(const struct x86_insn *in, unsigned kind)
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

static bool xstate(const struct x86_insn *in)
{
	return in->map == X86_MAP_0F && in->modrm < 0xc0 &&
	       (in->opcode == 0xae || (in->opcode == 0xc7 && in->desc->cls == X86_CLS_SYSTEM));
}

bool insn_comparable(const struct x86_insn *in)
{
	if (in->desc->attr & X86_AT_PRIV)
		return false;
	/* The guest's XCR0 leaves AVX-512 out. */
	if (in->is_evex || operand_of(in, X86_OPK_MASK))
		return false;
	/* Vendors differ: register forms of PREFETCH are undefined or NOP; 66 on a near branch too.
	 */
	if (in->map == X86_MAP_0F && in->opcode == 0x0d && in->modrm >= 0xc0)
		return false;
	if (in->desc->cls == X86_CLS_BRANCH && in->prefixes & X86_PFX_OPSZ)
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

static bool draw_insn(struct rng *r, enum oracle_set set, struct oracle_case *c,
		      struct x86_insn *in)
{
	bool vector = set == SET_VECTOR || (set == SET_ALL && rng_one_in(r, 2));
	uint8_t *p = c->code;
	uint64_t tail[2] = {rng_next(r), rng_next(r)};
	uint8_t opcodes;
	int len;

	p = vector ? put_vector_opcode(r, p) : put_int_opcode(r, p);
	opcodes = p - c->code;
	memcpy(p, tail, 16 - opcodes);
	if (rng_one_in(r, 3))
		*p |= 0xc0;
	len = x86_decode(c->code, 15, X86_MODE_64, in);
	c->len = len;
	if (len <= 0 || !insn_comparable(in))
		return false;
	return set != SET_VECTOR ||
	       (in->desc->cls >= X86_CLS_X87 && in->desc->cls <= X86_CLS_AVX) || xstate(in);
}

/* ---- operands within reach --------------------------------------------------------------------
 */

static uint64_t draw_target(struct rng *r)
{
	static const uint16_t edges[] = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000};
	uint64_t at;

	if (rng_one_in(r, 6))
		return WINDOW_BASE + edges[rng_below(r, 5)] - rng_below(r, 72) + 8;
	if (rng_one_in(r, 12))
		at = rng_below(r, WINDOW_SIZE);
	else
		at = 512 + rng_below(r, 0x2000 - 1600);
	switch (rng_below(r, 4)) {
	case 0:
		break;
	case 1:
		at &= ~15ull;
		break;
	default:
		at &= ~63ull;
	}
	return WINDOW_BASE + at;
}

static void put_disp(struct oracle_case *c, const struct x86_insn *in, uint64_t val)
{
	memcpy(c->code + in->disp_off, &val, in->disp_len);
}

static uint64_t segment_base(const struct oracle_case *c, const struct x86_insn *in)
{
	return in->mem.seg == X86_FS ? c->fs_base : in->mem.seg == X86_GS ? c->gs_base : 0;
}

/* Vector indices small, of either width. */
static void aim_gather(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	bool quad = in->opcode & 1;
	unsigned reg = in->mem.index & 15;

	for (unsigned i = 0; i < 32; i += quad ? 8 : 4) {
		uint8_t *half = c->fp + (i < 16 ? FP_XMM : FP_YMM) + 16 * reg;
		int64_t n = (int64_t)rng_below(r, 256) - 128;

		if (rng_one_in(r, 40))
			n = (int64_t)rng_next(r);
		memcpy(half + i % 16, &n, quad ? 8 : 4);
	}
}

/* Chooses register values or the displacement so that the memory operand lies at c->target. */
static void aim_memory(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	uint64_t off = c->target - segment_base(c, in);
	bool index = in->mem.index != X86_REG_NONE;

	if (in->has_modrm && (in->modrm & 0xc7) == 5) { /* RIP-relative */
		put_disp(c, in, off - (CODE_START + c->len));
		return;
	}
	if (in->mem.base == X86_REG_NONE && !index) {
		put_disp(c, in, off);
		return;
	}
	if (in->disp_len)
		off -= (uint64_t)in->mem.disp;
	if (index && in->map == X86_MAP_0F38 && in->opcode >= 0x90 && in->opcode <= 0x93 &&
	    in->desc->cls == X86_CLS_AVX) {
		aim_gather(r, c, in);
		if (in->mem.base != X86_REG_NONE)
			c->gpr[in->mem.base] = off;
		return;
	}
	if (index && in->mem.index == in->mem.base) {
		c->gpr[in->mem.base] = off / (in->mem.scale + 1u);
		return;
	}
	if (index && in->mem.base == X86_REG_NONE) {
		c->gpr[in->mem.index] = off / in->mem.scale;
		return;
	}
	if (index)
		off -= c->gpr[in->mem.index] * in->mem.scale;
	c->gpr[in->mem.base] = off;
}

/* Where the operand lies in the end: not every target can be met exactly. */
static uint64_t effective(const struct oracle_case *c, const struct x86_insn *in)
{
	uint64_t at = (uint64_t)in->mem.disp;

	if (in->mem.base == X86_REG_RIP)
		at += CODE_START + c->len;
	else if (in->mem.base != X86_REG_NONE)
		at += c->gpr[in->mem.base];
	if (in->mem.index != X86_REG_NONE)
		at += c->gpr[in->mem.index] * in->mem.scale;
	if (in->addrsize == 4)
		at = (uint32_t)at;
	return at + segment_base(c, in);
}

static uint64_t code_address(struct rng *r)
{
	return CODE_BASE + 0x100 + rng_below(r, 0x600);
}

static void aim_branch(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	const struct x86_operand *o = operand_of(in, X86_OPK_GPR);

	if (operand_of(in, X86_OPK_REL) && in->imm_len > 1) {
		uint64_t rel = code_address(r) - (CODE_START + c->len);

		memcpy(c->code + in->imm_off, &rel, in->imm_len);
	}
	if (o)
		c->gpr[o->reg & 15] = code_address(r);
	for (unsigned i = 0; i + 8 <= c->patch_len; i += 8) {
		uint64_t at = code_address(r);

		memcpy(c->patch + i, &at, 8);
	}
}

static void aim_bit_string(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	unsigned reg = (in->modrm >> 3 & 7) | (in->rex & 4 ? 8 : 0);

	if (reg != in->mem.base && reg != in->mem.index)
		c->gpr[reg] = (uint64_t)rng_below(r, 2048) - 1024;
}

static void aim_division(struct rng *r, struct oracle_case *c)
{
	if (rng_one_in(r, 4))
		return;
	c->gpr[X86_RDX] = rng_one_in(r, 2) ? 0 : (uint64_t)((int64_t)c->gpr[X86_RAX] >> 63);
	if (rng_one_in(r, 4))
		c->gpr[X86_RDX] = (uint64_t)((int64_t)(c->gpr[X86_RAX] << 32) >> 63);
}

static void patch_image(struct rng *r, struct oracle_case *c)
{
	c->target &= ~63ull;
	c->patch_at = c->target - WINDOW_BASE;
	c->patch_len = FP_SIZE;
	fill_fp(r, c->patch);
	c->patch[FP_BV] = rng_next(r) & 7;
	if (rng_one_in(r, 8)) /* a reserved bit somewhere */
		c->patch[FP_BV + rng_below(r, 64)] = 1u << rng_below(r, 8);
	if (rng_one_in(r, 16))
		c->patch[FP_MXCSR + 2] = 1;
	if (rng_one_in(r, 3)) { /* compacted */
		c->patch[FP_BV + 8] = rng_next(r) & 7;
		c->patch[FP_BV + 15] = 0x80;
		c->patch[FP_BV] &= c->patch[FP_BV + 8];
	}
}

static void patch_operand(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	const struct x86_operand *m = operand_of(in, X86_OPK_MEM);

	c->patch_at = c->target - WINDOW_BASE < 64 ? 0 : c->target - WINDOW_BASE - 64;
	c->patch_len = 192;
	fill_values(r, c->patch, c->patch_len);
	if (xstate(in) && (in->modrm >> 3 & 7) == 2) {
		uint32_t mxcsr = value_mxcsr(r);

		if (rng_one_in(r, 10))
			mxcsr = rng_next(r);
		for (unsigned i = 0; i < c->patch_len; i += 4)
			memcpy(c->patch + i, &mxcsr, 4);
	} else if (m && m->size == 10) {
		fill_extended(r, c->patch + 64);
		if (in->opcode == 0xdf)
			for (unsigned i = 0; i < 10; i++)
				c->patch[64 + i] = rng_below(r, 10) << 4 | rng_below(r, 10);
	}
}

/* POPF may not switch single-stepping or alignment checks on. */
static void patch_flags(struct rng *r, struct oracle_case *c)
{
	for (unsigned i = 0; i + 8 <= c->patch_len; i += 8) {
		uint64_t flags = (rng_next(r) & 0x200cd5) | 0x202;

		memcpy(c->patch + i, &flags, 8);
	}
}

static void draw_state(struct rng *r, struct oracle_case *c)
{
	for (unsigned i = 0; i < X86_NGPR; i++)
		c->gpr[i] = value64(r);
	c->rflags = 0x202 | (rng_next(r) & (X86_F_STATUS | (rng_one_in(r, 4) ? X86_F_DF : 0)));
	c->fs_base = WINDOW_BASE + 0x800;
	c->gs_base = rng_one_in(r, 8) ? rng_next(r) >> 17 : WINDOW_BASE + 0x1000;
	fill_fp(r, c->fp);
	c->target = draw_target(r);
}

static void aim(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	bool memory = operand_of(in, X86_OPK_MEM) != NULL;
	unsigned reg = in->modrm >> 3 & 7;

	patch_operand(r, c, in);
	if (xstate(in)) {
		c->gpr[X86_RAX] = rng_next(r) & 7;
		c->gpr[X86_RDX] = 0;
		if (reg != 2 && reg != 3 && reg != 7 && !rng_one_in(r, 8))
			patch_image(r, c);
	}
	if (in->desc->cls == X86_CLS_STRING || in->op == X86_OP_LEAVE) {
		c->gpr[X86_RSI] = draw_target(r);
		c->gpr[X86_RDI] = c->target;
		c->gpr[X86_RCX] = rng_below(r, rng_one_in(r, 8) ? 400 : 12);
		c->gpr[X86_RBP] = c->target;
	}
	if (in->desc->cls == X86_CLS_BRANCH)
		aim_branch(r, c, in);
	if (in->map == X86_MAP_1 && (in->opcode == 0xf6 || in->opcode == 0xf7) && reg >= 6)
		aim_division(r, c);
	if (!rng_one_in(r, 16))
		c->gpr[X86_RSP] = c->target;
	if (in->opcode == 0xf7 && in->map == X86_MAP_0F)
		c->gpr[X86_RDI] = c->target;
	if (memory && in->has_modrm && !rng_one_in(r, 40))
		aim_memory(r, c, in);
	if (memory && in->map == X86_MAP_0F && (in->opcode & 0xe7) == 0xa3)
		aim_bit_string(r, c, in);
	if (in->op == X86_OP_POPF)
		patch_flags(r, c);
}

/* A mask of components that is an address as well asks for ones that the guest does not have. */
static bool wild_mask(const struct oracle_case *c, const struct x86_insn *in)
{
	return xstate(in) && in->desc->cls == X86_CLS_SYSTEM &&
	       (c->gpr[X86_RAX] > 7 || c->gpr[X86_RDX]);
}

/* A jump into the middle of itself, or of the way out, is not an instruction's effect any more. */
static bool strays(const struct oracle_case *c, const struct x86_insn *in)
{
	uint64_t to = CODE_START + c->len + in->imm;

	return operand_of(in, X86_OPK_REL) && to >= CODE_START && to < CODE_START + 64 &&
	       to != CODE_START + c->len;
}

void case_generate(struct rng *r, enum oracle_set set, struct oracle_case *c)
{
	struct x86_insn in;

	for (;;) {
		while (!draw_insn(r, set, c, &in))
			;
		draw_state(r, c);
		aim(r, c, &in);
		if (x86_decode(c->code, 15, X86_MODE_64, &in) != c->len)
			continue;
		if (operand_of(&in, X86_OPK_MEM))
			c->target = effective(c, &in);
		if (!strays(c, &in) && !wild_mask(c, &in))
			return;
	}
}
