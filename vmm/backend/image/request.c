/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a request: waits for its range, runs, ends, and lets others go on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/backend/image/engine.h"

static const char *const op_names[] = {
	[DISK_READ] = "read",
	[DISK_WRITE] = "write",
	[DISK_FLUSH] = "flush",
	[DISK_DISCARD] = "discard",
	[DISK_WRITE_ZEROES] = "write zeroes",
};

void io_list_add(struct io_list *l, struct io *io)
{
	io->next = NULL;
	io->link = l->first ? l->end : &l->first;
	*io->link = io;
	l->end = &io->next;
}

void io_list_remove(struct io_list *l, struct io *io)
{
	*io->link = io->next;
	if (io->next)
		io->next->link = io->link;
	else
		l->end = io->link;
}

/* ---- ranges --------------------------------------------------------------------------------- */

static bool collide(const struct io *a, const struct io *b)
{
	return (a->alone || b->alone) && a->start < b->end && b->start < a->end;
}

/* Who waits longer goes first. */
static bool may_start(const struct io *io)
{
	const struct image_disk *d = io->d;

	if (io->alone && commit_freezes(d, io->node))
		return false;
	for (const struct io *o = d->active.first; o; o = o->next)
		if (collide(io, o))
			return false;
	for (const struct io *o = d->waiting.first; o && o != io; o = o->next)
		if (collide(io, o))
			return false;
	return true;
}

static void set_range(struct io *io)
{
	uint64_t cluster = 1;

	for (const struct image *i = io->d->top; i; i = i->backing)
		if (i->cluster > cluster)
			cluster = i->cluster;
	io->start = align_down(io->req->offset, cluster);
	io->end = align_up(io->req->offset + io_len(io), cluster);
}

/* ---- start ---------------------------------------------------------------------------------- */

/* See disk_open(): a disk that is raw by guess stays recognisable as raw. */
static bool disguises(const struct io *io)
{
	const struct disk_req *r = io->req;
	uint8_t head[IMAGE_HEAD_BYTES] = {0};
	size_t have = 0;

	for (unsigned i = 0; i < r->niov && have < sizeof(head); i++) {
		size_t n = r->iov[i].iov_len;

		n = n < sizeof(head) - have ? n : sizeof(head) - have;
		memcpy(head + have, r->iov[i].iov_base, n);
		have += n;
	}
	return image_probe_head(head) != &image_raw || image_foreign(head);
}

static void run_write(struct io *io)
{
	const struct disk_req *r = io->req;

	if (io->node->guessed && !r->offset && disguises(io))
		io->rc = -EPERM;
	else if (io->d->detect_zeroes && all_zero(r))
		zero_range(io);
	else
		write_range(io, r->offset, r->len, 0);
}

static void run(struct io *io)
{
	const struct disk_req *r = io->req;

	if (io->kind == IO_COPY)
		copy_range(io);
	else if (r->op == DISK_READ)
		read_range(io, r->offset, r->len, 0);
	else if (r->op == DISK_WRITE)
		run_write(io);
	else
		zero_range(io);
}

static void activate(struct io *io)
{
	struct image_disk *d = io->d;

	io_list_add(&d->active, io);
	if (d->merge && io->node == d->top && io->req->op != DISK_READ)
		merge_note_write(d, io->req->offset, io_len(io));
	io->parts = 1; /* keeps it alive until all parts are submitted */
	run(io);
	io_part_done(io, 0);
}

void io_start(struct io *io)
{
	if (!io->node) /* the guest's: the last image, which may have changed meanwhile */
		io->node = io->d->top;
	if (io->req->op == DISK_FLUSH) {
		commit_request(io);
		return;
	}
	set_range(io);
	io->alone = write_moves(io);
	if (may_start(io))
		activate(io);
	else
		io_list_add(&io->d->waiting, io);
}

/* Starting one may end it at once and bring us here again: the outer call goes on looking. */
void io_rescan(struct image_disk *d)
{
	struct io *io;

	d->rescan = true;
	if (d->rescanning)
		return;
	d->rescanning = true;
	while (d->rescan) {
		d->rescan = false;
		for (io = d->waiting.first; io; io = io->next) {
			io->alone = write_moves(io); /* the one before may have made room */
			if (!may_start(io))
				continue;
			io_list_remove(&d->waiting, io);
			d->rescan = true;
			activate(io);
			break;
		}
	}
	d->rescanning = false;
}

/* ---- end ------------------------------------------------------------------------------------ */

void io_part_done(struct io *io, int rc)
{
	if (rc && !io->rc)
		io->rc = rc;
	if (!--io->parts)
		io->finish(io);
}

/* The first one of a VM's disk; a tool tells its user itself. */
static void tell_error(struct image_disk *d, const struct disk_req *r, int rc)
{
	if (d->loop && !d->errors++)
		log_warn("disk %s: %s of %llu bytes at %llu: %s", d->disk.id, op_names[r->op],
			 (unsigned long long)r->len, (unsigned long long)r->offset, strerror(-rc));
}

void io_finish(struct io *io)
{
	struct image_disk *d = io->d;
	struct disk_req *r = io->req;
	int rc = io->rc;

	if (r->op != DISK_FLUSH)
		io_list_remove(&d->active, io);
	if (rc)
		tell_error(d, r, rc);
	free(io);
	r->done(r, rc);
	if (d->waiting.first)
		io_rescan(d);
}

struct io *io_create(struct image_disk *d, struct image *node, struct disk_req *r)
{
	struct io *io = malloc(sizeof(*io));

	if (io)
		*io = (struct io){.req = r, .d = d, .node = node, .finish = io_finish};
	return io;
}

int io_submit(struct image_disk *d, struct image *node, struct disk_req *r, enum io_kind kind)
{
	struct io *io = io_create(d, node, r);

	if (!io)
		return -ENOMEM;
	io->kind = kind;
	io_start(io);
	return 0;
}
