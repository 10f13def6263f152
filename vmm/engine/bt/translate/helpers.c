/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C functions that translated code calls. Guest registers are in the context block meanwhile,
 * status flags in SCR_FLAGS until a helper needs them in RFLAGS.
 */
#include <string.h>

#include "vmm/engine/bt/debug.h"
#include "vmm/engine/bt/mmu.h"
#include "vmm/engine/bt/translate/tr.h"
#include "x86/ops.h"

static void flags_in(struct bt_vcpu *v)
{
	uint64_t f = v->scratch[SCR_FLAGS];

	v->rflags = (v->rflags & ~(uint64_t)X86_F_STATUS) | (f >> 8 & 0xd5) | (f & 1) << 11;
}

static void flags_out(struct bt_vcpu *v)
{
	v->scratch[SCR_FLAGS] = ((v->rflags & 0xd5) | 2) << 8 | (v->rflags >> 11 & 1);
}

/* RF lasts for one instruction, and counts where there are breakpoints. */
static bool is_resumed(const struct bt_vcpu *v)
{
	return (v->mode & BT_MODE_POINTS) && (v->rflags & FL_RF);
}

static bool must_leave(const struct bt_vcpu *v)
{
	return atomic_load_explicit(&v->requests, memory_order_relaxed) || is_resumed(v) ||
	       v->activity != X86_ACTIVE || v->shutdown || !tr_mode_ok(v->mode);
}

/* ---- finding code
 * -------------------------------------------------------------------------------- */

/* A view's jump cache holds code for one mode. */
static void check_jump_cache(struct translator *t, struct bt_vcpu *v)
{
	uint32_t mode = tr_mode_key(v), *cached = &t->jc_mode[v->view - v->views];

	if (*cached == mode)
		return;
	*cached = mode;
	bt_jc_clear(v, v->view);
}

static bool is_hot(struct translator *t, gpa_t gpa)
{
	int8_t *heat = tr_heat(t, t->v->rip, gpa);

	if (*heat >= TR_HOT || t->one_block)
		return true;
	++*heat;
	return false;
}

/* Code that goes on in the next page, which the same view maps now. */
static uint32_t find_crossing(struct translator *t, struct bt_vcpu *v, uint32_t block, gpa_t gpa,
			      const uint8_t *host)
{
	uint64_t next = (v->rip | (BT_PAGE - 1)) + 1;
	const uint8_t *rest_host;
	gpa_t rest;

	if (BT_PAGE - (v->rip & (BT_PAGE - 1)) >= X86_MAX_INSN_LEN)
		return TR_NONE;
	if (!(v->mode & BT_MODE_CODE64))
		next = (uint32_t)next;
	if (!bt_code_gpa(v, next, &rest, &rest_host) || !rest_host)
		return TR_NONE;
	if (block != TR_NONE && t->block[block + 1].gpa == rest)
		return block;
	if (block != TR_NONE)
		tr_block_kill(t, block);
	return tr_translate_crossing(t, v->rip, gpa, host, rest, rest_host, tr_mode_key(v));
}

static uint32_t find_block(struct translator *t, struct bt_vcpu *v)
{
	uint32_t mode = tr_mode_key(v), i;
	const uint8_t *host;
	gpa_t gpa;

	t->is_cold = false;
	if (must_leave(v) || (t->one_block && t->entered) || t->flush_wanted ||
	    bt_breaks_at(v, v->rip) || !bt_code_gpa(v, v->rip, &gpa, &host) || !host)
		return TR_NONE;
	check_jump_cache(t, v);
	i = tr_block_find(t, v->rip, gpa, mode);
	if (i != TR_NONE)
		return t->block[i].crosses ? find_crossing(t, v, i, gpa, host) : i;
	t->is_cold = !is_hot(t, gpa);
	if (t->is_cold)
		return TR_NONE;
	i = tr_translate(t, v->rip, gpa, host, mode);
	return i != TR_NONE ? i : find_crossing(t, v, TR_NONE, gpa, host);
}

static const uint8_t *enter(struct translator *t, struct bt_vcpu *v, const uint8_t *code)
{
	tr_set_gs(t, v);
	tr_thread_refresh(v);
	flags_out(v);
	t->came_to = v->rip;
	t->came_with = v->rflags;
	return code;
}

/* `direct`: a jump of that kind has led here. */
static const uint8_t *go_to(struct translator *t, struct bt_vcpu *v, uint32_t block, bool direct)
{
	if (block == TR_NONE)
		return NULL;
	if (!t->one_block)
		tr_jc_fill(t, direct, &t->block[block]);
	return enter(t, v, tr_rx(t, t->block[block].entry));
}

const uint8_t *tr_dispatch(struct bt_vcpu *v)
{
	struct translator *t = tr_of(v);
	const struct bt_jc *jc = &v->view->jc[1];
	unsigned i = BT_JC_SECOND(v->rip);

	if (jc->va[i] != v->rip || must_leave(v) ||
	    t->jc_mode[v->view - v->views] != tr_mode_key(v))
		return go_to(t, v, find_block(t, v), false);
	return enter(t, v, (const uint8_t *)jc->code[i] + TR_POLL_LEN);
}

static uint64_t link_rip(const struct translator *t, const struct tr_link *l)
{
	const struct tr_block *owner = &t->block[l->block];
	uint64_t rip = owner->va + (uint64_t)(int64_t)l->delta;

	return owner->mode & BT_MODE_CODE64 ? rip : (uint32_t)rip;
}

const uint8_t *tr_help_link(struct bt_vcpu *v, uint32_t link)
{
	struct translator *t = tr_of(v);
	const struct tr_link *l = &t->link[link];
	const struct tr_block *owner = &t->block[l->block];
	uint32_t generation = t->generation, i;

	v->stat.link_misses++;
	flags_in(v);
	v->rip = link_rip(t, l);
	i = find_block(t, v);
	if (i == TR_NONE || generation != t->generation || owner->dead)
		return go_to(t, v, i, false);
	if (t->block[i].crosses)
		tr_link_far(t, link, i);
	else
		tr_link_to(t, link, i);
	return go_to(t, v, i, false);
}

/* A link to another page. What cannot be linked goes through the jump cache the next time. */
const uint8_t *tr_help_far(struct bt_vcpu *v, uint32_t link)
{
	struct translator *t = tr_of(v);
	const struct tr_link *l = &t->link[link &= ~TR_DIRECT];
	const struct tr_block *owner = &t->block[l->block];
	uint32_t generation = t->generation, i;

	v->stat.link_misses++;
	flags_in(v);
	v->rip = link_rip(t, l);
	i = find_block(t, v);
	if (i == TR_NONE || generation != t->generation || owner->dead || !tr_link_far(t, link, i))
		return go_to(t, v, i, true);
	return enter(t, v, tr_rx(t, t->block[i].entry));
}

const uint8_t *tr_help_poll(struct bt_vcpu *v, uint32_t block)
{
	flags_in(v);
	v->rip = tr_of(v)->block[block].va;
	tr_of(v)->polled = true;
	v->stat.polls++;
	return NULL;
}

/* ---- single instructions
 * ------------------------------------------------------------------------- */

static bool decode_bytes(struct translator *t, const struct tr_block *blk, const struct tr_site *s,
			 struct x86_insn *in)
{
	enum x86_mode mode = blk->mode & BT_MODE_CODE64 ? X86_MODE_64 : X86_MODE_32;
	struct bt_slot *slot = bt_slot_find(t->v->vm, blk->gpa + s->off);
	const uint8_t *p = slot->host + (blk->gpa + s->off - slot->gpa);
	unsigned room = blk->len - s->off;
	uint8_t buf[2 * X86_MAX_INSN_LEN];

	if (!blk->crosses)
		return x86_decode(p, room, mode, in) > 0;
	slot = bt_slot_find(t->v->vm, blk[1].gpa);
	memcpy(buf, p, room);
	memcpy(buf + room, slot->host + (blk[1].gpa - slot->gpa), blk[1].len);
	return x86_decode(buf, room + blk[1].len, mode, in) > 0;
}

/* The instruction at a site; NULL if it is none any more. */
static const struct x86_insn *decode_site(struct translator *t, uint32_t site)
{
	const struct tr_site *s = &t->site[site];
	struct tr_decoded *d = &t->decoded[site % TR_DECODED];

	if (d->site == site && d->generation == t->generation)
		return &d->in;
	d->site = TR_NONE;
	if (!decode_bytes(t, &t->block[s->block], s, &d->in))
		return NULL;
	d->site = site;
	d->generation = t->generation;
	return &d->in;
}

/* The instruction after STI or MOV SS comes before any interrupt. */
static void finish_shadow(struct bt_vcpu *v, const struct tr_site *s)
{
	if (!v->interrupt_shadow)
		return;
	if (atomic_load(&v->requests) || s->is_last || v->db_pending)
		bt_interpret_one(v);
	else
		v->interrupt_shadow = 0;
}

/* Data breakpoints trap behind their instruction. */
static const uint8_t *report_points(struct translator *t, struct bt_vcpu *v)
{
	v->dr[6] |= v->db_pending;
	v->db_pending = 0;
	bt_raise(v, EXC_DB);
	t->faulted = true;
	return NULL;
}

static const uint8_t *interpret(struct translator *t, struct bt_vcpu *v, uint32_t site)
{
	const struct tr_site *s = &t->site[site];
	const struct tr_block *blk = &t->block[s->block];
	struct bt_view *view = v->view;
	uint32_t mode = v->mode;
	const struct x86_insn *in;

	flags_in(v);
	v->rip = blk->va + s->off;
	in = decode_site(t, site);
	if (!in)
		return NULL;
	v->stat.fallbacks++;
	t->fallback[in->op]++;
	t->killed = false;
	v->rflags &= ~(uint64_t)FL_RF;
	v->interrupt_shadow = 0; /* was for this instruction, or one before it */
	if (!bt_interpret(v, in)) {
		tr_recover_flags(t, blk, s->since, s->off, s->all_dead);
		v->db_pending = 0; /* what it had met until then is lost */
		t->faulted = true;
		return NULL;
	}
	finish_shadow(v, s);
	if (v->db_pending)
		return report_points(t, v);
	if (s->ends || v->rip != blk->va + s->off + s->len || in->len != s->len ||
	    v->mode != mode || v->view != view || t->killed || tr_is_dropped(t, blk) ||
	    must_leave(v))
		return tr_dispatch(v);
	tr_thread_refresh(v);
	flags_out(v);
	return tr_rx(t, s->next);
}

const uint8_t *tr_help_interp(struct bt_vcpu *v, uint32_t site)
{
	return interpret(tr_of(v), v, site);
}

/* Of a return address, in whose place SCR_UNDER was. */
static void undo_push(struct bt_vcpu *v, unsigned size)
{
	bt_write(v, v->gpr[X86_RSP], &v->scratch[SCR_UNDER], size);
	v->gpr[X86_RSP] += size;
}

/* A jump to an address that is not canonical faults as the jump itself. */
static const uint8_t *refuse_jump(struct translator *t, struct bt_vcpu *v, uint32_t site)
{
	const struct tr_site *s = &t->site[site];
	const struct tr_block *blk = &t->block[s->block];
	const struct x86_insn *in = decode_site(t, site);

	v->rip = blk->va + s->off;
	if (!in)
		return NULL;
	if (in->op == X86_OP_RET)
		v->gpr[X86_RSP] -= in->opsize + (in->imm_len ? in->imm & 0xffff : 0);
	else if (in->op == X86_OP_CALL_IND)
		undo_push(v, in->opsize);
	bt_raise_error(v, EXC_GP, 0);
	t->faulted = true;
	return NULL;
}

/* A jump whose target, in SCR_T0, is not in the jump cache. */
const uint8_t *tr_help_jump(struct bt_vcpu *v, uint32_t site)
{
	if (site & TR_DIRECT)
		return tr_help_far(v, site);
	v->stat.jump_misses++;
	flags_in(v);
	v->rip = v->scratch[SCR_T0];
	if ((v->mode & BT_MODE_CODE64) && !bt_canonical(v->rip))
		return refuse_jump(tr_of(v), v, site);
	return tr_dispatch(v);
}

/* Why the instruction must be interpreted; the TLB has just been filled. */
static void count_slow(struct bt_vcpu *v, gva_t gva, unsigned size)
{
	if (v->fault.vector != BT_NO_FAULT)
		v->stat.slow_fault++;
	else if ((gva ^ (gva + size - 1)) & BT_PAGE_MASK)
		v->stat.slow_crossing++;
	else if (v->view->tlb->read[bt_tlb_index(v->view, gva)].tag == BT_TLB_TAG(gva))
		v->stat.slow_code_page++; /* memory, but not to be written */
	else
		v->stat.slow_device++;
}

const uint8_t *tr_site_resume(const struct translator *t, struct bt_vcpu *v,
			      const struct tr_site *s, const void *host)
{
	if (s->rechecks) {
		v->scratch[SCR_T0] = (uint64_t)host - (v->scratch[SCR_T0] & (BT_PAGE - 1));
		return tr_rx(t, s->resume + s->past);
	}
	if (s->in_two)
		v->scratch[s->in_t0 ? SCR_T0 : SCR_T2] = (uint64_t)host - v->scratch[SCR_T0];
	else if (s->thread)
		v->scratch[SCR_T0] = (uint64_t)host - (v->scratch[SCR_T0] - v->segbase[X86_FS]);
	else
		v->scratch[SCR_T0] = (uint64_t)host;
	return tr_rx(t, s->resume);
}

/* A TLB check failed: fills the TLB, or does the whole instruction where that does not help. */
const uint8_t *tr_help_slow(struct bt_vcpu *v, uint32_t site)
{
	struct translator *t = tr_of(v);
	struct tr_site *s = &t->site[site];
	uint64_t va = v->scratch[SCR_T0];
	const uint8_t *on;
	void *host;

	if (s->access == BT_READ || !bt_is_code_page(v, va, s->size, &host))
		host = s->rechecks ? bt_host_constant(v, va, s->size, s->access)
				   : bt_host(v, va, s->size, s->access);
	bt_tlb_grow(v);
	if (!host) {
		on = tr_cross(t, v, s);
		count_slow(v, va, s->size);
		return on ? on : interpret(t, v, site);
	}
	return tr_site_resume(t, v, s, host);
}

uint32_t tr_find_other(struct translator *t, struct bt_vcpu *v, uint32_t block, unsigned off,
		       uint32_t bits)
{
	const struct tr_block *blk = &t->block[block];
	uint32_t mode = blk->mode | bits, i;
	gpa_t gpa = blk->gpa + off;
	struct bt_slot *slot = bt_slot_find(v->vm, gpa);

	v->rip = blk->va + off;
	i = tr_block_find(t, v->rip, gpa, mode);
	if (i == TR_NONE && slot)
		i = tr_translate(t, v->rip, gpa, slot->host + (gpa - slot->gpa), mode);
	return i;
}

/* Goes on behind a window's check with what the check would have found. */
static const uint8_t *open_window(struct translator *t, struct bt_vcpu *v, const struct tr_site *s,
				  uint64_t addend)
{
	if (s->based)
		addend += v->gpr[s->len];
	v->scratch[s->slot ? SCR_WINDOW + s->slot - 1 : SCR_T2] = addend;
	v->scratch[SCR_T0] = addend;
	return tr_rx(t, s->resume + s->past);
}

/*
 * One of a window's accesses may fault: interprets from its check on, until that does. If none
 * does, as a store behind a branch may not be reached, the next time is the plain translation's.
 */
static const uint8_t *interpret_window(struct translator *t, struct bt_vcpu *v, struct tr_site *s)
{
	uint64_t exceptions = v->stat.exceptions;
	unsigned n = 0;

	flags_in(v);
	v->rip = t->block[s->block].va + s->off;
	tr_recover_flags(t, &t->block[s->block], s->since, s->off, s->all_dead);
	while (n < TR_MAX_INSNS && v->stat.exceptions == exceptions && !must_leave(v)) {
		bt_interpret_one(v);
		n++;
	}
	s->in_vain = n == TR_MAX_INSNS;
	return tr_dispatch(v);
}

/*
 * A window's check failed: fills the TLB, or continues in a translation without windows. Stores to
 * a code page need that only if somebody has decoded the bytes.
 */
const uint8_t *tr_help_window(struct bt_vcpu *v, uint32_t site)
{
	struct translator *t = tr_of(v);
	struct tr_site *s = &t->site[site];
	uint64_t va = v->scratch[SCR_T0];
	void *data = NULL;
	bool is_code = s->access != BT_READ && bt_is_code_page(v, va, s->size, &data);
	uint32_t i;

	bt_tlb_grow(v);
	if (data)
		return open_window(t, v, s, (uint64_t)data - va);
	if (!is_code && bt_host(v, va, s->size, s->access))
		return tr_rx(t, s->resume);
	if (!is_code && v->fault.vector != BT_NO_FAULT && !t->one_block && !s->in_vain)
		return interpret_window(t, v, s);
	v->stat.plain_windows++;
	flags_in(v);
	i = tr_find_other(t, v, s->block, s->off, TR_MODE_PLAIN);
	if (i == TR_NONE)
		return NULL;
	flags_out(v);
	return tr_rx(t, t->block[i].entry);
}

/* A window's range crosses pages: that link leads to the translation without windows. */
const uint8_t *tr_help_plain(struct bt_vcpu *v, uint32_t link)
{
	struct translator *t = tr_of(v);
	const struct tr_link *l = &t->link[link];
	uint32_t owner = l->block, generation = t->generation, i;

	flags_in(v);
	i = tr_find_other(t, v, owner, (uint32_t)l->delta, TR_MODE_PLAIN);
	if (i == TR_NONE)
		return NULL;
	if (generation == t->generation && !t->block[owner].dead)
		tr_link_to(t, link, i);
	flags_out(v);
	return tr_rx(t, t->block[i].entry);
}

/* signal.c has found the guest's exception; registers are saved by now. */
const uint8_t *tr_help_fault(struct bt_vcpu *v, uint32_t unused)
{
	struct translator *t = tr_of(v);

	(void)unused;
	if (t->fault_pc.guest & TR_PC_PARKED)
		v->scratch[SCR_FLAGS] = v->scratch[SCR_PARKED];
	flags_in(v);
	v->rip = t->fault_rip;
	tr_recover_flags(t, &t->block[t->fault_block], 0, t->fault_pc.guest & TR_PC_OFF,
			 t->fault_pc.guest & TR_PC_DEAD);
	v->fault = t->fault;
	t->faulted = true;
	return NULL;
}
