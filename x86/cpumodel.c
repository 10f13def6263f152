/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU models by name: lists of features, and the identification that goes with them. */
#include <stddef.h>

#include "x86/cpuid.h"

struct model_row {
	const char *name;
	const char *brand;
	const struct model_row *base; /* whose features this model has too */
	const enum x86_feature *features;
	size_t nfeatures;
};

#define FEATURES(list) .features = (list), .nfeatures = sizeof(list) / sizeof((list)[0])

/*
 * x86-64-v2 with what a PC needs around it. X2APIC, TSC_DEADLINE, TSC_ADJUST, ARAT and HYPERVISOR
 * come from the engines, PREFETCHW executes (at least as a NOP) on every 64-bit processor.
 */
static const enum x86_feature baseline_features[] = {
	X86_FEAT_FPU,       X86_FEAT_DE,         X86_FEAT_PSE,        X86_FEAT_TSC,
	X86_FEAT_MSR,       X86_FEAT_PAE,        X86_FEAT_CX8,        X86_FEAT_APIC,
	X86_FEAT_SEP,       X86_FEAT_MTRR,       X86_FEAT_PGE,        X86_FEAT_CMOV,
	X86_FEAT_PAT,       X86_FEAT_PSE36,      X86_FEAT_CLFSH,      X86_FEAT_MMX,
	X86_FEAT_FXSR,      X86_FEAT_SSE,        X86_FEAT_SSE2,       X86_FEAT_HTT,
	X86_FEAT_SSE3,      X86_FEAT_SSSE3,      X86_FEAT_CX16,       X86_FEAT_SSE41,
	X86_FEAT_SSE42,     X86_FEAT_X2APIC,     X86_FEAT_POPCNT,     X86_FEAT_TSC_DEADLINE,
	X86_FEAT_ARAT,      X86_FEAT_TSC_ADJUST, X86_FEAT_HYPERVISOR, X86_FEAT_SYSCALL,
	X86_FEAT_NX,        X86_FEAT_RDTSCP,     X86_FEAT_LM,         X86_FEAT_LAHF_LM,
	X86_FEAT_PREFETCHW,
};

/* x86-64-v3 and what its first processors on either side (Haswell, Excavator) have besides. */
static const enum x86_feature v3_features[] = {
	X86_FEAT_AVX, X86_FEAT_AVX2,   X86_FEAT_BMI1,   X86_FEAT_BMI2,     X86_FEAT_F16C,
	X86_FEAT_FMA, X86_FEAT_ABM,    X86_FEAT_MOVBE,  X86_FEAT_XSAVE,    X86_FEAT_XSAVEOPT,
	X86_FEAT_AES, X86_FEAT_PCLMUL, X86_FEAT_RDRAND, X86_FEAT_FSGSBASE, X86_FEAT_SMEP,
};

/* x86-64-v4 and what its first processors (Skylake server, Zen 4) have besides. */
static const enum x86_feature v4_features[] = {
	X86_FEAT_AVX512F,  X86_FEAT_AVX512BW, X86_FEAT_AVX512CD, X86_FEAT_AVX512DQ,
	X86_FEAT_AVX512VL, X86_FEAT_ADX,      X86_FEAT_SMAP,     X86_FEAT_CLFLUSHOPT,
	X86_FEAT_CLWB,     X86_FEAT_RDSEED,   X86_FEAT_XSAVEC,   X86_FEAT_XGETBV1,
	X86_FEAT_PCID,     X86_FEAT_INVPCID,  X86_FEAT_ERMS,     X86_FEAT_PDPE1GB,
};

static const struct model_row baseline_row = {
	.name = "baseline",
	.brand = "Baton Virtual CPU (baseline)",
	FEATURES(baseline_features),
};
static const struct model_row v3_row = {
	.name = "v3",
	.brand = "Baton Virtual CPU (v3)",
	.base = &baseline_row,
	FEATURES(v3_features),
};
static const struct model_row v4_row = {
	.name = "v4",
	.brand = "Baton Virtual CPU (v4)",
	.base = &v3_row,
	FEATURES(v4_features),
};
static const struct model_row *const model_rows[] = {&baseline_row, &v3_row, &v4_row};

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void copy(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i < size; i++)
		to[i] = '\0';
	for (i = 0; from[i] && i + 1 < size; i++)
		to[i] = from[i];
}

uint64_t cpu_model_xcr0(const struct cpu_model *m)
{
	if (!m->has[X86_FEAT_XSAVE])
		return 0;
	if (m->has[X86_FEAT_AVX512F])
		return 0xe7;
	return m->has[X86_FEAT_AVX] ? 0x7 : 0x3;
}

/*
 * The identification is one for all hosts: an AMD of family 0Fh. A kernel takes from that that
 * Meltdown, L1TF, MDS, Retbleed and SRSO are not its concern, and that SYSCALL is the way in for
 * 32-bit programs; no model-specific register beyond a few harmless ones is touched. Model and
 * stepping are high enough for "REP MOVS is good". A VM that must know its host's weaknesses,
 * because its users do not trust each other, takes the "host" model.
 */
static void identify(struct cpu_model *m)
{
	static const uint16_t offsets[X86_NXSTATE] = {0, 160, 576, 0, 0, 1088, 1152, 1664};
	unsigned i;

	copy(m->vendor, sizeof(m->vendor), "AuthenticAMD");
	m->family = 0xf;
	m->model = 0x2b;
	m->stepping = 1;
	m->phys_bits = 39; /* the least that a 64-bit processor of the last ten years has */
	for (i = 0; i < X86_NXSTATE; i++)
		m->xsave_offset[i] = offsets[i];
}

static void add_features(struct cpu_model *m, const struct model_row *row)
{
	size_t i;

	for (; row; row = row->base)
		for (i = 0; i < row->nfeatures; i++)
			m->has[row->features[i]] = true;
}

bool cpu_model_init(struct cpu_model *m, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(model_rows) / sizeof(model_rows[0]); i++) {
		if (!same(model_rows[i]->name, name))
			continue;
		*m = (struct cpu_model){0};
		copy(m->name, sizeof(m->name), name);
		copy(m->brand, sizeof(m->brand), model_rows[i]->brand);
		identify(m);
		add_features(m, model_rows[i]);
		m->xcr0_allowed = cpu_model_xcr0(m);
		return true;
	}
	return false;
}
