/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow paths, away from the block's code: what follows when a check of memory.c fails. They make
 * the linear address from what the check has left in H_T0, take back parked flags, and call C, or a
 * stub that looks whether the operand lies in two pages.
 */
#include "vmm/engine/bt/translate/build.h"

struct tr_slow *slow_new(struct tr_build *b, uint32_t site, uint8_t *jump, bool write)
{
	struct tr_slow *s = &b->slow[b->nslow];

	if (b->nslow + 1 < TR_MAX_SLOW)
		b->nslow++;
	else
		b->e.full = true; /* a check without a slow path would let everything pass */
	*s = (struct tr_slow){.jump = jump,
			      .site = site,
			      .write = write,
			      .parked = b->parked,
			      .live = b->insn[b->cur].live};
	return s;
}

/* A range from H_T0 on that crosses pages: no entry of the TLB will help. Flags stay. */
static void if_crossing(struct tr_build *b, const struct tr_site *s)
{
	struct emit *e = &b->e;
	uint8_t *inside, *jump;

	emit_pext_mem(e, H_T1, H_T0, hmem_ctx(CTX_SCRATCH(SCR_MASK_OFFSET)));
	emit_lea(e, 4, H_T1, hmem_base(H_T1, s->size - 1));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_MASK_PAGE)));
	inside = emit_jrcxz(e);
	jump = emit_jmp_far(e);
	exit_link(b, jump, s->off, b->t->stub_plain);
	if (!e->full)
		emit_patch8(inside, e->p);
}

/* What goes on behind a failed check whose site is in H_T1. */
static const uint8_t *slow_stub(const struct translator *t, const struct tr_slow *s)
{
	const struct tr_site *site = &t->site[s->site];

	if (s->kind == SLOW_LIMIT)
		return t->stub_interp;
	if (s->window)
		return t->stub_window;
	if (site->rechecks || site->in_t0 || site->thread || site->size > CROSS_WIDEST)
		return t->stub_slow;
	if (site->on_copy)
		return t->stub_store_across[s->live ? CROSS_LIVE : 0];
	if (site->access != BT_READ)
		return t->stub_slow;
	return t->stub_across[(s->live ? CROSS_LIVE : 0) | (site->in_two ? CROSS_IN_TWO : 0) |
			      (site->size > 8 ? CROSS_WIDE : 0)];
}

static void subtract_tag(struct tr_build *b, const struct tr_slow *s)
{
	struct hmem tag = mem_tlb_tag(s->write);

	emit_rm(&b->e, OPC(0x2b), 8, H_T0, &tag); /* SUB */
}

static void load_constant(struct tr_build *b, const struct tr_slow *s)
{
	emit_mov_imm(&b->e, H_T0, s->address);
}

/* Code that makes H_T0 the linear address, or goes on with the block. */
typedef void begin_fn(struct tr_build *b, const struct tr_slow *s);

static begin_fn *const begins[] = {
	[SLOW_OFFSET] = subtract_tag,
	[SLOW_CONSTANT] = load_constant,
	[SLOW_STACK] = stack_emit_miss,
	[SLOW_THREAD] = thread_emit_miss,
	[SLOW_LIMIT] = NULL,
};

static void emit_failure(struct tr_build *b, const struct tr_slow *s)
{
	struct emit *e = &b->e;

	emit_patch32(s->jump, e->p);
	if (begins[s->kind])
		begins[s->kind](b, s);
	if (s->parked)
		flags_restore(e, SCR_PARKED, H_T1);
	if (s->window)
		if_crossing(b, &b->t->site[s->site]);
	emit_mov_imm(e, H_RCX, s->site);
	emit_jmp(e, slow_stub(b->t, s));
}

void slow_emit(struct tr_build *b)
{
	for (unsigned i = 0; i < b->nslow && !b->e.full; i++) {
		const struct tr_slow *s = &b->slow[i];

		if (s->kind == SLOW_CHASE)
			chase_emit_misses(b, s);
		else
			emit_failure(b, s);
	}
}
