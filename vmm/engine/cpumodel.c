/* SPDX-License-Identifier: Apache-2.0 */
/* CPU models on this host: "host", the check of the fixed ones, and what only the host knows. */
#include "vmm/engine/cpumodel.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vmm/engine/hosttsc.h"

/*
 * What an engine provides whatever the host's CPUID says: the interrupt controller's modes and
 * timer, and what follows from being a guest. PREFETCHW is at least a NOP on 64-bit processors.
 */
static const enum x86_feature provided[] = {
	X86_FEAT_APIC,       X86_FEAT_X2APIC,     X86_FEAT_TSC_DEADLINE,
	X86_FEAT_ARAT,       X86_FEAT_TSC_ADJUST, X86_FEAT_HTT,
	X86_FEAT_HYPERVISOR, X86_FEAT_MTRR,       X86_FEAT_PREFETCHW,
};

void cpu_features_provided(bool has[X86_NFEATURES])
{
	memset(has, 0, X86_NFEATURES * sizeof(has[0]));
	for (size_t i = 0; i < sizeof(provided) / sizeof(provided[0]); i++)
		has[provided[i]] = true;
}

static struct cpuid_regs host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r = {0};
	uint32_t max = __get_cpuid_max(leaf & 0x80000000, NULL);

	if (leaf <= max)
		__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

/* Rows of one leaf follow each other: CPUID is asked once for them (it costs microseconds in a VM).
 */
void cpu_features_of_host(bool has[X86_NFEATURES])
{
	const struct x86_feature_bit *last = NULL;
	struct cpuid_regs r = {0};

	cpu_features_provided(has);
	for (unsigned f = X86_FEAT_NONE + 1; f < X86_NFEATURES; f++) {
		const struct x86_feature_bit *b = &x86_feature_bits[f];

		if (!last || last->leaf != b->leaf || last->subleaf != b->subleaf)
			r = host_cpuid(b->leaf, b->subleaf);
		has[f] |= x86_feature_set(&r, f);
		last = b;
	}
}

enum x86_feature cpu_model_missing(const struct cpu_model *m, const bool has[X86_NFEATURES])
{
	for (unsigned f = X86_FEAT_NONE + 1; f < X86_NFEATURES; f++)
		if (m->has[f] && !has[f])
			return f;
	return X86_FEAT_NONE;
}

static void host_brand(struct cpu_model *m)
{
	uint32_t text[12];

	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs r = host_cpuid(0x80000002 + i, 0);

		memcpy(text + 4 * i, &r, sizeof(r));
	}
	if (text[0])
		memcpy(m->brand, text, sizeof(text));
}

/* A guest that runs on the processor itself must know its weaknesses: who made it, which one. */
static void host_identity(struct cpu_model *m)
{
	struct cpuid_regs id = host_cpuid(0, 0), sig = host_cpuid(1, 0);
	uint32_t family = sig.eax >> 8 & 0xf;

	memcpy(m->vendor, &id.ebx, 4);
	memcpy(m->vendor + 4, &id.edx, 4);
	memcpy(m->vendor + 8, &id.ecx, 4);
	if (family == 0xf)
		family += sig.eax >> 20 & 0xff;
	m->family = (uint8_t)family;
	m->model = (uint8_t)((sig.eax >> 4 & 0xf) | (sig.eax >> 12 & 0xf0));
	m->stepping = sig.eax & 0xf;
}

static unsigned host_phys_bits(void)
{
	uint32_t bits = host_cpuid(0x80000008, 0).eax & 0xff;

	return bits ? bits : 36;
}

static void host_xsave_layout(struct cpu_model *m)
{
	for (unsigned i = 2; i < X86_NXSTATE; i++)
		if (m->xcr0_allowed >> i & 1)
			m->xsave_offset[i] = (uint16_t)host_cpuid(0xd, i).ebx;
}

/* What would give a guest state that struct x86_cpu_state has no place for. */
static const enum x86_feature without_state[] = {
	X86_FEAT_XSAVES,
	X86_FEAT_SVM,
	X86_FEAT_MCE,
	X86_FEAT_MCA,
};

/* XCR0 may be what the host supports, as far as the state format has room for it. */
static void make_host_model(struct cpu_model *m, const bool has[X86_NFEATURES], bool native)
{
	cpu_model_init(m, "baseline");
	strcpy(m->name, "host");
	memcpy(m->has, has, sizeof(m->has));
	for (size_t i = 0; i < sizeof(without_state) / sizeof(without_state[0]); i++)
		m->has[without_state[i]] = false;
	m->xcr0_allowed = cpu_model_xcr0(m);
	m->phys_bits = (uint8_t)host_phys_bits();
	host_brand(m);
	if (native)
		host_identity(m);
}

/* bt keeps guest addresses in its own tables; under KVM the processor has to carry them. */
static int check_limits(const struct cpu_model *m, bool native, struct err *e)
{
	if (native && m->phys_bits > host_phys_bits())
		return err_set(
			e, -ENOTSUP,
			"CPU model %s has %u physical address bits, this host's processor %u; use "
			"--engine bt",
			m->name, m->phys_bits, host_phys_bits());
	return 0;
}

/*
 * The default model must start a guest everywhere, also under a KVM that offers less than
 * x86-64-v2 (some hosts only emulate it); what is left out is said.
 */
static void drop_missing(struct cpu_model *m, const bool has[X86_NFEATURES], const char *engine)
{
	char names[160] = "";
	enum x86_feature f;

	while ((f = cpu_model_missing(m, has))) {
		size_t n = strlen(names);

		snprintf(names + n, sizeof(names) - n, " %s", x86_feature_bits[f].name);
		m->has[f] = false;
	}
	if (names[0])
		log_warn("engine %s on this host cannot offer these features of CPU model %s:%s",
			 engine, m->name, names);
}

int cpu_model_select(const char *name, const struct engine_ops *ops, struct cpu_model *m,
		     struct err *e)
{
	bool native = ops == &engine_kvm;
	bool has[X86_NFEATURES];
	enum x86_feature f;
	int rc;

	if (!name)
		name = "baseline";
	cpu_features_of_host(has);
	rc = ops->cpu_features(has, e);
	if (rc)
		return rc;
	if (!strcmp(name, "host"))
		make_host_model(m, has, native);
	else if (!cpu_model_init(m, name))
		return err_set(e, -EINVAL,
			       "CPU model \"%s\" is unknown; there are baseline, v3, v4, host",
			       name);
	if (!strcmp(m->name, "baseline"))
		drop_missing(m, has, ops->name);
	f = cpu_model_missing(m, has);
	if (f)
		return err_set(
			e, -ENOTSUP,
			"CPU model %s has %s, which engine %s cannot offer on this host; choose a "
			"smaller model or another engine",
			m->name, x86_feature_bits[f].name, ops->name);
	host_xsave_layout(m);
	m->tsc_khz = host_tsc_khz();
	return check_limits(m, native, e);
}
