/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operands: the linear address, the TLB check in front of the access, and what follows when
 * the check fails.
 *
 * The check compares the page of the operand's last byte with a tag and so covers presence, rights,
 * crossing, devices, translated code and dirty logging at once. Where status flags are live it is
 * made of instructions that leave them alone.
 */
#include "vmm/engine/bt/translate/build.h"

#define ENTRY_SHIFT 5
#define INDEX_MASK  (BT_TLB_SIZE - 1)

_Static_assert(sizeof(struct bt_tlb_entry) == 1 << ENTRY_SHIFT, "ENTRY_SHIFT");
_Static_assert(BT_TLB_INDEX(5ull << 12 | 7ull << 21) == 12, "the hash that index_*() emit");

static unsigned tag_of(enum bt_access a)
{
	return a == BT_READ ? offsetof(struct bt_tlb_entry, read)
			    : offsetof(struct bt_tlb_entry, write);
}

/* ---- sites
 * --------------------------------------------------------------------------------------- */

uint32_t site_new(struct tr_build *b, unsigned size, enum bt_access a)
{
	uint32_t i = b->t->nsites++;

	b->t->site[i] = (struct tr_site){.block = b->block,
					 .off = b->insn[b->cur].off,
					 .size = (uint16_t)size,
					 .access = (uint8_t)a,
					 .len = cur_insn(b)->len,
					 .is_last = b->cur + 1 == b->n,
					 .ends = b->insn[b->cur].gen->flags & GEN_END};
	return i;
}

static uint32_t code_off(const struct tr_build *b)
{
	return (uint32_t)(b->e.p - b->t->rw);
}

void site_finish(struct tr_build *b)
{
	for (; b->pending_site < b->t->nsites; b->pending_site++)
		b->t->site[b->pending_site].next = code_off(b);
}

/* ---- addresses
 * ----------------------------------------------------------------------------------- */

/* Host register with the value of a guest register, loaded into `tmp` if it is in memory. */
static unsigned reg_value(struct tr_build *b, unsigned guest, unsigned tmp)
{
	unsigned h = reg_host(guest);

	if (h != H_NONE)
		return h;
	emit_load(&b->e, 8, tmp, hmem_ctx(CTX_GPR(guest)));
	return tmp;
}

static bool has_base_segment(const struct x86_insn *in)
{
	return in->mem.seg == X86_FS || in->mem.seg == X86_GS;
}

/* dst = base + index * scale + disp in `size` bytes. */
static void sum_parts(struct tr_build *b, const struct x86_insn *in, unsigned size, unsigned dst)
{
	struct hmem m = {
		.base = H_NONE, .index = H_NONE, .scale = 1, .disp = (int32_t)in->mem.disp};

	if (in->mem.base != X86_REG_NONE)
		m.base = (uint8_t)reg_value(b, in->mem.base, H_T0);
	if (in->mem.index != X86_REG_NONE) {
		m.index = (uint8_t)reg_value(b, in->mem.index, H_T1);
		m.scale = in->mem.scale;
	}
	emit_lea(&b->e, size, dst, m);
}

/* An address made of nothing but a constant, or one whose displacement does not fit LEA. */
static bool is_constant(const struct x86_insn *in)
{
	return in->mem.base == X86_REG_RIP ||
	       (in->mem.base == X86_REG_NONE && in->mem.index == X86_REG_NONE);
}

static uint64_t constant_address(const struct tr_build *b, const struct x86_insn *in, unsigned size)
{
	uint64_t a = (uint64_t)in->mem.disp;

	if (in->mem.base == X86_REG_RIP)
		a += next_rip(b);
	return size == 4 ? (uint32_t)a : a;
}

void mem_effective(struct tr_build *b, unsigned dst, bool with_segment)
{
	const struct x86_insn *in = cur_insn(b);

	unsigned size = in->addrsize == 4 || (in->op == X86_OP_LEA && in->opsize == 4) ? 4 : 8;

	if (is_constant(in))
		emit_mov_imm(&b->e, dst, constant_address(b, in, size));
	else
		sum_parts(b, in, size, dst);
	if (!with_segment || !has_base_segment(in))
		return;
	emit_load(&b->e, 8, H_T1, hmem_ctx(CTX_SEGBASE(in->mem.seg)));
	emit_lea(&b->e, b->x86_mode == X86_MODE_64 ? 8 : 4, dst, hmem_index(dst, H_T1, 0));
}

/* ---- checks
 * -------------------------------------------------------------------------------------- */

static struct tr_slow *slow_new(struct tr_build *b, uint32_t site, uint8_t *jump, unsigned tag)
{
	struct tr_slow *s = &b->slow[b->nslow];

	if (b->nslow + 1 < TR_MAX_SLOW)
		b->nslow++;
	*s = (struct tr_slow){.jump = jump, .site = site, .tag = (uint8_t)tag};
	return s;
}

/* H_T1 = offset of the TLB entry of the linear address in H_T0. Changes flags and H_T2. */
static void index_dead(struct tr_build *b)
{
	emit_rorx(&b->e, 4, H_T1, H_T0, 12);
	emit_rorx(&b->e, 4, H_T2, H_T0, 21);
	emit_rr(&b->e, OPC(0x01), 4, H_T2, H_T1); /* ADD */
	emit_alu_imm(&b->e, 4, 4, H_T1, INDEX_MASK);
	emit_shift(&b->e, 4, 4, H_T1, ENTRY_SHIFT);
}

/* The same without H_T2: the low bits are cleared so that they do not carry. */
static void index_dead_window(struct tr_build *b)
{
	emit_rorx(&b->e, 4, H_T1, H_T0, 9);
	emit_alu_imm(&b->e, 4, 4, H_T1, -(int32_t)BT_PAGE);
	emit_rr(&b->e, OPC(0x01), 4, H_T0, H_T1);
	emit_shift(&b->e, 5, 4, H_T1, 12 - ENTRY_SHIFT);
	emit_alu_imm(&b->e, 4, 4, H_T1, INDEX_MASK << ENTRY_SHIFT);
}

/* H_T2 = offset of the entry; H_T1 is changed, flags are not. */
static void index_live(struct tr_build *b)
{
	emit_rorx(&b->e, 4, H_T2, H_T0, 12);
	emit_rorx(&b->e, 4, H_T1, H_T0, 21);
	emit_lea(&b->e, 4, H_T2, hmem_index(H_T2, H_T1, 0));
	emit_pdep_mem(&b->e, H_T2, H_T2, hmem_ctx(CTX_SCRATCH(SCR_MASK_TLB)));
}

static struct hmem entry(struct tr_build *b, unsigned index, unsigned field)
{
	return hmem_ctx_index(index, b->t->tlb + (int32_t)field);
}

/* Flags are dead and H_T2 is free: H_T2 = offset in the page, then the addend. */
static void check_dead(struct tr_build *b, uint32_t site, unsigned size, unsigned tag)
{
	struct hmem m = entry(b, H_T1, tag),
		    addend = entry(b, H_T1, offsetof(struct bt_tlb_entry, addend));

	index_dead(b);
	emit_mov(&b->e, 8, H_T2, H_T0);
	emit_rm(&b->e, OPC(0x2b), 8, H_T2, &m);
	emit_alu_imm(&b->e, 7, 8, H_T2, (int32_t)(BT_PAGE - size));
	slow_new(b, site, emit_jcc(&b->e, CC_A), tag);
	emit_rm(&b->e, OPC(0x03), 8, H_T0, &addend);
}

/* Flags are dead, H_T2 is in use. */
static void check_dead_window(struct tr_build *b, uint32_t site, unsigned size, unsigned tag)
{
	struct hmem m = entry(b, H_T1, tag),
		    addend = entry(b, H_T1, offsetof(struct bt_tlb_entry, addend));

	index_dead_window(b);
	emit_rm(&b->e, OPC(0x2b), 8, H_T0, &m);
	emit_alu_imm(&b->e, 7, 8, H_T0, (int32_t)(BT_PAGE - size));
	slow_new(b, site, emit_jcc(&b->e, CC_A), tag)->add_tag = true;
	emit_rm(&b->e, OPC(0x03), 8, H_T0, &m);
	emit_rm(&b->e, OPC(0x03), 8, H_T0, &addend);
}

/* Flags stay: index by RORX, LEA and PDEP, comparison by NOT, LEA, PEXT and JRCXZ. */
static void check_live(struct tr_build *b, uint32_t site, unsigned size, unsigned tag, bool spill)
{
	struct emit *e = &b->e;
	uint8_t *ok;
	struct tr_slow *s;

	if (spill)
		emit_store(e, 8, hmem_ctx(CTX_SCRATCH(SCR_SPILL)), H_T2);
	index_live(b);
	emit_load(e, 8, H_T1, entry(b, H_T2, tag));
	emit_not(e, H_T1);
	emit_lea(e, 8, H_T1, hmem_index(H_T1, H_T0, (int32_t)size));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_MASK_PAGE)));
	ok = emit_jrcxz(e);
	s = slow_new(b, site, emit_jmp_far(e), tag);
	s->spilled = spill;
	if (!e->full)
		emit_patch8(ok, e->p);
	emit_load(e, 8, H_T1, entry(b, H_T2, offsetof(struct bt_tlb_entry, addend)));
	emit_lea(e, 8, H_T0, hmem_index(H_T0, H_T1, 0));
	if (spill)
		emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_SPILL)));
}

void mem_check(struct tr_build *b, unsigned size, enum bt_access a)
{
	uint32_t site = site_new(b, size, a);
	unsigned tag = tag_of(a);

	if (cur_live(b))
		check_live(b, site, size, tag, b->open != 0);
	else if (b->open)
		check_dead_window(b, site, size, tag);
	else
		check_dead(b, site, size, tag);
	b->t->site[site].resume = code_off(b);
}

/* ---- operands
 * ------------------------------------------------------------------------------------ */

static const struct tr_window *window_of(const struct tr_build *b)
{
	const struct tr_insn *ti = &b->insn[b->cur];

	return ti->window && ti->window == b->open ? &b->window[b->open] : NULL;
}

struct hmem mem_base(struct tr_build *b, unsigned base, int32_t disp, unsigned size,
		     enum bt_access a)
{
	const struct tr_window *w = window_of(b);

	if (w && w->base == base)
		return hmem_index(reg_host(base), H_T2, disp);
	emit_lea(&b->e, b->x86_mode == X86_MODE_64 ? 8 : 4, H_T0,
		 hmem_base(reg_value(b, base, H_T0), disp));
	mem_check(b, size, a);
	return hmem_base(H_T0, 0);
}

struct hmem mem_operand(struct tr_build *b, unsigned size, enum bt_access a)
{
	const struct x86_insn *in = cur_insn(b);

	if (window_of(b) && in->mem.index == X86_REG_NONE)
		return mem_base(b, in->mem.base, (int32_t)in->mem.disp, size, a);
	mem_effective(b, H_T0, true);
	mem_check(b, size, a);
	return hmem_base(H_T0, 0);
}

/* ---- windows
 * ------------------------------------------------------------------------------------- */

static void window_check_dead(struct tr_build *b, const struct tr_window *w, uint32_t site,
			      unsigned tag)
{
	struct hmem m = entry(b, H_T1, tag);

	index_dead(b);
	emit_rm(&b->e, OPC(0x2b), 8, H_T0, &m);
	emit_alu_imm(&b->e, 7, 8, H_T0, (int32_t)BT_PAGE - (w->hi - w->lo));
	slow_new(b, site, emit_jcc(&b->e, CC_A), tag)->add_tag = true;
	emit_load(&b->e, 8, H_T2, entry(b, H_T1, offsetof(struct bt_tlb_entry, addend)));
}

static void window_check_live(struct tr_build *b, const struct tr_window *w, uint32_t site,
			      unsigned tag)
{
	struct emit *e = &b->e;
	uint8_t *ok;

	index_live(b);
	emit_load(e, 8, H_T1, entry(b, H_T2, tag));
	emit_not(e, H_T1);
	emit_lea(e, 8, H_T1, hmem_index(H_T1, H_T0, w->hi - w->lo));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_MASK_PAGE)));
	ok = emit_jrcxz(e);
	slow_new(b, site, emit_jmp_far(e), tag);
	if (!e->full)
		emit_patch8(ok, e->p);
	emit_load(e, 8, H_T2, entry(b, H_T2, offsetof(struct bt_tlb_entry, addend)));
}

void mem_open_window(struct tr_build *b, struct tr_window *w)
{
	enum bt_access a = w->write ? BT_WRITE : BT_READ;
	uint32_t site = site_new(b, (unsigned)(w->hi - w->lo), a);

	b->t->site[site].resume = code_off(b); /* the whole check again */
	emit_lea(&b->e, 8, H_T0, hmem_base(reg_host(w->base), w->lo));
	if (cur_live(b))
		window_check_live(b, w, site, tag_of(a));
	else
		window_check_dead(b, w, site, tag_of(a));
	b->slow[b->nslow - 1].window = true;
}

/* ---- slow paths
 * ---------------------------------------------------------------------------------- */

void mem_emit_slow(struct tr_build *b)
{
	struct emit *e = &b->e;

	for (unsigned i = 0; i < b->nslow && !e->full; i++) {
		const struct tr_slow *s = &b->slow[i];
		struct hmem tag = entry(b, H_T1, s->tag);

		emit_patch32(s->jump, e->p);
		if (s->add_tag)
			emit_rm(e, OPC(0x03), 8, H_T0, &tag);
		if (s->spilled)
			emit_load(e, 8, H_T2, hmem_ctx(CTX_SCRATCH(SCR_SPILL)));
		emit_mov_imm(e, H_RCX, s->site);
		emit_jmp(e, s->window ? b->t->stub_window : b->t->stub_slow);
	}
}
