/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads across a page's end without C: the slow path of a load comes here first. If the TLB has
 * both pages, what is around their border is copied, and the load goes on with the copy.
 *
 * An operand of up to 8 bytes is made of two loads and two shifts, so that it is stored, and loaded
 * again, as one. Wider ones find 32 bytes of both pages side by side.
 */
#include "vmm/engine/bt/translate/tr.h"

#define BORDER  64 /* in tr_crossing.bytes, of the two pages' bytes; before them XMM0 is saved */
#define HALF    32
#define ENTRIES ((int32_t)(BT_TLB_SIZE - 1) << BT_TLB_ENTRY_SHIFT)

_Static_assert(CROSS_WIDEST <= HALF, "operands fit");

/* Host registers but H_T0 and H_T1, which the slow path wants as well, and status flags. */
static void save(struct emit *e, unsigned kind)
{
	emit_store(e, 8, hmem_ctx(CTX_GPR(X86_RAX)), H_RAX);
	emit_store(e, 8, hmem_ctx(CTX_GPR(X86_RDX)), H_RDX);
	if (!(kind & CROSS_IN_TWO))
		emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_T2)), H_T2);
	if (!(kind & CROSS_LIVE))
		return;
	emit_u8(e, 0x9f);                      /* LAHF */
	emit_rr(e, OPC_0F(0x90), 1, 0, H_RAX); /* SETO AL */
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)), H_RAX);
}

static void restore(struct emit *e, unsigned kind)
{
	emit_forget(e);
	if (kind & CROSS_LIVE) {
		emit_load(e, 8, H_RAX, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)));
		emit_u8(e, 0x04); /* ADD AL, 7fh: OF if AL is 1 */
		emit_u8(e, 0x7f);
		emit_u8(e, 0x9e); /* SAHF */
	}
	emit_load(e, 8, H_RAX, hmem_ctx(CTX_GPR(X86_RAX)));
	emit_load(e, 8, H_RDX, hmem_ctx(CTX_GPR(X86_RDX)));
	if (!(kind & CROSS_IN_TWO))
		emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_T2)));
}

/* RDX = what tells the TLB's entry of the address in `reg` from the others. */
static void find_entry(struct emit *e, unsigned reg)
{
	emit_rorx(e, 4, H_RDX, reg, 12 - BT_TLB_ENTRY_SHIFT);
	emit_alu_imm(e, 4, 4, H_RDX, ENTRIES); /* AND */
}

/* The pages at H_T0 and behind it: H_T2 and RAX point behind the former's bytes and to the
 * latter's. Returns the jumps if the TLB has not got them in `no`. A first page that the TLB has is
 * why the load is here: the operand must cross its end. */
static void find_pages(struct emit *e, uint8_t *no[2])
{
	struct hmem tag = hmem_view_base(H_RDX, BT_TLB_AT(read[0].tag));
	struct hmem host = hmem_view_base(H_NONE, BT_TLB_AT(more[0].read_host));

	_Static_assert(sizeof(((struct bt_tlb *)0)->more[0]) == 2 << BT_TLB_ENTRY_SHIFT, "scale");
	host.index = H_RDX;
	host.scale = 2;
	find_entry(e, H_T0);
	emit_load(e, 8, H_RAX, tag);
	emit_rr(e, OPC(0x01), 8, H_T0, H_RAX);     /* ADD */
	emit_alu_imm(e, 7, 8, H_RAX, BT_PAGE - 1); /* CMP */
	no[0] = emit_jcc(e, CC_A);
	emit_load(e, 8, H_T2, host);
	emit_lea(e, 8, H_T2, hmem_base(H_T2, BT_PAGE));
	emit_lea(e, 8, H_RAX, hmem_base(H_T0, BT_PAGE));
	emit_alu_imm(e, 4, 8, H_RAX, -(int32_t)BT_PAGE); /* AND */
	find_entry(e, H_RAX);
	emit_rm(e, OPC(0x03), 8, H_RAX, &tag); /* ADD */
	no[1] = emit_jcc(e, CC_NE);
	emit_load(e, 8, H_RAX, host);
}

/* Both parts in one word. RDX = where that is. */
static void take_word(struct emit *e)
{
	emit_load(e, 8, H_T2, hmem_base(H_T2, -8));
	emit_load(e, 8, H_RAX, hmem_base(H_RAX, 0));
	emit_mov(e, 4, H_RDX, H_T0);   /* 8 times that: bits of the first word not wanted */
	emit_shift(e, 4, 4, H_RDX, 3); /* SHL */
	emit_shift_by(e, EMIT_SHRX, 8, H_T2, H_T2, H_RDX);
	emit_rr(e, OPC(0xf7), 4, 3, H_RDX); /* NEG */
	emit_shift_by(e, EMIT_SHLX, 8, H_RAX, H_RAX, H_RDX);
	emit_rr(e, OPC(0x09), 8, H_RAX, H_T2); /* OR */
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_ACROSS)), H_T2);
	emit_lea(e, 8, H_RDX, hmem_ctx(CTX_SCRATCH(SCR_ACROSS)));
}

static void move_xmm0(struct emit *e, bool store, struct hmem m)
{
	emit_rm(e, store ? OPC_0F(0x11) : OPC_0F(0x10), 4, 0, &m); /* MOVUPS */
}

/* Aligned as the operand is: what must be aligned faults as it should. */
static void take_border(struct emit *e, const struct tr_crossing *c)
{
	emit_mov_imm(e, H_RDX, (uint64_t)c->bytes);
	move_xmm0(e, true, hmem_base(H_RDX, 0));
	for (int32_t i = -HALF; i < HALF; i += 16) {
		move_xmm0(e, false, i < 0 ? hmem_base(H_T2, i) : hmem_base(H_RAX, i));
		move_xmm0(e, true, hmem_base(H_RDX, BORDER + i));
	}
	move_xmm0(e, false, hmem_base(H_RDX, 0));
	emit_mov(e, 8, H_RAX, H_T0);
	emit_alu_imm(e, 1, 8, H_RAX, -(int32_t)BT_PAGE); /* OR: less the page's end */
	emit_lea(e, 8, H_RDX, hmem_index(H_RDX, H_RAX, BORDER));
}

/* As tr_site_resume() with the host address in RDX. */
static void resume(struct emit *e, const struct translator *t, unsigned kind)
{
	if (kind & CROSS_IN_TWO) {
		emit_mov(e, 8, H_T2, H_RDX);
		emit_rr(e, OPC(0x29), 8, H_T0, H_T2); /* SUB */
	} else {
		emit_mov(e, 8, H_T0, H_RDX);
	}
	emit_rr(e, OPC(0x69), 8, H_RAX, H_T1); /* IMUL */
	emit_u32(e, sizeof(struct tr_site));
	emit_mov_imm(e, H_RDX, (uint64_t)&t->site[0].resume);
	emit_load(e, 4, H_RAX, hmem_index(H_RDX, H_RAX, 0));
	emit_mov_imm(e, H_RDX, (uint64_t)t->rx);
	emit_lea(e, 8, H_RAX, hmem_index(H_RAX, H_RDX, 0));
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_RESUME)), H_RAX);
	restore(e, kind);
	emit_jmp_mem(e, hmem_ctx(CTX_SCRATCH(SCR_RESUME)));
}

static const uint8_t *emit_across(struct emit *e, const struct translator *t, unsigned kind)
{
	const uint8_t *at = e->p;
	uint8_t *no[2];

	save(e, kind);
	find_pages(e, no);
	if (kind & CROSS_WIDE)
		take_border(e, &t->crossing);
	else
		take_word(e);
	resume(e, t, kind);
	for (unsigned i = 0; i < 2; i++)
		emit_patch32(no[i], e->p);
	restore(e, kind);
	emit_jmp(e, t->stub_slow);
	return at;
}

void tr_cross_emit(struct emit *e, struct translator *t)
{
	for (unsigned kind = 0; kind < CROSS_KINDS; kind++)
		t->stub_across[kind] = emit_across(e, t, kind);
}
