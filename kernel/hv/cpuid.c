/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID: what the owner set, with the bits that move (OSXSAVE, sizes of the XSAVE area). */
#include "kernel/cpu/cpu.h"
#include "kernel/cpu/fpu.h"
#include "kernel/hv/hv.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"

struct kvm_cpuid_entry2 *find_cpuid(struct hv_vcpu *v, uint32_t leaf, uint32_t sub)
{
	return ARRAY_FIND(struct kvm_cpuid_entry2, e, v->cpuid, v->ncpuid,
			  e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
						  e->index == sub));
}

static uint32_t xsave_size(struct hv_vcpu *v, uint64_t features)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < 63; i++) {
		const struct kvm_cpuid_entry2 *e = features >> i & 1 ? find_cpuid(v, 0xd, i) : NULL;

		if (e)
			size = MAX(size, e->ebx + e->eax);
	}
	return size;
}

static void dynamic(struct hv_vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid *c)
{
	if (leaf == 1) {
		c->ecx &= ~(1u << 27);
		if (v->s.cr4 & CR4_OSXSAVE)
			c->ecx |= 1u << 27;
	} else if (leaf == 7 && sub == 0) {
		c->ecx &= ~(1u << 4);
		if (v->s.cr4 & 1u << 22)
			c->ecx |= 1u << 4; /* OSPKE */
	} else if (leaf == 0xd && sub == 0 && c->eax) {
		c->ebx = xsave_size(v, v->s.xcr0);
	}
}

int exit_cpuid(struct hv_vcpu *v, const struct hv_exit_info *x)
{
	uint32_t leaf = (uint32_t)v->s.gpr[X86_RAX], sub = (uint32_t)v->s.gpr[X86_RCX];
	const struct kvm_cpuid_entry2 *e = find_cpuid(v, leaf, sub);
	struct cpuid c =
		e ? (struct cpuid){e->eax, e->ebx, e->ecx, e->edx} : (struct cpuid){0, 0, 0, 0};

	if (leaf == 1 || leaf == 7)
		vcpu_state_to_cpu(v);
	dynamic(v, leaf, sub, &c);
	v->s.gpr[X86_RAX] = c.eax;
	v->s.gpr[X86_RBX] = c.ebx;
	v->s.gpr[X86_RCX] = c.ecx;
	v->s.gpr[X86_RDX] = c.edx;
	vcpu_skip(v, x->next_rip);
	return 0;
}

/* ---- KVM_GET_SUPPORTED_CPUID ----------------------------------------------------------------- */

/* Features that this hypervisor lets through, by leaf; the rest of the leaf is the host's. */
static const struct mask {
	uint32_t leaf, sub, eax, ebx, ecx, edx;
} masks[] = {
	/* not: DTES64, MONITOR, DS-CPL, VMX, SMX, EST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA */
	{1, 0, ~0u, ~0u, 0xf6d8b203 | 1u << 21 | 1u << 24 | 1u << 31, 0x178bfbff | 1u << 28},
	{7, 0, ~0u, 0xffffffff & ~(1u << 1 | 1u << 12 | 1u << 14 | 1u << 15 | 1u << 22 | 1u << 25),
	 0x0040df46, 0x10},
	{7, 1, 0x30, 0, 0, 0},
	{0xd, 0, 0xe7, ~0u, ~0u, 0},
	{0xd, 1, 7, ~0u, 0, 0}, /* not XSAVES */
	{0x80000001, 0, ~0u, ~0u, 0x121 | 1u << 6 | 1u << 8, 0x2e500800 | 0x183f3ff},
	{0x80000007, 0, 0, 0, 0, 1u << 8},
	{0x80000008, 0, ~0u, 1, 0, 0},
};

static void filter(struct kvm_cpuid_entry2 *e)
{
	const struct mask *m = ARRAY_FIND(const struct mask, i, masks, ARRAY_SIZE(masks),
					  i->leaf == e->function && i->sub == e->index);

	if (m) {
		e->eax &= m->eax;
		e->ebx &= m->ebx;
		e->ecx &= m->ecx;
		e->edx &= m->edx;
	}
	if (e->function == 1)
		e->ecx |= 1u << 21 | 1u << 24 |
			  1u << 31; /* x2APIC, TSC deadline: our local APIC; hypervisor */
	if (e->function == 7 && e->index == 0)
		e->ebx |= 1u << 1; /* TSC_ADJUST */
	if (e->function == 0x80000007)
		e->edx |= 1u << 8; /* the TSC is constant wherever this kernel runs */
}

static bool indexed(uint32_t leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x14 ||
	       leaf == 0x8000001d;
}

struct collect {
	uint64_t to;
	uint32_t n, max;
	int64_t rc;
};

static void put(struct collect *c, const struct kvm_cpuid_entry2 *e)
{
	if (!c->rc)
		c->rc = c->n < c->max ? copy_to_user(c->to + c->n++ * sizeof(*e), e, sizeof(*e))
				      : -E2BIG;
}

static void add(struct collect *c, uint32_t leaf, uint32_t sub)
{
	struct cpuid r = cpuid(leaf, sub);
	struct kvm_cpuid_entry2 e = {.function = leaf,
				     .index = sub,
				     .flags = indexed(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
				     .eax = r.eax,
				     .ebx = r.ebx,
				     .ecx = r.ecx,
				     .edx = r.edx};

	filter(&e);
	put(c, &e);
}

static void add_range(struct collect *c, uint32_t first, uint32_t last)
{
	for (uint32_t leaf = first; leaf <= last; leaf++) {
		add(c, leaf, 0);
		for (uint32_t sub = 1; leaf == 7 && sub <= MIN(cpuid(7, 0).eax, 2u); sub++)
			add(c, leaf, sub);
		for (uint32_t sub = 1; leaf == 0xd && sub < 10; sub++) {
			if (sub == 1 || fpu_features() >> sub & 1)
				add(c, leaf, sub);
		}
	}
}

static void add_own(struct collect *c)
{
	static const struct kvm_cpuid_entry2 own[] = {
		{.function = 0x40000000,
		 .eax = 0x40000001,
		 .ebx = 0x4b4d564b,
		 .ecx = 0x564b4d56,
		 .edx = 0x4d},
		/* CLOCKSOURCE2, CLOCKSOURCE_STABLE */
		{.function = 0x40000001, .eax = 1u << 3 | 1u << 24},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(own); i++)
		put(c, &own[i]);
}

int64_t supported_cpuid(struct hv_vm *vm, void *data, uint64_t arg)
{
	struct kvm_cpuid2 head;
	struct collect c;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	c = (struct collect){.to = arg + sizeof(head), .max = head.nent};
	add_range(&c, 0, MIN(cpuid(0, 0).eax, 0xdu));
	add_range(&c, 0x80000000, MIN(cpuid(0x80000000, 0).eax, 0x80000008u));
	add_own(&c);
	head.nent = c.n;
	return c.rc ? c.rc : copy_to_user(arg, &head, sizeof(head));
}
