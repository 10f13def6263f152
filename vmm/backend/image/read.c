/* SPDX-License-Identifier: Apache-2.0 */
/* Reading through a chain of images. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/backend/image/engine.h"

/* Puts `len` bytes (zeros if `from` is NULL) into the request's buffers at `at`. */
static void fill(const struct disk_req *r, uint64_t at, uint64_t len, const uint8_t *from)
{
	for (unsigned i = 0; i < r->niov && len; i++) {
		uint64_t have = r->iov[i].iov_len, n;

		if (at >= have) {
			at -= have;
			continue;
		}
		n = have - at < len ? have - at : len;
		if (from)
			memcpy((uint8_t *)r->iov[i].iov_base + at, from, n);
		else
			memset((uint8_t *)r->iov[i].iov_base + at, 0, n);
		from = from ? from + n : NULL;
		len -= n;
		at = 0;
	}
}

static void read_data(struct io *io, struct image *owner, const struct extent *x, uint64_t at)
{
	struct part *p = part_create(io, owner, at, x->len, 0);

	if (p)
		part_submit(p, AIO_READ, x->host, x->len, part_done);
}

static int unpack(const struct part *p)
{
	uint8_t *cluster = malloc(p->node->cluster);
	int rc;

	if (!cluster)
		return -ENOMEM;
	rc = p->node->format->unpack(p->node, p->bounce, p->op.len, cluster);
	if (!rc)
		fill(p->io->req, p->at, p->len, cluster + p->skip);
	free(cluster);
	return rc;
}

static void packed_read(struct aio_op *op, int rc)
{
	part_done(op, rc ? rc : unpack((struct part *)op));
}

static void read_packed(struct io *io, struct image *owner, const struct extent *x, uint64_t offset,
			uint64_t at)
{
	struct part *p = part_create(io, owner, at, x->len, 1);

	if (!p)
		return;
	p->skip = offset & (owner->cluster - 1);
	p->bounce = malloc(x->packed_len);
	if (!p->bounce) {
		part_done(&p->op, -ENOMEM);
		return;
	}
	p->op.niov = 1;
	p->op.iov = p->iov;
	p->iov[0] = (struct iovec){p->bounce, x->packed_len};
	part_submit(p, AIO_READ, x->host, x->packed_len, packed_read);
}

void read_range(struct io *io, uint64_t offset, uint64_t len, uint64_t at)
{
	struct image *owner;
	struct extent x;

	for (; len; offset += x.len, at += x.len, len -= x.len) {
		int rc = image_resolve(io->node, offset, len, &x, &owner);

		if (rc) {
			io->rc = rc;
			return;
		}
		if (x.kind == EXTENT_ZERO)
			fill(io->req, at, x.len, NULL);
		else if (x.kind == EXTENT_PACKED)
			read_packed(io, owner, &x, offset, at);
		else
			read_data(io, owner, &x, at);
	}
}

bool reads_as_zero(struct image *node, uint64_t offset, uint64_t len)
{
	struct image *owner;
	struct extent x;

	for (; len; offset += x.len, len -= x.len)
		if (image_resolve(node, offset, len, &x, &owner) || x.kind != EXTENT_ZERO)
			return false;
	return true;
}
