/* SPDX-License-Identifier: Apache-2.0 */
/* What boot loaders tell the kernel, built for the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/boot/bootinfo.h"
#include "kernel/boot/multiboot2.h"
#include "kernel/boot/protocol.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/layout.h"
#include "x86/pvh.h"

#define MIB (1UL << 20)

/* The kernel's, which is not among the host's. */
size_t strlcpy(char *to, const char *from, size_t size)
{
	size_t n = MIN(strlen(from), size - 1);

	memcpy(to, from, n);
	to[n] = 0;
	return strlen(from);
}

/* Ranges of 1 MiB with holes of as much between. */
static void pvh(struct bootinfo *b, struct pvh_memmap *map, unsigned n)
{
	struct pvh_start_info s = {.magic = PVH_MAGIC, .version = PVH_VERSION, .nmemmap = n};

	s.memmap = virt_to_phys(map);
	for (unsigned i = 0; i < n; i++)
		map[i] = (struct pvh_memmap){.addr = 2 * i * MIB, .size = MIB, .type = 1};
	*b = (struct bootinfo){0};
	assert_true(bootinfo_read(b, BOOT_PVH, virt_to_phys(&s)));
}

static void ranges_without_a_place_are_counted(void **state)
{
	struct pvh_memmap map[BOOT_MAX_RANGES + 3];
	struct bootinfo b;

	(void)state;
	pvh(&b, map, BOOT_MAX_RANGES);
	assert_int_equal(b.nram, BOOT_MAX_RANGES);
	assert_int_equal(b.unused, 0);
	pvh(&b, map, BOOT_MAX_RANGES + 3);
	assert_int_equal(b.nram, BOOT_MAX_RANGES);
	assert_int_equal(b.ram[BOOT_MAX_RANGES - 1].start, 2 * (BOOT_MAX_RANGES - 1) * MIB);
	assert_int_equal(b.unused, 3 * MIB);
}

static void whole_pages_of_ram_only(void **state)
{
	struct {
		uint32_t total, zero;
		struct mb2_mmap map;
		struct mb2_mmap_entry entry[3];
		struct mb2_tag end;
	} info = {sizeof(info),
		  0,
		  {{MB2_MMAP, sizeof(info.map) + sizeof(info.entry)}, sizeof(info.entry[0]), 0},
		  {{0x1001, 0x2fff, 1, 0}, {0x100001, 0xffe, 1, 0}, {MIB, MIB, 2, 0}},
		  {MB2_END, 8}};
	struct bootinfo b = {0};

	(void)state;
	assert_true(bootinfo_read(&b, BOOT_MULTIBOOT2, virt_to_phys(&info)));
	assert_int_equal(b.nram, 1);
	assert_int_equal(b.ram[0].start, 0x2000);
	assert_int_equal(b.ram[0].end, 0x4000);
	assert_int_equal(b.unused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_without_a_place_are_counted),
		cmocka_unit_test(whole_pages_of_ram_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
