/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of engine and CPU model: names, refusals, and the advice that follows from a
 * measurement. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/engine/cpumodel.h"
#include "vmm/engine/hosttsc.h"
#include "vmm/engine/kvm/host.h"

static void expect_refused(const char *text, const char *sentence)
{
	const char *options;
	char why[256] = "";
	struct err e = {0};

	assert_null(engine_select(text, &options, why, sizeof(why), &e));
	if (e.code != -EINVAL || !strstr(e.text, sentence))
		fail_msg("%s: %s", text, e.text);
}

static void test_names(void **state)
{
	const char *options;
	char why[256];
	struct err e;

	(void)state;
	assert_ptr_equal(engine_select("bt", &options, why, sizeof(why), &e), &engine_bt);
	assert_string_equal(options, "");
	assert_ptr_equal(engine_select("bt,tier=interp", &options, why, sizeof(why), &e),
			 &engine_bt);
	assert_string_equal(options, "tier=interp");
	expect_refused("", "there are auto, kvm, bt");
	expect_refused("b", "there are auto, kvm, bt");
	expect_refused("bts", "there are auto, kvm, bt");
	expect_refused("auto,tier=interp", "no options");
}

/* Whatever this host is, "auto" finds an engine and says which. */
static void test_auto(void **state)
{
	const struct engine_ops *ops;
	const char *options;
	char why[256], start[32];
	struct err e;

	(void)state;
	ops = engine_select("auto", &options, why, sizeof(why), &e);
	assert_non_null(ops);
	snprintf(start, sizeof(start), "engine %s: ", ops->name);
	assert_memory_equal(why, start, strlen(start));
}

static bool advice(struct kvm_host h, const char *part)
{
	char why[256];
	bool kvm = kvm_host_advice(&h, why, sizeof(why));

	if (!strstr(why, part))
		fail_msg("%s", why);
	return kvm;
}

static void test_advice(void **state)
{
	struct kvm_host absent = {0};

	(void)state;
	err_set(&absent.failure, -ENOENT, "/dev/kvm: not there");
	assert_false(advice(absent, "engine bt: /dev/kvm: not there"));
	assert_false(advice((struct kvm_host){.instr_per_second = 2000000}, "only emulates"));
	assert_true(advice((struct kvm_host){.vmx = true, .instr_per_second = 40000000}, "vmx"));
	/* What counts is the speed, not the flag. */
	assert_false(
		advice((struct kvm_host){.svm = true, .instr_per_second = 100000}, "emulates"));
	assert_true(advice((struct kvm_host){.instr_per_second = 90000000}, "engine kvm"));
}

static int all_features(bool has[X86_NFEATURES], struct err *e)
{
	(void)e;
	memset(has, 1, X86_NFEATURES * sizeof(has[0]));
	return 0;
}

static void test_models(void **state)
{
	const struct engine_ops rich = {.name = "rich", .cpu_features = all_features};
	struct cpu_model m;
	struct err e;

	(void)state;
	assert_int_equal(cpu_model_select(NULL, &engine_bt, &m, &e), 0);
	assert_string_equal(m.name, "baseline");
	assert_in_range(m.tsc_khz, 100000, 20000000);
	assert_int_equal(cpu_model_select("host", &engine_bt, &m, &e), 0);
	assert_false(m.has[X86_FEAT_XSAVES]);
	assert_false(m.has[X86_FEAT_SVM]);
	assert_int_equal(cpu_model_select("host", &rich, &m, &e), 0);
	assert_true(m.has[X86_FEAT_AVX2]);
	assert_false(m.has[X86_FEAT_XSAVES] || m.has[X86_FEAT_SVM] || m.has[X86_FEAT_MCE]);
	assert_int_equal(m.xcr0_allowed, cpu_model_xcr0(&m));
	assert_int_equal(cpu_model_select("i486", &engine_bt, &m, &e), -EINVAL);
	assert_non_null(strstr(e.text, "baseline, v3, v4, host"));
}

static int no_features(bool has[X86_NFEATURES], struct err *e)
{
	(void)e;
	memset(has, 0, X86_NFEATURES * sizeof(has[0]));
	return 0;
}

static void test_missing_feature_is_named(void **state)
{
	const struct engine_ops poor = {.name = "poor", .cpu_features = no_features};
	struct cpu_model m;
	struct err e;

	(void)state;
	assert_int_equal(cpu_model_select("v3", &poor, &m, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "v3 has fpu, which engine poor cannot offer"));
}

/* Two measurements agree within 200 ppm, however busy the host. */
static void test_tsc(void **state)
{
	uint32_t a = host_tsc_khz(), b = host_tsc_khz();

	(void)state;
	assert_in_range(b, a - a / 5000, a + a / 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),  cmocka_unit_test(test_auto),
		cmocka_unit_test(test_advice), cmocka_unit_test(test_models),
		cmocka_unit_test(test_tsc),    cmocka_unit_test(test_missing_feature_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
