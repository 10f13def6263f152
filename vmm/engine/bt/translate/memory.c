/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operands: the linear address, and the TLB check in front of the access. What follows when
 * the check fails is slow.c's.
 *
 * The check compares the page of the operand's last byte with a tag and so covers presence, rights,
 * crossing, devices, translated code and dirty logging at once. Where status flags are live it is
 * made of instructions that leave them alone.
 */
#include "vmm/engine/bt/translate/build.h"

/* ---- sites
 * --------------------------------------------------------------------------------------- */

uint32_t site_new(struct tr_build *b, unsigned size, enum bt_access a)
{
	uint32_t i = b->t->nsites++;

	emit_forget(&b->e); /* what comes back from C has not got it */
	b->comes_back = true;
	b->t->site[i] = (struct tr_site){.block = b->block,
					 .off = b->insn[b->cur].off,
					 .size = (uint16_t)size,
					 .access = a & 3,
					 .len = cur_insn(b)->len & 15,
					 .is_last = b->cur + 1 == b->n,
					 .since = b->insn[b->cur].since,
					 .all_dead = !b->insn[b->cur].live,
					 .ends = b->insn[b->cur].gen->flags & GEN_END,
					 .on_copy = cross_on_copy(b, a)};
	return i;
}

static uint32_t code_off(const struct tr_build *b)
{
	return (uint32_t)(b->e.p - b->t->rw);
}

void site_finish(struct tr_build *b)
{
	if (b->comes_back)
		emit_forget(&b->e);
	b->comes_back = false;
	for (; b->pending_site < b->t->nsites; b->pending_site++)
		b->t->site[b->pending_site].next = code_off(b);
}

/* ---- addresses
 * ----------------------------------------------------------------------------------- */

unsigned reg_value(struct tr_build *b, unsigned guest, unsigned tmp)
{
	unsigned h = reg_host(guest);

	if (h == H_NONE)
		h = emit_holder(&b->e, CTX_GPR(guest));
	if (h != H_NONE)
		return h;
	emit_load(&b->e, 8, tmp, hmem_ctx(CTX_GPR(guest)));
	return tmp;
}

static bool has_base_segment(const struct x86_insn *in)
{
	return in->mem.seg == X86_FS || in->mem.seg == X86_GS;
}

/* The sum of guest registers and a constant, with H_T0 and H_T1 where they are in memory. */
static struct hmem registers(struct tr_build *b, unsigned base, unsigned index, unsigned scale,
			     int32_t disp)
{
	struct hmem m = {.base = H_NONE, .index = H_NONE, .scale = 1, .disp = disp};
	bool both = index != X86_REG_NONE && reg_host(index) == H_NONE;

	if (base != X86_REG_NONE && both && reg_host(base) == H_NONE)
		emit_load(&b->e, 8, m.base = H_T0, hmem_ctx(CTX_GPR(base)));
	else if (base != X86_REG_NONE)
		m.base = (uint8_t)reg_value(b, base, H_T0);
	if (index != X86_REG_NONE) {
		m.index = (uint8_t)reg_value(b, index, H_T1);
		m.scale = (uint8_t)scale;
	}
	return m;
}

/* dst = base + index * scale + disp in `size` bytes. */
static void sum_parts(struct tr_build *b, const struct x86_insn *in, unsigned size, unsigned dst)
{
	emit_lea(&b->e, size, dst,
		 registers(b, in->mem.base, in->mem.index, in->mem.scale, (int32_t)in->mem.disp));
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

/* FS and GS have a base in 64-bit mode; is_odd() has sent the others away. */
static void in_segment(struct tr_build *b, const struct x86_insn *in, unsigned size, unsigned dst)
{
	const struct hmem base = hmem_ctx(CTX_SEGBASE(in->mem.seg));

	if (in->mem.base == X86_REG_NONE && in->mem.index == X86_REG_NONE &&
	    in->mem.disp == (int32_t)in->mem.disp && size == 8) {
		emit_load(&b->e, 8, dst, base);
		emit_lea(&b->e, 8, dst, hmem_base(dst, (int32_t)in->mem.disp));
		return;
	}
	if (is_constant(in))
		emit_mov_imm(&b->e, dst, constant_address(b, in, size));
	else
		sum_parts(b, in, size, dst);
	emit_load(&b->e, 8, H_T1, base);
	emit_lea(&b->e, 8, dst, hmem_index(dst, H_T1, 0));
}

void mem_effective(struct tr_build *b, unsigned dst, bool with_segment)
{
	const struct x86_insn *in = cur_insn(b);

	unsigned size = in->addrsize == 4 || (in->op == X86_OP_LEA && in->opsize == 4) ? 4 : 8;

	if (with_segment && has_base_segment(in)) {
		in_segment(b, in, size, dst);
		return;
	}
	if (is_constant(in))
		emit_mov_imm(&b->e, dst, constant_address(b, in, size));
	else
		sum_parts(b, in, size, dst);
}

/* ---- checks
 * -------------------------------------------------------------------------------------- */

/* Words of the TLB entry whose offset is in a host register. */
static struct hmem tag_at(unsigned entry, bool write)
{
	return hmem_view_base(entry, write ? BT_TLB_AT(write[0].tag) : BT_TLB_AT(read[0].tag));
}

static struct hmem addend_at(unsigned entry, bool write)
{
	return hmem_view_base(entry,
			      write ? BT_TLB_AT(write[0].addend) : BT_TLB_AT(read[0].addend));
}

struct hmem mem_tlb_tag(bool write)
{
	return tag_at(H_T1, write);
}

struct hmem mem_tlb_addend(bool write)
{
	return addend_at(H_T1, write);
}

void mem_tlb_entry(struct emit *e, unsigned reg)
{
	struct hmem mask = hmem_ctx(CTX(tlb_mask));

	emit_rorx(e, 4, H_T1, reg, 12 - BT_TLB_ENTRY_SHIFT);
	emit_rm(e, OPC(0x23), 4, H_T1, &mask); /* AND */
}

/* The same for H_T0 without a change of flags, but later. */
static void entry_live(struct tr_build *b, unsigned dst)
{
	emit_rorx(&b->e, 8, dst, H_T0, 12);
	emit_pdep_mem(&b->e, dst, dst, hmem_ctx(CTX(tlb_mask)));
}

/* Is what is in `reg` more than the offset of an operand that ends in its page? Flags are dead. */
static struct tr_slow *compare_offset(struct tr_build *b, uint32_t site, unsigned size, bool write,
				      unsigned reg)
{
	emit_alu_imm(&b->e, 7, 8, reg, (int32_t)(BT_PAGE - size)); /* CMP */
	return slow_new(b, site, emit_jcc(&b->e, CC_A), write);
}

/* Flags are dead. H_T0 becomes the offset in the page, the TLB entry's offset is in H_T1. */
static struct tr_slow *check_dead(struct tr_build *b, uint32_t site, unsigned size, bool write)
{
	struct hmem tag = mem_tlb_tag(write);
	struct tr_slow *s;

	mem_tlb_entry(&b->e, H_T0);
	emit_rm(&b->e, OPC(0x03), 8, H_T0, &tag); /* ADD */
	s = compare_offset(b, site, size, write, H_T0);
	s->kind = SLOW_OFFSET;
	return s;
}

/* The same, but H_T0 becomes the host address. */
static void check_in_place(struct tr_build *b, uint32_t site, unsigned size, bool write)
{
	struct hmem tag = mem_tlb_tag(write), addend = mem_tlb_addend(write);

	check_dead(b, site, size, write);
	emit_rm(&b->e, OPC(0x2b), 8, H_T0, &tag); /* SUB */
	emit_rm(&b->e, OPC(0x03), 8, H_T0, &addend);
}

/* The same, but H_T0 stays and H_T2 becomes the addend. */
static void check_in_two(struct tr_build *b, uint32_t site, unsigned size, bool write)
{
	mem_tlb_entry(&b->e, H_T0);
	emit_load(&b->e, 8, H_T2, mem_tlb_addend(write));
	emit_load(&b->e, 8, H_T1, mem_tlb_tag(write));
	emit_rr(&b->e, OPC(0x01), 8, H_T0, H_T1); /* ADD */
	compare_offset(b, site, size, write, H_T1);
}

/* The same for [RSP + disp] by the copy of an entry; `dst` becomes the addend. */
static struct tr_slow *check_stack(struct tr_build *b, uint32_t site, int32_t disp, unsigned dst)
{
	struct tr_site *t = &b->t->site[site];
	struct tr_slow *s;

	if (cur_live(b)) {
		s = slow_new(b, site, stack_compare_live(b, disp), t->access != BT_READ);
	} else {
		stack_offset(b, disp);
		s = compare_offset(b, site, t->size, t->access != BT_READ, H_T0);
	}
	emit_load(&b->e, 8, dst, hmem_ctx(CTX(stack.addend)));
	s->kind = SLOW_STACK;
	s->address = (uint64_t)disp;
	s->dst = (uint8_t)dst;
	s->back = b->e.p;
	return s;
}

/*
 * Flags stay: index and comparison by PDEP, LEA, PEXT and JRCXZ, which leaves the addend in
 * `addend`. The entry stays in H_T2 if that is free, or is made again.
 */
static struct tr_slow *check_live(struct tr_build *b, uint32_t site, int32_t size, bool write,
				  unsigned addend)
{
	unsigned entry = b->open ? H_T1 : H_T2;
	struct emit *e = &b->e;
	struct tr_slow *s;
	uint8_t *ok;

	entry_live(b, entry);
	emit_load(e, 8, H_T1, tag_at(entry, write));
	emit_lea(e, 8, H_T1, hmem_index(H_T1, H_T0, size - 1));
	emit_pext_mem(e, H_T1, H_T1, hmem_ctx(CTX_SCRATCH(SCR_MASK_PAGE)));
	ok = emit_jrcxz(e);
	s = slow_new(b, site, emit_jmp_far(e), write);
	if (!e->full)
		emit_patch8(ok, e->p);
	if (entry == H_T1)
		entry_live(b, entry);
	emit_load(e, 8, addend, addend_at(entry, write));
	return s;
}

/* An operand off RSP. */
static struct hmem check_off_stack(struct tr_build *b, struct hmem linear, unsigned size,
				   enum bt_access a)
{
	uint32_t site = site_new(b, size, a);
	unsigned addend = b->open ? H_T0 : H_T2;

	b->t->site[site].in_two = true;
	b->t->site[site].in_t0 = addend == H_T0;
	check_stack(b, site, linear.disp, addend);
	b->t->site[site].resume = code_off(b);
	return hmem_index(H_RSP, addend, linear.disp);
}

/*
 * Checks the linear address in H_T0. If it is `linear` as well, a guest's base register and a
 * displacement, the operand is made of that.
 */
static struct hmem check(struct tr_build *b, unsigned size, enum bt_access a, struct hmem linear)
{
	bool write = a != BT_READ, in_two = !b->open, live = cur_live(b);
	uint32_t site;

	if (b->mode & TR_MODE_COPY) {
		emit_load(&b->e, 8, H_T0, hmem_ctx(CTX_SCRATCH(SCR_COPY)));
		return hmem_base(H_T0, 0);
	}
	site = site_new(b, size, a);
	b->t->site[site].in_two = in_two;
	if (live) {
		check_live(b, site, (int32_t)size, write, in_two ? H_T2 : H_T1);
		if (!in_two)
			emit_lea(&b->e, 8, H_T0, hmem_index(H_T0, H_T1, 0));
	} else if (!in_two) {
		check_in_place(b, site, size, write);
	} else if (linear.base == H_T0) {
		check_in_two(b, site, size, write);
	} else {
		check_dead(b, site, size, write);
		emit_load(&b->e, 8, H_T2, mem_tlb_addend(write));
	}
	b->t->site[site].resume = code_off(b);
	if (!in_two)
		return hmem_base(H_T0, 0);
	return live ? hmem_index(H_T0, H_T2, 0) : hmem_index(linear.base, H_T2, linear.disp);
}

struct hmem mem_check(struct tr_build *b, unsigned size, enum bt_access a)
{
	return check(b, size, a, hmem_base(H_T0, 0));
}

static struct hmem check_base(struct tr_build *b, unsigned base, int32_t disp, unsigned size,
			      enum bt_access a)
{
	const struct hmem linear = hmem_base(base, disp);

	if (stack_is_base(b, base) && (!cur_live(b) || size == STACK_WORD))
		return check_off_stack(b, linear, size, a);
	emit_lea(&b->e, 8, H_T0, linear);
	return check(b, size, a, linear);
}

struct hmem mem_in_one(struct tr_build *b, struct hmem m)
{
	if (!hmem_uses(&m, H_T0) || !hmem_uses(&m, H_T2))
		return m;
	emit_lea(&b->e, 8, H_T0, m);
	return hmem_base(H_T0, 0);
}

/* ---- constant addresses: the entry is known, and the page to compare with ---------------------
 */

static struct hmem constant_tag(uint64_t address, bool write)
{
	unsigned i = BT_TLB_CONSTANT(address);

	return hmem_view(write ? BT_TLB_AT(write[i].tag) : BT_TLB_AT(read[i].tag));
}

static struct hmem constant_host(uint64_t address, bool write)
{
	unsigned i = BT_TLB_CONSTANT(address);

	return hmem_view(write ? BT_TLB_AT(more[i].write_host) : BT_TLB_AT(more[i].read_host));
}

/*
 * Bits 47:16 of the tag tell: the entry's place tells what is below, and addresses are canonical.
 * Returns the jump if it is not the tag of `address`.
 */
static uint8_t *constant_compare(struct tr_build *b, uint64_t address, bool write)
{
	struct hmem tag = constant_tag(address, write);
	uint32_t want = (uint32_t)(BT_TLB_TAG(address) >> 16);
	struct emit *e = &b->e;
	uint8_t *ok, *jump;

	tag.disp += 2;
	if (!cur_live(b)) {
		emit_rm(e, OPC(0x81), 4, 7, &tag); /* CMP m32, imm32 */
		emit_u32(e, want);
		return emit_jcc(e, CC_NE);
	}
	emit_load(e, 4, H_T1, tag);
	emit_lea(e, 4, H_T1, hmem_base(H_T1, (int32_t)(0 - want)));
	ok = emit_jrcxz(e);
	jump = emit_jmp_far(e);
	if (!e->full)
		emit_patch8(ok, e->p);
	return jump;
}

static struct hmem mem_constant(struct tr_build *b, uint64_t address, unsigned size,
				enum bt_access a)
{
	uint32_t site = site_new(b, size, a);
	bool write = a != BT_READ;
	struct tr_slow *s;

	b->t->site[site].resume = code_off(b);
	b->t->site[site].rechecks = true;
	s = slow_new(b, site, constant_compare(b, address, write), write);
	s->kind = SLOW_CONSTANT;
	s->address = address;
	emit_load(&b->e, 8, H_T0, constant_host(address, write));
	b->t->site[site].past = (uint16_t)(code_off(b) - b->t->site[site].resume);
	return hmem_base(H_T0, (int32_t)(address & (BT_PAGE - 1)));
}

static struct hmem mem_thread(struct tr_build *b, unsigned size)
{
	uint32_t site = site_new(b, size, BT_READ);
	struct tr_slow *s;

	s = slow_new(b, site, thread_load(b), false);
	s->kind = SLOW_THREAD;
	s->address = (uint64_t)cur_insn(b)->mem.disp;
	s->back = b->e.p;
	b->t->site[site].resume = code_off(b);
	b->t->site[site].thread = true;
	return hmem_base(H_T0, (int32_t)cur_insn(b)->mem.disp);
}

/* ---- operands
 * ------------------------------------------------------------------------------------ */

/* The window that covers the current instruction's access, NULL: it has its own check. */
static const struct tr_window *window_of(const struct tr_build *b)
{
	unsigned n = b->insn[b->cur].window;

	return n ? &b->window[n] : NULL;
}

static struct hmem window_slot(const struct tr_window *w)
{
	return hmem_ctx(CTX_SCRATCH(SCR_WINDOW + w->slot - 1));
}

/* Host register with the window's addend: H_T2, or loaded into `tmp`. */
static unsigned window_addend(struct tr_build *b, const struct tr_window *w, unsigned tmp)
{
	if (w->slot == 0)
		return H_T2;
	emit_load(&b->e, 8, tmp, window_slot(w));
	return tmp;
}

/* One register and the addend make the host address. */
static struct hmem in_window_base(struct tr_build *b, const struct tr_window *w, unsigned base,
				  int32_t disp)
{
	unsigned h = reg_host(base);

	if (h != H_NONE)
		return hmem_index(h, window_addend(b, w, call_keeps_target(b) ? H_T2 : H_T0), disp);
	emit_load(&b->e, 8, H_T0, hmem_ctx(CTX_GPR(base)));
	if (w->slot == 0)
		return hmem_index(H_T0, H_T2, disp);
	emit_lea(&b->e, 8, H_T0, hmem_index(H_T0, window_addend(b, w, H_T1), disp));
	return hmem_base(H_T0, 0);
}

/* The slot and the index make it. */
static struct hmem in_window_based(struct tr_build *b, const struct tr_window *w)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned index = reg_host(in->mem.index);
	struct hmem m = {.scale = in->mem.scale};

	if (index == H_NONE)
		emit_load(&b->e, 8, index = w->slot ? H_T1 : H_T0,
			  hmem_ctx(CTX_GPR(in->mem.index)));
	m.base = (uint8_t)window_addend(b, w, H_T0);
	m.index = (uint8_t)index;
	m.disp = (int32_t)in->mem.disp + b->value[b->cur][in->mem.base].offset - w->base_offset;
	if (index != H_T1)
		return m;
	emit_lea(&b->e, 8, H_T0, m);
	return hmem_base(H_T0, 0);
}

static struct hmem in_window(struct tr_build *b, const struct tr_window *w)
{
	const struct x86_insn *in = cur_insn(b);
	unsigned addend;

	if (w->based)
		return in_window_based(b, w);
	if (in->mem.index == X86_REG_NONE)
		return in_window_base(b, w, in->mem.base, (int32_t)in->mem.disp);
	sum_parts(b, in, 8, H_T0);
	addend = window_addend(b, w, H_T1);
	if (addend == H_T2)
		return hmem_index(H_T0, H_T2, 0);
	emit_lea(&b->e, 8, H_T0, hmem_index(H_T0, addend, 0));
	return hmem_base(H_T0, 0);
}

struct hmem mem_base(struct tr_build *b, unsigned base, int32_t disp, unsigned size,
		     enum bt_access a)
{
	const struct tr_window *w = window_of(b);
	unsigned h = reg_host(base);

	if (w)
		return in_window_base(b, w, base, disp);
	if (b->x86_mode == X86_MODE_64 && h != H_NONE)
		return check_base(b, h, disp, size, a);
	emit_lea(&b->e, b->x86_mode == X86_MODE_64 ? 8 : 4, H_T0,
		 hmem_base(reg_value(b, base, H_T0), disp));
	return mem_check(b, size, a);
}

/* An operand of one register, which is in a host register, and a displacement. */
static bool is_base(const struct x86_insn *in)
{
	return in->addrsize == 8 && in->mem.base < X86_NGPR && in->mem.index == X86_REG_NONE &&
	       reg_host(in->mem.base) != H_NONE && !has_base_segment(in);
}

/*
 * The linear address of an operand in FS or GS of 32-bit code into H_T0. One beyond the limit is
 * the interpreter's. Flags stay.
 */
static void in_limited(struct tr_build *b, unsigned size)
{
	unsigned seg = cur_insn(b)->mem.seg;
	uint32_t site = site_new(b, 0, BT_READ);
	struct emit *e = &b->e;
	uint8_t *inside;

	mem_effective(b, H_T0, false);
	emit_load(e, 8, H_T1, hmem_ctx(CTX_BEYOND(seg)));
	emit_lea(e, 8, H_T1, hmem_index(H_T1, H_T0, (int32_t)size - 1));
	emit_rorx(e, 8, H_T1, H_T1, 32);
	emit_lea(e, 4, H_T1, hmem_base(H_T1, 1)); /* 0: the sum was negative */
	inside = emit_jrcxz(e);
	slow_new(b, site, emit_jmp_far(e), false)->kind = SLOW_LIMIT;
	if (!e->full)
		emit_patch8(inside, e->p);
	emit_load(e, 8, H_T1, hmem_ctx(CTX_SEGBASE(seg)));
	emit_lea(e, 4, H_T0, hmem_index(H_T0, H_T1, 0));
}

struct hmem mem_operand(struct tr_build *b, unsigned size, enum bt_access a)
{
	const struct x86_insn *in = cur_insn(b);
	const struct tr_window *w = window_of(b);
	uint64_t address;

	if (w && !(b->insn[b->cur].gen->flags & GEN_STACK))
		return in_window(b, w);
	if (is_constant(in) && !has_base_segment(in)) {
		address = constant_address(b, in, in->addrsize);
		if (bt_canonical(address) && !((address ^ (address + size - 1)) & BT_PAGE_MASK))
			return mem_constant(b, address, size, a);
	}
	if (is_base(in))
		return check_base(b, reg_host(in->mem.base), (int32_t)in->mem.disp, size, a);
	if (thread_has(b, size, a))
		return mem_thread(b, size);
	if (b->x86_mode != X86_MODE_64 && has_base_segment(in))
		in_limited(b, size);
	else
		mem_effective(b, H_T0, true);
	return mem_check(b, size, a);
}

/* ---- windows
 * ------------------------------------------------------------------------------------- */

/* What a check leaves the addend in; a guess is compared with H_T0. */
static unsigned window_reg(const struct tr_window *w)
{
	return !w->slot ? H_T2 : w->chases ? H_T1 : H_T0;
}

static void window_address(struct tr_build *b, const struct tr_window *w)
{
	emit_lea(&b->e, 8, H_T0, registers(b, w->base, w->index, w->scale, w->lo));
}

static void window_check_dead(struct tr_build *b, const struct tr_window *w, uint32_t site)
{
	uint8_t dst = (uint8_t)window_reg(w);
	struct tr_slow *s;

	window_address(b, w);
	check_dead(b, site, (unsigned)(w->hi - w->lo), w->write)->window = true;
	emit_load(&b->e, 8, w->chases ? H_T0 : dst, mem_tlb_addend(w->write));
	if (!w->chases)
		return;
	s = slow_new(b, site, chase_guess(b, site, dst), w->write);
	s->kind = SLOW_CHASE;
	s->follows = w->slot == 0 && chase_follows(b);
	s->dst = dst;
	s->back = b->e.p;
	if (s->follows)
		chase_foretell(b, site, w->base);
}

static void window_check_live(struct tr_build *b, const struct tr_window *w, uint32_t site)
{
	window_address(b, w);
	check_live(b, site, w->hi - w->lo, w->write, window_reg(w))->window = true;
}

static bool is_on_stack(const struct tr_build *b, const struct tr_window *w)
{
	return stack_is_base(b, w->base) && w->index == X86_REG_NONE && !w->chases &&
	       (!cur_live(b) || w->hi - w->lo == STACK_WORD);
}

static void window_check_stack(struct tr_build *b, const struct tr_window *w, uint32_t site)
{
	check_stack(b, site, w->lo, window_reg(w))->window = true;
}

static void add_base(struct tr_build *b, const struct tr_window *w, uint32_t site)
{
	unsigned reg = window_reg(w);

	emit_lea(&b->e, 8, reg,
		 hmem_index(reg_value(b, w->base, reg == H_T0 ? H_T1 : H_T0), reg, 0));
	b->t->site[site].based = true;
	b->t->site[site].len = w->base & 15;
}

void mem_open_window(struct tr_build *b, struct tr_window *w)
{
	bool comes_back = b->comes_back;
	uint32_t site = site_new(b, (unsigned)(w->hi - w->lo), w->write ? BT_WRITE : BT_READ);
	struct tr_site *s = &b->t->site[site];

	b->comes_back = comes_back; /* not behind the instruction, and with H_T0: open_window() */
	s->slot = w->slot & 3;
	s->resume = code_off(b); /* the whole check again */
	if (is_on_stack(b, w))
		window_check_stack(b, w, site);
	else if (cur_live(b))
		window_check_live(b, w, site);
	else
		window_check_dead(b, w, site);
	if (w->based)
		add_base(b, w, site);
	emit_forget(&b->e); /* open_window() comes back without the base */
	if (w->slot)
		emit_store(&b->e, 8, window_slot(w), window_reg(w));
	if (w->chases)
		emit_changes(&b->e, H_T1);
	s->past = (uint16_t)(code_off(b) - s->resume);
}
