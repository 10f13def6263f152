/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes: makes the data stable, then the tables that lead to it, step by step. While a commit
 * runs, the image's tables do not change: requests that would change them wait, written clusters
 * are linked at its end. What the guest wrote before it got an overlay is made stable first.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

#define IDLE_COMMIT_NS 5000000000ull /* tables of a guest that never flushes */

static void link_now(struct part *p)
{
	int rc = p->node->format->link(p->node, p->offset, &p->room);
	struct image_disk *d = p->io->d;
	struct io *io = p->io;

	part_free(p);
	commit_later(d);
	io_part_done(io, rc);
}

bool commit_freezes(const struct image_disk *d, const struct image *node)
{
	return d->commit.active && d->commit.node == node;
}

void commit_link(struct part *p)
{
	struct commit *c = &p->io->d->commit;

	if (!commit_freezes(p->io->d, p->node)) {
		link_now(p);
		return;
	}
	p->next = c->links;
	c->links = p;
}

/* ---- one commit ----------------------------------------------------------------------------- */

static void end_requests(struct io_list *l, int rc)
{
	struct io *io;

	while ((io = l->first)) {
		io_list_remove(l, io);
		io->rc = rc;
		io->finish(io);
	}
}

static void move_requests(struct io_list *from, struct io_list *to)
{
	struct io *io;

	while ((io = from->first)) {
		io_list_remove(from, io);
		io_list_add(to, io);
	}
}

static void link_all(struct commit *c)
{
	struct part *p, *next;

	for (p = c->links, c->links = NULL; p; p = next) {
		next = p->next;
		link_now(p);
	}
}

/* Where giving up the right to write fails the image stays locked for longer, that is all. */
static void settled(struct image_disk *d, int rc)
{
	struct settling s = d->settling;
	struct err e = {0};

	if (!rc && s.node->dirty) /* space that became free by the commit itself */
		return;
	if (!rc && image_reopen(s.node, false, NULL, &e))
		log_warn("%s", e.text);
	d->settling = (struct settling){.node = rc ? s.node : NULL};
	e.code = 0;
	if (rc)
		err_set(&e, rc, "%.200s: %s", s.node->path, strerror(-rc));
	if (s.done)
		s.done(s.opaque, &e);
}

static void end_commit(struct image_disk *d, int rc)
{
	struct commit *c = &d->commit;
	struct io_list served = {0};

	if (!rc)
		c->node->format->committed(c->node);
	c->active = false;
	link_all(c);
	/* A flush needs the last image's commit as well. */
	if (rc || c->node == d->top)
		move_requests(&c->now, &served);
	if (c->node == d->settling.node)
		settled(d, rc);
	move_requests(&c->later, &c->now);
	if (c->now.first || (!rc && d->settling.node))
		commit_start(d);
	else
		commit_later(d);
	end_requests(&served, rc);
	io_rescan(d);
}

static bool full(const struct image_disk *d, int rc)
{
	return (rc == -ENOSPC || rc == -EDQUOT) && d->disk.full && !d->failing;
}

static void run_steps(struct image_disk *d);

static void synced(struct aio_op *op, int rc)
{
	struct commit *c = (struct commit *)((char *)op - offsetof(struct commit, sync));
	struct image_disk *d =
		(struct image_disk *)((char *)c - offsetof(struct image_disk, commit));

	if (rc) {
		end_commit(d, rc);
		return;
	}
	c->step++;
	run_steps(d);
}

static void run_steps(struct image_disk *d)
{
	struct commit *c = &d->commit;
	int rc;

	for (;; c->step++) {
		rc = c->node->format->commit(c->node, c->step);
		if (rc || !c->step)
			break;
	}
	if (full(d, rc)) {
		c->full = true;
		d->disk.full(d->disk.full_opaque);
	} else if (rc < 0) {
		end_commit(d, rc == -ENODATA ? 0 : rc);
	} else {
		c->sync = (struct aio_op){.kind = AIO_SYNC, .fd = c->node->fd, .done = synced};
		aio_submit(d->aio, &c->sync);
	}
}

void commit_start(struct image_disk *d)
{
	struct commit *c = &d->commit;

	if (c->active)
		return;
	if (d->loop)
		loop_timer_cancel(d->loop, &c->timer);
	c->active = true;
	c->node = d->settling.node ? d->settling.node : d->top;
	c->step = 0;
	run_steps(d);
}

void commit_retry(struct image_disk *d)
{
	if (!d->commit.full)
		return;
	d->commit.full = false;
	run_steps(d);
}

void commit_request(struct io *io)
{
	struct commit *c = &io->d->commit;

	if (c->active) {
		io_list_add(&c->later, io);
		return;
	}
	io_list_add(&c->now, io);
	commit_start(io->d);
}

/* ---- commits that no guest asked for --------------------------------------------------------- */

void commit_timeout(void *opaque)
{
	struct image_disk *d = opaque;

	commit_start(d);
	aio_kick(d->aio);
}

void commit_later(struct image_disk *d)
{
	if (d->commit.active)
		return;
	if (d->top->commit_soon)
		commit_start(d);
	else if (d->loop && d->top->dirty && !d->commit.timer.heap_index)
		loop_timer_set(d->loop, &d->commit.timer, loop_now() + IDLE_COMMIT_NS);
}
