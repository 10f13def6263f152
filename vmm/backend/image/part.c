/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on files for parts of requests, and what happens when the host's disk is full. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/backend/image/engine.h"

#define DIRECT_ALIGN 4096u

/* Slices of the request's buffers; returns how many. */
static unsigned slice(const struct disk_req *r, uint64_t at, uint64_t len, struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->niov && len; i++) {
		uint64_t have = r->iov[i].iov_len, take;

		if (at >= have) {
			at -= have;
			continue;
		}
		take = have - at < len ? have - at : len;
		out[n++] = (struct iovec){(uint8_t *)r->iov[i].iov_base + at, take};
		len -= take;
		at = 0;
	}
	return n;
}

struct part *part_create(struct io *io, struct image *node, uint64_t at, uint64_t len,
			 unsigned extra)
{
	const struct disk_req *r = io->req;
	bool whole = !at && len == r->len && !extra;
	struct part *p =
		calloc(1, sizeof(*p) + (whole ? 0 : (r->niov + 2 * extra) * sizeof(p->iov[0])));

	if (!p) {
		io->rc = -ENOMEM;
		return NULL;
	}
	p->io = io;
	p->node = node;
	p->at = at;
	p->len = len;
	p->op.iov = whole ? r->iov : p->iov;
	p->op.niov = whole ? r->niov : extra + slice(r, at, len, p->iov + extra);
	io->parts++;
	return p;
}

void part_free(struct part *p)
{
	free(p->bounce);
	free(p);
}

/* Direct I/O is for aligned requests; others go through the page cache, which the host keeps
 * coherent with it. */
static int choose_fd(const struct image *img, const struct aio_op *op)
{
	uint64_t bits = op->offset | op->len;

	if (img->direct_fd < 0)
		return img->fd;
	for (unsigned i = 0; i < op->niov; i++)
		bits |= (uintptr_t)op->iov[i].iov_base | op->iov[i].iov_len;
	return bits % DIRECT_ALIGN ? img->fd : img->direct_fd;
}

void part_submit(struct part *p, enum aio_kind kind, uint64_t host, uint64_t len,
		 void (*done)(struct aio_op *op, int rc))
{
	p->op.kind = kind;
	p->op.offset = host;
	p->op.len = len;
	p->op.fd = kind == AIO_READ || kind == AIO_WRITE ? choose_fd(p->node, &p->op) : p->node->fd;
	p->op.zero_past_end = p->node->format->zero_past_end;
	p->op.done = done;
	aio_submit(p->io->d->aio, &p->op);
}

void part_done(struct aio_op *op, int rc)
{
	struct part *p = (struct part *)op;
	struct io *io = p->io;

	if (part_stalls(p, rc))
		return;
	part_free(p);
	io_part_done(io, rc);
}

/* ---- a full disk ---------------------------------------------------------------------------- */

bool part_stalls(struct part *p, int rc)
{
	struct image_disk *d = p->io->d;

	if ((rc != -ENOSPC && rc != -EDQUOT) || !d->disk.full || d->failing)
		return false;
	p->next = d->stalled;
	d->stalled = p;
	d->disk.full(d->disk.full_opaque);
	return true;
}

void stalled_retry(struct image_disk *d)
{
	struct part *p = d->stalled, *next;

	d->stalled = NULL;
	for (; p; p = next) {
		next = p->next;
		aio_submit(d->aio, &p->op);
	}
}
