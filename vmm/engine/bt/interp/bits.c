/* SPDX-License-Identifier: Apache-2.0 */
/* Bit tests and scans, BMI, CRC32. Each runs as itself on the host, for its flags' sake. */
#include "vmm/engine/bt/interp/interp.h"

X86_ALU_BIT(alu_bt, "bt")
X86_ALU_BIT(alu_bts, "bts")
X86_ALU_BIT(alu_btr, "btr")
X86_ALU_BIT(alu_btc, "btc")

/* With a bit number from a register, memory is a string of bits around the operand. */
static bool bit_address(struct bt_vcpu *v, const struct x86_insn *in, uint64_t bit,
			enum bt_access a, gva_t *gva)
{
	unsigned size = in->opnd[0].size, shift = 64 - size * 8;
	int64_t n = (int64_t)(bit << shift) >> shift;
	uint64_t off = bt_offset(v, in);

	if (in->opnd[1].kind == X86_OPK_GPR)
		off += (uint64_t)((n >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * size);
	if (in->addrsize < 8)
		off = in->addrsize == 4 ? (uint32_t)off : (uint16_t)off;
	return bt_seg_linear(v, in->mem.seg, off, size, a, gva);
}

static bool bit_test(struct bt_vcpu *v, const struct x86_insn *in, x86_alu *fn, bool write)
{
	const struct x86_operand *o = &in->opnd[0];
	uint64_t bit, old, mask = o->size * 8u - 1;
	gva_t gva;

	if (!bt_get(v, in, 1, &bit))
		return false;
	if (o->kind == X86_OPK_GPR) {
		old = fn(o->size, bt_reg(v, o->reg, o->size), bit & mask, &v->rflags);
		if (write)
			bt_reg_set(v, o->reg, o->size, old);
		return true;
	}
	if (!bit_address(v, in, bit, write ? BT_RMW : BT_READ, &gva))
		return false;
	if (write)
		return bt_rmw_at(v, gva, o->size, in->prefixes & X86_PFX_LOCK, fn, bit & mask,
				 &old);
	if (!bt_load(v, gva, o->size, &old))
		return false;
	fn(o->size, old, bit & mask, &v->rflags);
	return true;
}

bool bt_op_bt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bit_test(v, in, alu_bt, false);
}

bool bt_op_bts(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bit_test(v, in, alu_bts, true);
}

bool bt_op_btr(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bit_test(v, in, alu_btr, true);
}

bool bt_op_btc(struct bt_vcpu *v, const struct x86_insn *in)
{
	return bit_test(v, in, alu_btc, true);
}

/* ---- scans and counts: register destination, source in any operand ----------------------------
 */

#define SCAN(name, insn)                                                              \
	bool bt_op_##name(struct bt_vcpu *v, const struct x86_insn *in)               \
	{                                                                             \
		const struct x86_operand *o = &in->opnd[0];                           \
		uint64_t d = v->gpr[o->reg], s;                                       \
		uint32_t f = x86_flags_pack(v->rflags);                               \
                                                                                      \
		if (!bt_get(v, in, 1, &s))                                            \
			return false;                                                 \
		if (o->size == 2)                                                     \
			X86_ALU_CASE(insn "w %w[s], %w[d]");                          \
		else if (o->size == 4)                                                \
			X86_ALU_CASE(insn "l %k[s], %k[d]");                          \
		else                                                                  \
			X86_ALU_CASE(insn "q %[s], %[d]");                            \
		v->rflags = (v->rflags & ~(uint64_t)FL_STATUS) | x86_flags_unpack(f); \
		bt_reg_set(v, o->reg, o->size, d);                                    \
		return true;                                                          \
	}
SCAN(tzcnt, "tzcnt")
SCAN(lzcnt, "lzcnt")
SCAN(popcnt, "popcnt")

/* A zero source leaves the destination alone: no zero-extension of a 32-bit one either. */
static bool scan_zero(struct bt_vcpu *v, const struct x86_insn *in, bool *is_zero)
{
	uint64_t s;

	if (!bt_get(v, in, 1, &s))
		return false;
	*is_zero = !s;
	if (!s)
		v->rflags |= FL_ZF;
	return true;
}

static bt_handler bt_op_bsf_found, bt_op_bsr_found;
SCAN(bsf_found, "bsf")
SCAN(bsr_found, "bsr")

bool bt_op_bsf(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool is_zero;

	return scan_zero(v, in, &is_zero) && (is_zero || bt_op_bsf_found(v, in));
}

bool bt_op_bsr(struct bt_vcpu *v, const struct x86_insn *in)
{
	bool is_zero;

	return scan_zero(v, in, &is_zero) && (is_zero || bt_op_bsr_found(v, in));
}

/* ---- BMI1 and BMI2 --------------------------------------------------------------------------- */

/* SF, ZF of the result and the given CF; OF is cleared, AF and PF keep what they were. */
static bool bmi_result(struct bt_vcpu *v, const struct x86_insn *in, uint64_t val, bool cf)
{
	const struct x86_operand *o = &in->opnd[0];
	uint64_t fl = v->rflags & ~(uint64_t)(FL_SF | FL_ZF | FL_CF | FL_OF);

	if (o->size == 4)
		val = (uint32_t)val;
	fl |= cf ? FL_CF : 0;
	fl |= val ? 0 : FL_ZF;
	fl |= val >> (o->size * 8u - 1) & 1 ? FL_SF : 0;
	v->rflags = fl;
	bt_reg_set(v, o->reg, o->size, val);
	return true;
}

bool bt_op_andn(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t a, b;

	return bt_get(v, in, 1, &a) && bt_get(v, in, 2, &b) && bmi_result(v, in, ~a & b, false);
}

bool bt_op_blsr(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	return bt_get(v, in, 1, &s) && bmi_result(v, in, s & (s - 1), !s);
}

bool bt_op_blsmsk(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	return bt_get(v, in, 1, &s) && bmi_result(v, in, s ^ (s - 1), !s);
}

bool bt_op_blsi(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;

	return bt_get(v, in, 1, &s) && bmi_result(v, in, s & -s, s != 0);
}

static uint64_t low_bits(uint64_t val, unsigned n)
{
	return n > 63 ? val : val & ((1ull << n) - 1);
}

bool bt_op_bextr(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, control;
	unsigned start;

	if (!bt_get(v, in, 1, &s) || !bt_get(v, in, 2, &control))
		return false;
	start = control & 0xff;
	return bmi_result(v, in, low_bits(start > 63 ? 0 : s >> start, control >> 8 & 0xff), false);
}

bool bt_op_bzhi(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s, n;
	unsigned bits = in->opnd[0].size * 8u;

	if (!bt_get(v, in, 1, &s) || !bt_get(v, in, 2, &n))
		return false;
	n &= 0xff;
	return bmi_result(v, in, n < bits ? low_bits(s, (unsigned)n) : s, n > bits - 1);
}

/* The bits of `mask`, one after the other: gathered into or scattered from the low bits. */
static uint64_t extract_bits(uint64_t s, uint64_t mask, bool deposit)
{
	uint64_t val = 0;

	for (unsigned n = 0; mask; mask &= mask - 1, n++) {
		uint64_t bit = mask & -mask;

		if (deposit)
			val |= s >> n & 1 ? bit : 0;
		else
			val |= s & bit ? 1ull << n : 0;
	}
	return val;
}

static bool pext_pdep(struct bt_vcpu *v, const struct x86_insn *in, bool deposit)
{
	uint64_t s, mask;

	if (!bt_get(v, in, 1, &s) || !bt_get(v, in, 2, &mask))
		return false;
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, extract_bits(s, mask, deposit));
	return true;
}

bool bt_op_pext(struct bt_vcpu *v, const struct x86_insn *in)
{
	return pext_pdep(v, in, false);
}

bool bt_op_pdep(struct bt_vcpu *v, const struct x86_insn *in)
{
	return pext_pdep(v, in, true);
}

/* Castagnoli polynomial, reflected, a bit at a time: the decoder has asked for SSE4.2 of the guest
 * only, the host may lack it. */
bool bt_op_crc32(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t s;
	uint32_t crc = (uint32_t)v->gpr[in->opnd[0].reg];

	if (!bt_get(v, in, 1, &s))
		return false;
	for (unsigned i = 0; i < in->opnd[1].size; i++) {
		crc ^= (uint8_t)(s >> (i * 8));
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	v->gpr[in->opnd[0].reg] = crc;
	return true;
}
