/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of bytes and requests a second. Each request moves a point in time forward by what it
 * costs; while that point is more than the burst ahead of now, requests wait in order.
 */
#include <stdlib.h>

#include "vmm/backend/image/engine.h"

#define SECOND 1000000000ull

static uint64_t cost(uint64_t n, uint64_t rate)
{
	return rate ? (uint64_t)((double)n * (double)SECOND / (double)rate) : 0;
}

static bool moves_data(const struct disk_req *r)
{
	return r->op == DISK_READ || r->op == DISK_WRITE;
}

/* When the next request may start. */
static uint64_t next_start(const struct limit *l)
{
	uint64_t point = l->bytes_point > l->ops_point ? l->bytes_point : l->ops_point;

	return point > l->burst ? point - l->burst : 0;
}

static void charge(struct limit *l, const struct disk_req *r, uint64_t now)
{
	uint64_t *points[] = {&l->bytes_point, &l->ops_point};

	for (int i = 0; i < 2; i++)
		if (*points[i] < now)
			*points[i] = now;
	l->bytes_point += cost(moves_data(r) ? r->len : 0, l->bps);
	l->ops_point += cost(1, l->iops);
}

void limit_init(struct limit *l, const struct disk_options *o)
{
	l->bps = o->bps;
	l->iops = o->iops;
	l->burst = (o->burst ? o->burst : 1) * SECOND;
}

/* A flush waits for nothing: it speaks of what is complete. */
bool limit_holds(struct image_disk *d, struct io *io)
{
	struct limit *l = &d->limit;
	uint64_t now;

	if ((!l->bps && !l->iops) || io->req->op == DISK_FLUSH || !d->loop)
		return false;
	now = loop_now();
	if (!l->held.first && next_start(l) <= now) {
		charge(l, io->req, now);
		return false;
	}
	io_list_add(&l->held, io);
	if (!l->timer.heap_index)
		loop_timer_set(d->loop, &l->timer, next_start(l));
	return true;
}

static void release_one(struct image_disk *d)
{
	struct io *io = d->limit.held.first;

	io_list_remove(&d->limit.held, io);
	charge(&d->limit, io->req, loop_now());
	io_start(io);
}

void limit_timeout(void *opaque)
{
	struct image_disk *d = opaque;
	struct limit *l = &d->limit;

	while (l->held.first && next_start(l) <= loop_now())
		release_one(d);
	if (l->held.first)
		loop_timer_set(d->loop, &l->timer, next_start(l));
	aio_kick(d->aio);
	if (d->disk.batch_done)
		d->disk.batch_done(d->disk.batch_opaque);
}

void limit_release_all(struct image_disk *d)
{
	while (d->limit.held.first)
		release_one(d);
}
