/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Far JMP, CALL and RET, call gates, and IRET in every mode (Intel SDM volume 2 under these
 * mnemonics, volume 3A section 5.8).
 */
#include "vmm/engine/bt/seg.h"

#define SYS_CALL_GATE16 4
#define SYS_TASK_GATE   5
#define SYS_IS_TSS(t)   (((t)&5) == 1) /* 16- or 32-bit, available or busy */
#define SYS_CALL_GATE32 12

static uint64_t size_mask(unsigned opsize)
{
	return opsize == 8 ? ~0ull : opsize == 4 ? 0xffffffffull : 0xffffull;
}

/* May control go to `off` in the code segment `cs`? */
static bool check_target(struct bt_vcpu *v, const struct x86_segment *cs, uint64_t off)
{
	if (bt_long(v) && (cs->attr & X86_ATTR_L))
		return bt_canonical(off) || bt_raise_error(v, EXC_GP, 0);
	return (off & 0xffffffff) <= cs->limit || bt_raise_error(v, EXC_GP, 0);
}

static void enter_code(struct bt_vcpu *v, const struct x86_segment *cs, uint64_t off)
{
	bt_seg_set(v, X86_CS, cs);
	v->next_rip = bt_long(v) && (cs->attr & X86_ATTR_L) ? off : off & 0xffffffff;
	bt_mode_changed(v);
}

static struct x86_segment real_code(struct bt_vcpu *v, uint16_t sel)
{
	struct x86_segment cs = v->seg[X86_CS];

	cs.selector = sel;
	cs.base = (uint64_t)sel << 4;
	if (v->mode & BT_MODE_V86)
		cs.attr = 0xf3;
	return cs;
}

/* A present code segment in a form that this mode knows, at its own privilege. */
static bool check_code(struct bt_vcpu *v, uint16_t sel, struct bt_desc *d)
{
	if (!bt_desc_is_code(d) || (bt_long(v) && (d->hi & 0x600000) == 0x600000))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	return bt_desc_present(d) || bt_raise_error(v, EXC_NP, sel & ~3u);
}

/* Direct transfer to a code segment: the privilege level stays. */
static bool direct_target(struct bt_vcpu *v, uint16_t sel, struct bt_desc *d, uint64_t off,
			  struct x86_segment *cs)
{
	bool conforming = bt_desc_type(d) & 4;
	unsigned dpl = bt_desc_dpl(d);

	if (bt_desc_is_code(d) &&
	    (conforming ? dpl > v->cpl : (sel & 3u) > v->cpl || dpl != v->cpl))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!check_code(v, sel, d) || !bt_desc_touch(v, sel, d))
		return false;
	bt_desc_segment(d, (uint16_t)((sel & ~3u) | v->cpl), cs);
	return check_target(v, cs, off);
}

/* ---- call gates ------------------------------------------------------------------------------ */

struct call_gate {
	uint16_t selector;
	uint64_t offset;
	unsigned size, params; /* of a push: 2, 4, 8; parameters to copy */
	struct bt_desc code;
	bool inner; /* a more privileged ring: new stack */
};

/* `jump`: JMP goes through a gate only to its own ring. */
static bool gate_open(struct bt_vcpu *v, uint16_t sel, struct bt_desc *d, bool jump,
		      struct call_gate *g)
{
	unsigned type = bt_desc_type(d), dpl;

	if (type != SYS_CALL_GATE32 && (type != SYS_CALL_GATE16 || bt_long(v)))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (bt_desc_dpl(d) < v->cpl || bt_desc_dpl(d) < (sel & 3u))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!bt_desc_present(d))
		return bt_raise_error(v, EXC_NP, sel & ~3u);
	if (bt_long(v) && !bt_desc_read_high(v, sel, EXC_GP, d))
		return false;
	g->selector = (uint16_t)(d->lo >> 16);
	g->offset = (d->lo & 0xffff) | (d->hi & 0xffff0000) | (uint64_t)d->base_high << 32;
	g->size = bt_long(v) ? 8 : type == SYS_CALL_GATE32 ? 4 : 2;
	g->params = bt_long(v) ? 0 : d->hi & 31;
	if (g->size == 2)
		g->offset &= 0xffff;
	if (!(g->selector & ~3u))
		return bt_raise_error(v, EXC_GP, 0);
	if (!bt_desc_read(v, g->selector, 0, EXC_GP, &g->code))
		return false;
	dpl = bt_desc_dpl(&g->code);
	g->inner = !jump && !(bt_desc_type(&g->code) & 4) && dpl < v->cpl;
	if (dpl > v->cpl || (jump && !(bt_desc_type(&g->code) & 4) && dpl != v->cpl) ||
	    (bt_long(v) && !bt_desc_is_code64(&g->code)))
		return bt_raise_error(v, EXC_GP, g->selector & ~3u);
	return check_code(v, g->selector, &g->code) && bt_desc_touch(v, g->selector, &g->code);
}

static bool copy_params(struct bt_vcpu *v, struct bt_stack *st, const struct call_gate *g)
{
	struct bt_stack from;
	uint64_t val[32];

	bt_stack_open(v, &from);
	for (unsigned i = 0; i < g->params; i++)
		if (!bt_pop(&from, g->size, &val[i]))
			return false;
	for (unsigned i = g->params; i-- > 0;)
		if (!bt_push(st, g->size, val[i]))
			return false;
	return true;
}

static bool call_inner(struct bt_vcpu *v, const struct call_gate *g)
{
	unsigned cpl = bt_desc_dpl(&g->code);
	struct x86_segment ss = {.selector = (uint16_t)cpl, .attr = X86_ATTR_UNUSABLE | cpl << 5},
			   cs;
	struct bt_stack st;
	uint64_t sp;
	uint16_t sel;

	if (bt_long(v)) {
		if (!bt_tss_rsp(v, cpl, 0, &sp))
			return false;
		bt_stack_long(v, &st, sp);
	} else {
		if (!bt_tss_stack(v, cpl, 0, &sel, &sp) || !bt_check_inner_ss(v, sel, cpl, 0, &ss))
			return false;
		bt_stack_inner(v, &st, &ss, sp, 0);
	}
	bt_desc_segment(&g->code, (uint16_t)((g->selector & ~3u) | cpl), &cs);
	if (!check_target(v, &cs, g->offset) || !bt_push(&st, g->size, v->seg[X86_SS].selector) ||
	    !bt_push(&st, g->size, v->gpr[X86_RSP]) || !copy_params(v, &st, g) ||
	    !bt_push(&st, g->size, v->seg[X86_CS].selector) || !bt_push(&st, g->size, v->next_rip))
		return false;
	bt_seg_set(v, X86_SS, &ss);
	bt_stack_commit(&st);
	enter_code(v, &cs, g->offset);
	return true;
}

/* ---- JMP and CALL ---------------------------------------------------------------------------- */

static bool push_return(struct bt_vcpu *v, struct bt_stack *st, unsigned size)
{
	bt_stack_open(v, st);
	return bt_push(st, size, v->seg[X86_CS].selector) && bt_push(st, size, v->next_rip);
}

/* A TSS or a task gate as target. */
static bool is_task(const struct bt_vcpu *v, const struct bt_desc *d)
{
	unsigned type = bt_desc_type(d);

	return !bt_long(v) && bt_desc_is_system(d) && (type == SYS_TASK_GATE || SYS_IS_TSS(type));
}

static bool transfer_task(struct bt_vcpu *v, uint16_t sel, const struct bt_desc *d, bool call)
{
	if (bt_desc_dpl(d) < v->cpl || bt_desc_dpl(d) < (sel & 3u))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (bt_desc_type(d) == SYS_TASK_GATE) {
		if (!bt_desc_present(d))
			return bt_raise_error(v, EXC_NP, sel & ~3u);
		sel = (uint16_t)(d->lo >> 16);
	}
	return bt_task_switch(v, sel, call ? BT_TASK_CALL : BT_TASK_JMP, NULL);
}

static bool transfer(struct bt_vcpu *v, uint16_t sel, uint64_t off, unsigned opsize, bool call)
{
	struct x86_segment cs;
	struct bt_desc d;
	struct call_gate g;
	struct bt_stack st;

	off &= size_mask(opsize);
	if (!bt_protected(v)) {
		cs = real_code(v, sel);
	} else {
		if (!(sel & ~3u))
			return bt_raise_error(v, EXC_GP, 0);
		if (!bt_desc_read(v, sel, 0, EXC_GP, &d))
			return false;
		if (is_task(v, &d))
			return transfer_task(v, sel, &d, call);
		if (bt_desc_is_system(&d)) {
			if (!gate_open(v, sel, &d, !call, &g))
				return false;
			if (g.inner)
				return call_inner(v, &g);
			bt_desc_segment(&g.code, (uint16_t)((g.selector & ~3u) | v->cpl), &cs);
			off = g.offset;
			opsize = g.size;
		} else if (!direct_target(v, sel, &d, off, &cs)) {
			return false;
		}
	}
	if (!check_target(v, &cs, off) || (call && !push_return(v, &st, opsize)))
		return false;
	if (call)
		bt_stack_commit(&st);
	enter_code(v, &cs, off);
	return true;
}

bool bt_far_jump(struct bt_vcpu *v, uint16_t sel, uint64_t off, unsigned opsize)
{
	return transfer(v, sel, off, opsize, false);
}

bool bt_far_call(struct bt_vcpu *v, uint16_t sel, uint64_t off, unsigned opsize)
{
	return transfer(v, sel, off, opsize, true);
}

/* ---- returns --------------------------------------------------------------------------------- */

/* What RET FAR and IRET do with the popped CS: may control return there? */
static bool return_code(struct bt_vcpu *v, uint16_t sel, uint64_t off, struct x86_segment *cs)
{
	struct bt_desc d;
	unsigned rpl = sel & 3;

	if (!(sel & ~3u))
		return bt_raise_error(v, EXC_GP, 0);
	if (!bt_desc_read(v, sel, 0, EXC_GP, &d))
		return false;
	if (rpl < v->cpl || !bt_desc_is_code(&d) ||
	    (bt_desc_type(&d) & 4 ? bt_desc_dpl(&d) > rpl : bt_desc_dpl(&d) != rpl))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!check_code(v, sel, &d) || !bt_desc_touch(v, sel, &d))
		return false;
	bt_desc_segment(&d, sel, cs);
	return check_target(v, cs, off);
}

/* The popped SS; null is allowed for 64-bit code outside ring 3. */
static bool return_stack(struct bt_vcpu *v, uint16_t sel, unsigned rpl,
			 const struct x86_segment *cs, struct x86_segment *ss)
{
	struct bt_desc d;

	if (!(sel & ~3u)) {
		if (!bt_long(v) || !(cs->attr & X86_ATTR_L) || rpl == 3 || (sel & 3u) != rpl)
			return bt_raise_error(v, EXC_GP, 0);
		*ss = (struct x86_segment){.selector = sel, .attr = X86_ATTR_UNUSABLE | rpl << 5};
		return true;
	}
	if (!bt_desc_read(v, sel, 0, EXC_GP, &d))
		return false;
	if ((sel & 3u) != rpl || bt_desc_is_system(&d) || (bt_desc_type(&d) & 10) != 2 ||
	    bt_desc_dpl(&d) != rpl)
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!bt_desc_present(&d))
		return bt_raise_error(v, EXC_SS, sel & ~3u);
	if (!bt_desc_touch(v, sel, &d))
		return false;
	bt_desc_segment(&d, sel, ss);
	return true;
}

/* Data registers that the outer ring must not keep become null; a null one loses its RPL, not the
 * base that FS or GS may have been given. */
static void drop_inner_segments(struct bt_vcpu *v)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < 4; i++) {
		const struct x86_segment *s = &v->seg[data[i]];
		bool conforming = (s->attr & 0x1c) == 0x1c;

		if (s->attr & X86_ATTR_UNUSABLE)
			v->seg[data[i]].selector = 0;
		else if (!conforming && X86_ATTR_DPL(s->attr) < v->cpl)
			bt_seg_null(v, data[i], 0);
	}
}

static void set_stack_pointer(struct bt_vcpu *v, const struct x86_segment *cs,
			      const struct x86_segment *ss, uint64_t sp)
{
	bool code64 = bt_long(v) && (cs->attr & X86_ATTR_L);

	if (code64)
		v->gpr[X86_RSP] = sp;
	else if (ss->attr & X86_ATTR_DB)
		v->gpr[X86_RSP] = sp & 0xffffffff;
	else
		v->gpr[X86_RSP] = (v->gpr[X86_RSP] & ~0xffffull) | (sp & 0xffff);
}

static void leave_ring(struct bt_vcpu *v, const struct x86_segment *cs,
		       const struct x86_segment *ss, uint64_t sp, uint64_t off)
{
	bt_seg_set(v, X86_SS, ss);
	set_stack_pointer(v, cs, ss, sp);
	enter_code(v, cs, off);
	drop_inner_segments(v);
	bt_mode_changed(v);
}

static bool real_return(struct bt_vcpu *v, struct bt_stack *st, uint16_t sel, uint64_t off,
			unsigned release)
{
	struct x86_segment cs = real_code(v, sel);

	if (!check_target(v, &cs, off))
		return false;
	st->sp += release;
	bt_stack_commit(st);
	enter_code(v, &cs, off);
	return true;
}

bool bt_far_return(struct bt_vcpu *v, unsigned opsize, unsigned release)
{
	struct bt_stack st;
	struct x86_segment cs, ss;
	uint64_t off, sel, sp, ss_sel;

	bt_stack_open(v, &st);
	if (!bt_pop(&st, opsize, &off) || !bt_pop(&st, opsize, &sel))
		return false;
	if (!bt_protected(v))
		return real_return(v, &st, (uint16_t)sel, off, release);
	if (!return_code(v, (uint16_t)sel, off, &cs))
		return false;
	st.sp += release;
	if ((sel & 3) == v->cpl) {
		bt_stack_commit(&st);
		enter_code(v, &cs, off);
		return true;
	}
	if (!bt_pop(&st, opsize, &sp) || !bt_pop(&st, opsize, &ss_sel) ||
	    !return_stack(v, (uint16_t)ss_sel, sel & 3, &cs, &ss))
		return false;
	leave_ring(v, &cs, &ss, sp + release, off);
	return true;
}

/* ---- IRET ------------------------------------------------------------------------------------ */

/* RFLAGS after popping `val` with the present privilege. */
static uint64_t returned_flags(const struct bt_vcpu *v, uint64_t val, unsigned opsize)
{
	uint64_t may = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_TF | FL_DF | FL_OF | FL_NT;
	unsigned iopl = v->rflags >> 12 & 3;

	if (opsize > 2)
		may |= FL_RF | FL_AC | FL_ID;
	if (v->cpl <= iopl)
		may |= FL_IF;
	if (v->cpl == 0)
		may |= FL_IOPL | (opsize > 2 ? FL_VIF | FL_VIP : 0);
	return (v->rflags & ~may) | (val & may);
}

static bool iret_v86_entry(struct bt_vcpu *v, struct bt_stack *st, uint64_t off, uint64_t sel,
			   uint64_t flags)
{
	uint64_t sp, val[5]; /* SS ES DS FS GS */
	static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};

	if (!bt_pop(st, 4, &sp))
		return false;
	for (unsigned i = 0; i < 5; i++)
		if (!bt_pop(st, 4, &val[i]))
			return false;
	for (unsigned i = 0; i < 5; i++)
		bt_seg_v86(v, order[i], (uint16_t)val[i]);
	bt_seg_v86(v, X86_CS, (uint16_t)sel);
	v->gpr[X86_RSP] = sp & 0xffffffff;
	v->next_rip = off & 0xffff;
	bt_set_rflags(v, flags & 0x3f7fd7);
	bt_mode_changed(v);
	return true;
}

static bool iret_protected(struct bt_vcpu *v, unsigned opsize)
{
	struct bt_stack st;
	struct x86_segment cs, ss = v->seg[X86_SS];
	uint64_t off, sel, flags, sp = 0, ss_sel;
	bool outer;

	if (v->rflags & FL_NT)
		return bt_long(v) ? bt_raise_error(v, EXC_GP, 0) : bt_task_return(v);
	bt_stack_open(v, &st);
	if (!bt_pop(&st, opsize, &off) || !bt_pop(&st, opsize, &sel) ||
	    !bt_pop(&st, opsize, &flags))
		return false;
	if ((flags & FL_VM) && opsize == 4 && v->cpl == 0 && !bt_long(v))
		return iret_v86_entry(v, &st, off, sel, flags);
	if (!return_code(v, (uint16_t)sel, off, &cs))
		return false;
	outer = (sel & 3) != v->cpl;
	if (outer || (v->mode & BT_MODE_CODE64))
		if (!bt_pop(&st, opsize, &sp) || !bt_pop(&st, opsize, &ss_sel) ||
		    !return_stack(v, (uint16_t)ss_sel, sel & 3, &cs, &ss))
			return false;
	flags = returned_flags(v, flags, opsize);
	if (outer || (v->mode & BT_MODE_CODE64)) {
		leave_ring(v, &cs, &ss, sp, off);
	} else {
		bt_stack_commit(&st);
		enter_code(v, &cs, off);
	}
	bt_set_rflags(v, flags);
	return true;
}

static bool iret_real(struct bt_vcpu *v, unsigned opsize)
{
	struct bt_stack st;
	uint64_t off, sel, flags;

	if ((v->mode & BT_MODE_V86) && (v->rflags & FL_IOPL) != FL_IOPL)
		return bt_raise_error(v, EXC_GP, 0);
	bt_stack_open(v, &st);
	if (!bt_pop(&st, opsize, &off) || !bt_pop(&st, opsize, &sel) ||
	    !bt_pop(&st, opsize, &flags))
		return false;
	flags = returned_flags(v, flags, opsize);
	if (!real_return(v, &st, (uint16_t)sel, off, 0))
		return false;
	bt_set_rflags(v, flags);
	return true;
}

bool bt_iret(struct bt_vcpu *v, unsigned opsize)
{
	if (!(bt_protected(v) ? iret_protected : iret_real)(v, opsize))
		return false;
	v->nmi_masked = false;
	if (v->nmi_pending) /* came meanwhile: due now */
		bt_post(v, BT_REQ_NMI);
	return true;
}
