/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged images: noticed, marked, refused for writing, repaired; and who may open what with whom.
 */
#include "model.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SIZE    (4 * MIB)
#define CLUSTER 65536u

static struct model m;

static int setup(void **state)
{
	const struct image_create c = {.format = "qcow2", .size = SIZE};

	(void)state;
	model_init(&m, SIZE, 1);
	model_create(&m, "disk", &c);
	model_open(&m, "disk", NULL);
	model_write(&m, 0, 3 * CLUSTER, 9);
	model_close(&m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	model_fini(&m);
	return 0;
}

static uint64_t get(uint64_t at)
{
	int fd = open(model_path(&m, "disk"), O_RDONLY);
	uint64_t be;

	assert_int_equal(pread(fd, &be, 8, (off_t)at), 8);
	close(fd);
	return be64toh(be);
}

static void put(uint64_t at, uint64_t value)
{
	int fd = open(model_path(&m, "disk"), O_WRONLY);
	uint64_t be = htobe64(value);

	assert_int_equal(pwrite(fd, &be, 8, (off_t)at), 8);
	close(fd);
}

static uint64_t l2_table(void)
{
	return get(get(40)) & 0x00fffffffffffe00ull;
}

static int open_disk(bool readonly, struct disk **out, struct err *e)
{
	const struct disk_options o = {.path = model_path(&m, "disk"), .readonly = readonly};

	return disk_open(&o, NULL, out, e);
}

static void note_rc(struct disk_req *r, int rc)
{
	*(int *)r->opaque = rc;
}

static int write_rc(struct disk *d, uint64_t offset)
{
	static uint8_t data[4096];
	int rc = 1;
	struct iovec iov = {data, sizeof(data)};
	struct disk_req r = {.op = DISK_WRITE,
			     .offset = offset,
			     .len = sizeof(data),
			     .iov = &iov,
			     .niov = 1,
			     .done = note_rc,
			     .opaque = &rc};

	disk_submit(d, &r);
	disk_drain(d);
	return rc;
}

static struct image_check check(bool repair)
{
	struct image_check c = {0};
	struct err e;

	assert_int_equal(image_check(model_path(&m, "disk"), NULL, repair, &c, &e), 0);
	return c;
}

/* A cluster of data lies where the image keeps a table: a write would change the table. */
static void data_over_tables(void **state)
{
	const uint64_t places[] = {0,          get(40),    get(48), get(get(48)),
				   l2_table(), 1ull << 40, 0x10200};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t table = l2_table(), entry = get(table), features = get(72);
		struct disk *d;
		struct err e;

		if (!places[i])
			continue; /* no place at all */
		put(table, places[i] | 1ull << 63);
		assert_int_equal(open_disk(false, &d, &e), 0);
		assert_int_equal(write_rc(d, 0), -EIO);
		assert_int_equal(write_rc(d, 2 * CLUSTER), 0);
		disk_close(d);
		assert_int_equal(get(72), features | 2); /* marked */
		assert_int_equal(open_disk(false, &d, &e), -EROFS);
		assert_non_null(strstr(e.text, "--repair"));
		assert_int_equal(open_disk(true, &d, &e), 0);
		disk_close(d);
		assert_true(check(false).corruptions > 0);
		put(table, entry);
		put(72, features);
	}
	assert_int_equal(check(false).corruptions, 0);
}

/* Tables that lie on each other are found before anything is written. */
static void tables_over_tables(void **state)
{
	const uint64_t l1 = get(40), reftable = get(48), block = get(reftable);
	const struct {
		uint64_t at, value;
		const char *why;
	} rows[] = {
		{reftable, reftable, "overlaps"},
		{reftable, l1, "overlaps"},
		{reftable + 8, block, "overlaps the refcount block"},
		{reftable, 1, "start of no cluster"},
		{reftable + 8, 1ull << 40, "past the end"},
		{l1, l1 | 1ull << 63, "overlaps"},
		{l1, block | 1ull << 63, "overlaps"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = get(rows[i].at);
		struct disk *d;
		struct err e;

		put(rows[i].at, rows[i].value);
		assert_int_equal(open_disk(false, &d, &e), -EROFS);
		if (!strstr(e.text, rows[i].why))
			fail_msg("row %zu: %s", i, e.text);
		assert_int_equal(open_disk(true, &d, &e), 0);
		disk_close(d);
		put(rows[i].at, before);
	}
	assert_int_equal(check(false).corruptions, 0);
}

/* Two places of the disk in one cluster, which says that it is used once. */
static void shared_cluster(void **state)
{
	struct image_check c;

	(void)state;
	put(l2_table() + 8, get(l2_table()));
	c = check(false);
	assert_true(c.corruptions >= 1);
	c = check(true);
	assert_int_equal(c.repaired, c.corruptions + c.leaks);
	c = check(false);
	assert_int_equal(c.corruptions + c.leaks, 0);
	/* Now a write to one of the two must not change the other. */
	memcpy(m.content + CLUSTER, m.content, CLUSTER);
	model_open(&m, "disk", NULL);
	model_write(&m, CLUSTER, 4096, 77);
	model_compare(&m);
}

/* Written by a program that kept refcounts for later and was killed. */
static void dirty_image(void **state)
{
	uint64_t block = get(get(48)), features = get(72);

	(void)state;
	put(block + 8, 0);
	put(72, features | 1);
	assert_true(check(false).corruptions > 0);
	model_open(&m, "disk", NULL);
	model_compare(&m);
	model_write(&m, 3 * CLUSTER, 2 * CLUSTER, 5);
	model_close(&m);
	assert_int_equal(get(72), features);
	model_check(&m, "disk");
}

static void locks(void **state)
{
	struct disk *a, *b;
	struct err e;

	(void)state;
	assert_int_equal(open_disk(true, &a, &e), 0);
	assert_int_equal(open_disk(true, &b, &e), 0); /* readers share */
	disk_close(b);
	assert_int_equal(open_disk(false, &b, &e), -EBUSY);
	disk_close(a);
	assert_int_equal(open_disk(false, &a, &e), 0);
	assert_int_equal(open_disk(false, &b, &e), -EBUSY);
	assert_int_equal(open_disk(true, &b, &e), -EBUSY);
	assert_int_equal(image_resize(model_path(&m, "disk"), NULL, 2 * SIZE, &e), -EBUSY);
	disk_close(a);
	/* Two overlays stand on one image, which nobody may write meanwhile. */
	assert_int_equal(
		image_create_overlay(model_path(&m, "x"), model_path(&m, "disk"), NULL, &e), 0);
	model_open(&m, "x", NULL);
	assert_int_equal(open_disk(true, &a, &e), 0);
	disk_close(a);
	assert_int_equal(open_disk(false, &a, &e), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(data_over_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(tables_over_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_cluster, setup, teardown),
		cmocka_unit_test_setup_teardown(dirty_image, setup, teardown),
		cmocka_unit_test_setup_teardown(locks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
