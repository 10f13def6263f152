/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segmentation: descriptors, segment registers, stacks (Intel SDM volume 3A chapters 3, 5 and 7).
 * Functions that can fault return false with v->fault set; nothing is committed then.
 */
#ifndef VMM_ENGINE_BT_SEG_H
#define VMM_ENGINE_BT_SEG_H

#include "vmm/engine/bt/mmu.h"

/* A descriptor as it lies in a table; base_high only of system descriptors in long mode. */
struct bt_desc {
	uint32_t lo, hi, base_high;
};

static inline unsigned bt_desc_type(const struct bt_desc *d)
{
	return d->hi >> 8 & 15;
}
static inline unsigned bt_desc_dpl(const struct bt_desc *d)
{
	return d->hi >> 13 & 3;
}
static inline bool bt_desc_present(const struct bt_desc *d)
{
	return d->hi & 0x8000;
}
static inline bool bt_desc_is_system(const struct bt_desc *d)
{
	return !(d->hi & 0x1000);
}
static inline bool bt_desc_is_code(const struct bt_desc *d)
{
	return (d->hi & 0x1800) == 0x1800;
}
static inline bool bt_desc_is_code64(const struct bt_desc *d)
{
	return (d->hi & 0x600000) == 0x200000; /* L set, D clear */
}

/* Reads the descriptor of `sel`; beyond the table: exception `vector` with the selector and `ext`.
 */
bool bt_desc_read(struct bt_vcpu *v, uint16_t sel, unsigned ext, unsigned vector,
		  struct bt_desc *d);
/* Reads the upper half of a 16-byte system descriptor in long mode. */
bool bt_desc_read_high(struct bt_vcpu *v, uint16_t sel, unsigned vector, struct bt_desc *d);
/* Sets the accessed bit of a code or data descriptor in its table. */
bool bt_desc_touch(struct bt_vcpu *v, uint16_t sel, struct bt_desc *d);
/* Hidden part of a segment register from a descriptor. */
void bt_desc_segment(const struct bt_desc *d, uint16_t sel, struct x86_segment *s);

/* ---- segment registers: bt_mode_changed() afterwards ----------------------------------------- */
void bt_seg_set(struct bt_vcpu *v, unsigned i, const struct x86_segment *s);
void bt_seg_real(struct bt_vcpu *v, unsigned i, uint16_t sel); /* real mode: base only */
void bt_seg_v86(struct bt_vcpu *v, unsigned i, uint16_t sel);
void bt_seg_null(struct bt_vcpu *v, unsigned i, unsigned rpl);
/* MOV, POP, LDS...: any register but CS, with all checks, in any mode. Calls bt_mode_changed(). */
bool bt_seg_load(struct bt_vcpu *v, unsigned i, uint16_t sel);

/* ---- task state segment ---------------------------------------------------------------------- */
/* SS:SP for ring `cpl`; #TS when the TSS is too short. */
bool bt_tss_stack(struct bt_vcpu *v, unsigned cpl, unsigned ext, uint16_t *ss, uint64_t *sp);
/* 64-bit TSS: slot 0..2 are RSP0..2, 4..10 IST1..7. */
bool bt_tss_rsp(struct bt_vcpu *v, unsigned slot, unsigned ext, uint64_t *rsp);
bool bt_check_inner_ss(struct bt_vcpu *v, uint16_t sel, unsigned cpl, unsigned ext,
		       struct x86_segment *ss);
bool bt_io_allowed(struct bt_vcpu *v, uint16_t port, unsigned size); /* false: #GP */

/* ---- stacks ---------------------------------------------------------------------------------- */
/* Several pushes or pops of which none shows until bt_stack_commit(). */
struct bt_stack {
	struct bt_vcpu *v;
	uint64_t sp, mask; /* mask: 16, 32 or 64 bits of RSP count */
	uint64_t base;
	uint32_t limit, attr;
	bool system;    /* inner ring's stack: supervisor access */
	bool checked;   /* has limit and type */
	uint32_t error; /* of #SS */
};

void bt_stack_open(struct bt_vcpu *v, struct bt_stack *st); /* the current one */
void bt_stack_inner(struct bt_vcpu *v, struct bt_stack *st, const struct x86_segment *ss,
		    uint64_t sp, unsigned ext);
void bt_stack_long(struct bt_vcpu *v, struct bt_stack *st, uint64_t sp); /* 64-bit, supervisor */
bool bt_push(struct bt_stack *st, unsigned size, uint64_t val);
bool bt_pop(struct bt_stack *st, unsigned size, uint64_t *val);
void bt_stack_commit(struct bt_stack *st);

/* ---- far transfers (far.c) ------------------------------------------------------------------- */
bool bt_far_jump(struct bt_vcpu *v, uint16_t sel, uint64_t off, unsigned opsize);
bool bt_far_call(struct bt_vcpu *v, uint16_t sel, uint64_t off, unsigned opsize);
bool bt_far_return(struct bt_vcpu *v, unsigned opsize, unsigned release);
bool bt_iret(struct bt_vcpu *v, unsigned opsize);

/* Linear address of [seg:off, +size) with limit, type and canonical checks. */
bool bt_seg_linear(struct bt_vcpu *v, unsigned seg, uint64_t off, unsigned size, enum bt_access a,
		   gva_t *out);

/* ---- hardware task switches (task.c) --------------------------------------------------------- */

enum bt_task_reason {
	BT_TASK_JMP,
	BT_TASK_CALL,
	BT_TASK_IRET,
	BT_TASK_EVENT /* through a task gate in the IDT */
};
struct bt_task_event {
	uint64_t rip; /* where the old task goes on */
	bool resume;  /* with RF */
	bool has_error;
	uint32_t error; /* for the new task's stack */
	unsigned ext;   /* bit 0 of error codes: not by INT n */
};
/* To the task whose TSS `sel` names, not in long mode; `ev` for BT_TASK_EVENT, else the old task
 * goes on at v->next_rip. false: v->fault, of the task whose registers are loaded by then. */
bool bt_task_switch(struct bt_vcpu *v, uint16_t sel, enum bt_task_reason why,
		    const struct bt_task_event *ev);
bool bt_task_return(struct bt_vcpu *v); /* IRET with NT: to the task that the TSS's link names */

#endif
