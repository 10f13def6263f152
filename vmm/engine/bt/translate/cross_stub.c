/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and stores across a page's end without C: their slow paths come here first. If the TLB has
 * both pages, what is around their border is copied, and the access goes on with the copy; a store
 * in its translation for that, once cross.c has found one.
 *
 * What a load of up to 8 bytes wants is made of two loads and two shifts, so that it is stored, and
 * loaded again, as one. Others find 32 bytes of both pages side by side.
 */
#include <stddef.h>

#include "vmm/engine/bt/translate/tr.h"

#define BORDER ((int32_t)TR_BORDER)
#define HALF   32 /* bytes of each page; before them XMM0 is saved */

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
	emit_flags_to_ax(e);
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)), H_RAX);
}

static void restore(struct emit *e, unsigned kind)
{
	emit_forget(e);
	if (kind & CROSS_LIVE) {
		emit_load(e, 8, H_RAX, hmem_ctx(CTX_SCRATCH(SCR_FLAGS)));
		emit_flags_from_ax(e);
	}
	emit_load(e, 8, H_RAX, hmem_ctx(CTX_GPR(X86_RAX)));
	emit_load(e, 8, H_RDX, hmem_ctx(CTX_GPR(X86_RDX)));
	if (!(kind & CROSS_IN_TWO))
		emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_T2)));
}

/* RDX = what tells the TLB's entry of the address in `reg` from the others. */
static void find_entry(struct emit *e, unsigned reg)
{
	struct hmem mask = hmem_ctx(CTX(tlb_mask));

	emit_rorx(e, 4, H_RDX, reg, 12 - BT_TLB_ENTRY_SHIFT);
	emit_rm(e, OPC(0x23), 4, H_RDX, &mask); /* AND */
}

/* The pages at H_T0 and behind it: H_T2 and RAX point behind the former's bytes and to the
 * latter's. Returns the jumps if the TLB has not got them in `no`. A first page that the TLB has is
 * why the load is here: the operand must cross its end. */
static void find_pages(struct emit *e, bool write, uint8_t *no[2])
{
	struct hmem tag =
		hmem_view_base(H_RDX, write ? BT_TLB_AT(write[0].tag) : BT_TLB_AT(read[0].tag));
	struct hmem host = hmem_view_base(H_NONE, write ? BT_TLB_AT(more[0].write_host)
							: BT_TLB_AT(more[0].read_host));

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

/* RDX = where the copies are. */
static void copy_border(struct emit *e, const struct tr_crossing *c)
{
	emit_mov_imm(e, H_RDX, (uint64_t)c);
	move_xmm0(e, true, hmem_base(H_RDX, 0));
	for (int32_t i = -HALF; i < HALF; i += 16) {
		move_xmm0(e, false, i < 0 ? hmem_base(H_T2, i) : hmem_base(H_RAX, i));
		move_xmm0(e, true, hmem_base(H_RDX, BORDER + i));
	}
	move_xmm0(e, false, hmem_base(H_RDX, 0));
}

/* RAX = the operand's start less the page's end. */
static void find_start(struct emit *e)
{
	emit_mov(e, 8, H_RAX, H_T0);
	emit_alu_imm(e, 1, 8, H_RAX, -(int32_t)BT_PAGE); /* OR */
}

static void take_border(struct emit *e, const struct tr_crossing *c)
{
	copy_border(e, c);
	find_start(e);
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
	find_pages(e, false, no);
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

/* ---- stores
 * --------------------------------------------------------------------------------------
 */

#define CROSSING(field) hmem_base(H_RDX, (int32_t)offsetof(struct tr_crossing, field))
#define SITE(field)     hmem_base(H_T2, (int32_t)offsetof(struct tr_site, field))
#define BLOCK(field)    hmem_base(H_T2, (int32_t)offsetof(struct tr_block, field))

/* H_T2 = element `index` of an array; changes RAX. */
static void find_element(struct emit *e, const void *array, uint32_t size, unsigned index)
{
	emit_rr(e, OPC(0x69), 8, H_T2, index); /* IMUL */
	emit_u32(e, size);
	emit_mov_imm(e, H_RAX, (uint64_t)array);
	emit_rr(e, OPC(0x01), 8, H_RAX, H_T2); /* ADD */
}

/* Notes where the operand's parts come from. */
static void note_parts(struct emit *e)
{
	emit_store(e, 8, CROSSING(end), H_T2);
	emit_store(e, 8, CROSSING(begin), H_RAX);
	find_start(e);
	emit_store(e, 8, CROSSING(start), H_RAX);
	emit_lea(e, 8, H_T2, hmem_index(H_RDX, H_RAX, BORDER));
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_COPY)), H_T2);
}

/* H_T2 = the block that does the store at H_T1 on a copy; notes what follows it. Returns the jump
 * if there is none: it is dead, as block 0 is. */
static uint8_t *find_copy(struct emit *e, const struct translator *t)
{
	struct hmem size = SITE(size), start = CROSSING(start), dead = BLOCK(dead);

	find_element(e, t->site, sizeof(*t->site), H_T1);
	emit_rm(e, OPC_0F(0xb7), 4, H_RAX, &size); /* MOVZX */
	emit_rm(e, OPC(0x03), 8, H_RAX, &start);   /* ADD */
	emit_store(e, 8, CROSSING(rest), H_RAX);
	emit_load(e, 4, H_RAX, SITE(next));
	emit_store(e, 8, CROSSING(resume), H_RAX);
	emit_load(e, 4, H_T2, SITE(copy));
	find_element(e, t->block, sizeof(*t->block), H_T2);
	emit_rm_imm8(e, OPC(0x80), 1, 7, dead, 0); /* CMP */
	return emit_jcc(e, CC_NE);
}

/* Host addresses of that block's code, and of what follows. Changes H_T1. */
static void go_to_copy(struct emit *e, const struct translator *t)
{
	struct hmem resume = CROSSING(resume);

	emit_mov_imm(e, H_T1, (uint64_t)t->rx);
	emit_rm(e, OPC(0x01), 8, H_T1, &resume); /* ADD */
	emit_load(e, 4, H_RAX, BLOCK(entry));
	emit_lea(e, 8, H_RAX, hmem_index(H_RAX, H_T1, 0));
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_RESUME)), H_RAX);
	emit_load(e, 8, H_RAX, hmem_ctx(CTX_SCRATCH(SCR_T2)));
	emit_store(e, 8, CROSSING(t2), H_RAX);
}

static const uint8_t *emit_store_across(struct emit *e, const struct translator *t, unsigned kind)
{
	const uint8_t *at = e->p;
	uint8_t *no[3];

	save(e, kind);
	find_pages(e, true, no);
	copy_border(e, &t->crossing);
	note_parts(e);
	no[2] = find_copy(e, t);
	go_to_copy(e, t);
	restore(e, kind);
	emit_jmp_mem(e, hmem_ctx(CTX_SCRATCH(SCR_RESUME)));
	for (unsigned i = 0; i < 3; i++)
		emit_patch32(no[i], e->p);
	restore(e, kind);
	emit_jmp(e, t->stub_slow);
	return at;
}

/* A byte from `from` to `to`, and the next until stepping H_T1 by INC (0) or DEC (1) makes it 0. */
static void move_bytes(struct emit *e, struct hmem from, struct hmem to, unsigned step)
{
	const uint8_t *again = e->p;

	emit_load(e, 1, H_RAX, from);
	emit_store(e, 1, to, H_RAX);
	emit_rr(e, OPC(0xff), 8, step, H_T1);
	emit_patch32(emit_jcc(e, CC_NE), again);
}

/* Behind a store on the copy: no byte of the pages but the operand's is written. */
static const uint8_t *emit_stored(struct emit *e, const struct translator *t)
{
	const uint8_t *at = e->p;

	save(e, CROSS_LIVE | CROSS_IN_TWO);
	emit_mov_imm(e, H_RDX, (uint64_t)&t->crossing);
	emit_load(e, 8, H_T1, CROSSING(start));
	emit_load(e, 8, H_T2, CROSSING(end));
	move_bytes(e, hmem_index(H_RDX, H_T1, BORDER), hmem_index(H_T2, H_T1, 0), 0);
	emit_load(e, 8, H_T1, CROSSING(rest));
	emit_load(e, 8, H_T2, CROSSING(begin));
	move_bytes(e, hmem_index(H_RDX, H_T1, BORDER - 1), hmem_index(H_T2, H_T1, -1), 1);
	emit_load(e, 8, H_RAX, CROSSING(resume));
	emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_RESUME)), H_RAX);
	emit_load(e, 8, H_T2, CROSSING(t2));
	restore(e, CROSS_LIVE | CROSS_IN_TWO);
	emit_jmp_mem(e, hmem_ctx(CTX_SCRATCH(SCR_RESUME)));
	return at;
}

void tr_cross_emit(struct emit *e, struct translator *t)
{
	for (unsigned kind = 0; kind < CROSS_KINDS; kind++)
		t->stub_across[kind] = emit_across(e, t, kind);
	for (unsigned kind = 0; kind <= CROSS_LIVE; kind++)
		t->stub_store_across[kind] = emit_store_across(e, t, kind);
	t->stub_stored = emit_stored(e, t);
}
