/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic and logic of two operands, exchanges, decimal adjustments. */
#include "vmm/engine/bt/interp/interp.h"

X86_ALU(alu_add, "add")
X86_ALU(alu_or, "or")
X86_ALU(alu_adc, "adc")
X86_ALU(alu_sbb, "sbb")
X86_ALU(alu_and, "and")
X86_ALU(alu_sub, "sub")
X86_ALU(alu_xor, "xor")
X86_ALU(alu_cmp, "cmp")
X86_ALU(alu_test, "test")

X86_ALU_UNARY(alu_inc, "inc")
X86_ALU_UNARY(alu_dec, "dec")
X86_ALU_UNARY(alu_neg, "neg")
X86_ALU_UNARY(alu_not, "not")

#define BINARY_OP(name, fn)                                             \
	bool name(struct bt_vcpu *v, const struct x86_insn *in)         \
	{                                                               \
		uint64_t s;                                             \
                                                                        \
		return bt_get(v, in, 1, &s) && bt_modify(v, in, fn, s); \
	}
BINARY_OP(bt_op_add, alu_add)
BINARY_OP(bt_op_or, alu_or)
BINARY_OP(bt_op_adc, alu_adc)
BINARY_OP(bt_op_sbb, alu_sbb)
BINARY_OP(bt_op_and, alu_and)
BINARY_OP(bt_op_sub, alu_sub)
BINARY_OP(bt_op_xor, alu_xor)

#define UNARY_OP(name, fn)                                      \
	bool name(struct bt_vcpu *v, const struct x86_insn *in) \
	{                                                       \
		return bt_modify(v, in, fn, 0);                 \
	}
UNARY_OP(bt_op_inc, alu_inc)
UNARY_OP(bt_op_dec, alu_dec)
UNARY_OP(bt_op_neg, alu_neg)
UNARY_OP(bt_op_not, alu_not)

/* Flags only. */
#define COMPARE_OP(name, fn)                                        \
	bool name(struct bt_vcpu *v, const struct x86_insn *in)     \
	{                                                           \
		uint64_t d, s;                                      \
                                                                    \
		if (!bt_get(v, in, 0, &d) || !bt_get(v, in, 1, &s)) \
			return false;                               \
		fn(in->opnd[0].size, d, s, &v->rflags);             \
		return true;                                        \
	}
COMPARE_OP(bt_op_cmp, alu_cmp)
COMPARE_OP(bt_op_test, alu_test)

/* ADCX and ADOX carry through one flag and leave the others. */
static bool add_carry(struct bt_vcpu *v, const struct x86_insn *in, uint64_t flag)
{
	uint64_t d, s, fl = v->rflags & flag ? FL_CF : 0;

	if (!bt_get(v, in, 0, &d) || !bt_get(v, in, 1, &s))
		return false;
	d = alu_adc(in->opnd[0].size, d, s, &fl);
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, d);
	v->rflags = (v->rflags & ~flag) | (fl & FL_CF ? flag : 0);
	return true;
}

bool bt_op_adcx(struct bt_vcpu *v, const struct x86_insn *in)
{
	return add_carry(v, in, FL_CF);
}

bool bt_op_adox(struct bt_vcpu *v, const struct x86_insn *in)
{
	return add_carry(v, in, FL_OF);
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static uint64_t alu_second(unsigned size, uint64_t d, uint64_t s, uint64_t *fl)
{
	(void)size, (void)d, (void)fl;
	return s;
}

/* With memory XCHG is locked whether it says so or not. */
bool bt_op_xchg(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *a = &in->opnd[0], *b = &in->opnd[1];
	uint64_t old, s;
	gva_t gva;

	if (b->kind == X86_OPK_MEM) {
		a = &in->opnd[1];
		b = &in->opnd[0];
	}
	s = bt_reg(v, b->reg, b->size);
	if (a->kind == X86_OPK_GPR) {
		old = bt_reg(v, a->reg, a->size);
		bt_reg_set(v, a->reg, a->size, s);
	} else if (!bt_operand_linear(v, in, a->size, BT_RMW, &gva) ||
		   !bt_rmw_at(v, gva, a->size, true, alu_second, s, &old)) {
		return false;
	}
	bt_reg_set(v, b->reg, b->size, old);
	return true;
}

bool bt_op_xadd(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *a = &in->opnd[0], *b = &in->opnd[1];
	uint64_t old, s = bt_reg(v, b->reg, b->size), sum;
	gva_t gva;

	if (a->kind == X86_OPK_GPR) {
		old = bt_reg(v, a->reg, a->size);
		sum = alu_add(a->size, old, s, &v->rflags);
		bt_reg_set(v, b->reg, b->size, old);
		bt_reg_set(v, a->reg, a->size, sum);
		return true;
	}
	if (!bt_operand_linear(v, in, a->size, BT_RMW, &gva) ||
	    !bt_rmw_at(v, gva, a->size, in->prefixes & X86_PFX_LOCK, alu_add, s, &old))
		return false;
	bt_reg_set(v, b->reg, b->size, old);
	return true;
}

/* The destination is written even when it does not match, with what it was. */
struct exchange {
	uint64_t expected, desired;
};

static uint64_t alu_exchange(unsigned size, uint64_t d, uint64_t s, uint64_t *fl)
{
	const struct exchange *x = (const struct exchange *)s;

	alu_cmp(size, x->expected, d, fl);
	return *fl & FL_ZF ? x->desired : d;
}

/* Processors differ in whether a 32-bit destination that is not exchanged is zero-extended. */
static uint64_t cmpxchg32_unequal(uint64_t dest)
{
	uint32_t other = ~(uint32_t)dest;

	__asm__("cmpxchgl %k0, %k0" : "+r"(dest), "+a"(other) : : "cc");
	return dest;
}

bool bt_op_cmpxchg(struct bt_vcpu *v, const struct x86_insn *in)
{
	const struct x86_operand *a = &in->opnd[0];
	struct exchange x = {.expected = bt_reg(v, X86_RAX, a->size)};
	uint64_t old;
	gva_t gva;

	x.desired = bt_reg(v, in->opnd[1].reg, a->size);
	if (a->kind == X86_OPK_GPR) {
		old = bt_reg(v, a->reg, a->size);
		alu_cmp(a->size, x.expected, old, &v->rflags);
		if (v->rflags & FL_ZF)
			bt_reg_set(v, a->reg, a->size, x.desired);
		else if (a->size == 4)
			v->gpr[a->reg] = cmpxchg32_unequal(v->gpr[a->reg]);
	} else if (!bt_operand_linear(v, in, a->size, BT_RMW, &gva) ||
		   !bt_rmw_at(v, gva, a->size, in->prefixes & X86_PFX_LOCK, alu_exchange,
			      (uint64_t)&x, &old)) {
		return false;
	}
	if (!(v->rflags & FL_ZF))
		bt_reg_set(v, X86_RAX, a->size, old);
	return true;
}

/* CMPXCHG16B on RAM: the host's, which is atomic whether LOCK stands before it or not. */
static bool exchange16(void *p, uint64_t expected[2], const uint64_t desired[2])
{
	bool equal;

	__asm__ volatile("lock cmpxchg16b %[m]"
			 : [m] "+m"(*(unsigned __int128 *)p), "+a"(expected[0]), "+d"(expected[1]),
			   "=@ccz"(equal)
			 : "b"(desired[0]), "c"(desired[1])
			 : "memory");
	return equal;
}

static bool exchange16_at(struct bt_vcpu *v, gva_t gva, uint64_t expected[2],
			  const uint64_t desired[2], bool *equal)
{
	uint64_t old[2];
	void *p = bt_host(v, gva, 16, BT_RMW);
	bool ok;

	if (p) {
		*equal = exchange16(p, expected, desired);
		return true;
	}
	if (v->fault.vector != BT_NO_FAULT)
		return false;
	bt_lock(&v->vm->split_lock);
	ok = bt_read_intent(v, gva, old, 16);
	if (ok) {
		*equal = old[0] == expected[0] && old[1] == expected[1];
		ok = bt_write(v, gva, *equal ? desired : old, 16);
		expected[0] = old[0];
		expected[1] = old[1];
	}
	bt_unlock(&v->vm->split_lock);
	return ok;
}

static bool cmpxchg16b(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t expected[2] = {v->gpr[X86_RAX], v->gpr[X86_RDX]};
	const uint64_t desired[2] = {v->gpr[X86_RBX], v->gpr[X86_RCX]};
	bool equal;
	gva_t gva;

	if (bt_effective(v, in) & 15) /* comes before what is wrong with the address */
		return bt_raise_error(v, EXC_GP, 0);
	if (!bt_operand_linear(v, in, 16, BT_RMW, &gva))
		return false;
	if (!exchange16_at(v, gva, expected, desired, &equal))
		return false;
	if (!equal) {
		v->gpr[X86_RAX] = expected[0];
		v->gpr[X86_RDX] = expected[1];
	}
	v->rflags = (v->rflags & ~(uint64_t)FL_ZF) | (equal ? FL_ZF : 0);
	return true;
}

bool bt_op_cmpxchg8b(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct exchange x;
	uint64_t old, fl = v->rflags;
	gva_t gva;

	if (in->opnd[0].size == 16)
		return cmpxchg16b(v, in);
	x.expected = (uint32_t)v->gpr[X86_RAX] | v->gpr[X86_RDX] << 32;
	x.desired = (uint32_t)v->gpr[X86_RBX] | v->gpr[X86_RCX] << 32;
	if (!bt_operand_linear(v, in, 8, BT_RMW, &gva) ||
	    !bt_rmw_at(v, gva, 8, in->prefixes & X86_PFX_LOCK, alu_exchange, (uint64_t)&x, &old))
		return false;
	v->rflags = (fl & ~(uint64_t)FL_ZF) | (old == x.expected ? FL_ZF : 0);
	if (old != x.expected) {
		v->gpr[X86_RAX] = (uint32_t)old;
		v->gpr[X86_RDX] = old >> 32;
	}
	return true;
}

/* ---- decimal adjustments (not in 64-bit mode) -------------------------------------------------
 */

static void set_flags(struct bt_vcpu *v, uint64_t mask, uint64_t fl)
{
	v->rflags = (v->rflags & ~mask) | (fl & mask);
}

/* SF, ZF and PF of AL, with the CF and AF given. */
static void adjust_flags(struct bt_vcpu *v, bool cf, bool af)
{
	uint64_t fl = v->rflags;

	alu_or(1, (uint8_t)v->gpr[X86_RAX], 0, &fl);
	set_flags(v, FL_SF | FL_ZF | FL_PF | FL_CF | FL_AF,
		  (fl & (FL_SF | FL_ZF | FL_PF)) | (cf ? FL_CF : 0) | (af ? FL_AF : 0));
}

static bool decimal_adjust(struct bt_vcpu *v, int sign)
{
	uint8_t al = (uint8_t)v->gpr[X86_RAX], old = al;
	bool cf = v->rflags & FL_CF, af = v->rflags & FL_AF, carry = false;

	if ((al & 15) > 9 || af) {
		carry = cf || (sign > 0 ? al > 0xff - 6 : al < 6);
		al = (uint8_t)(al + 6 * sign);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (uint8_t)(al + 0x60 * sign);
		carry = true;
	}
	bt_reg_set(v, X86_RAX, 1, al);
	adjust_flags(v, carry, af);
	return true;
}

bool bt_op_daa(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return decimal_adjust(v, 1);
}

bool bt_op_das(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return decimal_adjust(v, -1);
}

static bool ascii_adjust(struct bt_vcpu *v, int sign)
{
	uint16_t ax = (uint16_t)v->gpr[X86_RAX];
	bool adjust = (ax & 15) > 9 || (v->rflags & FL_AF);

	if (adjust)
		ax = (uint16_t)(ax + 0x106 * sign);
	bt_reg_set(v, X86_RAX, 2, ax & 0xff0f);
	adjust_flags(v, adjust, adjust);
	return true;
}

bool bt_op_aaa(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return ascii_adjust(v, 1);
}

bool bt_op_aas(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return ascii_adjust(v, -1);
}

bool bt_op_aam(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint8_t al = (uint8_t)v->gpr[X86_RAX], base = (uint8_t)in->imm;

	if (!base)
		return bt_raise(v, EXC_DE);
	bt_reg_set(v, X86_RAX, 2, (uint64_t)(al / base) << 8 | al % base);
	adjust_flags(v, false, false);
	return true;
}

bool bt_op_aad(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint16_t ax = (uint16_t)v->gpr[X86_RAX];

	bt_reg_set(v, X86_RAX, 2, (uint8_t)((ax & 0xff) + (ax >> 8) * (uint8_t)in->imm));
	adjust_flags(v, false, false);
	return true;
}

bool bt_op_salc(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	bt_reg_set(v, X86_RAX, 1, v->rflags & FL_CF ? 0xff : 0);
	return true;
}
