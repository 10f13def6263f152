/* SPDX-License-Identifier: Apache-2.0 */
/* Merging under a guest that goes on writing; what cannot be merged; limits of a loop's timers. */
#include "model.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "vmm/loop.h"

#define SIZE (12 * MIB)

struct bench {
	struct model m;
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t lock; /* held by the test but for pump() */
	bool ended;
	char last[96]; /* what switching() was told */
	struct err error;
	uint64_t progress;
};

static void *serve(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void bench_init(struct bench *b, uint64_t seed)
{
	struct err e;

	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	model_init(&b->m, SIZE, seed);
	assert_int_equal(loop_create(&b->loop, &b->lock, &e), 0);
	pthread_mutex_lock(&b->lock);
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b->loop), 0);
}

static void bench_fini(struct bench *b)
{
	model_fini(&b->m);
	loop_stop(b->loop, 0);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	loop_destroy(b->loop);
}

static void open_last(struct bench *b, const char *name)
{
	const struct disk_options o = {.path = model_path(&b->m, name)};
	struct err e = {0};

	if (disk_open(&o, b->loop, &b->m.disk, &e))
		fail_msg("%s: %s", name, e.text);
}

/* Lets the loop's thread serve what is due. */
static void pump(struct bench *b)
{
	pthread_mutex_unlock(&b->lock);
	usleep(500);
	pthread_mutex_lock(&b->lock);
}

static void overlay(struct bench *b, const char *name, const char *below)
{
	model_add_overlay(&b->m, name, below);
}

/* a <- b <- c <- d, d is written. */
static void build(struct bench *b, const char *format)
{
	const struct image_create c = {.format = format, .size = SIZE};

	model_create(&b->m, "a", &c);
	open_last(b, "a");
	model_run(&b->m, 10);
	overlay(b, "b", "a");
	model_run(&b->m, 10);
	overlay(b, "c", "b");
	model_run(&b->m, 10);
	overlay(b, "d", "c");
	model_run(&b->m, 10);
}

static void merged(void *opaque, const struct err *e)
{
	struct bench *b = opaque;

	b->ended = true;
	b->error = *e;
}

static int switching(void *opaque, const char *path, struct err *e)
{
	struct bench *b = opaque;

	(void)e;
	snprintf(b->last, sizeof(b->last), "%s", strrchr(path, '/') + 1);
	return 0;
}

static void progress(void *opaque, uint64_t done, uint64_t total)
{
	struct bench *b = opaque;

	b->progress = done <= total ? done : UINT64_MAX;
}

static void merge(struct bench *b, const char *name, enum merge_direction direction)
{
	char path[96];
	const struct merge_options o = {.path = path,
					.direction = direction,
					.switching = switching,
					.progress = progress,
					.done = merged,
					.opaque = b};
	struct err e = {0};

	strcpy(path, model_path(&b->m, name));
	b->ended = false;
	if (disk_merge(b->m.disk, &o, &e))
		fail_msg("%s: %s", name, e.text);
	assert_int_equal(disk_merge(b->m.disk, &o, &e), -EBUSY);
	for (int i = 0; !b->ended && i < 10000; i++) {
		model_run(&b->m, 1);
		pump(b);
	}
	assert_true(b->ended);
	assert_true(b->progress != UINT64_MAX);
	if (b->error.code)
		fail_msg("%s: %s", name, b->error.text);
	model_compare(&b->m);
}

static void expect_chain(struct bench *b, const char *const *names)
{
	struct image_link *links;
	struct err e = {0};
	unsigned n;

	assert_int_equal(disk_read_chain(b->m.disk, &links, &n, &e), 0);
	for (unsigned i = 0; i < n || names[i]; i++)
		assert_string_equal(strrchr(links[i].path, '/') + 1, names[i]);
	image_free_chain(links, n);
}

static void reopen(struct bench *b, const char *name)
{
	model_close(&b->m);
	open_last(b, name);
	model_compare(&b->m);
}

static void upwards(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 1);
	build(&b, "qcow2");
	merge(&b, "c", MERGE_UP);
	expect_chain(&b, (const char *[]){"d", "c", "a", NULL});
	merge(&b, "d", MERGE_UP);
	expect_chain(&b, (const char *[]){"d", "a", NULL});
	merge(&b, "d", MERGE_UP);
	expect_chain(&b, (const char *[]){"d", NULL});
	unlink(model_path(&b.m, "a"));
	reopen(&b, "d");
	model_close(&b.m);
	model_check(&b.m, "d");
	bench_fini(&b);
}

static void downwards(void **state)
{
	static const char *const formats[] = {"raw", "qcow2", "vdi"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct bench b;

		bench_init(&b, 10 + i);
		build(&b, formats[i]);
		merge(&b, "b", MERGE_DOWN);
		expect_chain(&b, (const char *[]){"d", "c", "a", NULL});
		assert_string_equal(b.last, "");
		merge(&b, "d", MERGE_DOWN);
		expect_chain(&b, (const char *[]){"c", "a", NULL});
		assert_string_equal(b.last, "c");
		reopen(&b, "c");
		merge(&b, "c", MERGE_DOWN);
		expect_chain(&b, (const char *[]){"a", NULL});
		model_run(&b.m, 3);
		reopen(&b, "a");
		model_close(&b.m);
		model_check(&b.m, "a");
		bench_fini(&b);
	}
}

/* The lower image grows first, and is then read behind its old end. */
static void into_a_smaller_image(void **state)
{
	static const char *const formats[] = {"raw", "qcow2", "vdi"};
	struct bench b;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct image_create low = {.format = formats[i], .size = SIZE / 2};
		struct image_create top = {.format = "qcow2", .size = SIZE};

		bench_init(&b, 60 + i);
		model_create(&b.m, "a", &low);
		top.backing = model_path(&b.m, "a");
		top.backing_format = formats[i];
		model_create(&b.m, "b", &top);
		open_last(&b, "b");
		model_run(&b.m, 10);
		merge(&b, "b", MERGE_DOWN);
		expect_chain(&b, (const char *const[]){"a", NULL});
		model_run(&b.m, 10);
		reopen(&b, "a");
		bench_fini(&b);
	}
}

/* A disk grows while it is used; what is behind the old end reads as zeros until it is written. */
static void grows(void **state)
{
	static const char *const formats[] = {"raw", "qcow2", "vdi"};
	struct bench b;
	struct err e = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct image_create c = {.format = formats[i], .size = SIZE / 2};

		bench_init(&b, 70 + i);
		b.m.size = SIZE / 2;
		model_create(&b.m, "a", &c);
		open_last(&b, "a");
		model_run(&b.m, 10);
		assert_int_equal(disk_grow(b.m.disk, SIZE / 2 - 512, &e), -EINVAL);
		assert_non_null(strstr(e.text, "only grow"));
		assert_int_equal(disk_grow(b.m.disk, SIZE + 1, &e), -EINVAL);
		assert_int_equal(disk_grow(b.m.disk, UINT64_MAX & ~511ull, &e), -EINVAL);
		if (disk_grow(b.m.disk, SIZE, &e))
			fail_msg("%s: %s", formats[i], e.text);
		assert_int_equal(b.m.disk->size, SIZE);
		b.m.size = SIZE;
		model_compare(&b.m);
		model_run(&b.m, 10);
		reopen(&b, "a");
		model_compare(&b.m);
		overlay(&b, "b", "a");
		model_run(&b.m, 5);
		bench_fini(&b);
	}
}

static int refuse(void *opaque, const char *path, struct err *e)
{
	(void)opaque, (void)path;
	return err_set(e, -EIO, "it cannot be written down");
}

static void closing_gives_up(void **state)
{
	struct bench b;
	struct err e = {0};
	char path[96];
	const struct merge_options o = {.path = path,
					.direction = MERGE_DOWN,
					.switching = refuse,
					.done = merged,
					.opaque = &b};

	(void)state;
	bench_init(&b, 20);
	build(&b, "qcow2");
	strcpy(path, model_path(&b.m, "d"));
	assert_int_equal(disk_merge(b.m.disk, &o, &e), 0);
	pump(&b);
	model_run(&b.m, 1);
	reopen(&b, "d");
	assert_true(b.ended);
	/* On a slow host it came to its end before. */
	assert_true(b.error.code == -ECANCELED || b.error.code == -EIO);
	/* A switch that cannot be noted leaves everything as it was. */
	b.ended = false;
	assert_int_equal(disk_merge(b.m.disk, &o, &e), 0);
	while (!b.ended)
		pump(&b);
	assert_int_equal(b.error.code, -EIO);
	expect_chain(&b, (const char *[]){"d", "c", "b", "a", NULL});
	model_run(&b.m, 3);
	reopen(&b, "d");
	bench_fini(&b);
}

static void refusals(void **state)
{
	struct bench b;
	struct err e = {0};
	char path[96];
	const struct merge_options o = {.path = path, .direction = MERGE_UP};

	(void)state;
	bench_init(&b, 30);
	build(&b, "raw");
	strcpy(path, model_path(&b.m, "a"));
	assert_int_equal(disk_merge(b.m.disk, &o, &e), -EINVAL); /* stands on nothing */
	strcpy(path, model_path(&b.m, "nowhere"));
	assert_int_equal(disk_merge(b.m.disk, &o, &e), -ENOENT);
	/* An overlay on another image than the one that is written. */
	assert_int_equal(
		image_create_overlay(model_path(&b.m, "x"), model_path(&b.m, "b"), NULL, &e), 0);
	assert_int_equal(disk_open_overlay(b.m.disk, model_path(&b.m, "x"), NULL, &e), -EINVAL);
	assert_non_null(strstr(e.text, "does not stand on"));
	model_compare(&b.m);
	bench_fini(&b);
}

/* A hundred overlays, as a hundred snapshots make them. */
static void long_chain(void **state)
{
	const struct image_create c = {.format = "qcow2", .size = SIZE};
	struct bench b;
	char name[2][16];

	(void)state;
	bench_init(&b, 40);
	model_create(&b.m, "0", &c);
	open_last(&b, "0");
	for (int i = 1; i <= 100; i++) {
		snprintf(name[0], sizeof(name[0]), "%d", i);
		snprintf(name[1], sizeof(name[1]), "%d", i - 1);
		model_run(&b.m, 1);
		overlay(&b, name[0], name[1]);
	}
	reopen(&b, "100");
	merge(&b, "50", MERGE_UP);
	merge(&b, "99", MERGE_DOWN);
	reopen(&b, "100");
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upwards),
		cmocka_unit_test(downwards),
		cmocka_unit_test(into_a_smaller_image),
		cmocka_unit_test(grows),
		cmocka_unit_test(closing_gives_up),
		cmocka_unit_test(refusals),
		cmocka_unit_test(long_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
