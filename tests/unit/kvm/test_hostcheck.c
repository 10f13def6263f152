/* SPDX-License-Identifier: Apache-2.0 */
/* The host check over made-up hosts: a folder with /proc, /sys and /dev in it, a made-up
 * measurement. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "manager/hostcheck.h"

struct fake {
	char root[64];
	struct kvm_host kvm;
	struct host_report report;
};

static int make_root(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/test-hostcheck-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	*state = f;
	return 0;
}

static int remove_root(void **state)
{
	struct fake *f = *state;
	char command[128];
	int rc;

	snprintf(command, sizeof(command), "rm -r %s", f->root);
	rc = system(command);
	free(f);
	return rc;
}

/* Folders on the way are made. */
static void put(struct fake *f, const char *path, const void *data, size_t len, long offset)
{
	char full[256];
	FILE *out;

	snprintf(full, sizeof(full), "%s%s", f->root, path);
	for (char *p = full + strlen(f->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	out = fopen(full, "w");
	assert_non_null(out);
	fseek(out, offset, SEEK_SET);
	assert_int_equal(fwrite(data, 1, len, out), len);
	fclose(out);
}

static void cpuinfo(struct fake *f, const char *vendor, const char *flags)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "processor\t: 0\nvendor_id\t: %s\nflags\t\t: fpu %s lm\nbogomips\t: 1\n\n"
		 "processor\t: 1\nflags\t\t: none\n",
		 vendor, flags);
	put(f, "/proc/cpuinfo", text, strlen(text), 0);
}

static const struct finding *check(struct fake *f, const char *name)
{
	struct err e;

	if (host_check_with(&f->report, &f->kvm, f->root, &e))
		fail_msg("%s", e.text);
	for (unsigned i = 0; i < f->report.n; i++)
		if (!strcmp(f->report.finding[i].name, name))
			return &f->report.finding[i];
	return NULL;
}

static void expect(struct fake *f, const char *name, enum finding_kind kind, const char *text,
		   const char *remedy)
{
	const struct finding *found = check(f, name);

	assert_non_null(found);
	assert_int_equal(found->kind, kind);
	if (!strstr(found->text, text) || !strstr(found->remedy, remedy))
		fail_msg("%s: \"%s\", remedy \"%s\"", name, found->text, found->remedy);
}

static void test_good_host(void **state)
{
	struct fake *f = *state;
	uint64_t locked_on = 5;

	cpuinfo(f, "GenuineIntel", "vmx");
	put(f, "/sys/module/kvm/x", "", 0, 0);
	put(f, "/sys/module/kvm_intel/x", "", 0, 0);
	put(f, "/dev/cpu/0/msr", &locked_on, 8, 0x3a);
	f->kvm = (struct kvm_host){.vmx = true, .instr_per_second = 90000000};
	expect(f, "processor", FINDING_GOOD, "GenuineIntel, flag vmx", "");
	expect(f, "nesting", FINDING_GOOD, "not inside", "");
	expect(f, "firmware", FINDING_GOOD, "MSR 0x3a is 0x5", "");
	expect(f, "module", FINDING_GOOD, "kvm_intel", "");
	expect(f, "device", FINDING_GOOD, "runs a guest", "");
	expect(f, "speed", FINDING_GOOD, "90 million", "");
	assert_true(f->report.hardware);
	assert_non_null(strstr(f->report.advice, "engine kvm"));
}

static void test_module_missing(void **state)
{
	struct fake *f = *state;

	cpuinfo(f, "AuthenticAMD", "svm");
	f->kvm.svm = true;
	err_set(&f->kvm.failure, -ENOENT, "/dev/kvm: No such file or directory; load it");
	expect(f, "module", FINDING_BAD, "no kvm module", "modprobe kvm_amd");
	expect(f, "device", FINDING_BAD, "No such file", "load it");
	expect(f, "firmware", FINDING_NOTE, "not to be seen", "modprobe msr");
	assert_null(check(f, "speed"));
	assert_false(f->report.hardware);
	assert_non_null(strstr(f->report.advice, "engine bt"));
}

static void test_firmware_off(void **state)
{
	struct fake *f = *state;
	uint64_t locked_off = 1, svmdis = 0x18;

	cpuinfo(f, "GenuineIntel", "sse");
	put(f, "/dev/cpu/0/msr", &locked_off, 8, 0x3a);
	f->kvm.vmx = true;
	err_set(&f->kvm.failure, -ENOENT, "/dev/kvm: none");
	expect(f, "processor", FINDING_BAD, "switched off", "firmware setup");
	expect(f, "firmware", FINDING_BAD, "MSR 0x3a is 0x1", "firmware setup");
	put(f, "/dev/cpu/0/msr", &svmdis, 8, 0xc0010114);
	f->kvm.vmx = false;
	f->kvm.svm = true;
	expect(f, "firmware", FINDING_BAD, "MSR 0xc0010114 is 0x18", "firmware setup");
}

static void test_inside_vm(void **state)
{
	struct fake *f = *state;

	cpuinfo(f, "AuthenticAMD", "hypervisor");
	f->kvm.in_vm = true;
	f->kvm.instr_per_second = 2000000;
	expect(f, "processor", FINDING_BAD, "neither vmx nor svm", "");
	expect(f, "nesting", FINDING_BAD, "without hardware", "nested virtualization");
	expect(f, "speed", FINDING_BAD, "2.0 million", "--engine bt");
	assert_null(check(f, "firmware"));
	assert_false(f->report.hardware);
	cpuinfo(f, "AuthenticAMD", "svm");
	expect(f, "nesting", FINDING_NOTE, "passes hardware virtualization on", "");
}

static void test_no_permission(void **state)
{
	struct fake *f = *state;

	cpuinfo(f, "AuthenticAMD", "svm");
	f->kvm.svm = true;
	err_set(&f->kvm.failure, -EACCES,
		"/dev/kvm: Permission denied; add this user to the group kvm");
	expect(f, "device", FINDING_BAD, "Permission denied", "group kvm");
}

/* "svm" must be a word of its own: svm_lock is another flag. */
static void test_words(void **state)
{
	struct fake *f = *state;

	cpuinfo(f, "AuthenticAMD", "svm_lock xsvm");
	expect(f, "processor", FINDING_BAD, "neither", "");
}

static void test_no_cpuinfo(void **state)
{
	struct fake *f = *state;
	struct err e = {0};

	assert_int_equal(host_check_with(&f->report, &f->kvm, f->root, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/proc/cpuinfo"));
}

int main(void)
{
#define WITH_ROOT(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
	const struct CMUnitTest tests[] = {
		WITH_ROOT(test_good_host),     WITH_ROOT(test_module_missing),
		WITH_ROOT(test_firmware_off),  WITH_ROOT(test_inside_vm),
		WITH_ROOT(test_no_permission), WITH_ROOT(test_words),
		WITH_ROOT(test_no_cpuinfo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
