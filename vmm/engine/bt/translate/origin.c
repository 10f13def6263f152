/* SPDX-License-Identifier: Apache-2.0 */
/* Who has set a flag, and where the values are that it follows from. See origin.h. */
#include "vmm/engine/bt/translate/origin.h"

const uint16_t origin_flags[TR_FLAGS] = {X86_F_CF, X86_F_PF, X86_F_AF,
					 X86_F_ZF, X86_F_SF, X86_F_OF};

/* ---- who set what ---------------------------------------------------------------------------- */

static bool writes_memory(const struct tr_insn *ti)
{
	switch (ti->in.op) {
	case X86_OP_PUSH:
	case X86_OP_PUSHF:
	case X86_OP_CALL:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; i < ti->in.nops; i++)
		if (ti->in.opnd[i].kind == X86_OPK_MEM && (ti->in.opnd[i].access & X86_ACC_WRITE))
			return true;
	return ti->gen->flags & GEN_BARRIER;
}

/* The trail behind instruction `i`. */
static void follow(const struct tr_build *b, unsigned i, struct tr_trail *t)
{
	const struct x86_desc *d = b->insn[i].in.desc;
	unsigned sets = d->flags_write | d->flags_undef;

	if (writes_memory(&b->insn[i]))
		t->store = (int8_t)i;
	if (!(sets & X86_F_STATUS))
		return;
	for (unsigned f = 0; f < TR_FLAGS; f++) {
		if (!(sets & origin_flags[f]))
			continue;
		if (d->attr & X86_AT_COND) { /* set by this one or by the one before */
			t->blurred |= origin_flags[f];
		} else {
			t->blurred &= ~origin_flags[f];
			t->writer[f] = (int8_t)i;
		}
	}
}

void origin_follow(struct tr_build *b)
{
	struct tr_trail *t = b->trail;

	*t = (struct tr_trail){.store = ORIGIN_BEFORE};
	for (unsigned f = 0; f < TR_FLAGS; f++)
		t->writer[f] = ORIGIN_BEFORE;
	for (unsigned i = 0; i < b->n; i++) {
		b->trail[i + 1] = b->trail[i];
		follow(b, i, &b->trail[i + 1]);
	}
}

/* ---- where a value is now -------------------------------------------------------------------- */

#define BY_RESULT (X86_F_ZF | X86_F_SF | X86_F_PF)

/* While an instruction that may have done a part of its work faults, its registers are not those
 * from before. */
static bool is_changing(const struct x86_insn *in, unsigned reg)
{
	return in->desc->cls == X86_CLS_STRING &&
	       (reg == X86_RCX || reg == X86_RSI || reg == X86_RDI);
}

struct origin origin_of_register(const struct tr_build *b, unsigned then, unsigned reg,
				 unsigned now)
{
	struct tr_value want = b->value[then][reg];

	for (unsigned k = 0; k < X86_NGPR; k++) {
		unsigned r = (reg + k) % X86_NGPR;
		const struct tr_value *v = &b->value[now][r];

		if (v->id == want.id && !is_changing(&b->insn[now].in, r))
			return (struct origin){.kind = ORIGIN_REG,
					       .reg = (uint8_t)r,
					       .add = (uint64_t)((int64_t)want.offset - v->offset)};
	}
	return (struct origin){ORIGIN_NONE};
}

static bool has_value(const struct tr_build *b, unsigned then, unsigned reg, unsigned now)
{
	return reg >= X86_NGPR || origin_of_register(b, then, reg, now).kind != ORIGIN_NONE;
}

/*
 * Memory operands are read again: nothing may have been stored, not by an instruction that faults
 * when it has done a part of its work either, and their address must be known.
 */
static struct origin find_memory(const struct tr_build *b, unsigned writer, unsigned then,
				 unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;

	if (b->trail[now].store >= (int)then || (b->insn[now].gen->flags & GEN_BARRIER) ||
	    !has_value(b, writer, in->mem.base, now) || !has_value(b, writer, in->mem.index, now))
		return (struct origin){ORIGIN_NONE};
	return (struct origin){.kind = ORIGIN_MEM};
}

/* Operand `i` of the writer, before instruction `then`: itself or the next. */
static struct origin find_operand(const struct tr_build *b, unsigned writer, unsigned i,
				  unsigned then, unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;
	const struct x86_operand *o = &in->opnd[i];
	struct origin from = {ORIGIN_NONE};

	switch (o->kind) {
	case X86_OPK_GPR:
		from = origin_of_register(b, then, o->reg % X86_NGPR, now);
		from.high = o->reg >= X86_NGPR;
		if (from.high && from.add)
			from.kind = ORIGIN_NONE;
		return from;
	case X86_OPK_IMM:
		return (struct origin){.kind = ORIGIN_IMM, .add = in->imm};
	case X86_OPK_MEM:
		return find_memory(b, writer, then, now);
	default:
		return from;
	}
}

static enum form form_of(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_ADD:
	case X86_OP_INC:
		return FORM_SUM;
	case X86_OP_SUB:
	case X86_OP_CMP:
	case X86_OP_DEC:
	case X86_OP_NEG:
		return FORM_DIFF;
	case X86_OP_AND:
	case X86_OP_OR:
	case X86_OP_XOR:
		return FORM_LOGIC;
	case X86_OP_TEST:
		return FORM_TEST;
	case X86_OP_ADC:
	case X86_OP_SBB:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
		return FORM_RESULT;
	case X86_OP_CLC:
		return FORM_CLEAR;
	case X86_OP_STC:
		return FORM_SET;
	default:
		return FORM_OTHER;
	}
}

static bool same_register(const struct x86_insn *in)
{
	return in->nops == 2 && in->opnd[0].kind == X86_OPK_GPR &&
	       in->opnd[1].kind == X86_OPK_GPR && in->opnd[0].reg == in->opnd[1].reg;
}

static struct source find_source(const struct tr_build *b, unsigned writer, unsigned now)
{
	const struct x86_insn *in = &b->insn[writer].in;
	struct source s = {.form = form_of(in), .size = in->opnd[0].size};

	if (s.form == FORM_OTHER || s.form == FORM_CLEAR || s.form == FORM_SET)
		return s;
	if ((in->op == X86_OP_XOR || in->op == X86_OP_SUB) && same_register(in)) {
		s.a = s.b = s.r = (struct origin){.kind = ORIGIN_IMM};
		return s;
	}
	s.a = find_operand(b, writer, 0, writer, now);
	if (in->op == X86_OP_INC || in->op == X86_OP_DEC)
		s.b = (struct origin){.kind = ORIGIN_IMM, .add = 1};
	else if (in->nops == 2)
		s.b = find_operand(b, writer, 1, writer, now);
	if (in->op == X86_OP_NEG) {
		s.b = s.a;
		s.a = (struct origin){.kind = ORIGIN_IMM};
	}
	if (in->opnd[0].access & X86_ACC_WRITE)
		s.r = find_operand(b, writer, 0, writer + 1, now);
	return s;
}

unsigned origin_flags_by(const struct source *s)
{
	switch (s->form) {
	case FORM_SUM:
	case FORM_DIFF:
		if (origin_is_known(&s->a) + origin_is_known(&s->b) + origin_is_known(&s->r) >= 2)
			return X86_F_STATUS;
		return origin_is_known(&s->r) ? BY_RESULT : 0;
	case FORM_LOGIC:
		return origin_is_known(&s->r) ? X86_F_STATUS : 0;
	case FORM_TEST:
		return origin_is_known(&s->a) && origin_is_known(&s->b) ? X86_F_STATUS : 0;
	case FORM_RESULT:
		return origin_is_known(&s->r) ? BY_RESULT : 0;
	case FORM_CLEAR:
	case FORM_SET:
		return X86_F_CF;
	default:
		return 0;
	}
}

static void no_rereading(struct source *s)
{
	struct origin *all[] = {&s->a, &s->b, &s->r};

	for (unsigned i = 0; i < 3; i++)
		if (all[i]->kind == ORIGIN_MEM)
			all[i]->kind = ORIGIN_NONE;
}

unsigned origin_tell(const struct tr_build *b, unsigned writer, unsigned now, bool rereads,
		     struct source *s)
{
	*s = find_source(b, writer, now);
	if (!rereads)
		no_rereading(s);
	return origin_flags_by(s);
}
