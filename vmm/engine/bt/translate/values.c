/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the registers inside a block: which of them hold the same value plus a constant.
 * Moves, LEA with a displacement, additions of constants, pushes and pops are followed.
 */
#include <string.h>

#include "vmm/engine/bt/translate/build.h"

#define OFFSET_MAX (1 << 20)

static void forget(struct tr_build *b, struct tr_value *v, unsigned reg)
{
	v[reg] = (struct tr_value){.id = ++b->nvalues};
}

static void become(struct tr_build *b, struct tr_value *v, unsigned reg, struct tr_value from,
		   int64_t delta)
{
	int64_t offset = from.offset + delta;

	if (offset > OFFSET_MAX || offset < -OFFSET_MAX)
		forget(b, v, reg);
	else
		v[reg] = (struct tr_value){.id = from.id, .offset = (int32_t)offset};
}

static bool is_gpr64(const struct x86_operand *o)
{
	return o->kind == X86_OPK_GPR && o->size == 8;
}

/* The one register that an instruction changes, when it is known how; false: it is not. */
static bool follow(struct tr_build *b, const struct x86_insn *in, struct tr_value *v)
{
	const struct x86_operand *d = &in->opnd[0], *s = &in->opnd[1];
	bool imm = in->nops == 2 && s->kind == X86_OPK_IMM;

	if (in->nops == 0 || !is_gpr64(d))
		return false;
	switch (in->op) {
	case X86_OP_MOV:
		if (!is_gpr64(s))
			return false;
		become(b, v, d->reg, v[s->reg], 0);
		return true;
	case X86_OP_LEA:
		if (in->addrsize != 8 || in->mem.base >= X86_NGPR || in->mem.index != X86_REG_NONE)
			return false;
		become(b, v, d->reg, v[in->mem.base], in->mem.disp);
		return true;
	case X86_OP_ADD:
	case X86_OP_SUB:
		if (!imm || (int64_t)in->imm != (int32_t)in->imm)
			return false;
		become(b, v, d->reg, v[d->reg],
		       in->op == X86_OP_ADD ? (int64_t)in->imm : -(int64_t)in->imm);
		return true;
	case X86_OP_INC:
	case X86_OP_DEC:
		become(b, v, d->reg, v[d->reg], in->op == X86_OP_INC ? 1 : -1);
		return true;
	default:
		return false;
	}
}

/* Pushes and pops move RSP, LEAVE makes it of RBP. What is popped is new. */
static void follow_stack(struct tr_build *b, const struct x86_insn *in, struct tr_value *v)
{
	switch (in->op) {
	case X86_OP_PUSH:
	case X86_OP_PUSHF:
	case X86_OP_CALL:
	case X86_OP_CALL_IND:
		become(b, v, X86_RSP, v[X86_RSP], -(int64_t)in->opsize);
		return;
	case X86_OP_POP:
		become(b, v, X86_RSP, v[X86_RSP], in->opsize);
		if (in->opnd[0].kind == X86_OPK_GPR)
			forget(b, v, in->opnd[0].reg);
		return;
	case X86_OP_LEAVE:
		become(b, v, X86_RSP, v[X86_RBP], in->opsize);
		forget(b, v, X86_RBP);
		return;
	default:
		forget(b, v, X86_RSP);
	}
}

static void forget_written(struct tr_build *b, const struct tr_insn *ti, struct tr_value *v)
{
	for (unsigned i = 0; i < ti->in.nops; i++) {
		const struct x86_operand *o = &ti->in.opnd[i];

		if (o->kind == X86_OPK_GPR && (o->access & X86_ACC_WRITE))
			forget(b, v, o->reg & 15);
	}
}

/* Registers that are no operands: IMUL's form of one operand changes some, the others do not. */
static uint32_t clobbered(const struct tr_insn *ti)
{
	if (ti->in.op == X86_OP_IMUL && ti->in.nops > 1)
		return 0;
	return ti->gen->flags & GEN_BARRIER ? (1u << X86_NGPR) - 1 : ti->gen->clobbers;
}

static void step(struct tr_build *b, const struct tr_insn *ti, struct tr_value *v)
{
	if (ti->gen->flags & GEN_STACK)
		follow_stack(b, &ti->in, v);
	else if (!follow(b, &ti->in, v))
		forget_written(b, ti, v);
	for (uint32_t left = clobbered(ti); left; left &= left - 1)
		forget(b, v, (unsigned)__builtin_ctz(left));
}

void values_analyse(struct tr_build *b)
{
	for (unsigned r = 0; r < X86_NGPR; r++)
		b->value[0][r] = (struct tr_value){.id = (uint16_t)r};
	b->nvalues = X86_NGPR;
	for (unsigned i = 0; i < b->n; i++) {
		memcpy(b->value[i + 1], b->value[i], sizeof(b->value[i]));
		step(b, &b->insn[i], b->value[i + 1]);
	}
}
