/* SPDX-License-Identifier: Apache-2.0 */
/* Multiplication and division. */
#include "vmm/engine/bt/interp/interp.h"

#define WIDE_CASE(asm_text)                        \
	__asm__(asm_text "\n\tpushfq\n\tpopq %[f]" \
		: "+a"(a), "+d"(d), [f] "=r"(f)    \
		: [s] "r"(s)                       \
		: "cc")

/* rDX:rAX = rAX * s; the byte form's product is AX. */
#define WIDE(name, insn)                                                          \
	static void name(struct bt_vcpu *v, unsigned size, uint64_t s)            \
	{                                                                         \
		uint64_t a = v->gpr[X86_RAX], d = v->gpr[X86_RDX], f;             \
                                                                                  \
		switch (size) {                                                   \
		case 1:                                                           \
			WIDE_CASE(insn "b %b[s]");                                \
			break;                                                    \
		case 2:                                                           \
			WIDE_CASE(insn "w %w[s]");                                \
			break;                                                    \
		case 4:                                                           \
			WIDE_CASE(insn "l %k[s]");                                \
			break;                                                    \
		default:                                                          \
			WIDE_CASE(insn "q %[s]");                                 \
		}                                                                 \
		v->gpr[X86_RAX] = a;                                              \
		v->gpr[X86_RDX] = d;                                              \
		v->rflags = (v->rflags & ~(uint64_t)FL_STATUS) | (f & FL_STATUS); \
	}
WIDE(wide_mul, "mul")
WIDE(wide_imul, "imul")

bool bt_op_mul(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	if (!bt_get(v, in, 0, &s))
		return false;
	wide_mul(v, in->opnd[0].size, s);
	return true;
}

#define TRUNCATED_CASE(asm_text) \
	__asm__(asm_text "\n\tpushfq\n\tpopq %[f]" : [d] "+r"(d), [f] "=r"(f) : [s] "r"(s) : "cc")

static uint64_t truncated_imul(unsigned size, uint64_t d, uint64_t s, uint64_t *fl)
{
	uint64_t f;

	if (size == 2)
		TRUNCATED_CASE("imulw %w[s], %w[d]");
	else if (size == 4)
		TRUNCATED_CASE("imull %k[s], %k[d]");
	else
		TRUNCATED_CASE("imulq %[s], %[d]");
	*fl = (*fl & ~(uint64_t)FL_STATUS) | (f & FL_STATUS);
	return d;
}

/* One operand: wide. Two: destination is also the first factor. Three: both factors are sources. */
bool bt_op_imul(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned first = in->nops == 3 ? 1 : 0;
	uint64_t a, b;

	if (in->nops == 1) {
		if (!bt_get(v, in, 0, &a))
			return false;
		wide_imul(v, in->opnd[0].size, a);
		return true;
	}
	if (!bt_get(v, in, first, &a) || !bt_get(v, in, first + 1, &b))
		return false;
	a = truncated_imul(in->opnd[0].size, a, b, &v->rflags);
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, a);
	return true;
}

bool bt_op_mulx(struct bt_vcpu *v, const struct x86_insn *in)
{
	unsigned size = in->opnd[0].size;
	uint64_t s;
	unsigned __int128 p;

	if (!bt_get(v, in, 2, &s))
		return false;
	p = (unsigned __int128)bt_reg(v, X86_RDX, size) * s;
	bt_reg_set(v, in->opnd[1].reg, size, (uint64_t)p);
	bt_reg_set(v, in->opnd[0].reg, size, (uint64_t)(p >> (size * 8)));
	return true;
}

/* ---- division -------------------------------------------------------------------------------- */

static bool divide_unsigned(struct bt_vcpu *v, unsigned size, uint64_t s)
{
	unsigned bits = size * 8;
	uint64_t low = size == 1 ? (uint8_t)v->gpr[X86_RAX] : bt_reg(v, X86_RAX, size);
	uint64_t high = size == 1 ? (uint8_t)(v->gpr[X86_RAX] >> 8) : bt_reg(v, X86_RDX, size);
	uint64_t q, r;

	if (high >= s) /* the quotient would not fit, or s is zero: #DE here and not in the host */
		return bt_raise(v, EXC_DE);
	if (size == 8) {
		__asm__("divq %4" : "=a"(q), "=d"(r) : "a"(low), "d"(high), "r"(s) : "cc");
	} else {
		low |= high << bits;
		q = low / s;
		r = low % s;
	}
	if (size == 1) {
		bt_reg_set(v, X86_RAX, 2, (q & 0xff) | r << 8);
		return true;
	}
	bt_reg_set(v, X86_RAX, size, q);
	bt_reg_set(v, X86_RDX, size, r);
	return true;
}

static int64_t sign_extend(uint64_t val, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return (int64_t)(val << shift) >> shift;
}

/* By magnitudes: truncation towards zero, the remainder has the dividend's sign. */
static bool divide_signed(struct bt_vcpu *v, unsigned size, uint64_t divisor)
{
	unsigned bits = size * 8;
	uint64_t low = size == 1 ? (uint8_t)v->gpr[X86_RAX] : bt_reg(v, X86_RAX, size);
	uint64_t high = size == 1 ? (uint8_t)(v->gpr[X86_RAX] >> 8) : bt_reg(v, X86_RDX, size);
	__int128 n = (__int128)((unsigned __int128)sign_extend(high, size) << bits | low);
	int64_t s = sign_extend(divisor, size);
	unsigned __int128 un = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
	uint64_t us = s < 0 ? -(uint64_t)s : (uint64_t)s, q, r;
	uint64_t most = (1ull << (bits - 1)) - ((n < 0) == (s < 0));

	if (!us || (uint64_t)(un >> 64) >= us)
		return bt_raise(v, EXC_DE);
	__asm__("divq %4"
		: "=a"(q), "=d"(r)
		: "a"((uint64_t)un), "d"((uint64_t)(un >> 64)), "r"(us)
		: "cc");
	if (q > most)
		return bt_raise(v, EXC_DE);
	q = (n < 0) == (s < 0) ? q : -q;
	r = n < 0 ? -r : r;
	if (size == 1) {
		bt_reg_set(v, X86_RAX, 2, (q & 0xff) | (r & 0xff) << 8);
		return true;
	}
	bt_reg_set(v, X86_RAX, size, q);
	bt_reg_set(v, X86_RDX, size, r);
	return true;
}

bool bt_op_div(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	return bt_get(v, in, 0, &s) && divide_unsigned(v, in->opnd[0].size, s);
}

bool bt_op_idiv(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	return bt_get(v, in, 0, &s) && divide_signed(v, in->opnd[0].size, s);
}
