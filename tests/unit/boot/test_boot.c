/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel loaders: what ends up in memory, which state follows, which files are refused and why.
 */
#include <errno.h>
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
#include "craft.h"
#include "vmm/boot/layout.h"

static int setup(void **state)
{
	*state = malloc(sizeof(struct craft));
	craft_start(*state, 64 * MIB);
	return 0;
}

static int teardown(void **state)
{
	craft_end(*state);
	free(*state);
	return 0;
}

static void expect_loaded(struct craft *c)
{
	int rc = craft_load(c);

	if (rc)
		print_error("%s\n", c->e.text);
	assert_int_equal(rc, 0);
}

static void expect_refused(struct craft *c, const char *words)
{
	assert_true(craft_load(c) < 0);
	if (!strstr(c->e.text, words))
		fail_msg("\"%s\" lacks \"%s\"", c->e.text, words);
}

/* ---- Linux ---------------------------------------------------------------------------------- */

static void linux_starts_in_long_mode(void **state)
{
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	craft_initrd(c, 5000);
	c->cfg.append = "console=ttyS0";
	expect_loaded(c);
	assert_int_equal(c->bsp.rip, 0x1000200);
	assert_int_equal(c->bsp.gpr[X86_RSI], BOOT_ZERO_PAGE);
	assert_int_equal(c->bsp.cr3, BOOT_PAGE_TABLES);
	assert_int_equal(c->bsp.efer, 0x500);
	assert_int_equal(c->bsp.seg[X86_CS].selector, 0x10);
	assert_true(c->bsp.seg[X86_CS].attr & X86_ATTR_L);
	assert_int_equal(craft_guest8(c, 0x1000000), 0x5a);
	assert_int_equal(craft_guest8(c, 0x1001fff), 0x5a);
	assert_string_equal(mem_ptr(&c->mem, BOOT_CMDLINE, 14, false), "console=ttyS0");
}

static void linux_gets_its_parameters(void **state)
{
	struct craft *c = *state;
	uint32_t ramdisk;

	craft_bzimage(c, 8192);
	craft_initrd(c, 5000);
	expect_loaded(c);
	assert_int_equal(craft_guest8(c, BOOT_ZERO_PAGE), 0); /* not what was there before */
	assert_int_equal(craft_guest32(c, BOOT_ZERO_PAGE + 0x202), 0x53726448);
	assert_int_equal(craft_guest8(c, BOOT_ZERO_PAGE + 0x210), 0xff);
	assert_int_equal(craft_guest32(c, BOOT_ZERO_PAGE + 0x228), BOOT_CMDLINE);
	assert_int_equal(craft_guest64(c, BOOT_ZERO_PAGE + 0x070), c->job.rsdp);
	ramdisk = craft_guest32(c, BOOT_ZERO_PAGE + 0x218);
	assert_int_equal(ramdisk, 64 * MIB - 8192); /* page-aligned, at the top */
	assert_int_equal(craft_guest32(c, BOOT_ZERO_PAGE + 0x21c), 5000);
	assert_int_equal(craft_guest8(c, ramdisk + 4999), 0x77);
}

/* Another one at each start. */
static void linux_gets_random_numbers(void **state)
{
	struct craft *c = *state;
	uint64_t seed[2], at;

	for (unsigned i = 0; i < 2; i++) {
		craft_bzimage(c, 8192);
		expect_loaded(c);
		at = craft_guest64(c, BOOT_ZERO_PAGE + 0x250); /* setup_data */
		assert_int_equal(craft_guest64(c, at), 0);     /* the only piece */
		assert_int_equal(craft_guest32(c, at + 8), 9); /* SETUP_RNG_SEED */
		assert_int_equal(craft_guest32(c, at + 12), 32);
		assert_int_not_equal(craft_guest64(c, at + 16), craft_guest64(c, at + 40));
		seed[i] = craft_guest64(c, at + 40);
	}
	assert_int_not_equal(seed[0], seed[1]);
	craft_put16(c, 0x206, 0x208);
	expect_loaded(c);
	assert_int_equal(craft_guest64(c, BOOT_ZERO_PAGE + 0x250),
			 0); /* before there were pieces */
}

static void linux_gets_a_memory_map(void **state)
{
	struct craft *c = *state;
	uint64_t ram = 0, end = 0;

	craft_bzimage(c, 8192);
	expect_loaded(c);
	for (unsigned i = 0; i < craft_guest8(c, BOOT_ZERO_PAGE + 0x1e8); i++) {
		gpa_t at = BOOT_ZERO_PAGE + 0x2d0 + 20 * i;

		assert_true(craft_guest64(c, at) >= end); /* ascending, without overlaps */
		end = craft_guest64(c, at) + craft_guest64(c, at + 8);
		if (craft_guest32(c, at + 16) == 1)
			ram += craft_guest64(c, at + 8);
	}
	assert_int_equal(ram, 64 * MIB - (BOOT_HIGH - BOOT_LOW_RAM_END));
}

static void linux_identity_map_covers_4_gib(void **state)
{
	struct craft *c = *state;
	const uint64_t addresses[] = {0, 0x200000, 0x3fffffff, 0x40000000, 0xfee00000, 0xffffffff};

	craft_bzimage(c, 8192);
	expect_loaded(c);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		uint64_t a = addresses[i], e = c->bsp.cr3;

		e = craft_guest64(c, e + 8 * (a >> 39 & 511)) & ~0xfffull;
		e = craft_guest64(c, e + 8 * (a >> 30 & 511)) & ~0xfffull;
		e = craft_guest64(c, e + 8 * (a >> 21 & 511));
		assert_int_equal(e & 0x83, 0x83);
		assert_int_equal(e & ~0xfffull, a & ~0x1fffffull);
	}
}

static void linux_without_64_bit_entry(void **state)
{
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	craft_put16(c, 0x236, 0);
	expect_loaded(c);
	assert_int_equal(c->bsp.rip, 0x1000000);
	assert_int_equal(c->bsp.cr0 & 0x80000001, 1);
	assert_int_equal(c->bsp.efer, 0);
	assert_true(c->bsp.seg[X86_CS].attr & X86_ATTR_DB);
}

static void linux_of_protocol_2_02(void **state)
{
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	craft_put16(c, 0x206, 0x202);
	craft_initrd(c, 100);
	expect_loaded(c);
	assert_int_equal(c->bsp.rip, 0x100000); /* later fields mean nothing then */
	assert_true(craft_guest32(c, BOOT_ZERO_PAGE + 0x218) < 0x38000000);
}

/* Each row spoils one thing in a good image. */
static const struct {
	size_t off;
	unsigned bytes;
	uint64_t value;
	const char *words;
} linux_faults[] = {
	{0x1fe, 2, 0, "AA55h"},
	{0x206, 2, 0x201, "older than 2.02"},
	{0x211, 1, 0, "zImage"},
	{0x201, 1, 0, "too short"},
	{0x1f4, 4, 0x10000, "truncated"},
	{0x1f1, 1, 200, "truncated"},
	{0x258, 8, 0x10, "below 1 MiB"},
	{0x258, 8, UINT64_MAX, "too small"},
	{0x258, 8, 0x80000000, "too small"},
	{0x260, 4, 0xffffffff, "too small"},
};

static void linux_faults_are_named(void **state)
{
	struct craft *c = *state;

	for (size_t i = 0; i < sizeof(linux_faults) / sizeof(linux_faults[0]); i++) {
		memset(c->data, 0, sizeof(c->data));
		craft_bzimage(c, 8192);
		memcpy(c->data + linux_faults[i].off, &linux_faults[i].value,
		       linux_faults[i].bytes);
		expect_refused(c, linux_faults[i].words);
	}
}

static void linux_truncated_anywhere(void **state)
{
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	for (c->size = 0; c->size < 5 * 512 + 8192 - 16; c->size += 7)
		assert_true(craft_load(c) < 0);
}

static void linux_initrd_must_fit(void **state)
{
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	craft_initrd(c, 1000);
	c->job.initrd.size = 60 * MIB;
	expect_refused(c, "do not fit");
	c->job.initrd.size = UINT64_MAX - 100;
	expect_refused(c, "do not fit");
	c->job.initrd.size = 1000;
	craft_put32(c, 0x22c, 0x1000000); /* must end below the kernel's own place */
	expect_refused(c, "do not fit");
}

static void linux_command_line_must_fit(void **state)
{
	struct craft *c = *state;
	char text[4000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	c->cfg.append = text;
	craft_bzimage(c, 8192);
	expect_refused(c, "2047");
}

/* ---- PVH ------------------------------------------------------------------------------------ */

static void pvh_starts_at_its_note(void **state)
{
	struct craft *c = *state;
	uint64_t memmap, ram = 0;

	craft_elf(c, 64, 0x200000, 0x2000, 0x6000, 0xffffffff81000000);
	craft_pvh_note(c, 0x200040);
	craft_initrd(c, 300);
	c->cfg.append = "quiet";
	expect_loaded(c);
	assert_int_equal(c->bsp.rip, 0x200040);
	assert_int_equal(c->bsp.gpr[X86_RBX], BOOT_INFO);
	assert_int_equal(c->bsp.cr0 & 0x80000001, 1);
	assert_int_equal(craft_guest8(c, 0x201fff), 0xa5);
	assert_int_equal(craft_guest8(c, 0x202000), 0); /* zeroed, not 0xcc */
	assert_int_equal(craft_guest8(c, 0x205fff), 0);
	assert_int_equal(craft_guest8(c, 0x206000), 0xcc);
	assert_int_equal(craft_guest32(c, BOOT_INFO), 0x336ec578);
	assert_int_equal(craft_guest32(c, BOOT_INFO + 12), 1); /* the initrd */
	assert_int_equal(craft_guest64(c, craft_guest64(c, BOOT_INFO + 16) + 8), 300);
	assert_int_equal(craft_guest64(c, BOOT_INFO + 24), BOOT_CMDLINE);
	assert_int_equal(craft_guest64(c, BOOT_INFO + 32), c->job.rsdp);
	memmap = craft_guest64(c, BOOT_INFO + 40);
	for (unsigned i = 0; i < craft_guest32(c, BOOT_INFO + 48); i++)
		if (craft_guest32(c, memmap + 24 * i + 16) == 1)
			ram += craft_guest64(c, memmap + 24 * i + 8);
	assert_int_equal(ram, 64 * MIB - (BOOT_HIGH - BOOT_LOW_RAM_END));
}

static void elf_without_entry_is_refused(void **state)
{
	struct craft *c = *state;

	craft_elf(c, 64, 0x200000, 0x2000, 0x2000, 0x200000);
	expect_refused(c, "PVH");
	craft_elf(c, 32, 0x200000, 0x2000, 0x2000, 0x200000);
	expect_refused(c, "PVH");
}

static void elf_faults_are_named(void **state)
{
	static const struct {
		uint64_t at, file, mem;
		const char *words;
	} rows[] = {
		{0x200000, 0x2000, 0x1000, "larger in the file"},
		{0x200000, 0x2000, 1ull << 40, "does not fit"},
		{0x200000, 0x2000, UINT64_MAX, "does not fit"},
		{UINT64_MAX - 0x1000, 0x2000, 0x2000, "does not fit"},
		{64 * MIB - 0x1000, 0x2000, 0x2000, "does not fit"},
		{0x1000, 0x2000, 0x2000, "link the kernel"},
		{0x9f000, 0x2000, 0x2000, "link the kernel"},
		{0xf0000, 0x2000, 0x2000, "link the kernel"},
		{0x200000, 0, 0, "nothing to load"},
	};
	struct craft *c = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		craft_elf(c, 64, rows[i].at, rows[i].file, rows[i].mem, rows[i].at);
		craft_pvh_note(c, 0x200000);
		c->size = 0x3000;
		expect_refused(c, rows[i].words);
	}
}

static void elf_truncated_anywhere(void **state)
{
	struct craft *c = *state;

	craft_elf(c, 64, 0x200000, 0x2000, 0x2000, 0x200000);
	craft_pvh_note(c, 0x200000);
	for (c->size = 0; c->size < 0x3000; c->size += 13)
		assert_true(craft_load(c) < 0);
}

static void elf_of_other_kinds_is_refused(void **state)
{
	static const struct {
		size_t off;
		uint8_t value;
		const char *words;
	} rows[] = {
		{4, 3, "class"},          {5, 2, "big-endian"},
		{18, 183, "not for x86"}, {54, 32, "program headers"},
		{56, 65, "more than 64"},
	};
	struct craft *c = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		craft_elf(c, 64, 0x200000, 0x2000, 0x2000, 0x200000);
		craft_pvh_note(c, 0x200000);
		c->data[rows[i].off] = rows[i].value;
		expect_refused(c, rows[i].words);
	}
}

/* ---- multiboot ------------------------------------------------------------------------------ */

static void expect_multiboot_state(struct craft *c, uint64_t entry)
{
	assert_int_equal(c->bsp.rip, entry);
	assert_int_equal(c->bsp.gpr[X86_RAX], 0x2badb002);
	assert_int_equal(c->bsp.gpr[X86_RBX], BOOT_INFO);
	assert_int_equal(craft_guest32(c, BOOT_INFO) & 0x24d, 0x24d);
	assert_int_equal(craft_guest32(c, BOOT_INFO + 8), 63 * KIB);
}

static void multiboot_elf_of_both_classes(void **state)
{
	struct craft *c = *state;

	for (int bits = 32; bits <= 64; bits += 32) {
		craft_elf(c, bits, 0x100000, 0x2000, 0x3000, 0x100020);
		craft_multiboot(c, 0x1100, 3, NULL);
		c->cfg.append = "a b";
		expect_loaded(c);
		expect_multiboot_state(c, 0x100020);
		assert_string_equal(mem_ptr(&c->mem, craft_guest32(c, BOOT_INFO + 16), 11, false),
				    "kernel a b");
	}
}

static void multiboot_by_addresses(void **state)
{
	/* header, load, load end, bss end, entry: the file from offset 0x80 on */
	const uint32_t addresses[] = {0x100080, 0x100000, 0x100400, 0x100800, 0x100020};
	struct craft *c = *state;

	memset(c->data, 0xa5, 0x1000);
	c->size = 0x1000;
	craft_multiboot(c, 0x100, 1 << 16, addresses);
	expect_loaded(c);
	expect_multiboot_state(c, 0x100020);
	assert_int_equal(craft_guest32(c, 0x100080), 0x1badb002);
	assert_int_equal(craft_guest8(c, 0x1003ff), 0xa5);
	assert_int_equal(craft_guest8(c, 0x100400), 0);
	assert_int_equal(craft_guest8(c, 0x100800), 0xcc);
}

static void multiboot_faults_are_named(void **state)
{
	static const struct {
		uint32_t flags, addresses[5];
		const char *words;
	} rows[] = {
		{0x10000 | 8, {0x100080, 0x100000, 0, 0, 0x100020}, "features"},
		{0, {0}, "neither an ELF"},
		{0x10000, {0x100080, 0x100100, 0, 0, 0x100020}, "not where"},
		{0x10000, {0x100280, 0x100000, 0, 0, 0x100020}, "not where"},
		{0x10000, {0x100080, 0x100000, 0xfffff, 0, 0x100020}, "load end"},
		{0x10000, {0x100080, 0x100000, 0x200000, 0, 0x100020}, "truncated"},
		{0x10000, {0x100080, 0x100000, 0, 0xf0000000, 0x100020}, "does not fit"},
		{0x10000, {0xf0000080, 0xf0000000, 0, 0, 0xf0000020}, "does not fit"},
		{0x10000, {0x7080, 0x7000, 0, 0, 0x7020}, "link the kernel"},
	};
	struct craft *c = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(c->data, 0, 0x1000);
		c->size = 0x1000;
		craft_multiboot(c, 0x100, rows[i].flags, rows[i].addresses);
		expect_refused(c, rows[i].words);
	}
}

/* A module file on disk: "abc". */
static void make_module(char *path)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
}

static void multiboot_modules(void **state)
{
	struct craft *c = *state;
	char path[] = "/tmp/baton-module-XXXXXX", text[64];
	const char *modules[] = {text, path};
	uint32_t table, first;

	make_module(path);
	snprintf(text, sizeof(text), "%s some args", path);
	craft_elf(c, 32, 0x100000, 0x2000, 0x3000, 0x100020);
	craft_multiboot(c, 0x1100, 1, NULL);
	c->cfg.modules = modules;
	c->cfg.nmodules = 2;
	expect_loaded(c);
	unlink(path);
	assert_int_equal(craft_guest32(c, BOOT_INFO + 20), 2);
	table = craft_guest32(c, BOOT_INFO + 24);
	first = craft_guest32(c, table);
	assert_int_equal(first, 0x103000); /* behind the kernel, page-aligned */
	assert_int_equal(craft_guest32(c, table + 4), first + 3);
	assert_memory_equal(mem_ptr(&c->mem, first, 3, false), "abc", 3);
	assert_string_equal(mem_ptr(&c->mem, craft_guest32(c, table + 8), 64, false), text);
	assert_int_equal(craft_guest32(c, table + 16), first + 0x1000);
}

static void modules_and_initrd_only_where_they_belong(void **state)
{
	const char *modules[] = {"/dev/null"};
	struct craft *c = *state;

	craft_bzimage(c, 8192);
	c->cfg.modules = modules;
	c->cfg.nmodules = 1;
	expect_refused(c, "no modules");
	c->cfg.nmodules = 0;
	memset(c->data, 0, sizeof(c->data));
	craft_elf(c, 32, 0x100000, 0x2000, 0x3000, 0x100020);
	craft_multiboot(c, 0x1100, 1, NULL);
	craft_initrd(c, 100);
	expect_refused(c, "no initrd");
}

static void missing_module_is_named(void **state)
{
	const char *modules[] = {"/does/not/exist x"};
	struct craft *c = *state;

	craft_elf(c, 32, 0x100000, 0x2000, 0x3000, 0x100020);
	craft_multiboot(c, 0x1100, 1, NULL);
	c->cfg.modules = modules;
	c->cfg.nmodules = 1;
	expect_refused(c, "/does/not/exist: No such file");
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void other_files_are_refused(void **state)
{
	struct craft *c = *state;

	expect_refused(c, "not a kernel");
	memset(c->data, 'x', c->size = 10000);
	expect_refused(c, "not a kernel");
}

static void processors_start_as_the_manual_says(void **state)
{
	static struct x86_cpu_state s;

	(void)state;
	boot_ap_state(&s, 3);
	assert_int_equal(s.activity, X86_WAIT_SIPI);
	assert_int_equal(s.apic_base, 0xfee00800);
	assert_int_equal(s.lapic[2], 3 << 24);
	assert_int_equal(s.lapic[0x35], 0x10000);
	boot_state_reset(&s, 0);
	assert_int_equal(s.activity, X86_ACTIVE);
	assert_int_equal(s.apic_base, 0xfee00900);
	assert_int_equal(s.seg[X86_CS].base + s.rip, 0xfffffff0);
	assert_int_equal(s.cr0, 0x60000010);
	assert_int_equal(s.rflags, 2);
}

static void make_firmware(char *path, size_t size)
{
	int fd = mkstemp(path);
	char *data = malloc(size);

	assert_true(fd >= 0);
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i >> 12);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
	free(data);
}

static void firmware_ends_at_4_gib(void **state)
{
	struct craft *c = *state;
	char path[] = "/tmp/baton-firmware-XXXXXX";
	const size_t size = 256 * KIB;
	gpa_t below;

	make_firmware(path, size);
	c->cfg.firmware = path;
	assert_int_equal(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e), 0);
	assert_int_equal(below, 0x100000000 - size);
	assert_int_equal(boot_load(&c->cfg, &c->mem, &c->bsp, &c->e), 0);
	assert_int_equal(craft_guest8(c, 0xffffffff), 0x3f);
	assert_int_equal(craft_guest8(c, 0x100000000 - size), 0);
	assert_int_equal(craft_guest8(c, 0xfffff), 0x3f); /* the shadow copy, which is RAM */
	assert_int_equal(craft_guest8(c, 0xe0000), 0x20);
	assert_true(mem_write(&c->mem, 0xfffff, "x", 1));
	assert_false(mem_write(&c->mem, 0xffffffff, "x", 1));
	assert_int_equal(c->bsp.rip, 0xfff0);
	/* A file of another size by the time of a reset. */
	assert_int_equal(truncate(path, 128 * KIB), 0);
	assert_true(boot_load(&c->cfg, &c->mem, &c->bsp, &c->e) < 0);
	unlink(path);
}

static void firmware_of_odd_size_is_refused(void **state)
{
	struct craft *c = *state;
	char path[] = "/tmp/baton-firmware-XXXXXX";
	gpa_t below;

	c->cfg.firmware = path;
	make_firmware(path, 100000);
	assert_true(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e) < 0);
	assert_non_null(strstr(c->e.text, "multiple of 4 KiB"));
	assert_int_equal(truncate(path, 32 << 20), 0);
	assert_true(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e) < 0);
	assert_int_equal(truncate(path, 0), 0);
	assert_true(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e) < 0);
	unlink(path);
	assert_true(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e) < 0);
	c->cfg.firmware = "/tmp";
	assert_true(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e) < 0);
	c->cfg.firmware = NULL;
	assert_int_equal(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e), 0);
}

/* A reset wants the file that the machine was made with, whatever has its name by then. */
static void files_are_opened_once(void **state)
{
	struct craft *c = *state;
	char path[] = "/tmp/baton-firmware-XXXXXX", other[] = "/tmp/baton-firmware-XXXXXX";
	struct boot_files held = {0};
	gpa_t below;

	make_firmware(path, 64 * KIB);
	make_firmware(other, 128 * KIB);
	c->cfg.firmware = path;
	boot_open(&c->cfg, &held);
	c->cfg.files = &held;
	assert_int_equal(boot_prepare_memory(&c->cfg, &c->mem, &below, &c->e), 0);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(boot_load(&c->cfg, &c->mem, &c->bsp, &c->e), 0);
	unlink(path);
	assert_int_equal(boot_load(&c->cfg, &c->mem, &c->bsp, &c->e), 0);
	boot_files_close(&held);
	assert_int_equal(boot_load(&c->cfg, &c->mem, &c->bsp, &c->e), -ENOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_starts_in_long_mode),
		T(linux_gets_its_parameters),
		T(linux_gets_random_numbers),
		T(linux_gets_a_memory_map),
		T(linux_identity_map_covers_4_gib),
		T(linux_without_64_bit_entry),
		T(linux_of_protocol_2_02),
		T(linux_faults_are_named),
		T(linux_truncated_anywhere),
		T(linux_initrd_must_fit),
		T(linux_command_line_must_fit),
		T(pvh_starts_at_its_note),
		T(elf_without_entry_is_refused),
		T(elf_faults_are_named),
		T(elf_truncated_anywhere),
		T(elf_of_other_kinds_is_refused),
		T(multiboot_elf_of_both_classes),
		T(multiboot_by_addresses),
		T(multiboot_faults_are_named),
		T(multiboot_modules),
		T(modules_and_initrd_only_where_they_belong),
		T(missing_module_is_named),
		T(other_files_are_refused),
		T(processors_start_as_the_manual_says),
		T(firmware_ends_at_4_gib),
		T(firmware_of_odd_size_is_refused),
		T(files_are_opened_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
