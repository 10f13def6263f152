/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power fails: of what was written to the file since it was last made stable, any part may be
 * there and the rest not. Whatever that part is, the image has no damage, and blocks read as they
 * were flushed, or newer.
 *
 * All writes to the image's file are recorded; then many such files are put together and checked.
 */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK  4096u
#define BLOCKS 512u
#define SIZE   (BLOCKS * BLOCK)
#define STEPS  400
#define CUTS   60

/* ---- the recording -------------------------------------------------------------------------- */

struct record {
	enum {
		WROTE,
		PUNCHED,
		SYNCED
	} kind;
	uint64_t offset, len;
	uint8_t *data;
	unsigned step; /* of the writer, when it happened */
};

static struct record *records;
static unsigned nrecords, room, step_now;
static struct stat watched;

static struct record *record(int fd, int kind, uint64_t offset, uint64_t len)
{
	struct stat st;

	if (fstat(fd, &st) || st.st_ino != watched.st_ino)
		return NULL;
	if (nrecords == room) {
		room = room ? 2 * room : 1024;
		records = realloc(records, room * sizeof(*records));
	}
	records[nrecords] =
		(struct record){.kind = kind, .offset = offset, .len = len, .step = step_now};
	return &records[nrecords++];
}

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);

/* Everything goes through the calls below. */
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	(void)entries, (void)ring, (void)flags;
	return -ENOSYS;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct record *r;
	uint64_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	r = record(fd, WROTE, (uint64_t)offset, len);
	if (r) {
		r->data = malloc(len + 1);
		len = 0;
		for (int i = 0; i < n; len += iov[i++].iov_len)
			memcpy(r->data + len, iov[i].iov_base, iov[i].iov_len);
	}
	return __real_pwritev64(fd, iov, n, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
	const struct iovec iov = {(void *)(uintptr_t)buf, len};

	return __wrap_pwritev64(fd, &iov, 1, offset);
}

int __wrap_fdatasync(int fd)
{
	record(fd, SYNCED, 0, 0);
	return 0;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	record(fd, PUNCHED, (uint64_t)offset, (uint64_t)len);
	return __real_fallocate64(fd, mode, offset, len);
}

/* ---- the writer ----------------------------------------------------------------------------- */

/* What block b was after each step; flushed[s]: the last step that was flushed by step s. */
static uint32_t history[STEPS + 1][BLOCKS];
static unsigned flushed[STEPS + 1];

static void finished(struct disk_req *r, int rc)
{
	assert_int_equal(rc, 0);
	*(bool *)r->opaque = true;
}

static void request(struct model *m, enum disk_op op, uint64_t block, uint64_t n, uint8_t *data)
{
	bool done = false;
	struct iovec iov = {data, n * BLOCK};
	struct disk_req r = {.op = op,
			     .offset = block * BLOCK,
			     .len = n * BLOCK,
			     .iov = &iov,
			     .niov = 1,
			     .done = finished,
			     .opaque = &done};

	disk_submit(m->disk, &r);
	disk_drain(m->disk);
	assert_true(done);
}

static void change(struct model *m, unsigned s)
{
	uint64_t block = model_random(m, BLOCKS), n = 1 + model_random(m, 24);
	bool zero = !model_random(m, 4);
	uint8_t *data = malloc(24 * BLOCK);

	if (n > BLOCKS - block)
		n = BLOCKS - block;
	for (uint64_t i = 0; i < n; i++) {
		for (unsigned w = 0; w < BLOCK / 4; w++)
			((uint32_t *)data)[i * BLOCK / 4 + w] = s;
		history[s][block + i] = zero ? 0 : s;
	}
	request(m, zero ? DISK_WRITE_ZEROES : DISK_WRITE, block, n, data);
	free(data);
}

static void write_steps(struct model *m, unsigned n)
{
	for (unsigned s = 1; s <= n; s++) {
		memcpy(history[s], history[s - 1], sizeof(history[s]));
		flushed[s] = flushed[s - 1];
		step_now = s;
		if (model_random(m, 5)) {
			change(m, s);
		} else {
			request(m, DISK_FLUSH, 0, 0, NULL);
			flushed[s] = s;
		}
	}
}

/* ---- the failures --------------------------------------------------------------------------- */

static void apply(int fd, const struct record *r)
{
	if (r->kind == WROTE)
		assert_int_equal(
			__real_pwritev64(fd, &(struct iovec){r->data, r->len}, 1, (off_t)r->offset),
			r->len);
	else if (r->kind == PUNCHED)
		__real_fallocate64(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->offset,
				   (off_t)r->len);
}

/* The file as it may be when the power fails after `cut` records. */
static void make_failed(struct model *m, const char *before, const char *name, unsigned cut)
{
	unsigned stable = cut;
	char command[256];
	int fd;

	while (stable && records[stable - 1].kind != SYNCED)
		stable--;
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", model_path(m, before),
		 model_path(m, name));
	assert_int_equal(system(command), 0);
	fd = open(model_path(m, name), O_RDWR);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < cut; i++)
		if (i < stable || model_random(m, 2))
			apply(fd, &records[i]);
	close(fd);
}

/* A disk writes sectors whole, blocks perhaps not. */
static void check_sector(const uint32_t *sector, unsigned b, unsigned from, unsigned to)
{
	for (unsigned w = 1; w < SECTOR / 4; w++)
		if (sector[w] != sector[0])
			fail_msg("block %u: a sector is torn", b);
	for (unsigned s = from; s <= to; s++)
		if (history[s][b] == sector[0])
			return;
	fail_msg("block %u holds step %u, but steps %u to %u are possible", b, sector[0], from, to);
}

static void check_failed(struct model *m, const char *name, unsigned cut)
{
	struct image_check c = {0};
	struct err e = {0};
	unsigned now = cut ? records[cut - 1].step : 0, from = now ? flushed[now - 1] : 0;

	if (image_check(model_path(m, name), NULL, false, &c, &e))
		fail_msg("%s", e.text);
	if (c.corruptions)
		fail_msg("cut after %u records: %llu damaged", cut,
			 (unsigned long long)c.corruptions);
	model_open(m, name, NULL);
	request(m, DISK_READ, 0, BLOCKS, m->content);
	for (unsigned i = 0; i < SIZE / SECTOR; i++)
		check_sector((const uint32_t *)(m->content + i * SECTOR), i * SECTOR / BLOCK, from,
			     now);
	model_close(m);
	unlink(model_path(m, name));
}

static void forget(void)
{
	for (unsigned i = 0; i < nrecords; i++)
		free(records[i].data);
	nrecords = 0;
}

static void fail_everywhere(const struct image_create *how, bool overlay, uint64_t seed)
{
	struct model m;
	struct err e;
	char command[256];

	model_init(&m, SIZE, seed);
	memset(history, 0, sizeof(history));
	model_create(&m, "disk", how);
	if (overlay)
		assert_int_equal(image_create_overlay(model_path(&m, "top"), model_path(&m, "disk"),
						      NULL, &e),
				 0);
	snprintf(command, sizeof(command), "cp --sparse=always %s %s",
		 model_path(&m, overlay ? "top" : "disk"), model_path(&m, "before"));
	assert_int_equal(system(command), 0);
	assert_int_equal(stat(model_path(&m, overlay ? "top" : "disk"), &watched), 0);
	model_open(&m, overlay ? "top" : "disk", NULL);
	write_steps(&m, STEPS);
	model_close(&m);
	for (unsigned i = 0; i < CUTS; i++) {
		unsigned cut = (unsigned)model_random(&m, nrecords + 1);

		make_failed(&m, "before", "failed", cut);
		check_failed(&m, "failed", cut);
	}
	forget();
	model_fini(&m);
}

static void qcow2(void **state)
{
	(void)state;
	fail_everywhere(&(struct image_create){.format = "qcow2", .size = SIZE}, false, 1);
	fail_everywhere(&(struct image_create){.format = "qcow2", .size = SIZE, .cluster = 4096},
			false, 2);
	fail_everywhere(&(struct image_create){.format = "qcow2", .size = SIZE, .cluster = 512},
			false, 3);
}

static void overlay(void **state)
{
	(void)state;
	fail_everywhere(&(struct image_create){.format = "raw", .size = SIZE}, true, 4);
}

/* The disk goes over to an overlay: what was not flushed until then is made stable below it. */
static void switched(void **state)
{
	const struct image_create how = {.format = "qcow2", .size = SIZE, .cluster = 4096};
	const unsigned steps = STEPS / 4;
	unsigned before;
	struct model m;

	(void)state;
	model_init(&m, SIZE, 5);
	memset(history, 0, sizeof(history));
	model_create(&m, "disk", &how);
	model_create(&m, "before", &how);
	assert_int_equal(stat(model_path(&m, "disk"), &watched), 0);
	model_open(&m, "disk", NULL);
	write_steps(&m, steps);
	model_add_overlay(&m, "top", "disk");
	assert_int_equal(m.settled, 1);
	assert_int_equal(records[nrecords - 1].kind, SYNCED);
	before = nrecords;
	request(&m, DISK_WRITE, 0, BLOCKS, m.content);
	request(&m, DISK_FLUSH, 0, 0, NULL);
	assert_int_equal(nrecords, before);
	model_close(&m);
	flushed[steps - 1] = steps;
	make_failed(&m, "before", "failed", nrecords);
	check_failed(&m, "failed", nrecords);
	forget();
	model_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qcow2),
		cmocka_unit_test(overlay),
		cmocka_unit_test(switched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
