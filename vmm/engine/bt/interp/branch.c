/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps, calls, returns, software interrupts, SYSCALL and SYSENTER. */
#include "vmm/engine/bt/interp/interp.h"

bool bt_op_jcc(struct bt_vcpu *v, const struct x86_insn *in)
{
	return !bt_condition(v->rflags, in->opcode) || bt_jump(v, bt_relative(v, in));
}

bool bt_op_jmp(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_jump(v, bt_relative(v, in));
}

bool bt_op_jmp_ind(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t target;

	return bt_get(v, in, 0, &target) && bt_jump(v, target);
}

/* LOOP counts in rCX of the address size. */
bool bt_op_loop(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t count = v->gpr[X86_RCX], left;
	bool zf = v->rflags & FL_ZF;

	bt_reg_set(v, X86_RCX, in->addrsize, count - 1);
	left = bt_reg(v, X86_RCX, in->addrsize);
	if (!left || (in->op == X86_OP_LOOPE && !zf) || (in->op == X86_OP_LOOPNE && zf) ||
	    bt_jump(v, bt_relative(v, in)))
		return true;
	v->gpr[X86_RCX] = count;
	return false;
}

bool bt_op_jrcxz(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_reg(v, X86_RCX, in->addrsize) || bt_jump(v, bt_relative(v, in));
}

static bool call(struct bt_vcpu *v, const struct x86_insn *in, uint64_t target)
{
	uint64_t back = v->next_rip;
	struct bt_stack st;

	bt_stack_open(v, &st);
	if (!bt_jump(v, target) || !bt_push(&st, in->opsize, back))
		return false;
	bt_stack_commit(&st);
	return true;
}

bool bt_op_call(struct bt_vcpu *v, const struct x86_insn *in)
{
	return call(v, in, bt_relative(v, in));
}

bool bt_op_call_ind(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t target;

	return bt_get(v, in, 0, &target) && call(v, in, target);
}

bool bt_op_ret(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct bt_stack st;
	uint64_t target;

	bt_stack_open(v, &st);
	if (!bt_pop(&st, in->opsize, &target) || !bt_jump(v, target))
		return false;
	if (in->nops)
		st.sp += (uint16_t)in->imm;
	bt_stack_commit(&st);
	return true;
}

/* ---- far ------------------------------------------------------------------------------------- */

/* Selector and offset from the instruction or from memory (offset first). */
static bool far_pointer(struct bt_vcpu *v, const struct x86_insn *in, uint16_t *sel, uint64_t *off)
{
	uint64_t val;
	gva_t gva;

	if (in->opnd[0].kind == X86_OPK_FAR) {
		*sel = (uint16_t)in->imm2;
		*off = in->imm;
		return true;
	}
	if (!bt_operand_linear(v, in, in->opsize + 2u, BT_READ, &gva) ||
	    !bt_load(v, gva, in->opsize, off) || !bt_load(v, gva + in->opsize, 2, &val))
		return false;
	*sel = (uint16_t)val;
	return true;
}

bool bt_op_jmpf(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel;
	uint64_t off;

	return far_pointer(v, in, &sel, &off) && bt_far_jump(v, sel, off, in->opsize);
}

bool bt_op_callf(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel;
	uint64_t off;

	return far_pointer(v, in, &sel, &off) && bt_far_call(v, sel, off, in->opsize);
}

bool bt_op_retf(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_far_return(v, in->opsize, in->nops ? (uint16_t)in->imm : 0);
}

bool bt_op_iret(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_iret(v, in->opsize);
}

/* ---- software interrupts --------------------------------------------------------------------- */

static bool software_interrupt(struct bt_vcpu *v, unsigned vector)
{
	bt_raise(v, vector);
	v->fault.is_int = true;
	return false;
}

bool bt_op_int3(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return software_interrupt(v, EXC_BP);
}

bool bt_op_int(struct bt_vcpu *v, const struct x86_insn *in)
{
	if ((v->mode & BT_MODE_V86) && (v->rflags & FL_IOPL) != FL_IOPL)
		return bt_raise_error(v, EXC_GP, 0);
	return software_interrupt(v, (uint8_t)in->imm);
}

bool bt_op_into(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return !(v->rflags & FL_OF) || software_interrupt(v, EXC_OF);
}

/* INT1 is a hardware trap: no gate privilege check, but RIP is behind it. */
bool bt_op_int1(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	v->rip = v->next_rip;
	return bt_raise(v, EXC_DB);
}

/* ---- SYSCALL, SYSRET (AMD APM volume 3) --------------------------------------------------------
 */

static void set_flat(struct bt_vcpu *v, unsigned reg, uint16_t sel, uint32_t attr)
{
	struct x86_segment s = {.limit = 0xffffffff, .attr = attr, .selector = sel};

	bt_seg_set(v, reg, &s);
}

#define ATTR_CODE64(dpl) (0xa09bu | (dpl) << 5)
#define ATTR_CODE32(dpl) (0xc09bu | (dpl) << 5)
#define ATTR_DATA(dpl)   (0xc093u | (dpl) << 5)

bool bt_op_syscall(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel = (uint16_t)(v->star >> 32) & 0xfffc;
	uint64_t rflags = v->rflags;

	(void)in;
	if (!(v->efer & EFER_SCE) || !(v->mode & BT_MODE_PE) || (v->mode & BT_MODE_V86))
		return bt_raise(v, EXC_UD);
	v->gpr[X86_RCX] = v->next_rip;
	if (bt_long(v)) {
		v->gpr[X86_R11] = rflags & ~(uint64_t)FL_RF;
		v->next_rip = v->mode & BT_MODE_CODE64 ? v->lstar : v->cstar;
		rflags &= ~(v->sfmask | FL_RF);
		set_flat(v, X86_CS, sel, ATTR_CODE64(0));
	} else {
		v->next_rip = (uint32_t)v->star;
		rflags &= ~(uint64_t)(FL_IF | FL_VM | FL_RF);
		set_flat(v, X86_CS, sel, ATTR_CODE32(0));
	}
	set_flat(v, X86_SS, (uint16_t)(sel + 8), ATTR_DATA(0));
	v->rflags = (rflags & 0x3f7fd5) | FL_ONE;
	bt_mode_changed(v);
	return true;
}

/* With TF in what SYSRET restores, a step over the program's SYSCALL ends here. */
static bool step_over_syscall(struct bt_vcpu *v)
{
	v->rip = v->next_rip;
	v->dr[6] |= DR6_BS;
	return bt_raise(v, EXC_DB);
}

bool bt_op_sysret(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel = (uint16_t)(v->star >> 48);
	uint64_t rflags = v->rflags | FL_IF;

	if (!(v->efer & EFER_SCE))
		return bt_raise(v, EXC_UD);
	if (in->opsize == 8) {
		if (!bt_canonical(v->gpr[X86_RCX]))
			return bt_raise_error(v, EXC_GP, 0);
		v->next_rip = v->gpr[X86_RCX];
		set_flat(v, X86_CS, (uint16_t)(sel + 16) | 3, ATTR_CODE64(3));
	} else {
		v->next_rip = (uint32_t)v->gpr[X86_RCX];
		set_flat(v, X86_CS, sel | 3, ATTR_CODE32(3));
	}
	if (bt_long(v))
		rflags = v->gpr[X86_R11] & ~(uint64_t)(FL_RF | FL_VM);
	set_flat(v, X86_SS, (uint16_t)(sel + 8) | 3, ATTR_DATA(3));
	bt_mode_changed(v);
	bt_set_rflags(v, rflags);
	return !(rflags & FL_TF) || step_over_syscall(v);
}

/* ---- SYSENTER, SYSEXIT (Intel SDM volume 2) ----------------------------------------------------
 */

bool bt_op_sysenter(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel = (uint16_t)v->sysenter_cs & 0xfffc;

	(void)in;
	if (!sel || !(v->mode & BT_MODE_PE))
		return bt_raise_error(v, EXC_GP, 0);
	v->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
	set_flat(v, X86_CS, sel, bt_long(v) ? ATTR_CODE64(0) : ATTR_CODE32(0));
	set_flat(v, X86_SS, (uint16_t)(sel + 8), ATTR_DATA(0));
	v->next_rip = bt_long(v) ? v->sysenter_eip : (uint32_t)v->sysenter_eip;
	v->gpr[X86_RSP] = bt_long(v) ? v->sysenter_esp : (uint32_t)v->sysenter_esp;
	bt_mode_changed(v);
	return true;
}

bool bt_op_sysexit(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t sel = (uint16_t)v->sysenter_cs & 0xfffc;
	bool wide = in->opsize == 8;
	uint64_t rip = v->gpr[X86_RDX], rsp = v->gpr[X86_RCX];

	if (!sel || !(v->mode & BT_MODE_PE) || (wide && (!bt_canonical(rip) || !bt_canonical(rsp))))
		return bt_raise_error(v, EXC_GP, 0);
	sel = (uint16_t)(sel + (wide ? 32 : 16));
	set_flat(v, X86_CS, sel | 3, wide ? ATTR_CODE64(3) : ATTR_CODE32(3));
	set_flat(v, X86_SS, (uint16_t)(sel + 8) | 3, ATTR_DATA(3));
	v->next_rip = wide ? rip : (uint32_t)rip;
	v->gpr[X86_RSP] = wide ? rsp : (uint32_t)rsp;
	bt_mode_changed(v);
	return true;
}
