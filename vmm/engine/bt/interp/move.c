/* SPDX-License-Identifier: Apache-2.0 */
/* Moves, conversions, flag bits, no-operations. */
#include "vmm/engine/bt/interp/interp.h"

bool bt_op_mov(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;

	return bt_get(v, in, 1, &val) && bt_put(v, in, 0, val);
}

bool bt_op_movzx(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_op_mov(v, in);
}

bool bt_op_movsx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;
	unsigned shift = 64 - in->opnd[1].size * 8u;

	if (!bt_get(v, in, 1, &val))
		return false;
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size,
		   (uint64_t)((int64_t)(val << shift) >> shift));
	return true;
}

bool bt_op_lea(struct bt_vcpu *v, const struct x86_insn *in)
{
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, bt_offset(v, in));
	return true;
}

/* CBW, CWDE, CDQE */
bool bt_op_cbw(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned shift = 64 - in->opsize * 4u;

	bt_reg_set(v, X86_RAX, in->opsize,
		   (uint64_t)((int64_t)(v->gpr[X86_RAX] << shift) >> shift));
	return true;
}

/* CWD, CDQ, CQO */
bool bt_op_cwd(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool negative = v->gpr[X86_RAX] >> (in->opsize * 8u - 1) & 1;

	bt_reg_set(v, X86_RDX, in->opsize, negative ? ~0ull : 0);
	return true;
}

bool bt_op_sahf(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	if ((v->mode & BT_MODE_CODE64) && !v->vm->cfg.cpu->has[X86_FEAT_LAHF_LM])
		return bt_raise(v, EXC_UD);
	v->rflags = (v->rflags & ~0xd5ull) | (v->gpr[X86_RAX] >> 8 & 0xd5);
	return true;
}

bool bt_op_lahf(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	if ((v->mode & BT_MODE_CODE64) && !v->vm->cfg.cpu->has[X86_FEAT_LAHF_LM])
		return bt_raise(v, EXC_UD);
	bt_reg_set(v, X86_RAX + 16, 1, (v->rflags & 0xd5) | FL_ONE);
	return true;
}

bool bt_op_xlat(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t off = v->gpr[X86_RBX] + (uint8_t)v->gpr[X86_RAX], val;
	gva_t gva;

	if (in->addrsize < 8)
		off = in->addrsize == 4 ? (uint32_t)off : (uint16_t)off;
	if (!bt_seg_linear(v, in->mem.seg, off, 1, BT_READ, &gva) || !bt_load(v, gva, 1, &val))
		return false;
	bt_reg_set(v, X86_RAX, 1, val);
	return true;
}

bool bt_op_cmovcc(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *o = &in->opnd[0];
	uint64_t val;

	if (!bt_get(v, in, 1, &val)) /* the source is read whatever the condition */
		return false;
	if (!bt_condition(v->rflags, in->opcode))
		val = v->gpr[o->reg];
	bt_reg_set(v, o->reg, o->size, val);
	return true;
}

bool bt_op_setcc(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bt_put(v, in, 0, bt_condition(v->rflags, in->opcode));
}

static uint64_t swap_bytes(uint64_t val, unsigned size)
{
	return __builtin_bswap64(val) >> (64 - size * 8);
}

/* Of 16 bits the result is undefined; this host's processors give 0. */
bool bt_op_bswap(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *o = &in->opnd[0];
	uint64_t val = bt_reg(v, o->reg, o->size);

	bt_reg_set(v, o->reg, o->size, o->size == 2 ? 0 : swap_bytes(val, o->size));
	return true;
}

bool bt_op_movbe(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;

	return bt_get(v, in, 1, &val) && bt_put(v, in, 0, swap_bytes(val, in->opnd[0].size));
}

bool bt_op_nop(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)v, (void)in;
	return true;
}

bool bt_op_fence(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)v, (void)in;
	atomic_thread_fence(memory_order_seq_cst);
	return true;
}

/* Caches are the host's business; the address must be readable. */
bool bt_op_clflush(struct bt_vcpu *v, const struct x86_insn *in)
{
	gva_t gva;
	uint64_t val;

	return bt_operand_linear(v, in, 1, BT_READ, &gva) && bt_load(v, gva, 1, &val);
}

#define FLAG_OP(name, expression)                               \
	bool name(struct bt_vcpu *v, const struct x86_insn *in) \
	{                                                       \
		(void)in;                                       \
		v->rflags = (expression);                       \
		return true;                                    \
	}
FLAG_OP(bt_op_cmc, v->rflags ^ FL_CF)
FLAG_OP(bt_op_clc, v->rflags & ~(uint64_t)FL_CF)
FLAG_OP(bt_op_stc, v->rflags | FL_CF)
FLAG_OP(bt_op_cld, v->rflags & ~(uint64_t)FL_DF)
FLAG_OP(bt_op_std, v->rflags | FL_DF)

bool bt_op_bound(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned size = in->opnd[0].size, shift = 64 - size * 8;
	int64_t index = (int64_t)(v->gpr[in->opnd[0].reg] << shift) >> shift, lo, hi;
	uint64_t raw;
	gva_t gva;

	if (!bt_operand_linear(v, in, size * 2, BT_READ, &gva) || !bt_load(v, gva, size, &raw))
		return false;
	lo = (int64_t)(raw << shift) >> shift;
	if (!bt_load(v, gva + size, size, &raw))
		return false;
	hi = (int64_t)(raw << shift) >> shift;
	return (index >= lo && index <= hi) || bt_raise(v, EXC_BR);
}

/* Zeroes the 64-byte line at rAX. */
bool bt_op_clzero(struct bt_vcpu *v, const struct x86_insn *in)
{
	static const uint8_t zero[64];
	uint64_t off = v->gpr[X86_RAX];
	gva_t gva;

	if (in->addrsize == 4)
		off = (uint32_t)off;
	off &= ~63ull;
	return bt_seg_linear(v, in->mem.seg, off, 64, BT_WRITE, &gva) && bt_write(v, gva, zero, 64);
}
