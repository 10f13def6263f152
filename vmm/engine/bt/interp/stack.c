/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH, POP and their kin. */
#include "vmm/engine/bt/interp/interp.h"

bool bt_op_push(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t val;

	if (in->opnd[0].kind == X86_OPK_SEG)
		val = v->seg[in->opnd[0].reg].selector;
	else if (!bt_get(v, in, 0, &val))
		return false;
	bt_stack_open(v, &st);
	if (!bt_push(&st, in->opsize, val))
		return false;
	bt_stack_commit(&st);
	return true;
}

static bool pop_segment(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t val;
	unsigned reg = in->opnd[0].reg;

	bt_stack_open(v, &st);
	if (!bt_pop(&st, in->opsize, &val) || !bt_seg_load(v, reg, (uint16_t)val))
		return false;
	bt_stack_commit(&st);
	if (reg == X86_SS)
		v->interrupt_shadow = X86_SHADOW_SS;
	return true;
}

/* A memory destination is addressed with RSP as it is after the pop. */
bool bt_op_pop(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t val, rsp = v->gpr[X86_RSP];

	if (in->opnd[0].kind == X86_OPK_SEG)
		return pop_segment(v, in);
	bt_stack_open(v, &st);
	if (!bt_pop(&st, in->opsize, &val))
		return false;
	bt_stack_commit(&st);
	if (bt_put(v, in, 0, val))
		return true;
	v->gpr[X86_RSP] = rsp;
	return false;
}

bool bt_op_pusha(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;

	bt_stack_open(v, &st);
	for (unsigned r = X86_RAX; r <= X86_RDI; r++)
		if (!bt_push(&st, in->opsize, v->gpr[r]))
			return false;
	bt_stack_commit(&st);
	return true;
}

bool bt_op_popa(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t val[8];

	bt_stack_open(v, &st);
	for (unsigned r = 8; r-- > 0;)
		if (!bt_pop(&st, in->opsize, &val[r]))
			return false;
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			bt_reg_set(v, r, in->opsize, val[r]);
	bt_stack_commit(&st);
	return true;
}

static bool v86_without_iopl(const struct bt_vcpu *v)
{
	return (v->mode & BT_MODE_V86) && (v->rflags & FL_IOPL) != FL_IOPL;
}

bool bt_op_pushf(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;

	if (v86_without_iopl(v))
		return bt_raise_error(v, EXC_GP, 0);
	bt_stack_open(v, &st);
	if (!bt_push(&st, in->opsize, v->rflags & ~(uint64_t)(FL_VM | FL_RF)))
		return false;
	bt_stack_commit(&st);
	return true;
}

bool bt_op_popf(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val, may = FL_STATUS | FL_TF | FL_DF | FL_NT;
	unsigned iopl = v->rflags >> 12 & 3;
	struct bt_stack st;

	if (v86_without_iopl(v))
		return bt_raise_error(v, EXC_GP, 0);
	bt_stack_open(v, &st);
	if (!bt_pop(&st, in->opsize, &val))
		return false;
	bt_stack_commit(&st);
	if (in->opsize > 2)
		may |= FL_AC | FL_ID;
	if (v->cpl <= iopl)
		may |= FL_IF;
	if (v->cpl == 0)
		may |= FL_IOPL;
	bt_set_rflags(v, (v->rflags & ~(may | FL_RF)) | (val & may));
	return true;
}

/* Copies the display of the enclosing frames: pointers found through the old frame pointer. */
static bool push_display(struct bt_vcpu *v, struct bt_stack *st, unsigned size, unsigned level)
{
	struct bt_stack frame = *st;
	uint64_t val;

	frame.sp = v->gpr[X86_RBP];
	for (unsigned i = 1; i < level; i++) {
		frame.sp -= size * 2;
		if (i == 1)
			frame.sp += size; /* first pointer lies right below the frame pointer */
		if (!bt_pop(&frame, size, &val) || !bt_push(st, size, val))
			return false;
	}
	return true;
}

bool bt_op_enter(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned level = in->imm2 & 31;
	struct bt_stack st;
	uint64_t frame;
	gva_t top;

	bt_stack_open(v, &st);
	if (!bt_push(&st, in->opsize, v->gpr[X86_RBP]))
		return false;
	frame = st.sp;
	if (level && (!push_display(v, &st, in->opsize, level) || !bt_push(&st, in->opsize, frame)))
		return false;
	st.sp = (st.sp & ~st.mask) | ((st.sp - (uint16_t)in->imm) & st.mask);
	/* It faults where a write to the new top of the stack would (Intel SDM volume 2 "ENTER").
	 */
	if (!bt_seg_linear(v, X86_SS, st.sp & st.mask, in->opsize, BT_WRITE, &top) ||
	    !bt_tlb_fill(v, top, BT_WRITE) || !bt_tlb_fill(v, top + in->opsize - 1, BT_WRITE))
		return false;
	bt_stack_commit(&st);
	bt_reg_set(v, X86_RBP, in->opsize, frame);
	return true;
}

bool bt_op_leave(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t val;

	bt_stack_open(v, &st);
	st.sp = (st.sp & ~st.mask) | (v->gpr[X86_RBP] & st.mask);
	if (!bt_pop(&st, in->opsize, &val))
		return false;
	bt_stack_commit(&st);
	bt_reg_set(v, X86_RBP, in->opsize, val);
	return true;
}
