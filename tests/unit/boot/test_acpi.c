/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI and SMBIOS tables: links, lengths, checksums, and what iasl makes of the AML: it must
 * disassemble, and the result must compile without a remark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/aml.h"
#include "vmm/boot/layout.h"
#include "vmm/boot/smbios.h"
#include "vmm/device/pci/layout.h"

static struct guest_memory mem;
static gpa_t rsdp;
static const uint8_t uuid[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
				 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7};

static int setup(void **state)
{
	static const struct acpi_config config = {
		.nvcpus = 64, .ecam = 0xb0000000, .ram_end = 16 * MIB, .has_hpet = true};
	struct err e;

	(void)state;
	return mem_init(&mem, 16 * MIB, &e) || acpi_build(&mem, &config, &rsdp, &e) ||
	       smbios_build(&mem, uuid, &e);
}

static int teardown(void **state)
{
	(void)state;
	mem_fini(&mem);
	return 0;
}

static const uint8_t *guest(gpa_t gpa, size_t len)
{
	const uint8_t *p = mem_ptr(&mem, gpa, len, false);

	assert_non_null(p);
	return p;
}

static uint64_t le(const uint8_t *p, unsigned bytes)
{
	uint64_t n = 0;

	memcpy(&n, p, bytes);
	return n;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table behind the XSDT that has this signature. */
static const uint8_t *find_table(const char *signature)
{
	gpa_t xsdt = le(guest(rsdp, 36) + 24, 8);
	uint32_t len = (uint32_t)le(guest(xsdt, 8) + 4, 4);

	for (uint32_t off = 36; off < len; off += 8) {
		gpa_t at = le(guest(xsdt, len) + off, 8);
		const uint8_t *t = guest(at, 36);

		if (!memcmp(t, signature, 4))
			return guest(at, le(t + 4, 4));
	}
	fail_msg("there is no %s", signature);
	return NULL;
}

static const uint8_t *find_dsdt(void)
{
	gpa_t at = le(find_table("FACP") + 140, 8);

	return guest(at, le(guest(at, 8) + 4, 4));
}

static void checksums_hold(void **state)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "HPET"};
	const uint8_t *root = guest(rsdp, 36);

	(void)state;
	assert_memory_equal(root, "RSD PTR ", 8);
	assert_int_equal(sum(root, 20), 0);
	assert_int_equal(sum(root, 36), 0);
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *t = find_table(names[i]);

		assert_int_equal(sum(t, le(t + 4, 4)), 0);
	}
	assert_int_equal(sum(find_dsdt(), le(find_dsdt() + 4, 4)), 0);
}

static void fadt_and_facs(void **state)
{
	const uint8_t *fadt = find_table("FACP");
	gpa_t facs = le(fadt + 36, 4);

	(void)state;
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(guest(facs, 64), "FACS", 4);
	assert_int_equal(le(fadt + 40, 4), le(fadt + 140, 8)); /* both DSDT pointers */
	assert_int_equal(le(fadt + 46, 2), 9);
	assert_int_equal(le(fadt + 116 + 4, 8), 0xcf9);
	assert_int_equal(fadt[128], 6);
}

/* Linux looks for devices on all buses up to the last one, port by port. */
static void mcfg_has_one_bus(void **state)
{
	const uint8_t *entry = find_table("MCFG") + 44;

	(void)state;
	assert_int_equal(le(entry, 8), PCI_ECAM_BASE);
	assert_int_equal(entry[10], 0);
	assert_int_equal(entry[11], 0);
}

static void madt_lists_every_processor(void **state)
{
	const uint8_t *t = find_table("APIC"), *end = t + le(t + 4, 4);
	unsigned processors = 0, ioapics = 0, overrides = 0;

	(void)state;
	for (const uint8_t *p = t + 44; p < end; p += p[1]) {
		assert_true(p[1] >= 2 && p + p[1] <= end);
		if (p[0] == 0)
			assert_int_equal(p[3], processors++);
		ioapics += p[0] == 1;
		overrides += p[0] == 2;
	}
	assert_int_equal(processors, 64);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
}

static int run_in(const char *folder, const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "cd %s && %s", folder, command);
	return system(line);
}

static void iasl_reads_and_rewrites_the_dsdt(void **state)
{
	char folder[] = "/tmp/baton-acpi-XXXXXX", path[64];
	const uint8_t *dsdt = find_dsdt();
	FILE *f;

	(void)state;
	if (system("command -v iasl >/dev/null"))
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(dsdt, 1, le(dsdt + 4, 4), f);
	fclose(f);
	assert_int_equal(run_in(folder, "iasl -d dsdt.aml >out 2>&1"), 0);
	assert_int_equal(run_in(folder, "iasl -p again dsdt.dsl >out 2>&1"), 0);
	assert_int_equal(run_in(folder, "grep -q '0 Errors, 0 Warnings, 0 Remarks' out"), 0);
	assert_int_equal(run_in(folder, "grep -q 'Device (PCI0)' dsdt.dsl"), 0);
	assert_int_equal(run_in(folder, "grep -q '_S5, ' dsdt.dsl"), 0);
	run_in(folder, "rm -f dsdt.aml dsdt.dsl again.aml out");
	rmdir(folder);
}

static void aml_integers_take_the_shortest_form(void **state)
{
	static const struct {
		uint64_t n;
		size_t len;
	} rows[] = {{0, 1},     {1, 1},      {2, 2},       {0xff, 2},
		    {0x100, 3}, {0xffff, 3}, {0x10000, 5}, {0x100000000, 9}};
	uint8_t buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct aml a = {.buf = buf, .cap = sizeof(buf)};

		aml_int(&a, rows[i].n);
		assert_int_equal(a.len, rows[i].len);
	}
}

static void aml_remembers_that_it_is_full(void **state)
{
	uint8_t buf[8];
	struct aml a = {.buf = buf, .cap = sizeof(buf)};
	size_t mark = aml_begin(&a, AML_DEVICE);

	(void)state;
	aml_bytes(&a, "longer than the buffer", 22);
	aml_end(&a, mark);
	assert_true(a.full);
	assert_int_equal(a.len, sizeof(buf));
}

/* The first three fields are little-endian there. */
static const uint8_t guest_uuid[16] = {0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd,
				       0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7};

static void smbios_is_found_and_whole(void **state)
{
	const uint8_t *p = guest(BOOT_SMBIOS, 24), *s;
	gpa_t at = le(p + 16, 8), end = at + le(p + 12, 4);
	unsigned last = 0;

	(void)state;
	assert_memory_equal(p, "_SM3_", 5);
	assert_int_equal(sum(p, p[6]), 0);
	while (at < end) {
		s = guest(at, end - at);
		last = s[0];
		if (last == 1) /* the system */
			assert_memory_equal(s + 8, guest_uuid, 16);
		for (at += s[1]; le(guest(at, 2), 2); at++) /* strings end with two NULs */
			;
		at += 2;
	}
	assert_int_equal(at, end);
	assert_int_equal(last, 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_hold),
		cmocka_unit_test(fadt_and_facs),
		cmocka_unit_test(mcfg_has_one_bus),
		cmocka_unit_test(madt_lists_every_processor),
		cmocka_unit_test(iasl_reads_and_rewrites_the_dsdt),
		cmocka_unit_test(aml_integers_take_the_shortest_form),
		cmocka_unit_test(aml_remembers_that_it_is_full),
		cmocka_unit_test(smbios_is_found_and_whole),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
