/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/heap.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"
#include "kernel/sys/ring.h"

#define PIPE_SIZE 65536
#define PIPE_BUF  4096 /* writes up to this are not mixed with others */

struct pipe {
	struct spinlock lock;
	struct ring ring;
	unsigned readers, writers;
	struct waitq queue;
};

static unsigned pipe_poll(struct file *f)
{
	struct pipe *p = f->data;

	if (f->flags & O_WRONLY)
		return (ring_room(&p->ring) >= PIPE_BUF ? POLLOUT : 0) | (p->readers ? 0 : POLLERR);
	return (ring_used(&p->ring) ? POLLIN : 0) | (p->writers ? 0 : POLLHUP);
}

static int64_t read_some(void *data, uint64_t buf, uint64_t n)
{
	struct pipe *p = data;
	SPIN_GUARD(&p->lock);
	int64_t rc = ring_to_user(&p->ring, buf, n);

	if (rc > 0)
		waitq_wake(&p->queue, ~0u);
	return rc || !n || !p->writers ? rc : -EAGAIN;
}

static int64_t write_some(void *data, uint64_t buf, uint64_t n)
{
	struct pipe *p = data;
	SPIN_GUARD(&p->lock);
	bool fits = n > PIPE_BUF || ring_room(&p->ring) >= n;
	int64_t rc = !p->readers ? -EPIPE : fits ? ring_from_user(&p->ring, buf, n) : 0;

	if (rc > 0)
		waitq_wake(&p->queue, ~0u);
	return rc;
}

static void pipe_close(struct file *f)
{
	struct pipe *p = f->data;
	bool last;

	LOCKED(&p->lock) {
		*(f->flags & O_WRONLY ? &p->writers : &p->readers) = 0;
		last = !p->readers && !p->writers;
		waitq_wake(&p->queue, ~0u);
	}
	if (!last)
		return;
	ring_free(&p->ring);
	kfree(p);
}

static const struct file_ops pipe_ops = {
	.name = "pipe",
	.take = read_some,
	.give = write_some,
	.poll = pipe_poll,
	.waitq = offsetof(struct pipe, queue),
	.ring = offsetof(struct pipe, ring),
	.close = pipe_close,
};

int64_t sys_pipe2(const uint64_t *a)
{
	unsigned flags = (unsigned)a[1];
	struct pipe *p = kzalloc(sizeof(*p));

	if (!p || ring_init(&p->ring, PIPE_SIZE)) {
		kfree(p);
		return -ENOMEM;
	}
	p->readers = p->writers = 1;
	return fd_new_pair(file_new(&pipe_ops, flags & O_NONBLOCK, p),
			   file_new(&pipe_ops, (flags & O_NONBLOCK) | O_WRONLY, p),
			   flags & O_CLOEXEC, a[0]);
}
