/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware task switches: by JMP, CALL, IRET, interrupts and exceptions, outside long mode (Intel
 * SDM volume 3A chapter 8). Until the new task's registers are loaded a fault belongs to the old
 * task and nothing has changed; from there on it belongs to the new one.
 */
#include "vmm/engine/bt/seg.h"
#include "vmm/engine/bt/translate/translate.h"

#define TYPE_BUSY 2
#define TYPE_WIDE 8 /* 32-bit TSS */
#define DR7_LOCAL 0x155

/* What a switch moves, from either form of TSS. */
struct task {
	uint16_t sel, ldt, seg[X86_NSEG];
	bool wide, trap;
	struct x86_segment tr;
	struct bt_desc desc;
	uint32_t cr3, eip, eflags, gpr[8];
};

/* Where a TSS has it: figures 8-2 and 8-10. Registers follow each other in the usual order. */
struct layout {
	uint8_t size, limit, eip, eflags, gpr, seg, nseg, ldt;
};
static const struct layout layouts[] = {
	{2, 0x2b, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a},
	{4, 0x67, 0x20, 0x24, 0x28, 0x48, 6, 0x60},
};
#define TSS32_CR3  0x1c
#define TSS32_TRAP 0x64

static const uint8_t seg_order[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};

static uint32_t get(const uint8_t *p, unsigned size)
{
	uint32_t val = p[0] | (uint32_t)p[1] << 8;

	return size == 2 ? val : val | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- the two TSSs ---------------------------------------------------------------------------- */

/* The new task's descriptor. Only IRET goes back to one that is busy. */
static bool find(struct bt_vcpu *v, uint16_t sel, enum bt_task_reason why, unsigned ext,
		 struct task *t)
{
	unsigned vector = why == BT_TASK_IRET ? EXC_TS : EXC_GP, type;
	uint32_t error = (sel & ~3u) | ext;

	t->sel = sel;
	if ((sel & 4) || !(sel & ~3u))
		return bt_raise_error(v, vector, error);
	if (!bt_desc_read(v, sel, ext, vector, &t->desc))
		return false;
	type = bt_desc_type(&t->desc);
	if (!bt_desc_is_system(&t->desc) || (type & 5) != 1 ||
	    !!(type & TYPE_BUSY) != (why == BT_TASK_IRET))
		return bt_raise_error(v, vector, error);
	if (!bt_desc_present(&t->desc))
		return bt_raise_error(v, EXC_NP, error);
	t->wide = type & TYPE_WIDE;
	bt_desc_segment(&t->desc, sel, &t->tr);
	t->tr.attr |= TYPE_BUSY;
	return t->tr.limit >= layouts[t->wide].limit || bt_raise_error(v, EXC_TS, error);
}

static bool read_tss(struct bt_vcpu *v, struct task *t)
{
	const struct layout *l = &layouts[t->wide];
	uint8_t image[0x68];

	if (!bt_read_sys(v, t->tr.base, image, 64) ||
	    !bt_read_sys(v, t->tr.base + 64, image + 64, t->wide ? 0x28 : 1))
		return false;
	t->cr3 = t->wide ? get(image + TSS32_CR3, 4) : 0;
	t->trap = t->wide && (image[TSS32_TRAP] & 1);
	t->eip = get(image + l->eip, l->size);
	t->eflags = get(image + l->eflags, l->size);
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = get(image + l->gpr + i * l->size, l->size);
	for (unsigned i = 0; i < X86_NSEG; i++)
		t->seg[seg_order[i]] =
			i < l->nseg ? (uint16_t)get(image + l->seg + i * l->size, 2) : 0;
	t->ldt = (uint16_t)get(image + l->ldt, 2);
	return true;
}

static void put(uint8_t *p, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++)
		p[i] = (uint8_t)(val >> 8 * i);
}

/* What the processor saves lies together: EIP to the last selector. */
static bool write_tss(struct bt_vcpu *v, uint32_t eip, uint32_t eflags)
{
	const struct layout *l = &layouts[!!(v->tr.attr & TYPE_WIDE)];
	unsigned size = l->seg + l->nseg * l->size - l->eip;
	uint8_t image[64];

	put(image, l->size, eip);
	put(image + l->eflags - l->eip, l->size, eflags);
	for (unsigned i = 0; i < 8; i++)
		put(image + l->gpr - l->eip + i * l->size, l->size, (uint32_t)v->gpr[i]);
	for (unsigned i = 0; i < l->nseg; i++)
		put(image + l->seg - l->eip + i * l->size, l->size, v->seg[seg_order[i]].selector);
	return bt_write_sys(v, v->tr.base + l->eip, image, size);
}

static bool mark_busy(struct bt_vcpu *v, uint16_t sel, bool busy)
{
	gva_t at = v->gdt.base + (sel & ~7u) + 5;
	uint8_t access;

	if (!bt_read_sys(v, at, &access, 1))
		return false;
	access = busy ? access | TYPE_BUSY : access & ~TYPE_BUSY;
	return bt_write_sys(v, at, &access, 1);
}

/* ---- the new task's segments: from here on faults are its own ----------------------------------
 */

static bool load_ldt(struct bt_vcpu *v, uint16_t sel)
{
	struct bt_desc d;

	v->ldt = (struct x86_segment){.selector = sel, .attr = X86_ATTR_UNUSABLE};
	if (!(sel & ~3u))
		return true;
	if (sel & 4)
		return bt_raise_error(v, EXC_TS, sel & ~3u);
	if (!bt_desc_read(v, sel, 0, EXC_TS, &d))
		return false;
	if (!bt_desc_is_system(&d) || bt_desc_type(&d) != 2 || !bt_desc_present(&d))
		return bt_raise_error(v, EXC_TS, sel & ~3u);
	bt_desc_segment(&d, sel, &v->ldt);
	return true;
}

static bool load_code(struct bt_vcpu *v, uint16_t sel)
{
	struct x86_segment s;
	struct bt_desc d;
	unsigned rpl = sel & 3;

	if (!(sel & ~3u))
		return bt_raise_error(v, EXC_TS, 0);
	if (!bt_desc_read(v, sel, 0, EXC_TS, &d))
		return false;
	if (!bt_desc_is_code(&d) ||
	    (bt_desc_type(&d) & 4 ? bt_desc_dpl(&d) > rpl : bt_desc_dpl(&d) != rpl))
		return bt_raise_error(v, EXC_TS, sel & ~3u);
	if (!bt_desc_present(&d))
		return bt_raise_error(v, EXC_NP, sel & ~3u);
	if (!bt_desc_touch(v, sel, &d))
		return false;
	bt_desc_segment(&d, sel, &s);
	bt_seg_set(v, X86_CS, &s);
	return true;
}

/* As MOV to the register would, but for the vector of what is wrong with the selector. */
static bool load_data(struct bt_vcpu *v, unsigned i, uint16_t sel)
{
	if (bt_seg_load(v, i, sel))
		return true;
	if (v->fault.vector == EXC_GP)
		v->fault.vector = EXC_TS;
	return false;
}

static bool load_segments(struct bt_vcpu *v, const struct task *t)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
	unsigned cpl = t->seg[X86_CS] & 3;
	struct x86_segment ss;

	if (!load_ldt(v, t->ldt) || !load_code(v, t->seg[X86_CS]))
		return false;
	if (!bt_check_inner_ss(v, t->seg[X86_SS], cpl, 0, &ss))
		return false;
	bt_seg_set(v, X86_SS, &ss);
	bt_mode_changed(v);
	for (unsigned i = 0; i < sizeof(data); i++)
		if (!load_data(v, data[i], t->seg[data[i]]))
			return false;
	return true;
}

/* ---- the switch ------------------------------------------------------------------------------ */

static void load_registers(struct bt_vcpu *v, const struct task *t)
{
	for (unsigned i = 0; i < 8; i++)
		v->gpr[i] = t->wide ? t->gpr[i] : (v->gpr[i] & 0xffff0000) | t->gpr[i];
	v->rip = v->next_rip = t->eip;
	v->tr = t->tr;
	v->cr0 |= CR0_TS;
	v->dr[7] &= ~(uint64_t)DR7_LOCAL;
	if (t->wide && (v->cr0 & CR0_PG)) {
		v->cr3 = t->cr3;
		bt_flush_cr3(v, false);
	}
	bt_set_rflags(v, (t->eflags & 0x3f7fd7) | FL_ONE);
	for (unsigned i = 0; i < X86_NSEG; i++) {
		if (v->rflags & FL_VM)
			bt_seg_v86(v, i, t->seg[i]);
		else if (i != X86_CS)
			bt_seg_null(v, i, i == X86_SS ? t->seg[X86_CS] & 3 : 0);
		v->seg[i].selector = t->seg[i]; /* seen also if it turns out to be bad */
	}
	bt_mode_changed(v);
	bt_translate_points(v);
}

static bool push_error(struct bt_vcpu *v, const struct task *t, uint32_t error)
{
	struct bt_stack st;

	bt_stack_open(v, &st);
	if (!bt_push(&st, t->wide ? 4 : 2, error))
		return false;
	bt_stack_commit(&st);
	return true;
}

/* The old task's side of it; the last step that may fail in its context. */
static bool leave_old(struct bt_vcpu *v, const struct task *t, enum bt_task_reason why,
		      uint32_t eip, uint32_t eflags)
{
	bool nests = why == BT_TASK_CALL || why == BT_TASK_EVENT;

	if (why == BT_TASK_IRET)
		eflags &= ~FL_NT;
	if (!write_tss(v, eip, eflags))
		return false;
	if (nests && !bt_write_sys(v, t->tr.base, &v->tr.selector, 2))
		return false;
	if (!nests && !mark_busy(v, v->tr.selector, false))
		return false;
	return why == BT_TASK_IRET || mark_busy(v, t->sel, true);
}

bool bt_task_switch(struct bt_vcpu *v, uint16_t sel, enum bt_task_reason why,
		    const struct bt_task_event *ev)
{
	uint32_t eip = (uint32_t)(ev ? ev->rip : v->next_rip);
	uint32_t eflags = (uint32_t)v->rflags | (ev && ev->resume ? FL_RF : 0);
	struct task t;

	if (!find(v, sel, why, ev ? ev->ext : 0, &t) || !read_tss(v, &t))
		return false;
	if (t.wide && (v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !bt_load_pdptes(v, t.cr3))
		return bt_raise_error(v, EXC_GP, 0);
	if (!leave_old(v, &t, why, eip, eflags))
		return false;
	if (why == BT_TASK_CALL || why == BT_TASK_EVENT)
		t.eflags |= FL_NT;
	load_registers(v, &t);
	v->stat.task_switches++;
	if (!(v->rflags & FL_VM) && !load_segments(v, &t))
		return false;
	if (v->rip > v->seg[X86_CS].limit)
		return bt_raise_error(v, EXC_GP, 0);
	if (ev && ev->has_error && !push_error(v, &t, ev->error))
		return false;
	if (t.trap) {
		v->dr[6] |= 1u << 15;
		return bt_raise(v, EXC_DB);
	}
	return true;
}

bool bt_task_return(struct bt_vcpu *v)
{
	uint16_t link;

	return bt_read_sys(v, v->tr.base, &link, 2) && bt_task_switch(v, link, BT_TASK_IRET, NULL);
}
