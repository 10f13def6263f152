/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU models: what a guest's CPUID says. A model is a set of features plus identification; the
 * guest never sees the host's CPUID. Freestanding. (Intel SDM volume 2 "CPUID", AMD APM volume 3
 * app. E.)
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

/*
 * F(NAME, leaf, subleaf, register, bit, "name as in /proc/cpuinfo"): one row per feature bit that a
 * model can have. Registers: A B C D.
 */
/* clang-format off */
#define X86_FEATURES(F)                                                                             \
	F(FPU, 1, 0, D, 0, "fpu") F(VME, 1, 0, D, 1, "vme") F(DE, 1, 0, D, 2, "de")                   \
	F(PSE, 1, 0, D, 3, "pse") F(TSC, 1, 0, D, 4, "tsc") F(MSR, 1, 0, D, 5, "msr")                 \
	F(PAE, 1, 0, D, 6, "pae") F(MCE, 1, 0, D, 7, "mce") F(CX8, 1, 0, D, 8, "cx8")                 \
	F(APIC, 1, 0, D, 9, "apic") F(SEP, 1, 0, D, 11, "sep") F(MTRR, 1, 0, D, 12, "mtrr")           \
	F(PGE, 1, 0, D, 13, "pge") F(MCA, 1, 0, D, 14, "mca") F(CMOV, 1, 0, D, 15, "cmov")            \
	F(PAT, 1, 0, D, 16, "pat") F(PSE36, 1, 0, D, 17, "pse36") F(CLFSH, 1, 0, D, 19, "clflush")    \
	F(MMX, 1, 0, D, 23, "mmx") F(FXSR, 1, 0, D, 24, "fxsr") F(SSE, 1, 0, D, 25, "sse")            \
	F(SSE2, 1, 0, D, 26, "sse2") F(HTT, 1, 0, D, 28, "ht")                                        \
	F(SSE3, 1, 0, C, 0, "pni") F(PCLMUL, 1, 0, C, 1, "pclmulqdq") F(SSSE3, 1, 0, C, 9, "ssse3")   \
	F(MONITOR, 1, 0, C, 3, "monitor") F(VMX, 1, 0, C, 5, "vmx")                                   \
	F(FMA, 1, 0, C, 12, "fma") F(CX16, 1, 0, C, 13, "cx16") F(PCID, 1, 0, C, 17, "pcid")          \
	F(SSE41, 1, 0, C, 19, "sse4_1") F(SSE42, 1, 0, C, 20, "sse4_2")                               \
	F(X2APIC, 1, 0, C, 21, "x2apic") F(MOVBE, 1, 0, C, 22, "movbe")                               \
	F(POPCNT, 1, 0, C, 23, "popcnt") F(TSC_DEADLINE, 1, 0, C, 24, "tsc_deadline_timer")           \
	F(AES, 1, 0, C, 25, "aes") F(XSAVE, 1, 0, C, 26, "xsave") F(AVX, 1, 0, C, 28, "avx")          \
	F(F16C, 1, 0, C, 29, "f16c") F(RDRAND, 1, 0, C, 30, "rdrand")                                 \
	F(HYPERVISOR, 1, 0, C, 31, "hypervisor")                                                     \
	F(ARAT, 6, 0, A, 2, "arat")                                                                   \
	F(FSGSBASE, 7, 0, B, 0, "fsgsbase") F(TSC_ADJUST, 7, 0, B, 1, "tsc_adjust")                   \
	F(BMI1, 7, 0, B, 3, "bmi1") F(AVX2, 7, 0, B, 5, "avx2") F(SMEP, 7, 0, B, 7, "smep")           \
	F(BMI2, 7, 0, B, 8, "bmi2") F(ERMS, 7, 0, B, 9, "erms") F(INVPCID, 7, 0, B, 10, "invpcid")    \
	F(AVX512F, 7, 0, B, 16, "avx512f") F(AVX512DQ, 7, 0, B, 17, "avx512dq")                       \
	F(RDSEED, 7, 0, B, 18, "rdseed") F(ADX, 7, 0, B, 19, "adx") F(SMAP, 7, 0, B, 20, "smap")      \
	F(CLFLUSHOPT, 7, 0, B, 23, "clflushopt") F(CLWB, 7, 0, B, 24, "clwb")                         \
	F(AVX512CD, 7, 0, B, 28, "avx512cd") F(SHA, 7, 0, B, 29, "sha_ni")                            \
	F(AVX512BW, 7, 0, B, 30, "avx512bw") F(AVX512VL, 7, 0, B, 31, "avx512vl")                     \
	F(UMIP, 7, 0, C, 2, "umip") F(PKU, 7, 0, C, 3, "pku") F(GFNI, 7, 0, C, 8, "gfni") F(VAES, 7, 0, C, 9, "vaes")           \
	F(VPCLMUL, 7, 0, C, 10, "vpclmulqdq") F(RDPID, 7, 0, C, 22, "rdpid") F(FSRM, 7, 0, D, 4, "fsrm") \
	F(AVX512IFMA, 7, 0, B, 21, "avx512ifma") F(AVX512VBMI, 7, 0, C, 1, "avx512vbmi")              \
	F(AVX512VBMI2, 7, 0, C, 6, "avx512_vbmi2") F(AVX512VNNI, 7, 0, C, 11, "avx512_vnni")          \
	F(AVX512BITALG, 7, 0, C, 12, "avx512_bitalg")                                                 \
	F(AVX512VPOPCNTDQ, 7, 0, C, 14, "avx512_vpopcntdq")                                           \
	F(AVXVNNI, 7, 1, A, 4, "avx_vnni") F(AVX512BF16, 7, 1, A, 5, "avx512_bf16")                   \
	F(XSAVEOPT, 0xd, 1, A, 0, "xsaveopt") F(XSAVEC, 0xd, 1, A, 1, "xsavec")                       \
	F(XGETBV1, 0xd, 1, A, 2, "xgetbv1") F(XSAVES, 0xd, 1, A, 3, "xsaves")                         \
	F(SYSCALL, 0x80000001, 0, D, 11, "syscall") F(NX, 0x80000001, 0, D, 20, "nx")                 \
	F(PDPE1GB, 0x80000001, 0, D, 26, "pdpe1gb") F(RDTSCP, 0x80000001, 0, D, 27, "rdtscp")         \
	F(LM, 0x80000001, 0, D, 29, "lm") F(LAHF_LM, 0x80000001, 0, C, 0, "lahf_lm")                  \
	F(SVM, 0x80000001, 0, C, 2, "svm") F(ABM, 0x80000001, 0, C, 5, "abm")                         \
	F(SSE4A, 0x80000001, 0, C, 6, "sse4a") F(PREFETCHW, 0x80000001, 0, C, 8, "3dnowprefetch")     \
	F(CONSTANT_TSC, 0x80000007, 0, D, 8, "constant_tsc") F(CLZERO, 0x80000008, 0, B, 0, "clzero")
/* clang-format on */

enum x86_feature {
	X86_FEAT_NONE,
#define F(name, leaf, sub, reg, bit, text) X86_FEAT_##name,
	X86_FEATURES(F)
#undef F
	X86_NFEATURES
};

#define X86_NXSTATE 8 /* XSAVE components 0..7: x87, SSE, AVX, (MPX: never), AVX-512 */

struct cpu_model {
	char name[32];
	char vendor[13];
	char brand[49];
	uint8_t family, model, stepping;
	bool has[X86_NFEATURES];
	uint32_t tsc_khz;      /* guest TSC frequency, told in leaves 15h, 16h and 40000010h */
	uint8_t phys_bits;     /* guest physical address width */
	uint64_t xcr0_allowed; /* state components the guest may enable; 0 without XSAVE */
	/*
	 * Where XSAVE's standard format keeps component n. XSAVE runs on the host's processor, and
	 * Intel and AMD place the AVX-512 components differently, so this comes from the host.
	 */
	uint16_t xsave_offset[X86_NXSTATE];
};

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

/* One row of X86_FEATURES, at its enum value; row 0 is empty. */
struct x86_feature_bit {
	uint32_t leaf;
	uint8_t subleaf, reg, bit; /* reg: 0 EAX .. 3 EDX */
	const char *name;
};
extern const struct x86_feature_bit x86_feature_bits[X86_NFEATURES];

/* Is the feature's bit set in the answer to its leaf? */
bool x86_feature_set(const struct cpuid_regs *r, enum x86_feature f);

/*
 * Fills in the model called `name`, without a TSC frequency: "baseline" (x86-64-v2 and what both
 * engines always offer), "v3", "v4" (x86-64-v3 and -v4). False: there is none of that name.
 * "host" needs to know the host: see vmm/engine/cpumodel.h.
 */
bool cpu_model_init(struct cpu_model *m, const char *name);

/* State components (XCR0 bits) that go with the model's features. */
uint64_t cpu_model_xcr0(const struct cpu_model *m);

/* What of a leaf depends on the running vCPU. */
struct cpuid_context {
	uint32_t apic_id, nvcpus;
	uint64_t cr4, xcr0; /* OSXSAVE, XSAVE area size */
};

/* The answer to CPUID, bit-exact for both engines; leaves it does not have answer as hardware does.
 */
void cpuid_answer(const struct cpu_model *m, const struct cpuid_context *c, uint32_t leaf,
		  uint32_t subleaf, struct cpuid_regs *out);

/*
 * Calls `fn` for every (leaf, subleaf) that has an answer, for handing the table to KVM.
 * Leaves with subleaves say so by `indexed`.
 */
typedef void cpuid_each_fn(void *opaque, uint32_t leaf, uint32_t subleaf, bool indexed,
			   const struct cpuid_regs *r);
void cpuid_each(const struct cpu_model *m, const struct cpuid_context *c, cpuid_each_fn *fn,
		void *opaque);

#endif
