/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: those that are just kept, and those that do something. */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/hv.h"
#include "x86/pvclock.h"
#include "x86/registers.h"

const uint32_t hv_direct_msrs[10] = {
	0x174,      0x175,      0x176,       0xc0000081,  0xc0000082,
	0xc0000083, 0xc0000084, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

#define KEPT(index, field, rule)                                             \
	{                                                                    \
		index, offsetof(struct x86_cpu_state, field), X86_MSR_##rule \
	}

static const struct kept {
	uint32_t index;
	uint16_t offset;
	uint8_t rule;
} kept[] = {
	X86_MSR_FIELDS(KEPT),
	KEPT(MSR_TSC_ADJUST, tsc_adjust, ANY),
	KEPT(MSR_WALL_CLOCK_NEW, kvmclock_wall_clock, ANY),
	KEPT(MSR_SYSTEM_TIME_NEW, kvmclock_system_time, ANY),
	KEPT(MSR_EFER, efer, ANY),
	KEPT(MSR_FS_BASE, seg[X86_FS].base, CANONICAL),
	KEPT(MSR_GS_BASE, seg[X86_GS].base, CANONICAL),
};

/* Read as 0, writes are forgotten: microcode, power, machine check, AMD's and Intel's odds and
 * ends. Ranges: the first, the last, the first of the next ... */
static const uint32_t ignored[] = {
	0x17,       0x17,       0x2a,       0x2a,       0x48,       0x4a,
	0x79,       0x79,       0x8b,       0x8b,       0xcd,       0xce,
	0x123,      0x123,      0x140,      0x140,      0x179,      0x17b,
	0x186,      0x187,      0x198,      0x19c,      0x1d9,      0x1de,
	0x400,      0x47f,      0x600,      0x61f,      0xc0010000, 0xc0010007,
	0xc0010010, 0xc0010055, 0xc0010058, 0xc0010113, 0xc0011000, 0xc0011fff,
};

static bool is_ignored(uint32_t msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i += 2) {
		if (msr >= ignored[i] && msr <= ignored[i + 1])
			return true;
	}
	return false;
}

static const struct kept *find_kept(uint32_t msr)
{
	return ARRAY_FIND(const struct kept, k, kept, ARRAY_SIZE(kept), k->index == msr);
}

static bool is_range_mtrr(uint32_t msr)
{
	return msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 16;
}

static uint64_t *field_of(struct hv_vcpu *v, uint32_t msr, const struct kept *k)
{
	if (is_range_mtrr(msr))
		return &(msr & 1 ? v->s.mtrr_mask : v->s.mtrr_base)[(msr - MSR_MTRR_PHYS) / 2];
	return k ? (uint64_t *)((char *)&v->s + k->offset) : NULL;
}

uint64_t *msr_field(struct hv_vcpu *v, uint32_t msr)
{
	return field_of(v, msr, find_kept(msr));
}

uint64_t guest_tsc(const struct hv_vcpu *v)
{
	return rdtsc() + v->tsc_offset;
}

static bool is_apic(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >= 0x800 && msr < 0x900);
}

bool msr_get(struct hv_vcpu *v, uint32_t msr, uint64_t *val)
{
	const uint64_t *field;

	if (is_apic(msr))
		return lapic_msr_read(&v->lapic, msr, val);
	switch (msr) {
	case MSR_TSC:
		*val = guest_tsc(v);
		return true;
	case MSR_MTRR_CAP:
		*val = 0x508;
		return true;
	}
	vcpu_state_to_cpu(v);
	field = msr_field(v, msr);
	*val = field ? *field : 0;
	return field || is_ignored(msr);
}

#define EFER_KNOWN 0xd01UL /* SCE, LME, LMA, NXE */

static bool set_efer(struct hv_vcpu *v, uint64_t val)
{
	vcpu_state_to_cpu(v);
	if (val & ~EFER_KNOWN || ((val ^ v->s.efer) & EFER_LME && v->s.cr0 >> 31))
		return false;
	v->s.efer = (val & ~EFER_LMA) | (v->s.efer & EFER_LMA);
	return true;
}

static void set_tsc(struct hv_vcpu *v, uint64_t val, bool host)
{
	uint64_t offset = val - rdtsc();

	if (host && !val) { /* the same as the VM's other vCPUs */
		v->tsc_offset = 0 - v->vm->tsc_base;
		return;
	}
	if (!host)
		v->s.tsc_adjust += offset - v->tsc_offset;
	v->tsc_offset = offset;
}

/* ---- the paravirtual clock ------------------------------------------------------------------- */

void kvmclock_update(struct hv_vcpu *v)
{
	uint64_t gpa = v->s.kvmclock_system_time & ~1UL;
	uint32_t version;
	struct pvclock p;

	if (!(v->s.kvmclock_system_time & PVCLOCK_ENABLE) || guest_read(v->vm, gpa, &version, 4))
		return;
	version |= 1;
	guest_write(v->vm, gpa, &version, 4);
	p = pvclock_at(version, guest_tsc(v), now_ns() + (uint64_t)v->vm->clock_offset,
		       (uint32_t)tsc_khz());
	guest_write(v->vm, gpa, &p, sizeof(p));
	p.version++;
	guest_write(v->vm, gpa, &p.version, 4);
}

static void wall_clock(struct hv_vcpu *v, uint64_t gpa)
{
	struct pvclock_wall w = pvclock_wall_at(wall_offset_ns() - (uint64_t)v->vm->clock_offset);

	if (gpa)
		guest_write(v->vm, gpa, &w, sizeof(w));
}

bool msr_set(struct hv_vcpu *v, uint32_t msr, uint64_t val, bool host)
{
	const struct kept *k;
	uint64_t *field;

	if (is_apic(msr))
		return lapic_msr_write(&v->lapic, msr, val);
	k = find_kept(msr);
	if ((k && !x86_msr_takes(k->rule, val)) ||
	    (is_range_mtrr(msr) && !x86_range_mtrr_takes(msr, val, 52)))
		return false;
	vcpu_state_to_cpu(v);
	switch (msr) {
	case MSR_TSC:
		set_tsc(v, val, host);
		return true;
	case MSR_EFER:
		if (!host)
			return set_efer(v, val);
		break;
	case MSR_TSC_ADJUST:
		if (!host)
			v->tsc_offset += val - v->s.tsc_adjust;
		break;
	case MSR_SYSTEM_TIME_NEW:
		v->s.kvmclock_system_time = val;
		kvmclock_update(v);
		return true;
	}
	field = field_of(v, msr, k);
	if (field)
		*field = val;
	if (msr == MSR_WALL_CLOCK_NEW && !host)
		wall_clock(v, val);
	return field || is_ignored(msr);
}
