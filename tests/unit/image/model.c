/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <unistd.h>

#define BATCH   8
#define MAX_LEN (300 * KIB)
#define SECTOR  512u

uint64_t model_random(struct model *m, uint64_t below)
{
	m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (m->seed >> 33) % below;
}

const char *model_path(const struct model *m, const char *name)
{
	static char path[4][96];
	static unsigned at;

	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", m->folder, name);
	return path[at];
}

void model_init(struct model *m, uint64_t size, uint64_t seed)
{
	*m = (struct model){.size = size, .seed = seed};
	/* In memory where that can be: the tests make many files stable. */
	strcpy(m->folder, "/dev/shm/baton-image-XXXXXX");
	if (!mkdtemp(m->folder)) {
		strcpy(m->folder, "/tmp/baton-image-XXXXXX");
		assert_non_null(mkdtemp(m->folder));
	}
	m->content = calloc(1, size);
	assert_non_null(m->content);
}

void model_fini(struct model *m)
{
	char command[64];

	model_close(m);
	free(m->content);
	snprintf(command, sizeof(command), "rm -rf %s", m->folder);
	assert_int_equal(system(command), 0);
}

void model_create(struct model *m, const char *name, const struct image_create *c)
{
	struct err e = {0};

	if (image_create_file(model_path(m, name), c, &e))
		fail_msg("%s: %s", name, e.text);
}

void model_open(struct model *m, const char *name, const char *format)
{
	const struct disk_options o = {.path = model_path(m, name), .format = format};
	struct err e = {0};

	if (disk_open(&o, NULL, &m->disk, &e))
		fail_msg("%s: %s", name, e.text);
	assert_int_equal(m->disk->size, m->size);
}

void model_close(struct model *m)
{
	disk_close(m->disk);
	m->disk = NULL;
}

/* ---- requests ------------------------------------------------------------------------------- */

struct request {
	struct disk_req r;
	struct iovec iov[3];
	uint8_t *buffer;
	bool done;
};

static void done(struct disk_req *r, int rc)
{
	struct request *q = r->opaque;

	assert_int_equal(rc, 0);
	assert_false(q->done);
	q->done = true;
}

static bool apart(const struct request *q, unsigned n, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (offset < q[i].r.offset + q[i].r.len && q[i].r.offset < offset + len)
			return false;
	return true;
}

/* Three pieces, so that requests do not end where buffers do. */
static void cut(struct request *q, uint64_t a, uint64_t b)
{
	uint64_t len = q->r.len;

	q->iov[0] = (struct iovec){q->buffer, a};
	q->iov[1] = (struct iovec){q->buffer + a, b};
	q->iov[2] = (struct iovec){q->buffer + a + b, len - a - b};
	q->r.iov = q->iov;
	q->r.niov = 3;
}

static enum disk_op pick_op(struct model *m)
{
	static const enum disk_op ops[] = {DISK_READ,  DISK_READ,    DISK_WRITE,       DISK_WRITE,
					   DISK_WRITE, DISK_DISCARD, DISK_WRITE_ZEROES};

	return ops[model_random(m, sizeof(ops) / sizeof(ops[0]))];
}

static void prepare(struct model *m, struct request *q, uint64_t offset, uint64_t len)
{
	uint64_t a = model_random(m, len + 1);

	*q = (struct request){.buffer = malloc(len)};
	q->r = (struct disk_req){
		.op = pick_op(m), .offset = offset, .len = len, .done = done, .opaque = q};
	cut(q, a, model_random(m, len - a + 1));
	memset(q->buffer, (int)model_random(m, 256), len);
	for (uint64_t i = 0; i < len; i += SECTOR)
		q->buffer[i] = (uint8_t)model_random(m, 256);
}

static void settle(struct model *m, struct request *q)
{
	uint8_t *content = m->content + q->r.offset;

	assert_true(q->done);
	if (q->r.op == DISK_WRITE)
		memcpy(content, q->buffer, q->r.len);
	else if (q->r.op == DISK_WRITE_ZEROES)
		memset(content, 0, q->r.len);
	else if (q->r.op == DISK_READ && memcmp(content, q->buffer, q->r.len))
		fail_msg("read of %llu at %llu differs", (unsigned long long)q->r.len,
			 (unsigned long long)q->r.offset);
}

static void run_one(struct model *m, enum disk_op op, uint64_t offset, uint64_t len)
{
	struct request q = {.iov = {{m->content + offset, len}}};

	q.r = (struct disk_req){.op = op,
				.offset = offset,
				.len = len,
				.iov = q.iov,
				.niov = 1,
				.done = done,
				.opaque = &q};
	disk_submit(m->disk, &q.r);
	disk_drain(m->disk);
	assert_true(q.done);
}

static void run_batch(struct model *m)
{
	struct request q[BATCH];
	unsigned n = 0;

	for (int i = 0; i < BATCH; i++) {
		uint64_t len = (1 + model_random(m, MAX_LEN / SECTOR)) * SECTOR;
		uint64_t offset = model_random(m, (m->size - len) / SECTOR + 1) * SECTOR;

		if (!model_random(m, 16))
			offset = m->size - len;
		if (apart(q, n, offset, len))
			prepare(m, &q[n++], offset, len);
	}
	for (unsigned i = 0; i < n; i++)
		disk_submit(m->disk, &q[i].r);
	disk_kick(m->disk);
	disk_drain(m->disk);
	for (unsigned i = 0; i < n; i++) {
		settle(m, &q[i]);
		if (q[i].r.op == DISK_DISCARD) /* what is left is the format's choice */
			run_one(m, DISK_READ, q[i].r.offset, q[i].r.len);
		free(q[i].buffer);
	}
}

void model_flush(struct model *m)
{
	run_one(m, DISK_FLUSH, 0, 0);
}

void model_run(struct model *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		run_batch(m);
		if (!model_random(m, 4))
			model_flush(m);
	}
}

void model_write(struct model *m, uint64_t offset, uint64_t len, uint8_t byte)
{
	memset(m->content + offset, byte, len);
	run_one(m, DISK_WRITE, offset, len);
}

void model_discard(struct model *m, uint64_t offset, uint64_t len)
{
	run_one(m, DISK_DISCARD, offset, len);
	run_one(m, DISK_READ, offset, len);
}

void model_compare(struct model *m)
{
	uint8_t *want = malloc(m->size);

	memcpy(want, m->content, m->size);
	run_one(m, DISK_READ, 0, m->size);
	for (uint64_t i = 0; i < m->size; i++)
		if (want[i] != m->content[i])
			fail_msg("byte %llu is %02x and not %02x", (unsigned long long)i,
				 m->content[i], want[i]);
	free(want);
}

static void print_finding(void *opaque, const char *text)
{
	(void)opaque;
	print_message("%s\n", text);
}

void model_check(struct model *m, const char *name)
{
	const struct image_access a = {.alone = true};
	struct image_check c = {.say = print_finding};
	struct err e = {0};
	struct image *img;

	if (image_open_file(&img, model_path(m, name), &a, &e))
		fail_msg("%s: %s", name, e.text);
	if (img->format->check && img->format->check(img, false, &c, &e))
		fail_msg("%s: %s", name, e.text);
	image_close_chain(img);
	assert_int_equal(c.corruptions, 0);
	assert_int_equal(c.leaks, 0);
}

static void settled(void *opaque, const struct err *e)
{
	struct model *m = opaque;

	if (e->code)
		fail_msg("%s", e->text);
	m->settled++;
}

void model_add_overlay(struct model *m, const char *name, const char *below)
{
	struct err e = {0};

	if (image_create_overlay(model_path(m, name), model_path(m, below), NULL, &e) ||
	    (m->disk && disk_open_overlay(m->disk, model_path(m, name), NULL, &e)))
		fail_msg("%s: %s", name, e.text);
	if (!m->disk)
		return;
	disk_drain(m->disk);
	disk_switch_overlay(m->disk);
	disk_settle_below(m->disk, settled, m);
}
