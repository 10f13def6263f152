/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked flags: where status flags are live across a run of instructions that neither read nor
 * change them, as at the end of most functions, and several checks lie in between, the flags wait
 * in the context block, so that the checks may clobber them. Whatever leaves the run, slow paths
 * and host faults too, takes them back first.
 */
#include "vmm/engine/bt/translate/build.h"

#define PARK_CHECKS 2 /* saving and restoring costs as much as keeping flags in this many */

void flags_save(struct emit *e, unsigned slot, unsigned tmp)
{
	emit_mov(e, 8, tmp, H_RAX);
	emit_flags_to_ax(e);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(slot)), H_RAX);
	emit_mov(e, 8, H_RAX, tmp);
}

void flags_restore(struct emit *e, unsigned slot, unsigned tmp)
{
	emit_mov(e, 8, tmp, H_RAX);
	emit_load(e, 8, H_RAX, hmem_ctx(CTX_SCRATCH(slot)));
	emit_flags_from_ax(e);
	emit_mov(e, 8, H_RAX, tmp);
}

/* ---- which instructions ---------------------------------------------------------------------- */

static bool is_bystander(const struct tr_insn *ti)
{
	const struct x86_desc *d = ti->in.desc;

	if (!ti->live || (ti->gen->flags & GEN_BARRIER) ||
	    ((d->flags_read | d->flags_write | d->flags_undef) & X86_F_STATUS))
		return false;
	if (ti->in.op == X86_OP_PAUSE) /* calls the interpreter now and then only */
		return false;
	return ti->in.op == X86_OP_RET ||
	       (d->cls != X86_CLS_BRANCH && d->cls != X86_CLS_SYSTEM && d->cls != X86_CLS_STRING);
}

static unsigned checks_of(const struct tr_build *b, unsigned i)
{
	unsigned n = b->insn[i].window ? 0 : insn_accesses(&b->insn[i]);

	for (unsigned w = 1; w <= b->nwindows; w++)
		n += b->window[w].open_at == i;
	return n;
}

void park_plan(struct tr_build *b)
{
	for (unsigned first = 0, end; first < b->n; first = end + 1) {
		unsigned checks = 0;

		for (end = first; end < b->n && is_bystander(&b->insn[end]); end++)
			checks += checks_of(b, end);
		for (unsigned i = first; i <= end && i < b->n; i++)
			b->insn[i].parked = i < end && checks >= PARK_CHECKS;
	}
}

/* ---- emission -------------------------------------------------------------------------------- */

void park_before(struct tr_build *b)
{
	if (!b->insn[b->cur].parked) {
		park_end(b);
	} else if (!b->parked) {
		flags_save(&b->e, SCR_PARKED, H_T0);
		b->parked = true;
	}
}

void park_end(struct tr_build *b)
{
	if (b->parked)
		flags_restore(&b->e, SCR_PARKED, H_T1);
	b->parked = false;
}
