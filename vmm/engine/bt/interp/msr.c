/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers. Most are a field of the vCPU with a rule for valid values: one row
 * each. What is in no row raises #GP and is counted.
 */
#include "vmm/engine/bt/interp/interp.h"

#include <stddef.h>

#include "vmm/engine/bt/lockstep/lockstep.h"
#include "x86/registers.h"

#define MSR_TSC           0x10
#define MSR_TSC_ADJUST    0x3b
#define MSR_TSC_DEADLINE  0x6e0
#define MSR_APIC_BASE     0x1b
#define MSR_X2APIC_FIRST  0x800
#define MSR_X2APIC_LAST   0x8ff
#define MSR_EFER          0xc0000080
#define MSR_FS_BASE       0xc0000100
#define MSR_GS_BASE       0xc0000101
#define MSR_KVM_WALL      0x4b564d00
#define MSR_KVM_SYSTEM    0x4b564d01
#define MSR_MTRR_PHYS     0x200
#define MSR_MTRR_PHYS_END 0x20f

#define FIELD(msr, field, rule)                                      \
	{                                                            \
		msr, offsetof(struct bt_vcpu, field), X86_MSR_##rule \
	}

static const struct msr_field {
	uint32_t msr;
	uint16_t offset;
	uint8_t rule;
} fields[] = {X86_MSR_FIELDS(FIELD)};

/* Registers that hold one value for ever here; writes are dropped. */
static const struct msr_constant {
	uint32_t msr;
	uint64_t value;
} constants[] = {
	{0x8b, 0},     /* microcode revision */
	{0xfe, 0x508}, /* MTRRcap: 8 variable, fixed ones, write combining */
	{0x179, 0},    /* machine check: no banks */
	{0x17a, 0},
	{0x17b, 0},
	{0x1d9, 0},      /* debug control: no branch tracing */
	{0xc0010000, 0}, /* AMD: what four performance counters count (Xen clears them), */
	{0xc0010001, 0},
	{0xc0010002, 0},
	{0xc0010003, 0},
	{0xc0010004, 0}, /* and have counted */
	{0xc0010005, 0},
	{0xc0010006, 0},
	{0xc0010007, 0},
	{0xc0010010, 0},       /* AMD: SYSCFG */
	{0xc0010015, 1 << 24}, /* AMD: HWCR, TSC counts at P0's frequency */
	{0xc001001f, 0},       /* AMD: NB_CFG */
	{0xc0010055, 0},       /* AMD: interrupt pending messages */
	{0xc0010112, 0},       /* AMD: TSEG */
	{0xc0011022, 0},       /* AMD: DC_CFG */
	{0xc0011023, 0},       /* AMD: BU_CFG */
	{0xc0011029, 2},       /* AMD: DE_CFG, LFENCE is serializing */
};

static const struct msr_field *field_find(uint32_t msr)
{
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].msr == msr)
			return &fields[i];
	return NULL;
}

static const struct msr_constant *constant_find(uint32_t msr)
{
	for (unsigned i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (constants[i].msr == msr)
			return &constants[i];
	return NULL;
}

static bool is_lapic_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
	       (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

/* Kernels probe for registers this way, so it is counted but no news. */
static bool unknown(struct bt_vcpu *v)
{
	v->vm->bad_msr++;
	return bt_raise_error(v, EXC_GP, 0);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool lapic_msr(struct bt_vcpu *v, uint32_t msr, uint64_t *val)
{
	bool ok = false;

	*val = 0;
	if (!bt_is_twin(v)) {
		bt_fpu_leave(v);
		ok = lapic_msr_read(&v->lapic, msr, val);
		bt_fpu_enter(v);
	}
	*val = bt_logged(v, LOG_RDMSR, msr, *val);
	ok = bt_logged(v, LOG_RDMSR, msr, ok);
	return ok || bt_raise_error(v, EXC_GP, 0);
}

bool bt_msr_read(struct bt_vcpu *v, uint32_t msr, uint64_t *val)
{
	const struct msr_field *f = field_find(msr);
	const struct msr_constant *c;

	if (f) {
		*val = *(const uint64_t *)((const uint8_t *)v + f->offset);
		return true;
	}
	if (is_lapic_msr(msr))
		return lapic_msr(v, msr, val);
	if (msr >= MSR_MTRR_PHYS && msr <= MSR_MTRR_PHYS_END) {
		*val = (msr & 1 ? v->mtrr_mask : v->mtrr_base)[(msr - MSR_MTRR_PHYS) / 2];
		return true;
	}
	switch (msr) {
	case MSR_TSC:
		*val = bt_read_tsc(v);
		return true;
	case MSR_TSC_ADJUST:
		*val = v->tsc_adjust;
		return true;
	case MSR_EFER:
		*val = v->efer;
		return true;
	case MSR_FS_BASE:
		*val = v->seg[X86_FS].base;
		return true;
	case MSR_GS_BASE:
		*val = v->seg[X86_GS].base;
		return true;
	case MSR_KVM_WALL:
		*val = v->kvmclock_wall_clock;
		return true;
	case MSR_KVM_SYSTEM:
		*val = v->kvmclock_system_time;
		return true;
	}
	c = constant_find(msr);
	if (!c)
		return unknown(v);
	*val = c->value;
	return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool write_efer(struct bt_vcpu *v, uint64_t val)
{
	const struct cpu_model *m = v->vm->cfg.cpu;
	uint64_t known = (m->has[X86_FEAT_SYSCALL] ? EFER_SCE : 0) |
			 (m->has[X86_FEAT_LM] ? EFER_LME | EFER_LMA : 0) |
			 (m->has[X86_FEAT_NX] ? EFER_NXE : 0);

	if (val & ~known)
		return bt_raise_error(v, EXC_GP, 0);
	if (((val ^ v->efer) & EFER_LME) && (v->cr0 & CR0_PG))
		return bt_raise_error(v, EXC_GP, 0);
	val = (val & ~(uint64_t)EFER_LMA) | (v->efer & EFER_LMA);
	if ((val ^ v->efer) & EFER_NXE)
		bt_flush_all(v);
	v->efer = val;
	bt_mode_changed(v);
	return true;
}

static bool write_base(struct bt_vcpu *v, unsigned seg, uint64_t val)
{
	if (!bt_canonical(val))
		return bt_raise_error(v, EXC_GP, 0);
	v->seg[seg].base = val;
	v->segbase[seg] = val;
	return true;
}

/* Moving the counter moves the record of how far it was moved, and the other way round. */
static bool write_tsc(struct bt_vcpu *v, uint64_t by)
{
	v->tsc_offset += by;
	v->tsc_adjust += by;
	bt_kvmclock_update(v);
	return true;
}

static bool write_lapic_msr(struct bt_vcpu *v, uint32_t msr, uint64_t val)
{
	bool ok = false;

	bt_logged(v, LOG_WRMSR, msr, val);
	if (!bt_is_twin(v)) {
		bt_fpu_leave(v);
		ok = lapic_msr_write(&v->lapic, msr, val);
		bt_fpu_enter(v);
		bt_post(v, BT_REQ_IRQ);
	}
	ok = bt_logged(v, LOG_RDMSR, msr, ok);
	return ok || bt_raise_error(v, EXC_GP, 0);
}

static bool write_mtrr(struct bt_vcpu *v, unsigned n, uint64_t val)
{
	if (!x86_range_mtrr_takes(n, val, v->vm->cfg.cpu->phys_bits))
		return bt_raise_error(v, EXC_GP, 0);
	(n & 1 ? v->mtrr_mask : v->mtrr_base)[n / 2] = val;
	return true;
}

bool bt_msr_write(struct bt_vcpu *v, uint32_t msr, uint64_t val)
{
	const struct msr_field *f = field_find(msr);

	if (f) {
		if (!x86_msr_takes(f->rule, val))
			return bt_raise_error(v, EXC_GP, 0);
		*(uint64_t *)((uint8_t *)v + f->offset) = val;
		return true;
	}
	if (is_lapic_msr(msr))
		return write_lapic_msr(v, msr, val);
	if (msr >= MSR_MTRR_PHYS && msr <= MSR_MTRR_PHYS_END)
		return write_mtrr(v, msr - MSR_MTRR_PHYS, val);
	switch (msr) {
	case MSR_TSC:
		return write_tsc(v, val - bt_read_tsc(v));
	case MSR_TSC_ADJUST:
		return write_tsc(v, val - v->tsc_adjust);
	case MSR_EFER:
		return write_efer(v, val);
	case MSR_FS_BASE:
		return write_base(v, X86_FS, val);
	case MSR_GS_BASE:
		return write_base(v, X86_GS, val);
	case MSR_KVM_WALL:
		v->kvmclock_wall_clock = val;
		bt_kvmclock_wall(v);
		return true;
	case MSR_KVM_SYSTEM:
		v->kvmclock_system_time = val;
		bt_kvmclock_update(v);
		return true;
	}
	return constant_find(msr) || unknown(v);
}

/* ---- the instructions ------------------------------------------------------------------------ */

bool bt_op_rdmsr(struct bt_vcpu *v, const struct x86_insn *in)
{
	uint64_t val;

	(void)in;
	if (!bt_msr_read(v, (uint32_t)v->gpr[X86_RCX], &val))
		return false;
	v->gpr[X86_RAX] = (uint32_t)val;
	v->gpr[X86_RDX] = val >> 32;
	return true;
}

bool bt_op_wrmsr(struct bt_vcpu *v, const struct x86_insn *in)
{
	(void)in;
	return bt_msr_write(v, (uint32_t)v->gpr[X86_RCX],
			    (uint32_t)v->gpr[X86_RAX] | v->gpr[X86_RDX] << 32);
}
