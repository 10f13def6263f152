/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of one instruction: state that makes it do something, with its operand within reach. */
#include <string.h>

#include "tests/oracle/generate.h"
#include "x86/ops.h"

/* ---- operands within reach ------------------------------------------------------------------ */

uint64_t draw_target(struct rng *r)
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

uint64_t segment_base(const struct oracle_case *c, const struct x86_insn *in)
{
	if (in->mem.seg == X86_CS)
		return case_code_base(c);
	if (in->mem.seg < X86_FS)
		return case_data_base(c);
	return in->mem.seg == X86_FS ? c->fs_base : c->gs_base;
}

/* Vector indices small, of either width. */
static void aim_gather(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	bool quad = in->opcode & 1;

	for (unsigned i = 0; i < 64; i += quad ? 8 : 4) {
		uint8_t *part = c->fp + fp_vector(in->mem.index, i / 16);
		int64_t n = (int64_t)rng_below(r, 256) - 128;

		if (rng_one_in(r, 40))
			n = (int64_t)rng_next(r);
		memcpy(part + i % 16, &n, quad ? 8 : 4);
	}
}

static bool has_vector_index(const struct x86_insn *in)
{
	unsigned o = in->opcode;

	return in->map == X86_MAP_0F38 && in->desc->cls == X86_CLS_AVX &&
	       ((o >= 0x90 && o <= 0x93) || (in->is_evex && o >= 0xa0 && o <= 0xa3));
}

/* Chooses register values or the displacement so that the memory operand lies at c->target. */
static void aim_memory(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	uint64_t off = c->target - segment_base(c, in);
	bool index = in->mem.index != X86_REG_NONE;

	if (in->mem.base == X86_REG_RIP) {
		put_disp(c, in, off - (CODE_START + c->len));
		return;
	}
	if (in->mem.base == X86_REG_NONE && !index) {
		put_disp(c, in, off);
		return;
	}
	if (in->disp_len)
		off -= (uint64_t)in->mem.disp;
	if (index && has_vector_index(in)) {
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
	if (in->addrsize != 8)
		at = in->addrsize == 4 ? (uint32_t)at : (uint16_t)at;
	at += segment_base(c, in);
	return c->mode == X86_MODE_64 ? at : (uint32_t)at;
}

static uint64_t code_address(struct rng *r, const struct oracle_case *c)
{
	return CODE_BASE + 0x100 + rng_below(r, 0x600) - case_code_base(c);
}

static void aim_branch(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	const struct x86_operand *o = operand_of(in, X86_OPK_GPR);

	if (operand_of(in, X86_OPK_REL) && in->imm_len > 1) {
		uint64_t rel = code_address(r, c) - (case_start(c) + c->len);

		memcpy(c->code + in->imm_off, &rel, in->imm_len);
	}
	if (o)
		c->gpr[o->reg & 15] = code_address(r, c);
	for (unsigned i = 0; i + 8 <= c->patch_len; i += in->opsize) {
		uint64_t at = code_address(r, c);

		memcpy(c->patch + i, &at, in->opsize);
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
	uint8_t image[FP_SIZE];

	c->target &= ~63ull;
	c->patch_at = c->target - WINDOW_BASE;
	c->patch_len = FP_IMAGE;
	fill_fp(r, image);
	memcpy(c->patch, image, FP_IMAGE);
	c->patch[FP_BV] = rng_next(r) & 7;
	if (rng_one_in(r, 8)) /* a reserved bit somewhere */
		c->patch[FP_BV + rng_below(r, 64)] = 1u << rng_below(r, 8);
	c->patch[FP_BV] &= 0x1f; /* no AVX-512: the image would be larger */
	if (rng_one_in(r, 16))
		c->patch[FP_MXCSR + 2] = 1;
	if (rng_one_in(r, 3)) { /* compacted */
		c->patch[FP_BV + 8] = rng_next(r) & 7;
		c->patch[FP_BV + 15] = 0x80;
		c->patch[FP_BV] &= c->patch[FP_BV + 8];
	}
}

void patch_operand(struct rng *r, struct oracle_case *c, const struct x86_insn *in)
{
	const struct x86_operand *m = operand_of(in, X86_OPK_MEM);

	c->patch_at = c->target - WINDOW_BASE < 64 ? 0 : c->target - WINDOW_BASE - 64;
	c->patch_len = 192;
	fill_values(r, c->patch, c->patch_len);
	if (xstate(in)) /* MXCSR bit 17 (misaligned SSE) exists on AMD, not in the guest */
		c->patch[64 + 26] &= ~2;
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

void draw_state(struct rng *r, struct oracle_case *c)
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
	uint64_t data = case_data_base(c);

	patch_operand(r, c, in);
	if (xstate(in)) {
		c->gpr[X86_RAX] = rng_next(r) & 7;
		c->gpr[X86_RDX] = 0;
		if (reg != 2 && reg != 3 && reg != 7 && !rng_one_in(r, 8))
			patch_image(r, c);
	}
	if (in->desc->cls == X86_CLS_STRING || in->op == X86_OP_LEAVE) {
		c->gpr[X86_RSI] = draw_target(r) - data;
		c->gpr[X86_RDI] = c->target - data;
		c->gpr[X86_RCX] = rng_below(r, rng_one_in(r, 8) ? 400 : 12);
		c->gpr[X86_RBP] = c->target - data;
	}
	if (in->map == X86_MAP_1 && (in->opcode == 0xf6 || in->opcode == 0xf7) && reg >= 6)
		aim_division(r, c);
	if (!rng_one_in(r, 16))
		c->gpr[X86_RSP] = c->target - data;
	if (in->desc->cls == X86_CLS_BRANCH)
		aim_branch(r, c, in);
	if (in->opcode == 0xf7 && in->map == X86_MAP_0F)
		c->gpr[X86_RDI] = c->target - data;
	if (memory && in->has_modrm && !rng_one_in(r, 40))
		aim_memory(r, c, in);
	if (memory && in->map == X86_MAP_0F && (in->opcode & 0xe7) == 0xa3)
		aim_bit_string(r, c, in);
	if (in->op == X86_OP_POPF)
		patch_flags(r, c);
	for (unsigned i = 0; i < X86_NGPR && c->mode != X86_MODE_64; i++)
		c->gpr[i] = (uint32_t)c->gpr[i];
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
	uint64_t start = case_start(c), to = start + c->len + in->imm;

	if (in->opsize != 8)
		to = in->opsize == 4 ? (uint32_t)to : (uint16_t)to;
	return operand_of(in, X86_OPK_REL) && to - start < CODE_MAX + 32 && to != start + c->len;
}

bool case_next(const struct oracle_case *c, unsigned *at, struct x86_insn *in)
{
	if (*at >= c->len || x86_decode(c->code + *at, c->len - *at, c->mode, in) <= 0)
		return false;
	*at += in->len;
	return true;
}

static enum x86_mode draw_mode(struct rng *r, unsigned mode)
{
	if (mode != MODE_ANY)
		return mode;
	return !rng_one_in(r, 3) ? X86_MODE_64 : rng_one_in(r, 3) ? X86_MODE_16 : X86_MODE_32;
}

void case_generate(struct rng *r, enum oracle_set set, unsigned mode, struct oracle_case *c)
{
	struct x86_insn in;

	c->mode = draw_mode(r, mode);
	c->shift = 0;
	if (set == SET_SEQUENCE) {
		sequence_generate(r, c);
		return;
	}
	if (set == SET_PROGRAM) {
		program_generate(r, c);
		return;
	}
	for (;;) {
		while (!draw_insn(r, set, c->mode, c->code, &in))
			;
		c->len = in.len;
		draw_state(r, c);
		aim(r, c, &in);
		if (x86_decode(c->code, 15, c->mode, &in) != c->len)
			continue;
		if (operand_of(&in, X86_OPK_MEM))
			c->target = effective(c, &in);
		if (!strays(c, &in) && !wild_mask(c, &in))
			return;
	}
}
