/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: one TLB check for several memory accesses of a block off the same base register.
 *
 * Pushes, pops, calls and returns count as accesses off RSP. As long as the base register changes
 * by constants only, all its accesses lie at known distances from one another; if the range they
 * span is in one page, one check suffices and each access is [base + H_T2 + disp]. When the range
 * crosses pages the helper continues in a second translation of the same code without windows.
 */
#include "vmm/engine/bt/translate/build.h"

#define WINDOW_SPAN 1024

/* One access off a base register; `disp` from its value before the instruction. */
struct access {
	bool valid, write;
	uint8_t base;
	int32_t disp;
	unsigned size;
};

static unsigned stack_size(const struct tr_build *b, const struct x86_insn *in)
{
	(void)b;
	return in->opsize;
}

static bool stack_access(const struct tr_build *b, const struct x86_insn *in, struct access *a)
{
	unsigned size = stack_size(b, in);

	*a = (struct access){.valid = true, .base = X86_RSP, .size = size};
	switch (in->op) {
	case X86_OP_PUSH:
	case X86_OP_PUSHF:
	case X86_OP_CALL:
	case X86_OP_CALL_IND:
		a->disp = -(int32_t)size;
		a->write = true;
		return true;
	case X86_OP_POP:
	case X86_OP_RET:
		return true;
	case X86_OP_LEAVE:
		a->base = X86_RBP;
		return true;
	default:
		return false;
	}
}

static const struct x86_operand *mem_of(const struct x86_insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->opnd[i].kind == X86_OPK_MEM)
			return &in->opnd[i];
	return NULL;
}

static struct access access_of(const struct tr_build *b, const struct tr_insn *ti)
{
	const struct x86_insn *in = &ti->in;
	const struct x86_operand *m = mem_of(in);
	struct access a = {0};

	if (ti->gen->flags & GEN_BARRIER)
		return a;
	if ((ti->gen->flags & GEN_STACK) && stack_access(b, in, &a)) {
		/* A memory operand besides the stack: its own check comes in between. */
		a.valid = !m;
		return a;
	}
	if (!m || (ti->gen->flags & GEN_NOMEM) || in->addrsize != 8 || m->size == 0 ||
	    in->mem.index != X86_REG_NONE || in->mem.base >= X86_NGPR ||
	    reg_host(in->mem.base) == H_NONE || in->mem.seg == X86_FS || in->mem.seg == X86_GS)
		return a;
	a = (struct access){.valid = true,
			    .write = (m->access & X86_ACC_WRITE) != 0,
			    .base = in->mem.base,
			    .disp = (int32_t)in->mem.disp,
			    .size = m->size};
	return a;
}

/* ---- how instructions change registers --------------------------------------------------------
 */

static bool writes_reg(const struct x86_insn *in, unsigned reg)
{
	for (unsigned i = 0; i < in->nops; i++) {
		const struct x86_operand *o = &in->opnd[i];
		unsigned r = o->reg >= 16 ? o->reg - 16u : o->reg;

		if (o->kind == X86_OPK_GPR && (o->access & X86_ACC_WRITE) && r == reg)
			return true;
	}
	return false;
}

static int32_t stack_delta(const struct tr_build *b, const struct x86_insn *in)
{
	int32_t size = (int32_t)stack_size(b, in);

	switch (in->op) {
	case X86_OP_PUSH:
	case X86_OP_PUSHF:
	case X86_OP_CALL:
	case X86_OP_CALL_IND:
		return -size;
	default:
		return size;
	}
}

/* ADD/SUB reg, imm; INC/DEC; LEA reg, [reg + disp], all 64-bit. */
static bool constant_change(const struct x86_insn *in, unsigned reg, int32_t *delta)
{
	bool imm = in->nops == 2 && in->opnd[1].kind == X86_OPK_IMM && in->opnd[0].size == 8 &&
		   (int64_t)in->imm == (int32_t)in->imm;

	switch (in->op) {
	case X86_OP_ADD:
		*delta = (int32_t)in->imm;
		return imm;
	case X86_OP_SUB:
		*delta = -(int32_t)in->imm;
		return imm && (int32_t)in->imm != INT32_MIN;
	case X86_OP_INC:
		*delta = 1;
		return in->opnd[0].size == 8;
	case X86_OP_DEC:
		*delta = -1;
		return in->opnd[0].size == 8;
	case X86_OP_LEA:
		*delta = (int32_t)in->mem.disp;
		return in->opsize == 8 && in->addrsize == 8 && in->mem.base == reg &&
		       in->mem.index == X86_REG_NONE;
	default:
		return false;
	}
}

/* What the instruction adds to `reg`; false if that is not known. */
static bool change_of(const struct tr_build *b, const struct tr_insn *ti, unsigned reg,
		      int32_t *delta)
{
	bool stack = ti->gen->flags & GEN_STACK;

	*delta = 0;
	if (ti->gen->flags & GEN_BARRIER)
		return false;
	if (ti->gen->clobbers & 1u << reg)
		return false;
	if (writes_reg(&ti->in, reg))
		return !stack && constant_change(&ti->in, reg, delta);
	if (!stack)
		return true;
	if (ti->in.op == X86_OP_LEAVE)
		return reg != X86_RSP && reg != X86_RBP;
	if (reg == X86_RSP)
		*delta = stack_delta(b, &ti->in);
	return true;
}

/* ---- choosing ----------------------------------------------------------------------------------
 */

static bool widen(struct tr_window *w, const struct access *a, int32_t delta)
{
	int32_t lo = delta + a->disp, hi = lo + (int32_t)a->size;

	if (w->uses) {
		lo = lo < w->lo ? lo : w->lo;
		hi = hi > w->hi ? hi : w->hi;
	}
	if (hi - lo > WINDOW_SPAN)
		return false;
	w->lo = lo;
	w->hi = hi;
	w->write |= a->write;
	w->uses++;
	return true;
}

/* Collects accesses from instruction `first` on that one window can cover. */
static void collect(struct tr_build *b, unsigned first, struct tr_window *w, bool *member)
{
	struct access a = access_of(b, &b->insn[first]);
	int32_t delta = 0, d;

	*w = (struct tr_window){.base = a.base, .first = (uint8_t)first};
	for (unsigned i = first; i < b->n; i++) {
		a = access_of(b, &b->insn[i]);
		member[i] = a.valid && a.base == w->base && widen(w, &a, delta);
		if (member[i])
			w->last = (uint8_t)i;
		if (!change_of(b, &b->insn[i], w->base, &d) ||
		    __builtin_add_overflow(delta, d, &delta) || delta > (1 << 20) ||
		    delta < -(1 << 20))
			break;
	}
}

/*
 * Moves the opening up to an instruction before which no flags are live, if the base register
 * changes by constants only on the way; `lo` and `hi` are then relative to its value there.
 */
static void hoist(struct tr_build *b, struct tr_window *w, unsigned earliest)
{
	int32_t delta = 0, d;
	unsigned at = w->first;

	while (b->insn[at].live) {
		if (at == earliest || !change_of(b, &b->insn[at - 1], w->base, &d))
			return;
		delta += d;
		at--;
	}
	w->open_at = (uint8_t)at;
	w->lo += delta;
	w->hi += delta;
}

void plan_windows(struct tr_build *b)
{
	bool member[TR_MAX_INSNS];
	unsigned earliest = 0;

	b->nwindows = 0;
	if (b->x86_mode != X86_MODE_64 || (b->mode & TR_MODE_PLAIN))
		return;
	for (unsigned i = 0; i < b->n; i++) {
		struct tr_window *w = &b->window[b->nwindows + 1];

		if (!access_of(b, &b->insn[i]).valid)
			continue;
		collect(b, i, w, member);
		if (w->uses < 2)
			continue;
		w->open_at = w->first;
		hoist(b, w, earliest);
		b->nwindows++;
		b->insn[w->open_at].opens = (uint8_t)b->nwindows;
		for (unsigned k = i; k <= w->last; k++)
			if (member[k])
				b->insn[k].window = (uint8_t)b->nwindows;
		i = w->last;
		earliest = i + 1;
	}
}

void plan_before(struct tr_build *b)
{
	unsigned opens = b->insn[b->cur].opens;

	if (!opens)
		return;
	b->open = 0;
	mem_open_window(b, &b->window[opens]);
	b->open = opens;
}

void plan_after(struct tr_build *b)
{
	if (b->open && b->cur == b->window[b->open].last)
		b->open = 0;
}
