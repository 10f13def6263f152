/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: those that are just kept, and those that do something. */
#include "kernel/cpu/cpu.h"
#include "kernel/hv/hv.h"

const uint32_t hv_direct_msrs[10] = {
	0x174,      0x175,      0x176,       0xc0000081,  0xc0000082,
	0xc0000083, 0xc0000084, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

#define KEPT(index, field)                                   \
	{                                                    \
		index, offsetof(struct x86_cpu_state, field) \
	}

static const struct {
	uint32_t index;
	uint32_t offset;
} kept[] = {
	KEPT(0x174, sysenter_cs),
	KEPT(0x175, sysenter_esp),
	KEPT(0x176, sysenter_eip),
	KEPT(0x1a0, misc_enable),
	KEPT(0x2ff, mtrr_def_type),
	KEPT(0x250, mtrr_fixed[0]),
	KEPT(0x258, mtrr_fixed[1]),
	KEPT(0x259, mtrr_fixed[2]),
	KEPT(0xc0000081, star),
	KEPT(0xc0000082, lstar),
	KEPT(0xc0000083, cstar),
	KEPT(0xc0000084, sfmask),
	KEPT(0xc0000102, kernel_gs_base),
	KEPT(0xc0000103, tsc_aux),
	KEPT(MSR_TSC_ADJUST, tsc_adjust),
	KEPT(MSR_PAT, pat),
	KEPT(MSR_WALL_CLOCK_NEW, kvmclock_wall_clock),
	KEPT(MSR_SYSTEM_TIME_NEW, kvmclock_system_time),
	KEPT(MSR_EFER, efer),
	KEPT(MSR_FS_BASE, seg[X86_FS].base),
	KEPT(MSR_GS_BASE, seg[X86_GS].base),
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

static uint64_t *kept_field(struct hv_vcpu *v, uint32_t msr)
{
	if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 16) {
		unsigned i = (msr - MSR_MTRR_PHYS) / 2;

		return msr & 1 ? &v->s.mtrr_mask[i] : &v->s.mtrr_base[i];
	}
	if (msr >= MSR_MTRR_FIX_4K && msr < MSR_MTRR_FIX_4K + 8)
		return &v->s.mtrr_fixed[3 + msr - MSR_MTRR_FIX_4K];
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
		if (kept[i].index == msr)
			return (uint64_t *)((char *)&v->s + kept[i].offset);
	}
	return NULL;
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
	field = kept_field(v, msr);
	*val = field ? *field : 0;
	return field || is_ignored(msr);
}

static bool canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)addr << 16 >> 16) == addr;
}

static bool holds_address(uint32_t msr)
{
	return msr == MSR_FS_BASE || msr == MSR_GS_BASE || msr == 0xc0000102 || msr == 0xc0000082 ||
	       msr == 0xc0000083 || msr == 0x175 || msr == 0x176;
}

/* Eight types of memory: 0, 1, 4 to 7. An entry with others is refused. */
static bool pat_allowed(uint64_t val)
{
	uint64_t high = val & 0x0202020202020202;

	return !(val & 0xf8f8f8f8f8f8f8f8) && !(high & ~(val >> 1));
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

/* ---- the paravirtual clock (Documentation/virt/kvm/x86/msr.rst) ------------------------------ */

struct pvclock {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

/* ns = (ticks << shift) * mul >> 32 */
static void scale(uint64_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t hz = khz * 1000;

	*shift = 0;
	while (hz > 2 * NSEC_PER_SEC) {
		hz >>= 1;
		(*shift)--;
	}
	while (hz <= NSEC_PER_SEC) {
		hz <<= 1;
		(*shift)++;
	}
	*mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
}

void kvmclock_update(struct hv_vcpu *v)
{
	uint64_t gpa = v->s.kvmclock_system_time & ~1UL;
	struct pvclock p = {.version = 1, .flags = 1 /* stable */};
	uint32_t version;

	if (!(v->s.kvmclock_system_time & 1) || guest_read(v->vm, gpa, &version, 4))
		return;
	p.version = (version | 1) + 1;
	p.tsc_timestamp = guest_tsc(v);
	p.system_time = now_ns() + (uint64_t)v->vm->clock_offset;
	scale(tsc_khz(), &p.tsc_to_system_mul, &p.tsc_shift);
	version = p.version - 1; /* odd: being changed */
	guest_write(v->vm, gpa, &version, 4);
	guest_write(v->vm, gpa + 4, (char *)&p + 4, sizeof(p) - 4);
	guest_write(v->vm, gpa, &p.version, 4);
}

static void wall_clock(struct hv_vcpu *v, uint64_t gpa)
{
	uint64_t boot = now_ns() + wall_offset_ns() - (now_ns() + (uint64_t)v->vm->clock_offset);
	uint32_t w[3] = {2, (uint32_t)(boot / NSEC_PER_SEC), (uint32_t)(boot % NSEC_PER_SEC)};

	if (gpa)
		guest_write(v->vm, gpa, w, sizeof(w));
}

bool msr_set(struct hv_vcpu *v, uint32_t msr, uint64_t val, bool host)
{
	uint64_t *field;

	if (is_apic(msr))
		return lapic_msr_write(&v->lapic, msr, val);
	if ((holds_address(msr) && !canonical(val)) || (msr == MSR_PAT && !pat_allowed(val)))
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
	field = kept_field(v, msr);
	if (field)
		*field = val;
	if (msr == MSR_WALL_CLOCK_NEW && !host)
		wall_clock(v, val);
	return field || is_ignored(msr);
}
