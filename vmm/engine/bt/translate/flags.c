/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which status flags are live before each instruction of a block.
 *
 * A flag is dead where everything that follows sets it before it is read. What follows the block
 * is known as far as a few instructions at a direct target in the same page say; the bytes looked
 * at become part of what the block depends on. Everything else counts as live.
 *
 * An exception or an interrupt shows dead flags, too, to its handler. Who returns to where it came
 * from cannot tell, and keeping them all for that costs much (docs/translator.md), so that is done
 * for a debugger that has points or steps, and where the user asks for it. Else recover.c makes
 * most of them again.
 */
#include "vmm/engine/bt/translate/build.h"

#define PEEK_INSNS 5

static unsigned killed_by(const struct x86_insn *in)
{
	if (in->desc->attr & X86_AT_COND)
		return 0;
	return (in->desc->flags_write | in->desc->flags_undef) & X86_F_STATUS;
}

/* Instructions that can show all flags to the guest: those that enter other code, save them, or
 * raise #DE. */
static bool reads_all(const struct x86_insn *in)
{
	switch (in->op) {
	case X86_OP_DIV:
	case X86_OP_IDIV:
		return true;
	case X86_OP_JCC:
	case X86_OP_JMP:
	case X86_OP_CALL:
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
	case X86_OP_JRCXZ:
	case X86_OP_RET:
	case X86_OP_CALL_IND:
	case X86_OP_JMP_IND:
	case X86_OP_CLI:
	case X86_OP_STI:
	case X86_OP_SWAPGS:
	case X86_OP_RDTSC:
	case X86_OP_RDTSCP:
		return false;
	default:
		return in->desc->cls == X86_CLS_BRANCH || in->desc->cls == X86_CLS_SYSTEM;
	}
}

static unsigned read_by(const struct x86_insn *in)
{
	return reads_all(in) ? X86_F_STATUS : in->desc->flags_read & X86_F_STATUS;
}

/* Flags live at `off` in the block's page. */
static unsigned peek(struct tr_build *b, unsigned off)
{
	struct tr_block *blk = &b->t->block[b->block];
	unsigned lo = off, live = 0, open = X86_F_STATUS, known = 0;

	while (known < blk->npeeks && blk->peek[known].lo != lo)
		known++;
	if (known == sizeof(blk->peek) / sizeof(blk->peek[0]))
		return X86_F_STATUS;
	for (unsigned i = 0; i < PEEK_INSNS && open && off < BT_PAGE; i++) {
		struct x86_insn in;
		int len = x86_decode(b->page + off, BT_PAGE - off, b->x86_mode, &in);

		if (len <= 0)
			break;
		off += (unsigned)len;
		live |= read_by(&in) & open;
		open &= ~killed_by(&in);
		if (in.desc->cls == X86_CLS_BRANCH)
			break;
	}
	if (off > lo && known == blk->npeeks) {
		blk->peek[blk->npeeks].lo = (uint16_t)lo;
		blk->peek[blk->npeeks++].hi = (uint16_t)off;
	}
	return live | open;
}

/* Flags live before instruction `i` of the block, as far as the next branch tells. */
static unsigned walk(const struct tr_build *b, unsigned i)
{
	unsigned live = 0, open = X86_F_STATUS;

	for (; i < b->n && open; i++) {
		const struct x86_insn *in = &b->insn[i].in;

		live |= read_by(in) & open;
		open &= ~killed_by(in);
		if (in->desc->cls == X86_CLS_BRANCH)
			break;
	}
	return live | open;
}

/* Flags live at a direct target. */
static unsigned live_at(struct tr_build *b, uint64_t target)
{
	if ((target ^ b->va) & BT_PAGE_MASK)
		return X86_F_STATUS;
	for (unsigned i = 0; i < b->n; i++)
		if (b->va + b->insn[i].off == target)
			return walk(b, i);
	return peek(b, target & (BT_PAGE - 1));
}

static unsigned live_after(struct tr_build *b, const struct tr_insn *ti, unsigned fallthrough)
{
	uint64_t next = b->va + ti->off + ti->in.len;
	uint64_t target = ti->turns ? next : next + ti->in.imm;

	if (ti->in.opsize == 2 && ti->in.desc->cls == X86_CLS_BRANCH) /* another target */
		return X86_F_STATUS;
	switch (ti->in.op) {
	case X86_OP_JCC:
	case X86_OP_LOOP:
	case X86_OP_LOOPE:
	case X86_OP_LOOPNE:
	case X86_OP_JRCXZ:
		return fallthrough | live_at(b, target);
	case X86_OP_JMP:
	case X86_OP_CALL:
		return live_at(b, target);
	default:
		return ti->gen->flags & GEN_END ? X86_F_STATUS : fallthrough;
	}
}

static void all_live(struct tr_build *b)
{
	for (unsigned i = 0; i < b->n; i++)
		b->insn[i].live = X86_F_STATUS;
}

void flags_analyse(struct tr_build *b)
{
	const struct tr_insn *last = &b->insn[b->n - 1];
	unsigned live = X86_F_STATUS;

	if (b->v->vm->exact_flags || b->v->debug || (b->mode & BT_MODE_POINTS)) {
		all_live(b);
		return;
	}
	if (!(last->gen->flags & GEN_END) || last->in.op == X86_OP_JCC)
		live = live_at(b, b->va + last->off + last->in.len);
	for (unsigned i = b->n; i-- > 0;) {
		struct tr_insn *ti = &b->insn[i];

		live = live_after(b, ti, live);
		live = (live & ~killed_by(&ti->in)) | read_by(&ti->in);
		ti->live = (uint16_t)live;
	}
}

/* ---- for lockstep
 * --------------------------------------------------------------------------------
 */

#define LIVE_INSNS    60 /* looked at */
#define LIVE_BRANCHES 7  /* of which conditional branches */

struct live {
	const uint8_t *code;
	unsigned size;
	enum x86_mode mode;
	unsigned insns, branches;
};

/* As flags_analyse() sees it, over both ways of a branch; `off` may be outside the code. */
static unsigned live_from(struct live *l, uint64_t off)
{
	unsigned live = 0, open = X86_F_STATUS;

	while (open && off < l->size && l->insns++ < LIVE_INSNS) {
		struct x86_insn in;
		int len = x86_decode(l->code + off, l->size - off, l->mode, &in);

		if (len <= 0)
			break;
		off += (unsigned)len;
		live |= read_by(&in) & open;
		open &= ~killed_by(&in);
		if (in.op == X86_OP_JMP || in.op == X86_OP_CALL)
			off += in.imm;
		else if (bt_is_conditional_jump(&in) && ++l->branches < LIVE_BRANCHES)
			live |= live_from(l, off + in.imm) & open;
		else if (in.desc->cls == X86_CLS_BRANCH)
			break;
	}
	return live | open;
}

unsigned bt_translate_flags_live(const struct bt_vcpu *v, const uint8_t *code, unsigned off,
				 unsigned size)
{
	struct live l = {.code = code, .size = size, .mode = bt_decode_mode(v)};

	return live_from(&l, off);
}

unsigned bt_translate_flags_undefined(const struct bt_vcpu *v, const uint8_t *code, unsigned room,
				      int64_t exit)
{
	unsigned undefined = 0;

	for (unsigned off = 0; off < room;) {
		struct x86_insn in;
		int len = x86_decode(code + off, room - off, bt_decode_mode(v), &in);

		if (len <= 0)
			break;
		off += (unsigned)len;
		if (!(in.desc->attr & X86_AT_COND))
			undefined &= ~(unsigned)in.desc->flags_write;
		undefined |= in.desc->flags_undef;
		if (off == exit ||
		    (in.desc->cls == X86_CLS_BRANCH &&
		     (!bt_is_conditional_jump(&in) || off + (int64_t)in.imm == exit)))
			break;
	}
	return undefined & X86_F_STATUS;
}
