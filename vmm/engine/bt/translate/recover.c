/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead status flags, for those who see them: handlers of exceptions. A check may clobber flags that
 * the code behind it overwrites. Should it fail, they are made again from the operands and the
 * result of the instruction that had set them, as far as registers and memory still hold those.
 * Where they will not, which is known when the block is translated, a kernel's are kept live.
 *
 * What set them before the block began is not known when it is translated. At a fault of a kernel
 * the blocks that are linked to it are looked at.
 */
#include "vmm/engine/bt/interp/interp.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/origin.h"

/* ---- when a block is translated -------------------------------------------------------------- */

static bool can_fault(const struct tr_insn *ti)
{
	return insn_accesses(ti) || ti->gen->fn == gen_moffs || (ti->gen->flags & GEN_BARRIER) ||
	       ti->in.desc->cls == X86_CLS_X87 || ti->in.desc->cls == X86_CLS_MMX ||
	       ti->in.desc->cls == X86_CLS_SSE || ti->in.desc->cls == X86_CLS_AVX;
}

/* Those of the dead flags before instruction `now` that nothing will tell. */
static unsigned lost_at(const struct tr_build *b, unsigned now)
{
	const struct tr_trail *t = &b->trail[now];
	unsigned live = b->insn[now].live, lost = 0, told = 0;
	int last = ORIGIN_BEFORE;
	struct source s;

	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = t->writer[f];

		if (writer == ORIGIN_BEFORE || (live & origin_flags[f]))
			continue;
		if (writer != last)
			told = origin_tell(b, (unsigned)writer, now, !live, &s) |
			       b->insn[writer].in.desc->flags_undef;
		last = writer;
		if ((t->blurred | ~told) & origin_flags[f])
			lost |= origin_flags[f];
	}
	return lost;
}

/* Live from where they were set on. */
static void keep(struct tr_build *b, unsigned now, unsigned flags)
{
	for (unsigned f = 0; f < TR_FLAGS; f++)
		if (flags & origin_flags[f])
			for (int i = b->trail[now].writer[f] + 1; i <= (int)now; i++)
				b->insn[i].live |= origin_flags[f];
}

/* In tr_insn.since and tr_site.since: in the turn of a loop before this one. */
#define SINCE_TURN 0x8000u

/* Where to begin at a fault; its own place if there is nothing to tell. */
static void note_since(struct tr_build *b, unsigned now)
{
	int first = (int)now;

	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = b->trail[now].writer[f];

		if (!(b->insn[now].live & origin_flags[f]) && writer != ORIGIN_BEFORE &&
		    writer < first)
			first = writer;
	}
	b->insn[now].since = b->insn[first].off;
	if (first < (int)now && b->insn[first].off >= b->insn[now].off)
		b->insn[now].since |= SINCE_TURN;
}

/* In user code that costs too much: gzip 6 %. */
static bool may_keep(const struct tr_build *b, const struct tr_insn *ti)
{
	return !(b->mode & BT_MODE_USER) && can_fault(ti);
}

/* From the last on, whose flags may have to be live where others are. */
void recover_plan(struct tr_build *b)
{
	if (b->mode & TR_MODE_COPY)
		return;
	origin_follow(b);
	for (unsigned i = b->n; i-- > 0;) {
		unsigned lost;

		while (may_keep(b, &b->insn[i]) && (lost = lost_at(b, i)))
			keep(b, i, lost); /* and again: nothing is read again now */
		note_since(b, i);
	}
}

/* ---- when an instruction faults -------------------------------------------------------------- */

X86_ALU(alu_add, "add")
X86_ALU(alu_sub, "sub")
X86_ALU(alu_and, "and")

static uint64_t value_of(const struct tr_build *b, const struct origin *o)
{
	uint64_t gpr = o->kind == ORIGIN_REG ? b->v->gpr[o->reg] : 0;

	return o->high ? gpr >> 8 : gpr + o->add;
}

static uint64_t register_then(const struct tr_build *b, unsigned then, unsigned reg)
{
	struct origin o;

	if (reg >= X86_NGPR)
		return 0;
	o = origin_of_register(b, then, reg, b->n - 1);
	return value_of(b, &o);
}

/* Only where it is plain memory. */
static bool read_again(const struct tr_build *b, unsigned writer, unsigned size, uint64_t *val)
{
	const struct x86_insn *in = &b->insn[writer].in;
	struct bt_fault fault = b->v->fault;
	uint64_t va = (uint64_t)in->mem.disp;
	const void *host;

	va += in->mem.base == X86_REG_RIP ? b->va + (uint64_t)(int16_t)b->insn[writer].off + in->len
					  : register_then(b, writer, in->mem.base);
	va += register_then(b, writer, in->mem.index) * in->mem.scale;
	if (in->addrsize == 4)
		va = (uint32_t)va;
	if (in->mem.seg == X86_FS || in->mem.seg == X86_GS)
		va += b->v->segbase[in->mem.seg];
	if (b->x86_mode != X86_MODE_64)
		va = (uint32_t)va;
	host = bt_host(b->v, va, size, BT_READ);
	b->v->fault = fault;
	*val = 0;
	if (host)
		bt_copy_atomic(val, host, size);
	return host != NULL;
}

/* false: it was not to be read. */
static bool take(const struct tr_build *b, unsigned writer, struct origin *o, unsigned size,
		 uint64_t *val)
{
	*val = value_of(b, o);
	if (o->kind != ORIGIN_MEM || read_again(b, writer, size, val))
		return true;
	o->kind = ORIGIN_NONE;
	return false;
}

static uint64_t compute(const struct source *s, uint64_t a, uint64_t b, uint64_t r)
{
	bool both = origin_is_known(&s->a) && origin_is_known(&s->b);
	uint64_t fl = 0;

	switch (s->form) {
	case FORM_SUM:
	case FORM_DIFF:
		if (!both && !origin_is_known(&s->a) && !origin_is_known(&s->b))
			alu_and(s->size, r, r, &fl);
		else if (s->form == FORM_SUM)
			alu_add(s->size, origin_is_known(&s->a) ? a : r - b,
				origin_is_known(&s->b) ? b : r - a, &fl);
		else
			alu_sub(s->size, origin_is_known(&s->a) ? a : r + b,
				origin_is_known(&s->b) ? b : a - r, &fl);
		break;
	case FORM_TEST:
		alu_and(s->size, a, b, &fl);
		break;
	case FORM_LOGIC:
	case FORM_RESULT:
		alu_and(s->size, r, r, &fl);
		break;
	default:
		fl = s->form == FORM_SET ? FL_CF : 0;
		break;
	}
	return fl;
}

/* The flags that instruction `writer` has set, as far as that can be told. */
static unsigned flags_of(const struct tr_build *b, unsigned writer, bool rereads, uint64_t *fl)
{
	uint64_t x = 0, y = 0, r = 0;
	struct source s;

	if (!origin_tell(b, writer, b->n - 1, rereads, &s))
		return 0;
	take(b, writer, &s.a, s.size, &x);
	take(b, writer, &s.b, s.size, &y);
	take(b, writer, &s.r, s.size, &r);
	*fl = compute(&s, x, y, r);
	return origin_flags_by(&s);
}

/* Appends the block's instructions from `since` up to the one at `off`. */
static bool decode_again(struct tr_build *b, const struct tr_block *blk, unsigned since,
			 unsigned off)
{
	struct bt_slot *slot = bt_slot_find(b->v->vm, blk->gpa);
	const uint8_t *p = slot ? slot->host + (blk->gpa - slot->gpa) : NULL;
	bool turns = since & SINCE_TURN;

	for (unsigned at = since & ~SINCE_TURN; p && (turns || at <= off) && at < blk->len;
	     b->n++) {
		struct tr_insn *ti = &b->insn[b->n];
		int len = b->n < TR_MAX_INSNS
				  ? x86_decode(p + at, blk->len - at, b->x86_mode, &ti->in)
				  : 0;

		if (len <= 0)
			return false;
		ti->gen = gen_find(b, &ti->in);
		ti->off = (uint16_t)(blk->va + at - b->va);
		at += (unsigned)len;
		if (turns && insn_goes_back(ti)) {
			turns = false;
			at = 0;
		}
	}
	return b->n && !turns;
}

/* The flags before instruction `at` that can be told from the registers before the last one. */
static unsigned told_at(const struct tr_build *b, unsigned at, bool rereads, uint64_t *flags)
{
	const struct tr_trail *trail = &b->trail[at];
	unsigned told = 0, all = 0;
	int last = ORIGIN_BEFORE;
	uint64_t fl = 0;

	*flags = 0;
	for (unsigned f = 0; f < TR_FLAGS; f++) {
		int writer = trail->writer[f];

		if (writer == ORIGIN_BEFORE || (trail->blurred & origin_flags[f]))
			continue;
		if (writer != last)
			told = flags_of(b, (unsigned)writer, rereads, &fl);
		last = writer;
		all |= told & origin_flags[f];
		*flags |= fl & told & origin_flags[f];
	}
	return all;
}

static void show(struct bt_vcpu *v, unsigned told, uint64_t flags)
{
	v->rflags = (v->rflags & ~(uint64_t)told) | (flags & told);
}

/* ---- flags from before the block ------------------------------------------------------------- */

#define MAX_PREDECESSORS 4

/* Does instruction `i` lead to b->va, and if it is a conditional branch, taken? */
static bool leads_here(const struct tr_build *b, unsigned i, bool is_last, bool *taken)
{
	const struct tr_insn *ti = &b->insn[i];
	uint64_t next = (uint64_t)(int16_t)ti->off + ti->in.len;

	*taken = (ti->in.op == X86_OP_JCC || ti->in.op == X86_OP_JMP || ti->in.op == X86_OP_CALL) &&
		 ti->in.opsize != 2 && next + ti->in.imm == 0;
	return *taken || (is_last && next == 0 && !(ti->gen->flags & GEN_END));
}

/* The sequence went on behind the branch `i`, taken or not: could it? */
static bool is_possible(const struct tr_build *b, unsigned i, bool taken)
{
	const struct x86_insn *in = &b->insn[i].in;
	uint64_t flags;

	return in->op != X86_OP_JCC || (in->desc->flags_read & ~told_at(b, i, true, &flags)) ||
	       bt_condition(flags, in->opcode) == taken;
}

/* `from` may have led to the block whose instruction at `off` faults. */
static unsigned told_by(struct tr_build *b, const struct tr_block *from, const struct tr_block *blk,
			unsigned off, uint64_t *flags)
{
	bool taken;

	b->n = 0;
	if (from->dead || from->crosses || from->mode != blk->mode ||
	    from->va - blk->va + 2 * BT_PAGE > 4 * BT_PAGE || !decode_again(b, from, 0, from->len))
		return 0;
	for (unsigned n = b->n, i = n; i-- > 0;) {
		if (!leads_here(b, i, i + 1 == n, &taken))
			continue;
		b->n = i + 1;
		if (!decode_again(b, blk, 0, off))
			continue;
		values_analyse(b);
		origin_follow(b);
		if (is_possible(b, i, taken))
			return told_at(b, b->n - 1, true, flags);
	}
	return 0;
}

/*
 * Of the blocks that are linked to this one, the first that can have led here, else C, if that has
 * gone on here last. That is a guess where there are several, and costs more than it is worth to
 * user code, which faults for its memory all the time.
 */
static void show_from_before(struct translator *t, const struct tr_block *blk, unsigned off,
			     unsigned wanted)
{
	uint32_t l = blk->incoming;
	uint64_t flags = 0;
	unsigned told = 0;

	if (blk->mode & BT_MODE_USER)
		return;
	for (unsigned i = 0; i < MAX_PREDECESSORS && l != TR_NONE && !told; i++) {
		told = told_by(t->build, &t->block[t->link[l].block], blk, off, &flags);
		l = t->link[l].next;
	}
	if (!told && t->came_to == blk->va) {
		told = X86_F_STATUS;
		flags = t->came_with;
	}
	show(t->v, told & wanted, flags);
}

/* ---- all of them ----------------------------------------------------------------------------- */

void tr_recover_flags(struct translator *t, const struct tr_block *blk, unsigned since,
		      unsigned off, bool all_dead)
{
	struct tr_build *b = t->build;
	unsigned told = 0;
	uint64_t flags;

	if (blk->crosses)
		return;
	b->t = t;
	b->v = t->v;
	b->va = blk->va;
	b->mode = blk->mode;
	b->x86_mode = blk->mode & BT_MODE_CODE64 ? X86_MODE_64 : X86_MODE_32;
	b->n = 0;
	if (since != off && decode_again(b, blk, since, off)) {
		values_analyse(b);
		origin_follow(b);
		told = told_at(b, b->n - 1, all_dead, &flags);
		show(t->v, told, flags);
	}
	if (all_dead)
		show_from_before(t, blk, off, X86_F_STATUS & ~told);
}
