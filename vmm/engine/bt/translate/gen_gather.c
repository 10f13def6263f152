/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers of AVX2, element by element through the context block: an own check for each, since each
 * may be in another page. No register of the guest changes before all have been read, so whatever
 * fails a check lets the interpreter do the whole instruction.
 */
#include "vmm/engine/bt/translate/build.h"

#define MAX_ELEMENTS 8

struct gather {
	struct tr_build *b;
	unsigned esize, isize, count; /* bytes of an element and of its index; elements */
	unsigned data, mask;          /* vector registers */
	uint8_t *slow[MAX_ELEMENTS];  /* jumps to the interpreter */
	unsigned nslow;
};

/* Intel SDM volume 2 "VGATHERDPS": 90h and 92h have doubleword indices, 91h and 93h quadwords. */
static struct gather describe(struct tr_build *b)
{
	const struct x86_insn *in = cur_insn(b);
	struct gather g = {.b = b, .data = in->opnd[0].reg, .mask = in->opnd[2].reg};

	g.esize = in->vex_w ? 8 : 4;
	g.isize = in->opcode & 1 ? 8 : 4;
	g.count = (16u << in->vex_l) / (g.esize > g.isize ? g.esize : g.isize);
	return g;
}

static struct hmem data_at(const struct gather *g, unsigned i)
{
	return hmem_ctx(CTX(gather.data) + (int32_t)(i * g->esize));
}

/* H_T0 = linear address of an element. */
static void address(struct gather *g, unsigned i)
{
	const struct x86_insn *in = cur_insn(g->b);
	const struct hmem index = hmem_ctx(CTX(gather.index) + (int32_t)(i * g->isize));
	struct hmem sum = {.base = H_NONE,
			   .index = H_T0,
			   .scale = in->mem.scale,
			   .disp = (int32_t)in->mem.disp};

	if (g->isize == 4)
		emit_rm(&g->b->e, OPC(0x63), 8, H_T0, &index); /* MOVSXD */
	else
		emit_load(&g->b->e, 8, H_T0, index);
	if (in->mem.base != X86_REG_NONE)
		sum.base = (uint8_t)reg_value(g->b, in->mem.base, H_T1);
	emit_lea(&g->b->e, in->addrsize, H_T0, sum);
}

/* H_T0 = host address of the element there. */
static void check(struct gather *g)
{
	struct hmem tag = mem_tlb_tag(false), addend = mem_tlb_addend(false);
	struct emit *e = &g->b->e;

	mem_tlb_entry(&g->b->e, H_T0);
	emit_mov(e, 8, H_T2, H_T0);
	emit_rm(e, OPC(0x03), 8, H_T2, &tag); /* ADD */
	emit_alu_imm(e, 7, 8, H_T2, (int32_t)(BT_PAGE - g->esize));
	g->slow[g->nslow++] = emit_jcc(e, CC_A);
	emit_rm(e, OPC(0x03), 8, H_T0, &addend);
}

static void element(struct gather *g, unsigned i)
{
	const struct hmem chosen = hmem_ctx(CTX(gather.mask) + (int32_t)((i + 1) * g->esize - 1));
	struct emit *e = &g->b->e;
	uint8_t *skip;

	emit_rm_imm8(e, OPC(0x80), 1, 7, chosen, 0); /* CMP */
	skip = emit_jcc(e, CC_NS);
	address(g, i);
	check(g);
	emit_load(e, g->esize, H_T0, hmem_base(H_T0, 0));
	emit_store(e, g->esize, data_at(g, i), H_T0);
	emit_forget(e);
	if (!e->full)
		emit_patch32(skip, e->p);
}

static void all(struct gather *g)
{
	struct emit *e = &g->b->e;

	emit_vector_store(e, 32, hmem_ctx(CTX(gather.data)), g->data);
	emit_vector_store(e, 32, hmem_ctx(CTX(gather.mask)), g->mask);
	emit_vector_store(e, 32, hmem_ctx(CTX(gather.index)), cur_insn(g->b)->mem.index);
	for (unsigned i = 0; i < g->count; i++)
		element(g, i);
	emit_vector_load(e, g->count * g->esize, g->data, hmem_ctx(CTX(gather.data)));
	emit_vector_clear(e, g->mask);
}

void gen_gather(struct tr_build *b)
{
	struct gather g = describe(b);
	bool keeps_flags = cur_live(b) != 0;
	struct emit *e = &b->e;
	uint8_t *over;

	if (keeps_flags)
		flags_save(&b->e, SCR_SPILL2, H_T0);
	all(&g);
	if (keeps_flags)
		flags_restore(&b->e, SCR_SPILL2, H_T0);
	over = emit_jmp_far(e);
	for (unsigned i = 0; i < g.nslow && !e->full; i++)
		emit_patch32(g.slow[i], e->p);
	if (keeps_flags)
		flags_restore(&b->e, SCR_SPILL2, H_T0);
	gen_interp(b);
	if (!e->full)
		emit_patch32(over, e->p);
}
