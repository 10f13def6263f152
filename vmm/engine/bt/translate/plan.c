/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: one TLB check for several memory accesses of a block off the same registers.
 *
 * Pushes, pops, calls and returns count as accesses off RSP. As long as base and index register
 * change by constants only, all accesses off them lie at known distances from one another; if the
 * range they span is in one page, one check suffices, which leaves the page's addend in the
 * window's slot. When the range crosses pages the helper continues in a second translation of the
 * same code without windows. A single access is a window too where that moves its check away from
 * live flags.
 */
#include "vmm/engine/bt/translate/build.h"

#define WINDOW_SPAN 1024
#define SUM_MAX     (1 << 30) /* of displacements and changes */
#define DELTA_MAX   (1 << 20)

/* One access off registers; `disp` from their sum before the instruction. */
struct access {
	bool valid, write;
	uint8_t base, index, scale;
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

	*a = (struct access){
		.valid = true, .base = X86_RSP, .index = X86_REG_NONE, .scale = 1, .size = size};
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

/* Not at a constant address, which may be far from the registers' zero. */
static bool off_registers(const struct x86_insn *in)
{
	if (in->mem.base == X86_REG_NONE)
		return in->mem.index != X86_REG_NONE;
	return in->mem.base < X86_NGPR;
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
	    !off_registers(in) || in->mem.seg == X86_FS || in->mem.seg == X86_GS)
		return a;
	a = (struct access){.valid = true,
			    .write = (m->access & X86_ACC_WRITE) != 0,
			    .base = in->mem.base,
			    .index = in->mem.index,
			    .scale = in->mem.index == X86_REG_NONE ? 1 : in->mem.scale,
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
	int64_t lo = (int64_t)delta + a->disp, hi = lo + a->size;

	if (w->uses) {
		lo = lo < w->lo ? lo : w->lo;
		hi = hi > w->hi ? hi : w->hi;
	}
	if (hi - lo > WINDOW_SPAN || lo < -SUM_MAX || hi > SUM_MAX)
		return false;
	w->lo = (int32_t)lo;
	w->hi = (int32_t)hi;
	w->write |= a->write;
	w->uses++;
	return true;
}

static bool is_off(const struct tr_window *w, const struct access *a)
{
	return a->valid && a->base == w->base && a->index == w->index && a->scale == w->scale;
}

/* Follows the sum of the window's registers over an instruction; false if it is not known then. */
static bool follow(const struct tr_build *b, const struct tr_insn *ti, const struct tr_window *w,
		   int32_t *delta)
{
	int32_t base = 0, index = 0;

	if (w->base != X86_REG_NONE && !change_of(b, ti, w->base, &base))
		return false;
	if (w->index != X86_REG_NONE && !change_of(b, ti, w->index, &index))
		return false;
	return !__builtin_mul_overflow(index, w->scale, &index) &&
	       !__builtin_add_overflow(*delta, base, delta) &&
	       !__builtin_add_overflow(*delta, index, delta) &&
	       *delta<DELTA_MAX && * delta> - DELTA_MAX;
}

/* Collects accesses from instruction `first` on that one window can cover. */
static void collect(struct tr_build *b, unsigned first, struct tr_window *w, bool *member)
{
	struct access a = access_of(b, &b->insn[first]);
	int32_t delta = 0;

	*w = (struct tr_window){
		.base = a.base, .index = a.index, .scale = a.scale, .first = (uint8_t)first};
	for (unsigned i = first; i < b->n; i++) {
		a = access_of(b, &b->insn[i]);
		member[i] = !b->insn[i].window && is_off(w, &a) && widen(w, &a, delta);
		if (member[i])
			w->last = (uint8_t)i;
		if (!follow(b, &b->insn[i], w, &delta))
			break;
	}
}

/*
 * Moves the opening up to an instruction before which no flags are live, if the registers change
 * by constants only on the way; `lo` and `hi` are then relative to their sum there. Not past a
 * branch: it may be the one that finds a null pointer.
 */
static void hoist(struct tr_build *b, struct tr_window *w)
{
	int32_t delta = 0;
	unsigned at = w->first;

	while (b->insn[at].live) {
		if (at == 0 || b->insn[at - 1].in.desc->cls == X86_CLS_BRANCH ||
		    !follow(b, &b->insn[at - 1], w, &delta))
			return;
		at--;
	}
	w->open_at = (uint8_t)at;
	w->lo += delta;
	w->hi += delta;
}

/* A slot that no other window needs meanwhile. */
static bool take_slot(uint64_t *busy, struct tr_window *w)
{
	uint64_t need = (2ull << w->last) - (1ull << w->open_at);

	for (unsigned i = 0; i < TR_WINDOW_SLOTS; i++) {
		if (busy[i] & need)
			continue;
		busy[i] |= need;
		w->slot = (uint8_t)i;
		return true;
	}
	return false;
}

static bool is_worth(const struct tr_build *b, const struct tr_window *w)
{
	return w->uses > 1 || (b->insn[w->first].live && !b->insn[w->open_at].live);
}

void plan_windows(struct tr_build *b)
{
	bool member[TR_MAX_INSNS];
	uint64_t busy[TR_WINDOW_SLOTS] = {0};

	_Static_assert(TR_MAX_INSNS < 63, "a bit for each instruction");
	b->nwindows = 0;
	if (b->x86_mode != X86_MODE_64 || (b->mode & TR_MODE_PLAIN))
		return;
	for (unsigned i = 0; i < b->n; i++) {
		struct tr_window *w = &b->window[b->nwindows + 1];

		if (b->insn[i].window || !access_of(b, &b->insn[i]).valid)
			continue;
		collect(b, i, w, member);
		w->open_at = w->first;
		hoist(b, w);
		if (!is_worth(b, w) || !take_slot(busy, w))
			continue;
		b->nwindows++;
		for (unsigned k = i; k <= w->last; k++)
			if (member[k])
				b->insn[k].window = (uint8_t)b->nwindows;
	}
}

void plan_before(struct tr_build *b)
{
	for (unsigned i = 1; i <= b->nwindows; i++) {
		if (b->window[i].open_at != b->cur)
			continue;
		mem_open_window(b, &b->window[i]);
		if (b->window[i].slot == 0)
			b->open = i;
	}
}

void plan_after(struct tr_build *b)
{
	if (b->open && b->cur == b->window[b->open].last)
		b->open = 0;
}
