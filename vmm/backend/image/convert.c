/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what a disk reads as into a new image, sparsely. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

#define PIECE (1u << 20)
#define BATCH 8
#define GRAIN 65536u /* what is zeros in this unit is not written */

struct piece {
	struct disk_req req;
	struct iovec iov;
	uint64_t offset, len;
	int *rc;
};

struct copy {
	const struct image_convert *c;
	struct disk *from, *to;
	uint8_t *buffer; /* BATCH pieces */
	struct piece piece[BATCH];
	uint64_t at;
	int rc;
};

static void done(struct disk_req *r, int rc)
{
	struct piece *p = r->opaque;

	if (rc)
		*p->rc = rc;
}

static void submit(struct copy *y, struct piece *p, struct disk *d, enum disk_op op)
{
	p->rc = &y->rc;
	p->req = (struct disk_req){.op = op,
				   .offset = p->offset,
				   .len = p->len,
				   .iov = &p->iov,
				   .niov = 1,
				   .done = done,
				   .opaque = p};
	disk_submit(d, &p->req);
}

/* The next range with data; false at the end. */
static bool find_data(struct copy *y, uint64_t *len)
{
	struct extent x;

	for (; y->at < y->from->size && !y->rc; y->at += x.len) {
		uint64_t rest = y->from->size - y->at;

		y->rc = image_scan(image_disk_top(y->from), y->at, rest < PIECE ? rest : PIECE, &x);
		if (!y->rc && x.kind != EXTENT_ZERO) {
			*len = x.len;
			return true;
		}
	}
	return false;
}

static unsigned read_batch(struct copy *y)
{
	unsigned n = 0;
	uint64_t len;

	while (n < BATCH && find_data(y, &len)) {
		struct piece *p = &y->piece[n];

		p->offset = y->at;
		p->len = len;
		p->iov = (struct iovec){y->buffer + (size_t)n * PIECE, len};
		submit(y, p, y->from, DISK_READ);
		y->at += len;
		n++;
	}
	disk_drain(y->from);
	return n;
}

/* Runs of grains that are not zeros; `p` is used up. */
static void write_piece(struct copy *y, struct piece *p)
{
	uint8_t *data = p->iov.iov_base;
	uint64_t start = 0, at = 0, end = p->len, first = p->offset;

	while (at < end && !y->rc) {
		uint64_t n = end - at < GRAIN ? end - at : GRAIN;
		bool zero = bytes_zero(data + at, n), last = at + n == end;

		if (!zero && !last) {
			at += n;
			continue;
		}
		p->offset = first + start;
		p->len = (zero ? at : at + n) - start;
		p->iov = (struct iovec){data + start, p->len};
		if (p->len) {
			submit(y, p, y->to, DISK_WRITE);
			disk_kick(y->to);
			if (!last)
				disk_drain(y->to); /* the piece serves the next run */
		}
		at += n;
		start = at;
	}
}

static int copy_all(struct copy *y)
{
	unsigned n;

	while (!y->rc && (n = read_batch(y))) {
		for (unsigned i = 0; i < n && !y->rc; i++)
			write_piece(y, &y->piece[i]);
		disk_drain(y->to);
		if (y->c->progress)
			y->c->progress(y->c->opaque, y->at, y->from->size);
	}
	return y->rc;
}

static int fill(const char *temporary, void *opaque, struct err *e)
{
	struct copy *y = opaque;
	const struct disk_options o = {.path = temporary, .format = y->c->create.format};
	int rc = disk_open(&o, NULL, &y->to, e);

	if (rc)
		return rc;
	if (copy_all(y))
		rc = err_set(e, y->rc, "%s", strerror(-y->rc));
	if (!rc)
		rc = image_disk_settle(image_disk_of(y->to), e);
	disk_close(y->to);
	return rc;
}

int image_convert(const struct image_convert *c, struct err *e)
{
	const struct disk_options o = {.path = c->source,
				       .format = c->source_format,
				       .readonly = true,
				       .backing_folders = c->a ? c->a->backing_folders : NULL,
				       .nbacking_folders = c->a ? c->a->nbacking_folders : 0,
				       .any_backing = c->a && c->a->any_backing};
	struct image_create create = c->create;
	struct copy y = {.c = c};
	int rc = disk_open(&o, NULL, &y.from, e);

	if (rc)
		return err_prefix(e, "%.200s", c->source);
	if (!create.size)
		create.size = y.from->size;
	y.buffer = malloc((size_t)BATCH * PIECE);
	rc = y.buffer ? image_create_filled(c->target, &create, fill, &y, e)
		      : err_set(e, -ENOMEM, "out of memory");
	if (rc)
		err_prefix(e, "%.200s", c->target);
	free(y.buffer);
	disk_close(y.from);
	return rc;
}
