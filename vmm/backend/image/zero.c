/* SPDX-License-Identifier: Apache-2.0 */
/* Discard and zeroes: whole clusters leave the tables, the rest is written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/backend/image/engine.h"

#define ZEROES 65536u

/* A write request of zeros, for the edges that are no whole clusters. */
struct zero_write {
	struct io io;
	struct disk_req req;
	struct io *parent;
	struct iovec iov[];
};

static void zero_write_finish(struct io *io)
{
	struct zero_write *z = (struct zero_write *)io;
	struct io *parent = z->parent;
	int rc = io->rc;

	free(z);
	io_part_done(parent, rc);
}

static void write_zeroes(struct io *parent, uint64_t offset, uint64_t len)
{
	static const uint8_t zeroes[ZEROES];
	unsigned n = (unsigned)((len + ZEROES - 1) / ZEROES);
	struct zero_write *z = malloc(sizeof(*z) + n * sizeof(z->iov[0]));

	if (!z) {
		parent->rc = -ENOMEM;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		z->iov[i] = (struct iovec){(void *)(uintptr_t)zeroes, ZEROES};
	z->iov[n - 1].iov_len = len - (uint64_t)(n - 1) * ZEROES;
	z->parent = parent;
	z->req = (struct disk_req){
		.op = DISK_WRITE, .offset = offset, .len = len, .iov = z->iov, .niov = n};
	z->io = (struct io){.req = &z->req,
			    .d = parent->d,
			    .node = parent->node,
			    .parts = 1,
			    .finish = zero_write_finish};
	parent->parts++;
	write_range(&z->io, offset, len, 0);
	io_part_done(&z->io, 0);
}

/* Pieces that keep the number of buffers of one write in bounds. */
static void write_out(struct io *io, uint64_t offset, uint64_t len)
{
	uint64_t n;

	for (; len && !io->rc; offset += n, len -= n) {
		n = len < 16 * MIB ? len : 16 * MIB;
		write_zeroes(io, offset, n);
	}
}

static void zero_edge(struct io *io, uint64_t offset, uint64_t len)
{
	if (len && io->req->op != DISK_DISCARD && !reads_as_zero(io->node, offset, len))
		write_out(io, offset, len);
}

static void clear_clusters(struct io *io)
{
	struct image *node = io->node;
	uint64_t offset = io->req->offset, end = offset + io_len(io);
	uint64_t first = align_up(offset, node->cluster), last = align_down(end, node->cluster);
	bool discard = io->req->op == DISK_DISCARD;
	int rc = 0;

	if (end == node->size)
		last = end; /* nothing of the last cluster is left over */
	if (first >= last) {
		zero_edge(io, offset, end - offset);
		return;
	}
	zero_edge(io, offset, first - offset);
	rc = node->format->clear(node, first, last - first, discard);
	if (!rc)
		commit_later(io->d);
	else if (rc != -EOPNOTSUPP)
		io->rc = rc;
	else if (!discard)
		write_out(io, first, last - first);
	zero_edge(io, last, end - last);
}

static void zero_in_place(struct io *io)
{
	enum aio_kind kind = io->req->op == DISK_DISCARD ? AIO_PUNCH : AIO_ZERO;
	uint64_t offset = io->req->offset, len = io_len(io);
	struct image *node = io->node;
	struct extent x;

	for (; len; offset += x.len, len -= x.len) {
		struct part *p;
		int rc = node->format->map(node, offset, len, &x);

		if (rc) {
			io->rc = rc;
			return;
		}
		if (x.kind != EXTENT_DATA)
			continue;
		p = part_create(io, node, 0, 0, 0);
		if (!p)
			return;
		part_submit(p, kind, x.host, x.len, part_done);
	}
}

void zero_range(struct io *io)
{
	if (io->node->format->zero_in_place)
		zero_in_place(io);
	else
		clear_clusters(io);
}

bool all_zero(const struct disk_req *r)
{
	for (unsigned i = 0; i < r->niov; i++)
		if (!bytes_zero(r->iov[i].iov_base, r->iov[i].iov_len))
			return false;
	return true;
}
