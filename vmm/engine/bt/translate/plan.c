/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: one TLB check for several memory accesses of a block off the same values.
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
/* Of displacements and changes: room for a base's and eight times an index's (values.c). */
#define SUM_MAX  (INT32_MAX - (1 << 24))
#define NO_VALUE 0xffff

/* One access off registers; `disp` from their sum before the instruction. */
struct access {
	bool valid, write;
	uint8_t base, index, scale;
	int32_t disp;
	unsigned size;
};

static bool stack_access(const struct x86_insn *in, struct access *a)
{
	unsigned size = in->opsize;

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

static struct access access_of(const struct tr_insn *ti)
{
	const struct x86_insn *in = &ti->in;
	const struct x86_operand *m = mem_of(in);
	struct access a = {0};

	if (ti->gen->flags & GEN_BARRIER)
		return a;
	/* A memory operand besides the stack has a check of its own. */
	if ((ti->gen->flags & GEN_STACK) && stack_access(in, &a))
		return a;
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

/* ---- choosing -------------------------------------------------------------------------------- */

/* The values that an access is made of, whatever registers hold them, and the constant part. */
struct sum {
	uint16_t base, index;
	uint8_t scale;
	int64_t offset;
};

static struct sum sum_of(const struct tr_build *b, unsigned i, unsigned base, unsigned index,
			 unsigned scale)
{
	struct sum s = {.base = NO_VALUE, .index = NO_VALUE, .scale = (uint8_t)scale};

	if (base != X86_REG_NONE) {
		s.base = b->value[i][base].id;
		s.offset = b->value[i][base].offset;
	}
	if (index != X86_REG_NONE) {
		s.index = b->value[i][index].id;
		s.offset += (int64_t)b->value[i][index].offset * scale;
	}
	return s;
}

static bool same_values(const struct sum *a, const struct sum *b)
{
	return a->base == b->base && a->index == b->index && a->scale == b->scale;
}

/* `lo` and `hi` count from the sum of the values, until opening() knows better. */
static bool widen(struct tr_window *w, const struct access *a, const struct sum *s)
{
	int64_t lo = s->offset + a->disp, hi = lo + a->size;

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

/* MOV of 64 bits into the register that it is addressed by. */
static bool is_chase(const struct x86_insn *in)
{
	const struct x86_operand *d = &in->opnd[0];

	return in->op == X86_OP_MOV && d->kind == X86_OPK_GPR && d->size == 8 &&
	       in->opnd[1].kind == X86_OPK_MEM && d->reg == in->mem.base;
}

/* Collects accesses from instruction `first` on that one window can cover. */
static void collect(struct tr_build *b, unsigned first, struct tr_window *w, bool *member)
{
	struct access a = access_of(&b->insn[first]);
	const struct sum want = sum_of(b, first, a.base, a.index, a.scale);

	*w = (struct tr_window){
		.base = a.base, .index = a.index, .scale = a.scale, .first = (uint8_t)first};
	for (unsigned i = first; i < b->n && !(b->insn[i].gen->flags & GEN_BARRIER); i++) {
		struct sum s;

		member[i] = false;
		a = access_of(&b->insn[i]);
		if (!a.valid || b->insn[i].window)
			continue;
		s = sum_of(b, i, a.base, a.index, a.scale);
		member[i] = same_values(&s, &want) && widen(w, &a, &s);
		if (member[i])
			w->last = (uint8_t)i;
		w->chases |= member[i] && is_chase(&b->insn[i].in);
	}
}

/*
 * Where to open: at the first access, or further up before an instruction where no flags are live,
 * if the registers hold the same values there. Not past a branch: it may be the one that finds a
 * null pointer.
 */
static void opening(struct tr_build *b, struct tr_window *w)
{
	const struct sum want = sum_of(b, w->first, w->base, w->index, w->scale);
	struct sum s = want, up;

	w->open_at = w->first;
	for (unsigned at = w->first; b->insn[at].live; at--) {
		if (at == 0 || b->insn[at - 1].in.desc->cls == X86_CLS_BRANCH ||
		    (b->insn[at - 1].gen->flags & GEN_BARRIER))
			break;
		up = sum_of(b, at - 1, w->base, w->index, w->scale);
		if (!same_values(&up, &want))
			break;
		if (b->insn[at - 1].live)
			continue;
		s = up;
		w->open_at = (uint8_t)(at - 1);
		break;
	}
	w->lo -= (int32_t)s.offset;
	w->hi -= (int32_t)s.offset;
	w->based = w->base != X86_REG_NONE && w->index != X86_REG_NONE && !w->chases;
	if (w->based)
		w->base_offset = b->value[w->open_at][w->base].offset;
}

/* A call through memory has another check, of its target: where flags are live it needs H_T2. */
static bool leaves_room(const struct tr_build *b, const struct tr_window *w)
{
	const struct x86_insn *in = &b->insn[w->first].in;

	return w->uses == 1 && in->op == X86_OP_CALL_IND && in->opnd[0].kind == X86_OPK_MEM;
}

/* A slot that no other window needs meanwhile. For a single access a slot in memory costs more than
 * a check that saves flags. */
static bool take_slot(const struct tr_build *b, uint64_t *busy, struct tr_window *w)
{
	uint64_t need = (2ull << w->last) - (1ull << w->open_at);
	bool room = leaves_room(b, w);
	unsigned slots = w->uses > 1 || room ? TR_WINDOW_SLOTS : 1;

	for (unsigned i = room; i < slots; i++) {
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
	bool moves = b->insn[w->first].live && !b->insn[w->open_at].live;

	if (w->uses < 2)
		return w->uses && (moves || (w->chases && !b->insn[w->open_at].live));
	return true;
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

		if (b->insn[i].window || !access_of(&b->insn[i]).valid)
			continue;
		collect(b, i, w, member);
		opening(b, w);
		if (!is_worth(b, w) || !take_slot(b, busy, w))
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
