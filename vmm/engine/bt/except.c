/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions and interrupts through the IDT in every mode, and what follows when their delivery
 * fails itself (Intel SDM volume 3A chapter 6).
 */
#include "vmm/engine/bt/seg.h"

#include "base/log.h"
#include "vmm/engine/bt/lockstep/lockstep.h"

enum event_kind {
	EVENT_FAULT,
	EVENT_SOFTWARE,
	EVENT_EXTERNAL
};

struct event {
	enum event_kind kind;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t rip; /* to return to */
	bool resume;  /* pushed RF: the instruction is to be repeated */
};

/* Error code of a fault in delivering `ev` that concerns its IDT entry. */
static uint32_t idt_error(const struct event *ev)
{
	return ev->vector * 8u + 2 + (ev->kind != EVENT_SOFTWARE);
}

/* ---- real mode ------------------------------------------------------------------------------- */

static bool deliver_real(struct bt_vcpu *v, const struct event *ev)
{
	struct bt_stack st;
	uint16_t entry[2];

	if (ev->vector * 4u + 3 > v->idt.limit)
		return bt_raise_error(v, EXC_GP, idt_error(ev));
	if (!bt_read_sys(v, v->idt.base + ev->vector * 4u, entry, sizeof(entry)))
		return false;
	bt_stack_open(v, &st);
	if (!bt_push(&st, 2, v->rflags & 0xffff) || !bt_push(&st, 2, v->seg[X86_CS].selector) ||
	    !bt_push(&st, 2, ev->rip))
		return false;
	bt_stack_commit(&st);
	v->rflags &= ~(uint64_t)(FL_IF | FL_TF | FL_AC | FL_RF);
	bt_seg_real(v, X86_CS, entry[1]);
	v->rip = entry[0];
	bt_mode_changed(v);
	return true;
}

/* ---- protected mode -------------------------------------------------------------------------- */

/* An interrupt or trap gate, taken apart. */
struct gate {
	uint16_t selector;
	uint64_t offset;
	uint8_t type, ist;
	bool is_trap; /* leaves IF alone */
	uint8_t size; /* of what is pushed: 2, 4, 8 */
};

#define TASK_GATE 5

static bool gate_type_ok(const struct bt_vcpu *v, unsigned type)
{
	if (type == 0xe || type == 0xf)
		return true;
	return !bt_long(v) && (type == 6 || type == 7 || type == TASK_GATE);
}

static bool gate_read(struct bt_vcpu *v, const struct event *ev, struct gate *g)
{
	unsigned size = bt_long(v) ? 16 : 8;
	uint32_t w[4] = {0};

	if (ev->vector * size + size - 1 > v->idt.limit)
		return bt_raise_error(v, EXC_GP, idt_error(ev));
	if (!bt_read_sys(v, v->idt.base + ev->vector * size, w, size))
		return false;
	g->type = w[1] >> 8 & 0x1f;
	if (!gate_type_ok(v, g->type))
		return bt_raise_error(v, EXC_GP, idt_error(ev));
	if (ev->kind == EVENT_SOFTWARE && (w[1] >> 13 & 3) < v->cpl)
		return bt_raise_error(v, EXC_GP, idt_error(ev));
	if (!(w[1] & 0x8000))
		return bt_raise_error(v, EXC_NP, idt_error(ev));
	g->selector = (uint16_t)(w[0] >> 16);
	g->offset = (w[1] & 0xffff0000) | (w[0] & 0xffff);
	if (bt_long(v))
		g->offset |= (uint64_t)w[2] << 32;
	else if (g->type < 8)
		g->offset &= 0xffff;
	g->is_trap = g->type & 1;
	g->size = bt_long(v) ? 8 : g->type < 8 ? 2 : 4;
	g->ist = w[1] & 7;
	return true;
}

/* The stack of an inner ring from the TSS (32- or 16-bit form), its SS checked against `cpl`. */
static bool inner_stack(struct bt_vcpu *v, unsigned cpl, unsigned ext, struct x86_segment *ss,
			uint64_t *sp)
{
	uint16_t sel;

	return bt_tss_stack(v, cpl, ext, &sel, sp) && bt_check_inner_ss(v, sel, cpl, ext, ss);
}

static bool push_v86_segments(struct bt_vcpu *v, struct bt_stack *st, unsigned size)
{
	static const uint8_t order[] = {X86_GS, X86_FS, X86_DS, X86_ES};

	for (unsigned i = 0; i < 4; i++)
		if (!bt_push(st, size, v->seg[order[i]].selector))
			return false;
	return true;
}

static bool push_frame(struct bt_vcpu *v, struct bt_stack *st, const struct event *ev,
		       unsigned size)
{
	uint64_t flags = v->rflags | (ev->resume ? FL_RF : 0);

	return bt_push(st, size, flags) && bt_push(st, size, v->seg[X86_CS].selector) &&
	       bt_push(st, size, ev->rip) && (!ev->has_error || bt_push(st, size, ev->error));
}

static void enter_handler(struct bt_vcpu *v, const struct gate *g, const struct x86_segment *cs)
{
	v->rflags &= ~(uint64_t)(FL_TF | FL_NT | FL_RF | FL_VM | (g->is_trap ? 0 : FL_IF));
	v->seg[X86_CS] = *cs;
	v->segbase[X86_CS] = cs->base;
	v->rip = g->offset;
	bt_mode_changed(v);
}

/* To an inner ring, with a stack switch; from V8086 mode the data segments go too. */
static bool deliver_inner(struct bt_vcpu *v, const struct event *ev, const struct gate *g,
			  const struct x86_segment *cs, unsigned cpl)
{
	unsigned ext = ev->kind != EVENT_SOFTWARE;
	bool v86 = v->mode & BT_MODE_V86;
	struct x86_segment ss;
	struct bt_stack st;
	uint64_t sp;

	if (!inner_stack(v, cpl, ext, &ss, &sp))
		return false;
	bt_stack_inner(v, &st, &ss, sp, ext);
	if ((v86 && !push_v86_segments(v, &st, g->size)) ||
	    !bt_push(&st, g->size, v->seg[X86_SS].selector) ||
	    !bt_push(&st, g->size, v->gpr[X86_RSP]) || !push_frame(v, &st, ev, g->size))
		return false;
	if (v86)
		for (unsigned i = 0; i < X86_NSEG; i++)
			if (i != X86_CS && i != X86_SS)
				bt_seg_null(v, i, 0);
	v->seg[X86_SS] = ss;
	v->segbase[X86_SS] = ss.base;
	bt_stack_commit(&st);
	enter_handler(v, g, cs);
	return true;
}

static bool deliver_same(struct bt_vcpu *v, const struct event *ev, const struct gate *g,
			 const struct x86_segment *cs)
{
	struct bt_stack st;

	bt_stack_open(v, &st);
	if (!push_frame(v, &st, ev, g->size))
		return false;
	bt_stack_commit(&st);
	enter_handler(v, g, cs);
	return true;
}

/* 64-bit mode: RSP is aligned, SS and RSP are always pushed, SS becomes null after a ring change.
 */
static bool deliver_long(struct bt_vcpu *v, const struct event *ev, const struct gate *g,
			 const struct x86_segment *cs, unsigned cpl)
{
	struct bt_stack st;
	uint64_t sp = v->gpr[X86_RSP];
	unsigned ext = ev->kind != EVENT_SOFTWARE;

	if ((g->ist || cpl != v->cpl) && !bt_tss_rsp(v, g->ist ? 3u + g->ist : cpl, ext, &sp))
		return false;
	bt_stack_long(v, &st, sp & ~15ull);
	if (!bt_push(&st, 8, v->seg[X86_SS].selector) || !bt_push(&st, 8, v->gpr[X86_RSP]) ||
	    !push_frame(v, &st, ev, 8))
		return false;
	if (cpl != v->cpl)
		bt_seg_null(v, X86_SS, cpl);
	v->gpr[X86_RSP] = st.sp;
	enter_handler(v, g, cs);
	return true;
}

static bool deliver_task(struct bt_vcpu *v, const struct event *ev, uint16_t sel)
{
	const struct bt_task_event task = {.rip = ev->rip,
					   .resume = ev->resume,
					   .has_error = ev->has_error,
					   .error = ev->error,
					   .ext = ev->kind != EVENT_SOFTWARE};

	return bt_task_switch(v, sel, BT_TASK_EVENT, &task);
}

static bool deliver_protected(struct bt_vcpu *v, const struct event *ev)
{
	unsigned ext = ev->kind != EVENT_SOFTWARE, dpl, cpl;
	struct gate g;
	struct bt_desc d;
	struct x86_segment cs;
	bool conforming;

	if (!gate_read(v, ev, &g))
		return false;
	if (g.type == TASK_GATE)
		return deliver_task(v, ev, g.selector);
	if (!(g.selector & ~3u))
		return bt_raise_error(v, EXC_GP, ext);
	if (!bt_desc_read(v, g.selector, ext, EXC_GP, &d))
		return false;
	dpl = bt_desc_dpl(&d);
	conforming = bt_desc_type(&d) & 4;
	if (!bt_desc_is_code(&d) || dpl > v->cpl || (bt_long(v) && !bt_desc_is_code64(&d)))
		return bt_raise_error(v, EXC_GP, (g.selector & ~3u) | ext);
	if (!bt_desc_present(&d))
		return bt_raise_error(v, EXC_NP, (g.selector & ~3u) | ext);
	cpl = conforming ? v->cpl : dpl;
	if ((v->mode & BT_MODE_V86) && cpl != 0)
		return bt_raise_error(v, EXC_GP, (g.selector & ~3u) | ext);
	if (!bt_desc_touch(v, g.selector, &d))
		return false;
	bt_desc_segment(&d, (uint16_t)((g.selector & ~3u) | cpl), &cs);
	if (bt_long(v))
		return bt_canonical(g.offset) ? deliver_long(v, ev, &g, &cs, cpl)
					      : bt_raise_error(v, EXC_GP, ext);
	if (g.offset > cs.limit)
		return bt_raise_error(v, EXC_GP, ext);
	return cpl < v->cpl || (v->mode & BT_MODE_V86) ? deliver_inner(v, ev, &g, &cs, cpl)
						       : deliver_same(v, ev, &g, &cs);
}

static bool deliver(struct bt_vcpu *v, const struct event *ev)
{
	bool done;

	v->fault.vector = 0xff;
	v->activity = X86_ACTIVE;
	done = v->mode & BT_MODE_PE ? deliver_protected(v, ev) : deliver_real(v, ev);
	if (done && ev->vector == EXC_DB && ev->kind == EVENT_FAULT)
		v->dr[7] &= ~(uint64_t)DR7_GD; /* its handler may look at the debug registers */
	return done;
}

/* ---- escalation (Intel SDM volume 3A table 6-5) ------------------------------------------------
 */

static bool is_contributory(unsigned vector)
{
	return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

static bool is_double(const struct event *first, unsigned second)
{
	if (first->kind != EVENT_FAULT)
		return false;
	if (first->vector == EXC_PF)
		return second == EXC_PF || is_contributory(second);
	return is_contributory(first->vector) && is_contributory(second);
}

/* Traps point behind their instruction already; faults are to be restarted. */
static bool is_restarted(unsigned vector)
{
	return vector != EXC_DB && vector != EXC_BP && vector != EXC_OF && vector != EXC_DF;
}

static struct event event_of_fault(const struct bt_vcpu *v)
{
	const struct bt_fault *f = &v->fault;

	return (struct event){.kind = f->is_int ? EVENT_SOFTWARE : EVENT_FAULT,
			      .vector = f->vector,
			      .has_error = f->has_error && v->mode & BT_MODE_PE,
			      .error = f->error,
			      .rip = f->is_int ? v->next_rip : v->rip,
			      .resume = !f->is_int && is_restarted(f->vector)};
}

static void trace(struct bt_vcpu *v, const struct event *ev)
{
	static const char *const kinds[] = {"exception", "software interrupt", "interrupt"};

	if (!v->vm->trace_events)
		return;
	bt_fpu_leave(v);
	log_info("vCPU %u: %s %u error %#x at %#llx CPL %u CR2 %#llx", v->index, kinds[ev->kind],
		 ev->vector, ev->error, (unsigned long long)v->rip, v->cpl,
		 (unsigned long long)v->cr2);
	bt_fpu_enter(v);
}

static void deliver_event(struct bt_vcpu *v, struct event ev)
{
	trace(v, &ev);
	while (!deliver(v, &ev)) {
		struct event next = event_of_fault(v);

		if (v->fault.vector == EXC_PF)
			v->cr2 = v->fault.cr2;
		if (ev.kind == EVENT_FAULT && ev.vector == EXC_DF) {
			v->shutdown = true;
			return;
		}
		if (is_double(&ev, next.vector))
			next = (struct event){
				.vector = EXC_DF, .has_error = v->mode & BT_MODE_PE, .rip = v->rip};
		ev = next;
	}
}

/*
 * With CR0.NE = 0 an x87 error goes to IRQ 13 (Intel SDM volume 1 section 8.7.2) and the
 * instruction waits: it is tried again until a handler has cleared the error.
 */
static bool report_outside(struct bt_vcpu *v)
{
	if (v->fault.vector != EXC_MF || v->fault.is_int || (v->cr0 & CR0_NE) ||
	    !v->vm->machine.fpu_error)
		return false;
	if (bt_is_twin(v))
		return true;
	bt_fpu_leave(v);
	v->vm->machine.fpu_error(v->vm->machine.opaque);
	bt_fpu_enter(v);
	return true;
}

/*
 * Data breakpoints that the delivery of an event has met trap before its handler's first
 * instruction. Those that the delivery of that trap meets are dropped: they would have no end.
 */
static void report_points(struct bt_vcpu *v)
{
	if (v->db_pending && !v->shutdown) {
		v->dr[6] |= v->db_pending;
		bt_raise(v, EXC_DB);
		deliver_event(v, event_of_fault(v));
	}
	v->db_pending = 0;
}

void bt_deliver_fault(struct bt_vcpu *v)
{
	if (report_outside(v))
		return;
	v->stat.exceptions++;
	v->interrupt_shadow = 0;
	if (v->fault.vector == EXC_PF)
		v->cr2 = v->fault.cr2;
	deliver_event(v, event_of_fault(v));
	report_points(v);
}

void bt_deliver_interrupt(struct bt_vcpu *v, unsigned vector)
{
	v->stat.interrupts++;
	deliver_event(v, (struct event){
				 .kind = EVENT_EXTERNAL, .vector = (uint8_t)vector, .rip = v->rip});
	report_points(v);
	if (v->vm->lockstep)
		bt_lockstep_interrupt(v, vector);
}
