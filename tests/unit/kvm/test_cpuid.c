/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID's answers: every feature bit, and that the leaves tell one consistent story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "x86/cpuid.h"

static const char *const models[] = {"baseline", "v3", "v4"};
#define NMODELS (sizeof(models) / sizeof(models[0]))

static const struct cpuid_context one = {.nvcpus = 1, .xcr0 = 1};

static struct cpu_model model(const char *name)
{
	struct cpu_model m;

	assert_true(cpu_model_init(&m, name));
	return m;
}

static struct cpuid_regs ask(const struct cpu_model *m, const struct cpuid_context *c,
			     uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	cpuid_answer(m, c, leaf, subleaf, &r);
	return r;
}

/* A feature shows in its own bit, and only when the model has it. */
static void test_each_feature(void **state)
{
	const struct cpuid_context two = {.nvcpus = 2, .xcr0 = 1};

	(void)state;
	for (unsigned f = X86_FEAT_NONE + 1; f < X86_NFEATURES; f++) {
		const struct x86_feature_bit *b = &x86_feature_bits[f];
		struct cpu_model m = model("v4");
		struct cpuid_regs without, with;

		m.has[f] = false;
		without = ask(&m, &two, b->leaf, b->subleaf);
		assert_false(x86_feature_set(&without, f));
		m.has[f] = true;
		with = ask(&m, &two, b->leaf, b->subleaf);
		assert_true(x86_feature_set(&with, f));
		assert_non_null(b->name);
	}
}

static void test_feature_bits_differ(void **state)
{
	(void)state;
	for (unsigned f = 1; f < X86_NFEATURES; f++)
		for (unsigned g = 1; g < f; g++) {
			const struct x86_feature_bit *a = &x86_feature_bits[f];
			const struct x86_feature_bit *b = &x86_feature_bits[g];

			assert_false(a->leaf == b->leaf && a->subleaf == b->subleaf &&
				     a->reg == b->reg && a->bit == b->bit);
			assert_string_not_equal(a->name, b->name);
		}
}

static void test_models_grow(void **state)
{
	(void)state;
	for (size_t i = 1; i < NMODELS; i++) {
		struct cpu_model small = model(models[i - 1]), big = model(models[i]);

		for (unsigned f = 1; f < X86_NFEATURES; f++)
			assert_true(!small.has[f] || big.has[f]);
		assert_true(big.xcr0_allowed > small.xcr0_allowed);
	}
	assert_false(cpu_model_init(&(struct cpu_model){0}, "base"));
	assert_false(cpu_model_init(&(struct cpu_model){0}, "baseline2"));
}

static void test_identification(void **state)
{
	struct cpu_model m = model("baseline");
	struct cpuid_regs r = ask(&m, &one, 0, 0);
	char text[49] = "";

	(void)state;
	assert_int_equal(r.eax, 0x16);
	assert_memory_equal(&r.ebx, "Auth", 4);
	assert_memory_equal(&r.edx, "enti", 4);
	assert_memory_equal(&r.ecx, "cAMD", 4);
	r = ask(&m, &one, 1, 0);
	assert_int_equal(r.eax, 0x00020fb1); /* family 0Fh, model 2Bh, stepping 1 */
	assert_int_equal(r.eax, ask(&m, &one, 0x80000001, 0).eax);
	for (unsigned i = 0; i < 3; i++) {
		r = ask(&m, &one, 0x80000002 + i, 0);
		memcpy(text + 16 * i, &r, 16);
	}
	assert_string_equal(text, "Baton Virtual CPU (baseline)");
	r = ask(&m, &one, 0x40000000, 0);
	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
}

static void test_frequency(void **state)
{
	struct cpu_model m = model("baseline");
	struct cpuid_regs r;

	(void)state;
	m.tsc_khz = 2596122;
	r = ask(&m, &one, 0x15, 0);
	assert_true((uint64_t)r.ecx * r.ebx / r.eax == 2596122000ull);
	assert_int_equal(ask(&m, &one, 0x16, 0).eax, 2596);
	r = ask(&m, &one, 0x40000010, 0);
	assert_int_equal(r.eax, 2596122);
	assert_int_equal(r.ebx, 1000000);
}

/* One package, one thread a core, APIC ids counted from 0. */
static void test_topology(void **state)
{
	struct cpu_model m = model("baseline");

	(void)state;
	for (uint32_t n = 1; n <= 64; n++) {
		struct cpuid_context c = {.nvcpus = n, .apic_id = n - 1, .xcr0 = 1};
		struct cpuid_regs r1 = ask(&m, &c, 1, 0), core = ask(&m, &c, 0xb, 1);
		uint32_t bits = ask(&m, &c, 0x80000008, 0).ecx >> 12 & 0xf;

		assert_int_equal(r1.ebx >> 16 & 0xff, n);
		assert_int_equal(r1.ebx >> 24, n - 1);
		assert_int_equal(r1.edx >> 28 & 1, n > 1);
		assert_int_equal(ask(&m, &c, 0x80000001, 0).ecx >> 1 & 1, n > 1);
		assert_int_equal(ask(&m, &c, 0x80000008, 0).ecx & 0xff, n - 1);
		assert_true(1u << bits >= n && (n == 1 || 1u << (bits - 1) < n));
		assert_int_equal(core.eax, bits);
		assert_int_equal(core.ebx, n);
		assert_int_equal(core.ecx, 0x201);
		assert_int_equal(core.edx, n - 1);
		assert_int_equal(ask(&m, &c, 0xb, 0).ebx, 1);
		assert_int_equal(ask(&m, &c, 0xb, 2).ecx, 2);
		assert_int_equal(ask(&m, &c, 0xb, 2).ebx, 0);
	}
}

static void test_xsave_sizes(void **state)
{
	struct cpuid_context c = {.nvcpus = 1, .xcr0 = 1};
	struct cpu_model m = model("v4");

	(void)state;
	assert_int_equal(ask(&m, &c, 0xd, 0).ebx, 576);
	assert_int_equal(ask(&m, &c, 0xd, 0).ecx, 2688);
	c.xcr0 = 7;
	assert_int_equal(ask(&m, &c, 0xd, 0).ebx, 832);
	c.xcr0 = 0xe7;
	assert_int_equal(ask(&m, &c, 0xd, 0).ebx, 2688);
	assert_int_equal(ask(&m, &c, 0xd, 1).ebx, 2432); /* compacted: no gaps */
	m.xsave_offset[5] = 832;                         /* AMD's places */
	m.xsave_offset[6] = 896;
	m.xsave_offset[7] = 1408;
	assert_int_equal(ask(&m, &c, 0xd, 0).ecx, 2432);
	m = model("baseline");
	assert_int_equal(ask(&m, &c, 0xd, 0).eax, 0);
	assert_int_equal(ask(&m, &c, 0xd, 2).eax, 0);
}

static void test_osxsave(void **state)
{
	struct cpuid_context c = {.nvcpus = 1, .xcr0 = 1, .cr4 = 1u << 18};
	struct cpu_model m = model("v3");

	(void)state;
	assert_true(ask(&m, &c, 1, 0).ecx & 1u << 27);
	assert_false(ask(&m, &one, 1, 0).ecx & 1u << 27);
}

static bool is_zero(struct cpuid_regs r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

/* Leaves past the end: zero on AMD, the highest basic leaf on Intel. */
static void test_out_of_range(void **state)
{
	static const uint32_t leaves[] = {0x17,       0x20,       0x3fffffff, 0x40000011,
					  0x80000009, 0xc0000000, 0xffffffff};
	struct cpu_model m = model("baseline");

	(void)state;
	m.tsc_khz = 3000000;
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		assert_true(is_zero(ask(&m, &one, leaves[i], 0)));
	memcpy(m.vendor, "GenuineIntel", 13);
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		assert_int_equal(ask(&m, &one, leaves[i], 0).eax, 3000);
}

struct each_check {
	const struct cpu_model *m;
	const struct cpuid_context *c;
	unsigned n;
	uint32_t last_leaf, last_subleaf;
};

static void check_one(void *opaque, uint32_t leaf, uint32_t subleaf, bool indexed,
		      const struct cpuid_regs *r)
{
	struct each_check *k = opaque;
	struct cpuid_regs again = ask(k->m, k->c, leaf, subleaf);

	assert_memory_equal(r, &again, sizeof(again));
	assert_true(indexed || subleaf == 0);
	if (k->n++)
		assert_true(leaf > k->last_leaf ||
			    (leaf == k->last_leaf && subleaf > k->last_subleaf));
	k->last_leaf = leaf;
	k->last_subleaf = subleaf;
}

static void test_each_leaf(void **state)
{
	const struct cpuid_context c = {.nvcpus = 4, .apic_id = 3, .xcr0 = 1};

	(void)state;
	for (size_t i = 0; i < NMODELS; i++) {
		struct cpu_model m = model(models[i]);
		struct each_check k = {.m = &m, .c = &c};

		cpuid_each(&m, &c, check_one, &k);
		assert_in_range(k.n, 15, 60);
	}
}

/* Intel's leaf 4 and AMD's 80000005h/6 tell the same caches. */
static void test_caches(void **state)
{
	struct cpu_model amd = model("baseline"), intel = amd;
	struct cpuid_regs l2, l1;

	(void)state;
	memcpy(intel.vendor, "GenuineIntel", 13);
	l1 = ask(&intel, &one, 4, 0);
	assert_int_equal((l1.ebx >> 22) + 1, 8);
	assert_int_equal(((l1.ebx >> 22) + 1) * 64 * (l1.ecx + 1) / 1024,
			 ask(&amd, &one, 0x80000005, 0).ecx >> 24);
	l2 = ask(&intel, &one, 4, 2);
	assert_int_equal(((l2.ebx >> 22) + 1) * 64 * (l2.ecx + 1) / 1024,
			 ask(&amd, &one, 0x80000006, 0).ecx >> 16);
	assert_true(is_zero(ask(&intel, &one, 4, 4)));
	assert_true(is_zero(ask(&amd, &one, 4, 0)));
	assert_true(is_zero(ask(&intel, &one, 0x80000005, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_feature), cmocka_unit_test(test_feature_bits_differ),
		cmocka_unit_test(test_models_grow),  cmocka_unit_test(test_identification),
		cmocka_unit_test(test_frequency),    cmocka_unit_test(test_topology),
		cmocka_unit_test(test_xsave_sizes),  cmocka_unit_test(test_osxsave),
		cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_each_leaf),
		cmocka_unit_test(test_caches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
