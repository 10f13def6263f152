/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of several instructions, for what a translator does across them: flags that are live or
 * not, addresses that several accesses share, registers that are kept elsewhere, forward jumps.
 *
 * Some registers are pointers into the window; memory operands use one of those as base, and as
 * index some that are small. Undefined flags are never read.
 */
#include <string.h>

#include "tests/oracle/generate.h"
#include "x86/ops.h"

#define MAX_INSNS 8
#define NPOINTERS 7
#define NINDICES  3
#define INDEX_MAX 32

static bool is_pointer(const struct sequence *s, unsigned reg)
{
	return reg < X86_NGPR && s->pointers >> reg & 1;
}

static bool is_index(const struct sequence *s, unsigned reg)
{
	return reg < X86_NGPR && s->indices >> reg & 1;
}

void sequence_draw_indices(struct rng *r, struct sequence *s)
{
	s->indices = 0;
	for (unsigned i = 0; i < NINDICES; i++)
		s->indices |= 1u << rng_below(r, X86_NGPR);
	s->indices &= ~s->pointers;
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (is_index(s, i))
			s->c->gpr[i] = rng_below(r, INDEX_MAX);
	s->sib = (uint8_t)rng_next(r);
}

void sequence_draw_pointers(struct rng *r, struct sequence *s, unsigned count)
{
	s->pointers = 1u << X86_RSP;
	for (unsigned i = 0; i < count; i++)
		s->pointers |= 1u << rng_below(r, X86_NGPR);
	for (unsigned i = 0; i < X86_NGPR && s->c->mode != X86_MODE_64; i++)
		s->c->gpr[i] = (uint32_t)s->c->gpr[i];
	for (unsigned i = 0; i < X86_NGPR; i++)
		if (is_pointer(s, i))
			s->c->gpr[i] = WINDOW_BASE + 1024 + (rng_below(r, 6144) & ~7u);
	if (rng_one_in(r, 8)) /* near an edge: some fault */
		s->c->gpr[X86_RSP] = WINDOW_BASE + 0x2000 - rng_below(r, 64);
}

/* Those whose operands cannot be aimed here, or that end too many sequences. */
static bool unsuitable(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_POPF:
	case X86_OP_POPA:
	case X86_OP_BOUND:
	case X86_OP_AAM:
	case X86_OP_XLAT:
	case X86_OP_LEAVE:
	case X86_OP_FNSAVE:
	case X86_OP_FNSTENV:
	case X86_OP_FRSTOR:
	case X86_OP_FLDENV:
	case X86_OP_DIV:
	case X86_OP_IDIV:
	case X86_OP_UD0:
	case X86_OP_UD1:
	case X86_OP_UD2:
		return true;
	}
	if (in->desc->cls == X86_CLS_BRANCH || in->desc->cls == X86_CLS_STRING || xstate(in))
		return true;
	/* BT and its kin with a bit offset in a register; gathers; MASKMOVDQU. */
	if (in->map == X86_MAP_0F && (in->opcode & 0xe7) == 0xa3 && in->modrm < 0xc0)
		return true;
	if (in->desc->cls == X86_CLS_AVX && in->map == X86_MAP_0F38 && in->opcode >= 0x90 &&
	    in->opcode <= 0x93)
		return true;
	return in->map == X86_MAP_0F && in->opcode == 0xf7 && in->desc->cls >= X86_CLS_MMX;
}

static bool overwrites(const struct x86_insn *in, uint16_t kept)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_GPR && in->opnd[i].access & X86_ACC_WRITE &&
		    kept >> (in->opnd[i].reg & (in->opnd[i].reg < 16 ? 15 : 3)) & 1)
			return true;
	return false;
}

/* Makes the operand lie in the window; false: it cannot be. */
static bool aim_operand(struct rng *r, struct sequence *s, const struct x86_insn *in, uint8_t *code)
{
	uint64_t target = WINDOW_BASE + 1024 + (rng_below(r, 6144) & ~15u);
	uint64_t base;
	int32_t disp;

	if (!operand_of(in, X86_OPK_MEM) || !in->has_modrm)
		return true;
	if (in->prefixes & X86_PFX_ADSZ || in->mem.seg == X86_CS)
		return false;
	if (rng_one_in(r, 8))
		target += rng_below(r, 4096);
	if (in->mem.base == X86_REG_RIP)
		base = CODE_START + s->c->shift + (uint64_t)(code - s->c->code) + in->len;
	else if (is_pointer(s, in->mem.base))
		base = s->c->gpr[in->mem.base];
	else
		return false;
	if (is_index(s, in->mem.index))
		base += s->c->gpr[in->mem.index] * in->mem.scale;
	else if (in->mem.index != X86_REG_NONE)
		return false;
	base += segment_base(s->c, in);
	if (in->disp_len != 4)
		return in->mem.seg < X86_FS;
	disp = (int32_t)(target - base);
	memcpy(code + in->disp_off, &disp, 4);
	return true;
}

static uint16_t flags_read(const struct x86_insn *in)
{
	return in->op == X86_OP_PUSHF ? X86_F_STATUS : in->desc->flags_read;
}

bool sequence_admits(struct rng *r, const struct sequence *s, const struct x86_insn *in)
{
	if (unsuitable(in) || flags_read(in) & s->undefined)
		return false;
	if (in->desc->attr & X86_AT_COND && in->desc->flags_undef)
		return false; /* defined or not by the count */
	if (in->desc->flags_undef & s->wanted || overwrites(in, s->counters))
		return false;
	return !overwrites(in, s->pointers | s->indices) || rng_one_in(r, 12);
}

unsigned sequence_condition_reads(unsigned cc)
{
	static const uint16_t reads[] = {X86_F_OF,
					 X86_F_CF,
					 X86_F_ZF,
					 X86_F_CF | X86_F_ZF,
					 X86_F_SF,
					 X86_F_PF,
					 X86_F_SF | X86_F_OF,
					 X86_F_ZF | X86_F_SF | X86_F_OF};

	return reads[cc >> 1];
}

/* A jump over the instruction that comes next; its displacement is filled in then. */
static bool put_jump(struct rng *r, struct sequence *s)
{
	unsigned cc = rng_below(r, 16);

	if (s->skipping || sequence_condition_reads(cc) & s->undefined)
		return false;
	s->c->code[s->c->len++] = 0x70 | cc;
	s->jump_at = s->c->len++;
	s->skipping = true;
	return true;
}

void sequence_note_flags(struct sequence *s, const struct x86_insn *in)
{
	uint16_t after = (s->undefined & ~in->desc->flags_write) | in->desc->flags_undef;

	if (in->desc->attr & X86_AT_COND || s->any_order)
		after |= s->undefined;
	if (s->any_order)
		s->wanted |= flags_read(in);
	s->undefined = s->skipping ? after | s->undefined : after;
}

/* Most operands with an index share one: REX may still choose other registers. */
static bool draw_operand(struct rng *r, struct sequence *s, uint8_t *code, struct x86_insn *in)
{
	if (!draw_insn(r, SET_ALL, s->c->mode, code, in))
		return false;
	if (in->mem.index == X86_REG_NONE || in->mem.base == X86_REG_NONE ||
	    !operand_of(in, X86_OPK_MEM) || rng_one_in(r, 4))
		return true;
	code[in->modrm_off + 1] = s->sib;
	return x86_decode(code, X86_MAX_INSN_LEN, s->c->mode, in) > 0;
}

void sequence_put_insn(struct rng *r, struct sequence *s)
{
	uint8_t *code = s->c->code + s->c->len;
	struct x86_insn in;

	do {
		while (!draw_operand(r, s, code, &in))
			;
	} while (!sequence_admits(r, s, &in) || !aim_operand(r, s, &in, code));
	s->c->len += in.len;
	sequence_note_flags(s, &in);
	if (s->skipping)
		s->c->code[s->jump_at] = in.len;
	s->skipping = false;
}

static void put_insns(struct rng *r, struct sequence *s, unsigned count)
{
	for (unsigned i = 0; i < count && s->c->len + 40u < CODE_MAX; i++) {
		if (i && i + 1 < count && rng_one_in(r, 5) && put_jump(r, s))
			i++;
		sequence_put_insn(r, s);
	}
}

/*
 * A: CALL F; B; JMP end; F: C; RET; end. What PUSH and POP in C make of the return address is
 * left to chance. B is entered with flags that C leaves, which is not known yet: it reads none.
 */
static void put_call(struct rng *r, struct sequence *s)
{
	uint8_t *code = s->c->code;
	unsigned call, jump;
	uint32_t rel;

	put_insns(r, s, rng_below(r, 2));
	code[s->c->len] = 0xe8;
	call = s->c->len += 5;
	s->undefined = X86_F_STATUS;
	put_insns(r, s, 1 + rng_below(r, 2));
	code[s->c->len] = 0xeb;
	jump = s->c->len += 2;
	rel = jump - call;
	memcpy(code + call - 4, &rel, 4);
	s->undefined = X86_F_STATUS;
	put_insns(r, s, 1 + rng_below(r, 2));
	code[s->c->len++] = 0xc3;
	code[jump - 1] = s->c->len - jump;
}

void sequence_generate(struct rng *r, struct oracle_case *c)
{
	struct sequence s = {.c = c};
	unsigned count = 2 + rng_below(r, MAX_INSNS - 1);

	if (c->mode == X86_MODE_16) /* only the interpreter runs it, an instruction at a time */
		c->mode = X86_MODE_32;
	draw_state(r, c);
	sequence_draw_pointers(r, &s, NPOINTERS);
	sequence_draw_indices(r, &s);
	c->target = 0;
	c->patch_at = 1024 + (rng_below(r, 6000) & ~15u);
	c->patch_len = 256;
	fill_values(r, c->patch, c->patch_len);
	c->len = 0;
	if (rng_one_in(r, 4))
		put_call(r, &s);
	else
		put_insns(r, &s, count);
}
