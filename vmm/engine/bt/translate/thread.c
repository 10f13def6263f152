/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of the thread at constant distances from the FS base, as the canary of the stack that most
 * functions of a distribution's programs look at twice. Each view remembers where the host has what
 * is at the FS base (bt_view.thread), so that a load needs no look into the TLB.
 *
 * That holds as long as a translation of the page may be used: view.c forgets it where INVLPG, a
 * flush or a new walk would take that away. The view and the FS base are changed in C only, which
 * calls tr_thread_refresh() before code goes on.
 */
#include "vmm/engine/bt/translate/build.h"

#define THREAD_BYTES 128 /* of which all are in one page, or none is remembered */

void tr_thread_refresh(struct bt_vcpu *v)
{
	struct bt_view *view = v->view;
	uint64_t base = v->segbase[X86_FS];
	const struct bt_tlb_page *page = &view->tlb->read[bt_tlb_index(view, base)];

	if (view->thread.base != base || !view->thread.host) {
		view->thread.base = base;
		view->thread.host = 0;
		if (page->tag == BT_TLB_TAG(base + THREAD_BYTES - 1))
			view->thread.host = base + page->addend;
	}
	v->thread_host = view->thread.host;
}

bool thread_has(const struct tr_build *b, unsigned size, enum bt_access a)
{
	const struct x86_insn *in = cur_insn(b);
	uint64_t disp = (uint64_t)in->mem.disp;

	return in->mem.seg == X86_FS && in->addrsize == 8 && in->mem.base == X86_REG_NONE &&
	       in->mem.index == X86_REG_NONE && a == BT_READ && !cur_live(b) &&
	       !(b->mode & TR_MODE_COPY) && disp < THREAD_BYTES && size <= THREAD_BYTES - disp;
}

/* Returns the jump if nothing is remembered. Flags are dead. */
uint8_t *thread_load(struct tr_build *b)
{
	emit_load(&b->e, 8, H_T0, hmem_ctx(CTX(thread_host)));
	emit_rr(&b->e, OPC(0x85), 8, H_T0, H_T0); /* TEST */
	return emit_jcc(&b->e, CC_E);
}

/* Looks into the TLB, and goes on behind that with the linear address in H_T0 if it does not help.
 */
void thread_emit_miss(struct tr_build *b, const struct tr_slow *s)
{
	struct hmem tag = mem_tlb_tag(false), addend = mem_tlb_addend(false);
	int32_t disp = (int32_t)s->address;
	struct emit *e = &b->e;
	uint8_t *none;

	emit_load(e, 8, H_T0, hmem_ctx(CTX_SEGBASE(X86_FS)));
	emit_lea(e, 8, H_T0, hmem_base(H_T0, disp));
	mem_tlb_entry(e, H_T0);
	emit_rm(e, OPC(0x03), 8, H_T0, &tag);                                       /* ADD */
	emit_alu_imm(e, 7, 8, H_T0, (int32_t)(BT_PAGE - b->t->site[s->site].size)); /* CMP */
	none = emit_jcc(e, CC_A);
	emit_rm(e, OPC(0x2b), 8, H_T0, &tag); /* SUB */
	emit_rm(e, OPC(0x03), 8, H_T0, &addend);
	emit_lea(e, 8, H_T0, hmem_base(H_T0, -disp));
	emit_jmp(e, s->back);
	emit_patch32(none, e->p);
	emit_rm(e, OPC(0x2b), 8, H_T0, &tag);
}
