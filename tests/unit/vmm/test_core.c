/* SPDX-License-Identifier: Apache-2.0 */
/* Buses, guest memory, saved state, sizes: the parts every device stands on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "vmm/bus.h"
#include "vmm/memory.h"
#include "vmm/state/state.h"

/* ---- bus ----------------------------------------------------------------------------------------
 */

struct probe {
	char log[256];
	size_t n;
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned size)
{
	struct probe *p = dev;

	p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "r%u@%u ", size,
				 (unsigned)off);
	return 0x8877665544332211ull >> off * 8;
}

static void probe_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct probe *p = dev;

	p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "w%u@%u=%llx ", size,
				 (unsigned)off, (unsigned long long)val);
}

static const struct io_ops bytes_only = {probe_read, probe_write, 1};
static const struct io_ops dwords_only = {probe_read, probe_write, 4};

static void bus_splits_what_a_device_does_not_take(void **state)
{
	struct probe p = {.n = 0};
	struct bus b;

	(void)state;
	bus_init(&b, 0x10000);
	assert_int_equal(bus_add(&b, 0x100, 3, &bytes_only, &p, "probe", NULL), 0);
	assert_int_equal(bus_read(&b, 0x100, 2), 0x2211);
	bus_write(&b, 0x101, 2, 0xabcd);
	assert_string_equal(p.log, "r1@0 r1@1 w1@1=cd w1@2=ab ");
	/* Past the end nothing answers: ones, counted. */
	assert_int_equal(bus_read(&b, 0x101, 4), 0xffff3322);
	assert_int_equal(b.unclaimed, 2);
}

static void bus_refuses_narrow_accesses(void **state)
{
	struct probe p = {.n = 0};
	struct bus b;

	(void)state;
	bus_init(&b, 0x10000);
	assert_int_equal(bus_add(&b, 0x100, 8, &dwords_only, &p, "probe", NULL), 0);
	assert_int_equal(bus_read(&b, 0x100, 1), 0xff);
	bus_write(&b, 0x104, 2, 1);
	assert_string_equal(p.log, "");
	assert_int_equal(bus_read(&b, 0x100, 8), 0x8877665544332211ull);
	assert_string_equal(p.log, "r4@0 r4@4 ");
}

static void bus_keeps_regions_apart(void **state)
{
	struct probe p = {.n = 0};
	struct bus b;
	struct err e;

	(void)state;
	bus_init(&b, 0x10000);
	assert_int_equal(bus_add(&b, 0x200, 8, &bytes_only, &p, "second", NULL), 0);
	assert_int_equal(bus_add(&b, 0x100, 0x100, &bytes_only, &p, "first", NULL), 0);
	assert_int_equal(bus_add(&b, 0x1ff, 2, &bytes_only, &p, "x", &e), -EEXIST);
	assert_int_equal(bus_add(&b, 0x207, 1, &bytes_only, &p, "x", &e), -EEXIST);
	assert_int_equal(bus_add(&b, 0xfff0, 0x11, &bytes_only, &p, "x", &e), -EINVAL);
	assert_int_equal(bus_add(&b, 0x300, UINT64_MAX, &bytes_only, &p, "x", &e), -EINVAL);
	assert_int_equal(bus_add(&b, 0x208, 1, &bytes_only, &p, "third", NULL), 0);
	assert_string_equal(bus_find(&b, 0x200)->name, "second");
	assert_string_equal(bus_find(&b, 0x208)->name, "third");
	assert_null(bus_find(&b, 0x209));
	bus_remove(&b, 0x200, &b); /* not the owner */
	assert_non_null(bus_find(&b, 0x200));
	bus_remove(&b, 0x200, &p);
	assert_null(bus_find(&b, 0x200));
	assert_non_null(bus_find(&b, 0x1ff));
}

/* ---- guest memory -------------------------------------------------------------------------------
 */

static void memory_is_bounded(void **state)
{
	struct guest_memory m;
	uint8_t buf[8] = {1, 2, 3, 4, 5, 6, 7, 8}, *rom;
	struct err e;

	(void)state;
	assert_int_equal(mem_init(&m, 3 * MIB / 2, &e), -EINVAL);
	assert_int_equal(mem_init(&m, 2 * MIB, &e), 0);
	assert_true(mem_write(&m, 2 * MIB - 8, buf, 8));
	assert_false(mem_write(&m, 2 * MIB - 7, buf, 8));
	assert_false(mem_read(&m, UINT64_MAX - 3, buf, 8));
	assert_int_equal(buf[0], 0);
	assert_null(mem_ptr(&m, 0, UINT64_MAX, false));
	assert_int_equal(mem_add_rom(&m, 0xfffe0000, 0x20000, &rom, &e), 0);
	assert_non_null(mem_ptr(&m, 0xfffffff0, 16, false));
	assert_null(mem_ptr(&m, 0xfffffff0, 16, true));
	assert_false(mem_write(&m, 0xfffffff0, buf, 8));
	mem_fini(&m);
}

static void memory_continues_above_4_gib(void **state)
{
	struct guest_memory m;
	struct err e;

	(void)state;
	assert_int_equal(mem_init(&m, MEM_LOW_END + 4 * MIB, &e), 0);
	assert_non_null(mem_ptr(&m, MEM_LOW_END - 4, 4, true));
	assert_null(mem_ptr(&m, MEM_LOW_END - 4, 8, true));
	assert_non_null(mem_ptr(&m, MEM_HIGH_START + 4 * MIB - 1, 1, true));
	assert_null(mem_ptr(&m, MEM_HIGH_START + 4 * MIB, 1, true));
	mem_fini(&m);
}

/* ---- saved state --------------------------------------------------------------------------------
 */

struct sample {
	uint8_t a;
	uint32_t b[3];
	uint64_t host_pointer;
};

static const struct state_field sample_fields[] = {ST(1, struct sample, a),
						   ST_ARR(7, struct sample, b), ST_END};
static const struct state_desc sample_desc = {"sample", 2, sizeof(struct sample), sample_fields};

static void state_goes_round(void **state)
{
	struct sample out = {5, {1, 2, 0xdeadbeef}, 9}, in = {.host_pointer = 77};
	struct state_buf b = {0};
	size_t used;
	struct err e;

	(void)state;
	assert_int_equal(state_save(&sample_desc, &out, &b), 0);
	assert_int_equal(state_load(&sample_desc, &in, b.data, b.len, &used, &e), 0);
	assert_int_equal(used, b.len);
	assert_int_equal(in.a, 5);
	assert_int_equal(in.b[2], 0xdeadbeef);
	assert_int_equal(in.host_pointer, 77); /* not in the table: untouched */
	free(b.data);
}

static void state_refuses_damage(void **state)
{
	struct sample s = {5, {1, 2, 3}, 9}, in = {0};
	struct state_desc older = sample_desc;
	struct state_buf b = {0};
	size_t used;
	struct err e;

	(void)state;
	assert_int_equal(state_save(&sample_desc, &s, &b), 0);
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(state_load(&sample_desc, &in, b.data, cut, &used, &e), -EINVAL);
	older.version = 1;
	assert_int_equal(state_load(&older, &in, b.data, b.len, &used, &e), -EINVAL);
	assert_non_null(strstr(e.text, "version 2"));
	b.data[16] ^= 0x55; /* the first field's tag */
	assert_int_equal(state_load(&sample_desc, &in, b.data, b.len, &used, &e), -EINVAL);
	assert_int_equal(in.a, 0);
	free(b.data);
}

/* A record of version 2 is read by a program that has one field more since version 3. */
static void state_grows(void **state)
{
	static const struct state_field more[] = {
		ST(1, struct sample, a), ST_ARR(7, struct sample, b),
		ST_SINCE(3, 8, struct sample, host_pointer), ST_END};
	const struct state_desc newer = {"sample", 3, sizeof(struct sample), more};
	struct sample s = {5, {1, 2, 3}, 9}, in = {.host_pointer = 77};
	struct state_buf b = {0};
	size_t used;
	struct err e;

	(void)state;
	assert_int_equal(state_save(&sample_desc, &s, &b), 0);
	assert_int_equal(state_load(&newer, &in, b.data, b.len, &used, &e), 0);
	assert_int_equal(in.a, 5);
	assert_int_equal(in.host_pointer, 77); /* as it was reset */
	b.data[8] = 3;                         /* a version 3 without it is damaged */
	assert_int_equal(state_load(&newer, &in, b.data, b.len, &used, &e), -EINVAL);
	assert_non_null(strstr(e.text, "host_pointer: missing"));
	free(b.data);
}

static void state_refuses_doubles(void **state)
{
	static const struct state_field twice[] = {ST(1, struct sample, a), ST(1, struct sample, a),
						   ST_END};
	static const struct state_field once[] = {ST(1, struct sample, a), ST_END};
	const struct state_desc writer = {"sample", 2, sizeof(struct sample), twice};
	const struct state_desc reader = {"sample", 2, sizeof(struct sample), once};
	struct sample s = {5, {1, 2, 3}, 9};
	struct state_buf b = {0};
	size_t used;
	struct err e;

	(void)state;
	assert_int_equal(state_save(&writer, &s, &b), 0);
	assert_int_equal(state_load(&reader, &s, b.data, b.len, &used, &e), -EINVAL);
	assert_non_null(strstr(e.text, "sample.a: there twice"));
	free(b.data);
}

/* ---- sizes --------------------------------------------------------------------------------------
 */

static void sizes_as_people_type_them(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} rows[] = {
		{"512", 0, 512 * MIB},
		{"512M", 0, 512 * MIB},
		{"2g", 0, 2 * GIB},
		{"64KiB", 0, 64 * KIB},
		{"1TB", 0, 1024 * GIB},
		{"7B", 0, 7},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{" 5", -EINVAL, 0},
		{"1.5G", -EINVAL, 0},
		{"5X", -EINVAL, 0},
		{"5Mx", -EINVAL, 0},
		{"99999999999999T", -ERANGE, 0},
		{"9223372036854775808B", -ERANGE, 0},
	};
	uint64_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(num_parse_size(rows[i].text, MIB, &n, NULL), rows[i].rc);
		if (!rows[i].rc)
			assert_int_equal(n, rows[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bus_splits_what_a_device_does_not_take),
		cmocka_unit_test(bus_refuses_narrow_accesses),
		cmocka_unit_test(bus_keeps_regions_apart),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(memory_continues_above_4_gib),
		cmocka_unit_test(state_goes_round),
		cmocka_unit_test(state_refuses_damage),
		cmocka_unit_test(state_grows),
		cmocka_unit_test(state_refuses_doubles),
		cmocka_unit_test(sizes_as_people_type_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
