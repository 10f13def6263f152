/* SPDX-License-Identifier: Apache-2.0 */
/* Every format, alone and in chains, against a model in memory; overlays and merges. */
#include "model.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (5 * MIB + 1536) /* no whole number of clusters */

static const struct image_create alone[] = {
	{.format = "raw", .size = SIZE},
	{.format = "vdi", .size = SIZE},
	{.format = "vdi", .size = SIZE, .fixed = true},
	{.format = "qcow2", .size = SIZE},
	{.format = "qcow2", .size = SIZE, .cluster = 512},
	{.format = "qcow2", .size = SIZE, .cluster = 4096},
	{.format = "qcow2", .size = SIZE, .cluster = 2 * MIB},
};

static void formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		struct model m;

		model_init(&m, SIZE, 1000 + i);
		model_create(&m, "disk", &alone[i]);
		for (int round = 0; round < 3; round++) {
			model_open(&m, "disk", alone[i].format);
			model_compare(&m);
			model_run(&m, 25);
			model_compare(&m);
			model_close(&m);
			model_check(&m, "disk");
		}
		model_fini(&m);
	}
}

/* Bases of each format with overlays of other cluster sizes on a running disk. */
static void chains(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		struct model m;

		model_init(&m, SIZE, 2000 + i);
		model_create(&m, "base", &alone[i]);
		model_open(&m, "base", alone[i].format);
		model_run(&m, 10);
		model_add_overlay(&m, "one", "base");
		model_run(&m, 10);
		model_compare(&m);
		model_add_overlay(&m, "two", "one");
		model_run(&m, 10);
		model_compare(&m);
		model_close(&m);
		model_open(&m, "two", NULL);
		model_compare(&m);
		model_run(&m, 10);
		model_close(&m);
		model_check(&m, "base");
		model_check(&m, "one");
		model_check(&m, "two");
		model_fini(&m);
	}
}

/* An overlay may be larger than what it stands on, and of other clusters. */
static void larger_overlay(void **state)
{
	const struct image_create base = {.format = "qcow2", .size = SIZE / 2 / 512 * 512};
	struct image_create c = {.format = "qcow2",
				 .size = SIZE,
				 .backing = "base",
				 .backing_format = "qcow2",
				 .cluster = 2048};
	struct model m;

	(void)state;
	model_init(&m, base.size, 7);
	model_create(&m, "base", &base);
	model_open(&m, "base", NULL);
	model_run(&m, 20);
	model_close(&m);
	m.content = realloc(m.content, SIZE);
	memset(m.content + m.size, 0, SIZE - m.size);
	m.size = SIZE;
	model_create(&m, "top", &c);
	model_open(&m, "top", NULL);
	model_compare(&m);
	model_run(&m, 40);
	model_compare(&m);
	model_close(&m);
	model_check(&m, "top");
	model_fini(&m);
}

static void expect_chain(struct model *m, const char *last, const char *const *names)
{
	const struct image_access a = {0};
	struct image_link *links;
	struct err e = {0};
	unsigned n;

	if (image_read_chain(model_path(m, last), &a, &links, &n, &e))
		fail_msg("%s", e.text);
	for (unsigned i = 0; i < n || names[i]; i++) {
		assert_true(i < n && names[i]);
		assert_string_equal(strrchr(links[i].path, '/') + 1, names[i]);
	}
	image_free_chain(links, n);
}

static void merge_offline(struct model *m, const char *last, const char *name,
			  enum merge_direction direction)
{
	const struct image_access a = {0};
	char path[96];
	const struct merge_options o = {.path = path, .direction = direction};
	struct err e = {0};

	strcpy(path, model_path(m, name));
	if (image_merge(model_path(m, last), &a, &o, &e))
		fail_msg("%s: %s", name, e.text);
}

static void build_chain(struct model *m, size_t base)
{
	model_create(m, "a", &alone[base]);
	model_open(m, "a", alone[base].format);
	model_run(m, 8);
	model_add_overlay(m, "b", "a");
	model_run(m, 8);
	model_add_overlay(m, "c", "b");
	model_run(m, 8);
	model_add_overlay(m, "d", "c");
	model_run(m, 8);
}

static void merges_offline(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		struct model m;

		model_init(&m, SIZE, 3000 + i);
		build_chain(&m, i);
		model_close(&m);
		merge_offline(&m, "d", "c", MERGE_UP);
		expect_chain(&m, "d", (const char *[]){"d", "c", "a", NULL});
		merge_offline(&m, "d", "c", MERGE_DOWN);
		expect_chain(&m, "d", (const char *[]){"d", "a", NULL});
		model_open(&m, "d", NULL);
		model_compare(&m);
		model_close(&m);
		model_check(&m, "d");
		model_check(&m, "a");
		merge_offline(&m, "d", "d", MERGE_DOWN);
		model_open(&m, "a", alone[i].format);
		model_compare(&m);
		model_run(&m, 4);
		model_close(&m);
		merge_offline(&m, "d", "d", MERGE_UP);
		expect_chain(&m, "d", (const char *[]){"d", NULL});
		model_check(&m, "d");
		model_fini(&m);
	}
}

static uint64_t used(struct model *m)
{
	struct stat st;

	assert_int_equal(stat(model_path(m, "disk"), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Also of qcow2, whose clusters are free only after the tables are stable; they are used again. */
static void discard_returns_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		struct model m;
		uint64_t full;

		if (alone[i].cluster == 512)
			continue; /* less than a block of the host's file system */
		model_init(&m, SIZE, 1);
		model_create(&m, "disk", &alone[i]);
		model_open(&m, "disk", alone[i].format);
		model_write(&m, 0, 5 * MIB, 7);
		model_flush(&m);
		full = used(&m);
		assert_true(full >= 5 * MIB);
		model_discard(&m, 0, 4 * MIB);
		model_flush(&m);
		assert_true(used(&m) <= full - 4 * MIB + 64 * KIB);
		model_write(&m, 0, 4 * MIB, 8);
		model_flush(&m);
		assert_true(used(&m) <= full + 128 * KIB);
		model_compare(&m);
		model_close(&m);
		model_check(&m, "disk");
		model_fini(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(chains),
		cmocka_unit_test(larger_overlay),
		cmocka_unit_test(merges_offline),
		cmocka_unit_test(discard_returns_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
