/* SPDX-License-Identifier: Apache-2.0 */
/* Shifts and rotates, by the host's own instructions: a count of zero leaves the flags there too.
 */
#include "vmm/engine/bt/interp/interp.h"

#define SHIFT_CASE(asm_text) \
	__asm__(X86_FLAGS_IN asm_text X86_FLAGS_OUT : [d] "+&r"(d), "+&a"(f) : "c"(s) : "cc")

#define SHIFT(name, insn)                                                                      \
	ALWAYS_INLINE uint64_t alu_##name(unsigned size, uint64_t d, uint64_t s, uint64_t *fl) \
	{                                                                                      \
		uint32_t f = x86_flags_pack(*fl);                                              \
                                                                                               \
		switch (size) {                                                                \
		case 1:                                                                        \
			SHIFT_CASE(insn "b %%cl, %b[d]");                                      \
			break;                                                                 \
		case 2:                                                                        \
			SHIFT_CASE(insn "w %%cl, %w[d]");                                      \
			break;                                                                 \
		case 4:                                                                        \
			SHIFT_CASE(insn "l %%cl, %k[d]");                                      \
			break;                                                                 \
		default:                                                                       \
			SHIFT_CASE(insn "q %%cl, %[d]");                                       \
		}                                                                              \
		*fl = (*fl & ~(uint64_t)FL_STATUS) | x86_flags_unpack(f);                      \
		return d;                                                                      \
	}                                                                                      \
	bool bt_op_##name(struct bt_vcpu *v, const struct x86_insn *in)                        \
	{                                                                                      \
		uint64_t count;                                                                \
                                                                                               \
		return bt_get(v, in, 1, &count) && bt_modify(v, in, alu_##name, count);        \
	}
SHIFT(rol, "rol")
SHIFT(ror, "ror")
SHIFT(rcl, "rcl")
SHIFT(rcr, "rcr")
SHIFT(shl, "shl")
SHIFT(shr, "shr")
SHIFT(sar, "sar")

/* ---- double shifts --------------------------------------------------------------------------- */

struct double_shift {
	uint64_t fill, count;
};

#define DOUBLE_CASE(asm_text)                       \
	__asm__(X86_FLAGS_IN asm_text X86_FLAGS_OUT \
		: [d] "+&r"(d), "+&a"(f)            \
		: [s] "r"(x->fill), "c"(x->count)   \
		: "cc")

#define DOUBLE(name, insn)                                                              \
	static uint64_t alu_##name(unsigned size, uint64_t d, uint64_t s, uint64_t *fl) \
	{                                                                               \
		const struct double_shift *x = (const struct double_shift *)s;          \
		uint32_t f = x86_flags_pack(*fl);                                       \
                                                                                        \
		if (size == 2)                                                          \
			DOUBLE_CASE(insn "w %%cl, %w[s], %w[d]");                       \
		else if (size == 4)                                                     \
			DOUBLE_CASE(insn "l %%cl, %k[s], %k[d]");                       \
		else                                                                    \
			DOUBLE_CASE(insn "q %%cl, %[s], %[d]");                         \
		*fl = (*fl & ~(uint64_t)FL_STATUS) | x86_flags_unpack(f);               \
		return d;                                                               \
	}                                                                               \
	bool bt_op_##name(struct bt_vcpu *v, const struct x86_insn *in)                 \
	{                                                                               \
		struct double_shift x = {0};                                            \
                                                                                        \
		return bt_get(v, in, 1, &x.fill) && bt_get(v, in, 2, &x.count) &&       \
		       bt_modify(v, in, alu_##name, (uint64_t)&x);                      \
	}
DOUBLE(shld, "shld")
DOUBLE(shrd, "shrd")

/* ---- BMI2: no flags -------------------------------------------------------------------------- */

/* Source and count, the count masked to the operand's width. */
static bool shift_operands(struct bt_vcpu *v, const struct x86_insn *in, uint64_t *s,
			   uint64_t *count)
{
	if (!bt_get(v, in, 1, s) || !bt_get(v, in, 2, count))
		return false;
	*count &= in->opnd[0].size * 8u - 1;
	return true;
}

static bool shift_result(struct bt_vcpu *v, const struct x86_insn *in, uint64_t val)
{
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, val);
	return true;
}

bool bt_op_shlx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, count;

	return shift_operands(v, in, &s, &count) && shift_result(v, in, s << count);
}

bool bt_op_shrx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, count;

	return shift_operands(v, in, &s, &count) && shift_result(v, in, s >> count);
}

bool bt_op_sarx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, count;

	if (!shift_operands(v, in, &s, &count))
		return false;
	if (in->opnd[0].size == 4)
		s = (uint64_t)(int64_t)(int32_t)s;
	return shift_result(v, in, (uint64_t)((int64_t)s >> count));
}

bool bt_op_rorx(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, count;
	unsigned bits = in->opnd[0].size * 8u;

	if (!shift_operands(v, in, &s, &count))
		return false;
	return shift_result(v, in, count ? s >> count | s << (bits - count) : s);
}
