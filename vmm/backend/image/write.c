/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: in place where the image has the data for itself, else to new clusters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/backend/image/engine.h"

static bool in_place(const struct extent *x)
{
	return x->kind == EXTENT_DATA && !x->frozen;
}

bool write_moves(const struct io *io)
{
	uint64_t offset = io->req->offset, len = io_len(io);
	struct image *node = io->node;
	struct extent x;

	if (io->kind != IO_PLAIN)
		return true;
	if (io->req->op == DISK_READ || node->cluster == 1)
		return false;
	if (io->req->op != DISK_WRITE)
		return !node->format->zero_in_place;
	for (; len; offset += x.len, len -= x.len)
		if (node->format->map(node, offset, len, &x) || !in_place(&x))
			return true;
	return io->d->detect_zeroes && !node->format->zero_in_place;
}

/* ---- to new clusters ------------------------------------------------------------------------- */

static void cluster_written(struct aio_op *op, int rc)
{
	struct part *p = (struct part *)op;

	if (part_stalls(p, rc))
		return;
	if (!rc) {
		commit_link(p);
		return;
	}
	p->node->format->unreserve(p->node, &p->room);
	part_done(op, rc);
}

/* A read of what surrounds the guest's data, into the part's bounce buffer. */
struct fill {
	struct io io;
	struct disk_req req;
	struct iovec iov;
	struct part *part;
};

static void fill_ended(struct part *p)
{
	if (--p->fills)
		return;
	if (p->fill_rc)
		cluster_written(&p->op, p->fill_rc);
	else
		part_submit(p, AIO_WRITE, p->room.host, p->room.len, cluster_written);
}

static void fill_finish(struct io *io)
{
	struct fill *f = (struct fill *)io;
	struct part *p = f->part;

	if (io->rc)
		p->fill_rc = io->rc;
	free(f);
	fill_ended(p);
}

static void fill_from(struct part *p, uint64_t offset, void *buf, uint64_t len)
{
	struct fill *f = malloc(sizeof(*f));

	if (!f) {
		p->fill_rc = -ENOMEM;
		return;
	}
	f->part = p;
	f->iov = (struct iovec){buf, len};
	f->req = (struct disk_req){
		.op = DISK_READ, .offset = offset, .len = len, .iov = &f->iov, .niov = 1};
	f->io = (struct io){
		.req = &f->req, .d = p->io->d, .node = p->node, .parts = 1, .finish = fill_finish};
	p->fills++;
	read_range(&f->io, offset, len, 0);
	io_part_done(&f->io, 0);
}

/* The clusters' old content goes round the guest's data: `head` bytes before, `tail` after it. */
static void write_with_surroundings(struct part *p, uint64_t head, uint64_t tail)
{
	uint64_t end = p->offset + p->room.len;

	p->bounce = malloc(head + tail + 1);
	if (!p->bounce) {
		cluster_written(&p->op, -ENOMEM);
		return;
	}
	p->iov[0] = (struct iovec){p->bounce, head};
	p->iov[p->op.niov++] = (struct iovec){p->bounce + head, tail};
	p->fills = 1; /* until both are on their way */
	if (head)
		fill_from(p, p->offset, p->bounce, head);
	if (tail)
		fill_from(p, end - tail, p->bounce + head, tail);
	fill_ended(p);
}

/* Fresh space reads as zeros already. */
static bool surroundings_there(const struct part *p, uint64_t head, uint64_t tail)
{
	uint64_t end = p->offset + p->room.len;

	return (!head && !tail) || (p->room.fresh && reads_as_zero(p->node, p->offset, head) &&
				    reads_as_zero(p->node, end - tail, tail));
}

/* Writes the start of [offset, offset+len) to new clusters; returns how many bytes. */
static uint64_t write_new(struct io *io, uint64_t offset, uint64_t len, uint64_t at)
{
	struct image *node = io->node;
	uint64_t start = align_down(offset, node->cluster), head = offset - start, tail;
	uint64_t end = align_up(offset + len, node->cluster);
	struct reservation room;
	struct part *p;
	int rc = node->format->reserve(node, start, end - start, &room);

	if (rc) {
		io->rc = rc;
		return 0;
	}
	if (len > room.len - head)
		len = room.len - head;
	tail = room.len - head - len;
	p = part_create(io, node, at, len, 1);
	if (!p) {
		node->format->unreserve(node, &room);
		return 0;
	}
	p->room = room;
	p->offset = start;
	if (surroundings_there(p, head, tail)) {
		p->op.iov = p->iov + 1;
		p->op.niov--;
		part_submit(p, AIO_WRITE, room.host + head, len, cluster_written);
	} else {
		write_with_surroundings(p, head, tail);
	}
	return len;
}

static uint64_t write_old(struct io *io, const struct extent *x, uint64_t at)
{
	struct part *p = part_create(io, io->node, at, x->len, 0);

	if (!p)
		return 0;
	part_submit(p, AIO_WRITE, x->host, x->len, part_done);
	return x->len;
}

void write_range(struct io *io, uint64_t offset, uint64_t len, uint64_t at)
{
	struct image *node = io->node;

	while (len) {
		struct extent x;
		int rc = node->format->map(node, offset, len, &x);
		uint64_t n;

		if (rc) {
			io->rc = rc;
			return;
		}
		n = in_place(&x) ? write_old(io, &x, at) : write_new(io, offset, x.len, at);
		if (!n)
			return;
		offset += n;
		at += n;
		len -= n;
	}
}

/* ---- copies from below ----------------------------------------------------------------------- */

static uint64_t copy_clusters(struct io *io, uint64_t offset, uint64_t len)
{
	struct image *node = io->node;
	struct reservation room;
	struct part *p;
	int rc = node->format->reserve(node, offset, align_up(len, node->cluster), &room);

	if (rc) {
		io->rc = rc;
		return 0;
	}
	p = part_create(io, node, 0, 0, 1);
	if (!p) {
		node->format->unreserve(node, &room);
		return 0;
	}
	p->room = room;
	p->offset = offset;
	write_with_surroundings(p, room.len, 0);
	return room.len;
}

/* What this image has itself stays; what reads as zeros below is noted as zeros. */
void copy_range(struct io *io)
{
	struct image *node = io->node;
	uint64_t offset = io->start, end = io->end < node->size ? io->end : node->size;

	while (offset < end) {
		uint64_t n;
		struct extent x;
		int rc = node->format->map(node, offset, end - offset, &x);

		if (rc) {
			io->rc = rc;
			return;
		}
		n = x.len;
		if (x.kind == EXTENT_HOLE && reads_as_zero(node, offset, n) &&
		    !node->format->clear(node, offset, n, false))
			commit_later(io->d);
		else if (x.kind == EXTENT_HOLE)
			n = copy_clusters(io, offset, n);
		if (!n)
			return;
		offset += n;
	}
}
