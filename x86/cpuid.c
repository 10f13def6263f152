/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to CPUID, composed from a CPU model; one source for both engines. */
#include <stddef.h>

#include "x86/cpuid.h"

#define MAX_BASIC      0x16u
#define MAX_HYPERVISOR 0x40000010u
#define MAX_EXTENDED   0x80000008u

#define CR4_OSXSAVE  (1ull << 18)
#define XCR0_X87_SSE 3u
#define XSAVE_LEGACY 576u     /* x87/SSE area and header (Intel SDM volume 1, 13.4) */
#define CRYSTAL_KHZ  1000000u /* the local APIC timer counts nanoseconds in both engines */

enum {
	A,
	B,
	C,
	D
};

const struct x86_feature_bit x86_feature_bits[X86_NFEATURES] = {
#define F(name, leaf, sub, reg, bit, text) [X86_FEAT_##name] = {leaf, sub, reg, bit, text},
	X86_FEATURES(F)
#undef F
};

/* Sizes of the state components; where they lie is the model's xsave_offset. */
static const uint16_t xstate_size[X86_NXSTATE] = {160, 256, 256, 0, 0, 64, 512, 1024};

static uint32_t *reg_of(struct cpuid_regs *r, unsigned reg)
{
	uint32_t *regs[] = {&r->eax, &r->ebx, &r->ecx, &r->edx};

	return regs[reg & 3];
}

bool x86_feature_set(const struct cpuid_regs *r, enum x86_feature f)
{
	const uint32_t regs[] = {r->eax, r->ebx, r->ecx, r->edx};

	return regs[x86_feature_bits[f].reg] & (1u << x86_feature_bits[f].bit);
}

static void add_feature_bits(const struct cpu_model *m, uint32_t leaf, uint32_t subleaf,
			     struct cpuid_regs *out)
{
	unsigned f;

	for (f = X86_FEAT_NONE + 1; f < X86_NFEATURES; f++) {
		const struct x86_feature_bit *b = &x86_feature_bits[f];

		if (m->has[f] && b->leaf == leaf && b->subleaf == subleaf)
			*reg_of(out, b->reg) |= 1u << b->bit;
	}
}

static uint32_t le32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static bool is_amd(const struct cpu_model *m)
{
	return m->vendor[0] == 'A';
}

/* Bits that number `n` processors: APIC ids of one package. */
static uint32_t id_bits(uint32_t n)
{
	uint32_t bits = 0;

	while (bits < 31 && (1u << bits) < n)
		bits++;
	return bits;
}

static uint32_t signature(const struct cpu_model *m)
{
	uint32_t base = m->family < 0xf ? m->family : 0xf;

	return (uint32_t)(m->family - base) << 20 | (uint32_t)(m->model >> 4) << 16 | base << 8 |
	       (m->model & 0xfu) << 4 | (m->stepping & 0xfu);
}

static void leaf_vendor(const struct cpu_model *m, uint32_t max, struct cpuid_regs *r)
{
	r->eax = max;
	r->ebx = le32(m->vendor);
	r->edx = le32(m->vendor + 4);
	r->ecx = le32(m->vendor + 8);
}

static void leaf_1(const struct cpu_model *m, const struct cpuid_context *c, struct cpuid_regs *r)
{
	uint32_t count = c->nvcpus < 0xff ? c->nvcpus : 0xff;

	r->eax = signature(m);
	r->ebx = c->apic_id << 24 | count << 16 | 8u << 8; /* CLFLUSH line: 8 quadwords */
	if (c->nvcpus < 2)
		r->edx &= ~(1u << x86_feature_bits[X86_FEAT_HTT].bit);
	if (m->has[X86_FEAT_XSAVE] && (c->cr4 & CR4_OSXSAVE))
		r->ecx |= 1u << 27;
}

struct cache {
	uint32_t type, level, kib, ways; /* type: 1 data, 2 instruction, 3 both */
	bool shared;
};
/* The same sizes are told by AMD's leaves 80000005h and 80000006h below. */
static const struct cache caches[] = {
	{1, 1, 32, 8, false},
	{2, 1, 32, 8, false},
	{3, 2, 512, 8, false},
	{3, 3, 16384, 16, true},
};

/* Intel's deterministic cache parameters; AMD has none here. */
static void leaf_4(const struct cpu_model *m, const struct cpuid_context *c, uint32_t subleaf,
		   struct cpuid_regs *r)
{
	uint32_t cores = (1u << id_bits(c->nvcpus)) - 1;
	const struct cache *k = &caches[subleaf < 4 ? subleaf : 0];

	if (is_amd(m) || subleaf >= sizeof(caches) / sizeof(caches[0]))
		return;
	r->eax = k->type | k->level << 5 | 1u << 8 | (k->shared ? cores & 0xfff : 0) << 14 |
		 (cores & 0x3f) << 26;
	r->ebx = (k->ways - 1) << 22 | 63;
	r->ecx = k->kib * 1024 / k->ways / 64 - 1;
}

static void leaf_7(const struct cpu_model *m, uint32_t subleaf, struct cpuid_regs *r)
{
	if (subleaf == 0)
		r->eax |= m->has[X86_FEAT_AVXVNNI] || m->has[X86_FEAT_AVX512BF16];
}

/* One thread a core, all cores in one package. */
static void leaf_b(const struct cpuid_context *c, uint32_t subleaf, struct cpuid_regs *r)
{
	r->ecx = subleaf & 0xff;
	r->edx = c->apic_id;
	if (subleaf == 0) {
		r->ebx = 1;
		r->ecx |= 1u << 8;
	} else if (subleaf == 1) {
		r->eax = id_bits(c->nvcpus);
		r->ebx = c->nvcpus & 0xffff;
		r->ecx |= 2u << 8;
	}
}

static uint32_t xsave_size(const struct cpu_model *m, uint64_t components, bool compacted)
{
	uint32_t end = XSAVE_LEGACY;
	unsigned i;

	for (i = 2; i < X86_NXSTATE; i++) {
		if (!(components >> i & 1))
			continue;
		if (compacted)
			end += xstate_size[i];
		else if (m->xsave_offset[i] + xstate_size[i] > end)
			end = m->xsave_offset[i] + xstate_size[i];
	}
	return end;
}

static void leaf_d(const struct cpu_model *m, const struct cpuid_context *c, uint32_t subleaf,
		   struct cpuid_regs *r)
{
	uint64_t enabled = (c->xcr0 | 1) & m->xcr0_allowed;

	if (!m->xcr0_allowed) {
		*r = (struct cpuid_regs){0};
	} else if (subleaf == 0) {
		r->eax = (uint32_t)m->xcr0_allowed;
		r->edx = (uint32_t)(m->xcr0_allowed >> 32);
		r->ebx = xsave_size(m, enabled, false);
		r->ecx = xsave_size(m, m->xcr0_allowed, false);
	} else if (subleaf == 1) {
		if (m->has[X86_FEAT_XSAVEC] || m->has[X86_FEAT_XSAVES])
			r->ebx = xsave_size(m, enabled, true);
	} else if (subleaf < X86_NXSTATE && (m->xcr0_allowed >> subleaf & 1)) {
		r->eax = xstate_size[subleaf];
		r->ebx = m->xsave_offset[subleaf];
	}
}

static void leaf_15(const struct cpu_model *m, struct cpuid_regs *r)
{
	if (!m->tsc_khz)
		return;
	r->eax = CRYSTAL_KHZ;
	r->ebx = m->tsc_khz;
	r->ecx = CRYSTAL_KHZ * 1000u;
}

static void leaf_16(const struct cpu_model *m, struct cpuid_regs *r)
{
	r->eax = r->ebx = m->tsc_khz / 1000;
	r->ecx = m->tsc_khz ? 100 : 0;
}

/* KVM's paravirtual clock, which both engines have: the guest reads time without an exit. */
static void leaf_hypervisor(uint32_t leaf, const struct cpu_model *m, struct cpuid_regs *r)
{
	if (leaf == 0x40000000) {
		r->eax = MAX_HYPERVISOR;
		r->ebx = le32("KVMK");
		r->ecx = le32("VMKV");
		r->edx = le32("M\0\0");
	} else if (leaf == 0x40000001) {
		/* no delay after port I/O, CLOCKSOURCE2, CLOCKSOURCE_STABLE */
		r->eax = 1u << 1 | 1u << 3 | 1u << 24;
	} else if (leaf == MAX_HYPERVISOR && m->tsc_khz) {
		r->eax = m->tsc_khz;
		r->ebx = CRYSTAL_KHZ;
	}
}

static void leaf_80000001(const struct cpu_model *m, const struct cpuid_context *c,
			  struct cpuid_regs *r)
{
	struct cpuid_regs basic = {0};

	if (!is_amd(m))
		return;
	add_feature_bits(m, 1, 0, &basic);
	r->eax = signature(m);
	r->edx |= basic.edx & 0x0183f3ff; /* AMD repeats these bits of leaf 1 */
	if (c->nvcpus > 1)
		r->ecx |= 1u << 1; /* CmpLegacy: HTT means cores, not threads */
}

static void leaf_brand(const struct cpu_model *m, uint32_t part, struct cpuid_regs *r)
{
	const char *p = m->brand + part * 16;

	r->eax = le32(p);
	r->ebx = le32(p + 4);
	r->ecx = le32(p + 8);
	r->edx = le32(p + 12);
}

static void leaf_80000008(const struct cpu_model *m, const struct cpuid_context *c,
			  struct cpuid_regs *r)
{
	r->eax = m->phys_bits | 48u << 8;
	if (is_amd(m))
		r->ecx = id_bits(c->nvcpus) << 12 | ((c->nvcpus - 1) & 0xff);
}

/* AMD's TLB and cache sizes, the caches as in `caches`. */
static void leaf_amd_caches(const struct cpu_model *m, uint32_t leaf, struct cpuid_regs *r)
{
	if (!is_amd(m))
		return;
	if (leaf == 0x80000005)
		*r = (struct cpuid_regs){0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140};
	else
		*r = (struct cpuid_regs){0, 0x42004200, 0x02006140, 32u << 18 | 8u << 12 | 0x140};
}

/*
 * Out of range: AMD answers zero, Intel with the highest basic leaf (which has no subleaves here).
 */
static uint32_t effective_leaf(const struct cpu_model *m, uint32_t leaf)
{
	uint32_t max = leaf >= 0x80000000     ? MAX_EXTENDED
		       : leaf >> 16 == 0x4000 ? MAX_HYPERVISOR
					      : MAX_BASIC;

	return leaf > max && !is_amd(m) ? MAX_BASIC : leaf;
}

void cpuid_answer(const struct cpu_model *m, const struct cpuid_context *c, uint32_t leaf,
		  uint32_t subleaf, struct cpuid_regs *r)
{
	leaf = effective_leaf(m, leaf);
	*r = (struct cpuid_regs){0};
	add_feature_bits(m, leaf, leaf == 7 || leaf == 0xd ? subleaf : 0, r);
	switch (leaf) {
	case 0:
		leaf_vendor(m, MAX_BASIC, r);
		break;
	case 1:
		leaf_1(m, c, r);
		break;
	case 2:
		if (!is_amd(m))
			r->eax = 0xff01; /* see leaf 4 */
		break;
	case 4:
		leaf_4(m, c, subleaf, r);
		break;
	case 7:
		leaf_7(m, subleaf, r);
		break;
	case 0xb:
		leaf_b(c, subleaf, r);
		break;
	case 0xd:
		leaf_d(m, c, subleaf, r);
		break;
	case 0x15:
		leaf_15(m, r);
		break;
	case 0x16:
		leaf_16(m, r);
		break;
	case 0x40000000:
	case 0x40000001:
	case MAX_HYPERVISOR:
		leaf_hypervisor(leaf, m, r);
		break;
	case 0x80000000:
		leaf_vendor(m, MAX_EXTENDED, r);
		break;
	case 0x80000001:
		leaf_80000001(m, c, r);
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		leaf_brand(m, leaf - 0x80000002, r);
		break;
	case 0x80000005:
	case 0x80000006:
		leaf_amd_caches(m, leaf, r);
		break;
	case 0x80000008:
		leaf_80000008(m, c, r);
		break;
	}
}

static bool is_empty(const struct cpuid_regs *r)
{
	return !(r->eax | r->ebx | r->ecx | r->edx);
}

/* Leaves with subleaves, and how many of them are handed on. */
static uint32_t subleaves(uint32_t leaf)
{
	switch (leaf) {
	case 4:
		return sizeof(caches) / sizeof(caches[0]) + 1;
	case 7:
		return 2;
	case 0xb:
		return 3;
	case 0xd:
		return X86_NXSTATE;
	}
	return 0;
}

static void each_in(const struct cpu_model *m, const struct cpuid_context *c, uint32_t first,
		    uint32_t last, cpuid_each_fn *fn, void *opaque)
{
	struct cpuid_regs r;
	uint32_t leaf, sub;

	for (leaf = first; leaf <= last; leaf++) {
		uint32_t n = subleaves(leaf);

		for (sub = 0; sub < (n ? n : 1); sub++) {
			cpuid_answer(m, c, leaf, sub, &r);
			if (!is_empty(&r))
				fn(opaque, leaf, sub, n != 0, &r);
		}
	}
}

void cpuid_each(const struct cpu_model *m, const struct cpuid_context *c, cpuid_each_fn *fn,
		void *opaque)
{
	each_in(m, c, 0, MAX_BASIC, fn, opaque);
	each_in(m, c, 0x40000000, MAX_HYPERVISOR, fn, opaque);
	each_in(m, c, 0x80000000, MAX_EXTENDED, fn, opaque);
}
