/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions on segment and descriptor-table registers. */
#include "vmm/engine/bt/interp/interp.h"

#include <string.h>

/* A store of a system register: to a register with the operand size, to memory 16 bits. */
static bool put_selector(struct bt_vcpu *v, const struct x86_insn *in, uint16_t sel)
{
	const struct x86_operand *o = &in->opnd[0];

	if (o->kind == X86_OPK_GPR) {
		bt_reg_set(v, o->reg, in->opsize, sel);
		return true;
	}
	return bt_put(v, in, 0, sel);
}

/* UMIP: table registers are not for user code to read. */
static bool umip_denies(struct bt_vcpu *v)
{
	return v->cpl && (v->cr4 & CR4_UMIP) && !bt_raise_error(v, EXC_GP, 0);
}

bool bt_op_mov_seg(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t sel;
	unsigned reg = in->opnd[0].reg;

	if (in->opnd[0].kind != X86_OPK_SEG)
		return put_selector(v, in, v->seg[in->opnd[1].reg].selector);
	if (!bt_get(v, in, 1, &sel) || !bt_seg_load(v, reg, (uint16_t)sel))
		return false;
	if (reg == X86_SS)
		v->interrupt_shadow = X86_SHADOW_SS;
	return true;
}

static bool load_far_pointer(struct bt_vcpu *v, const struct x86_insn *in, unsigned seg)
{
	unsigned size = in->opnd[0].size;
	uint64_t off, sel;
	gva_t gva;

	if (!bt_operand_linear(v, in, size + 2, BT_READ, &gva) || !bt_load(v, gva, size, &off) ||
	    !bt_load(v, gva + size, 2, &sel) || !bt_seg_load(v, seg, (uint16_t)sel))
		return false;
	bt_reg_set(v, in->opnd[0].reg, size, off);
	return true;
}

#define FAR_POINTER_OP(name, seg)                               \
	bool name(struct bt_vcpu *v, const struct x86_insn *in) \
	{                                                       \
		return load_far_pointer(v, in, seg);            \
	}
FAR_POINTER_OP(bt_op_les, X86_ES)
FAR_POINTER_OP(bt_op_lds, X86_DS)
FAR_POINTER_OP(bt_op_lss, X86_SS)
FAR_POINTER_OP(bt_op_lfs, X86_FS)
FAR_POINTER_OP(bt_op_lgs, X86_GS)

/* ---- GDTR, IDTR ------------------------------------------------------------------------------ */

static bool store_table(struct bt_vcpu *v, const struct x86_insn *in, const struct x86_table *t)
{
	bool code64 = v->mode & BT_MODE_CODE64;
	unsigned size = code64 ? 10 : 6;
	uint8_t image[10];
	gva_t gva;

	if (umip_denies(v))
		return false;
	memcpy(image, &t->limit, 2);
	memcpy(image + 2, &t->base, 8);
	return bt_operand_linear(v, in, size, BT_WRITE, &gva) && bt_write(v, gva, image, size);
}

static bool load_table(struct bt_vcpu *v, const struct x86_insn *in, struct x86_table *t)
{
	bool code64 = v->mode & BT_MODE_CODE64;
	uint64_t limit, base;
	gva_t gva;

	if (!bt_operand_linear(v, in, code64 ? 10 : 6, BT_READ, &gva) ||
	    !bt_load(v, gva, 2, &limit) || !bt_load(v, gva + 2, code64 ? 8 : 4, &base))
		return false;
	if (code64 && !bt_canonical(base))
		return bt_raise_error(v, EXC_GP, 0);
	t->limit = (uint16_t)limit;
	t->base = !code64 && in->opsize == 2 ? base & 0xffffff : base;
	return true;
}

bool bt_op_sgdt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return store_table(v, in, &v->gdt);
}

bool bt_op_sidt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return store_table(v, in, &v->idt);
}

bool bt_op_lgdt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return load_table(v, in, &v->gdt);
}

bool bt_op_lidt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return load_table(v, in, &v->idt);
}

/* ---- LDTR, TR -------------------------------------------------------------------------------- */

bool bt_op_sldt(struct bt_vcpu *v, const struct x86_insn *in)
{
	return !umip_denies(v) && put_selector(v, in, v->ldt.selector);
}

bool bt_op_str(struct bt_vcpu *v, const struct x86_insn *in)
{
	return !umip_denies(v) && put_selector(v, in, v->tr.selector);
}

/* A system descriptor from the GDT, of one of the types whose bit is set in `types`. */
static bool system_segment(struct bt_vcpu *v, uint16_t sel, unsigned types, struct bt_desc *d,
			   struct x86_segment *s)
{
	if (sel & 4)
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!bt_desc_read(v, sel, 0, EXC_GP, d))
		return false;
	if (!bt_desc_is_system(d) || !(types >> bt_desc_type(d) & 1))
		return bt_raise_error(v, EXC_GP, sel & ~3u);
	if (!bt_desc_present(d))
		return bt_raise_error(v, EXC_NP, sel & ~3u);
	if (bt_long(v) && !bt_desc_read_high(v, sel, EXC_GP, d))
		return false;
	bt_desc_segment(d, sel, s);
	return bt_canonical(s->base) || bt_raise_error(v, EXC_GP, sel & ~3u);
}

bool bt_op_lldt(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct x86_segment s = {.attr = X86_ATTR_UNUSABLE};
	struct bt_desc d;
	uint64_t sel;

	if (!bt_get(v, in, 0, &sel))
		return false;
	s.selector = (uint16_t)sel;
	if ((sel & ~3ull) && !system_segment(v, (uint16_t)sel, 1u << 2, &d, &s))
		return false;
	v->ldt = s;
	return true;
}

/* Marks the TSS busy in the GDT and in TR. */
bool bt_op_ltr(struct bt_vcpu *v, const struct x86_insn *in)
{
	struct x86_segment s;
	struct bt_desc d;
	uint64_t sel;
	uint8_t access;

	if (!bt_get(v, in, 0, &sel))
		return false;
	if (!(sel & ~3ull))
		return bt_raise_error(v, EXC_GP, 0);
	if (!system_segment(v, (uint16_t)sel, bt_long(v) ? 1u << 9 : 1u << 9 | 1u << 1, &d, &s))
		return false;
	access = (uint8_t)(d.hi >> 8) | 2;
	if (!bt_write_sys(v, v->gdt.base + (sel & ~7ull) + 5, &access, 1))
		return false;
	s.attr |= 2;
	v->tr = s;
	return true;
}

/* ---- asking about descriptors ---------------------------------------------------------------- */

/* The descriptor if `sel` may name it for this instruction; *ok false: ZF = 0. A false return:
 * fault. */
static bool probe_descriptor(struct bt_vcpu *v, uint64_t sel, struct bt_desc *d, bool *ok)
{
	unsigned dpl;
	bool conforming;

	*ok = false;
	if (!(sel & ~3ull))
		return true;
	if (!bt_desc_read(v, (uint16_t)sel, 0, EXC_GP, d))
		return v->fault.vector == EXC_GP; /* beyond the table */
	dpl = bt_desc_dpl(d);
	conforming = bt_desc_is_code(d) && (bt_desc_type(d) & 4);
	*ok = conforming || (dpl >= v->cpl && dpl >= (sel & 3));
	return true;
}

static void set_zf(struct bt_vcpu *v, bool zf)
{
	v->rflags = (v->rflags & ~(uint64_t)FL_ZF) | (zf ? FL_ZF : 0);
}

static bool verify(struct bt_vcpu *v, const struct x86_insn *in, bool write)
{
	struct bt_desc d;
	uint64_t sel;
	bool ok;

	if (!bt_get(v, in, 0, &sel) || !probe_descriptor(v, sel, &d, &ok))
		return false;
	if (ok && bt_desc_is_system(&d))
		ok = false;
	else if (ok && bt_desc_is_code(&d))
		ok = !write && (bt_desc_type(&d) & 2);
	else if (ok && write)
		ok = bt_desc_type(&d) & 2;
	set_zf(v, ok);
	return true;
}

bool bt_op_verr(struct bt_vcpu *v, const struct x86_insn *in)
{
	return verify(v, in, false);
}

bool bt_op_verw(struct bt_vcpu *v, const struct x86_insn *in)
{
	return verify(v, in, true);
}

/* System types that LAR and LSL know, outside and in long mode (Intel SDM volume 2, LAR and LSL).
 */
static bool known_system_type(const struct bt_vcpu *v, unsigned type, bool limit)
{
	unsigned legacy = limit ? 0x0a0e : 0x1a3e, wide = limit ? 0x0a04 : 0x1a04;

	return (bt_long(v) ? wide : legacy) >> type & 1;
}

static bool access_or_limit(struct bt_vcpu *v, const struct x86_insn *in, bool limit)
{
	struct bt_desc d;
	struct x86_segment s;
	uint64_t sel;
	bool ok;

	if (!bt_get(v, in, 1, &sel) || !probe_descriptor(v, (uint16_t)sel, &d, &ok))
		return false;
	if (ok && bt_desc_is_system(&d))
		ok = known_system_type(v, bt_desc_type(&d), limit);
	set_zf(v, ok);
	if (!ok)
		return true;
	bt_desc_segment(&d, (uint16_t)sel, &s);
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, limit ? s.limit : d.hi & 0x00ffff00);
	return true;
}

bool bt_op_lar(struct bt_vcpu *v, const struct x86_insn *in)
{
	return access_or_limit(v, in, false);
}

bool bt_op_lsl(struct bt_vcpu *v, const struct x86_insn *in)
{
	return access_or_limit(v, in, true);
}

bool bt_op_arpl(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t d, s = bt_reg(v, in->opnd[1].reg, 2);
	bool raise;

	if (!bt_get(v, in, 0, &d))
		return false;
	raise = (d & 3) < (s & 3);
	if (raise && !bt_put(v, in, 0, (d & ~3ull) | (s & 3)))
		return false;
	set_zf(v, raise);
	return true;
}

/* ---- FS and GS bases ------------------------------------------------------------------------- */

static void set_base(struct bt_vcpu *v, unsigned seg, uint64_t base)
{
	v->seg[seg].base = base;
	v->segbase[seg] = base;
}

bool bt_op_swapgs(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t base = v->seg[X86_GS].base;

	(void)in;
	set_base(v, X86_GS, v->kernel_gs_base);
	v->kernel_gs_base = base;
	return true;
}

static bool read_base(struct bt_vcpu *v, const struct x86_insn *in, unsigned seg)
{
	if (!(v->cr4 & CR4_FSGSBASE))
		return bt_raise(v, EXC_UD);
	bt_reg_set(v, in->opnd[0].reg, in->opnd[0].size, v->seg[seg].base);
	return true;
}

static bool write_base(struct bt_vcpu *v, const struct x86_insn *in, unsigned seg)
{
	uint64_t base = bt_reg(v, in->opnd[0].reg, in->opnd[0].size);

	if (!(v->cr4 & CR4_FSGSBASE))
		return bt_raise(v, EXC_UD);
	if (!bt_canonical(base))
		return bt_raise_error(v, EXC_GP, 0);
	set_base(v, seg, base);
	return true;
}

bool bt_op_rdfsbase(struct bt_vcpu *v, const struct x86_insn *in)
{
	return read_base(v, in, X86_FS);
}

bool bt_op_rdgsbase(struct bt_vcpu *v, const struct x86_insn *in)
{
	return read_base(v, in, X86_GS);
}

bool bt_op_wrfsbase(struct bt_vcpu *v, const struct x86_insn *in)
{
	return write_base(v, in, X86_FS);
}

bool bt_op_wrgsbase(struct bt_vcpu *v, const struct x86_insn *in)
{
	return write_base(v, in, X86_GS);
}
