/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/errno.h"
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

static unsigned pipe_poll_read(struct file *f)
{
	struct pipe *p = f->data;

	return (ring_used(&p->ring) ? POLLIN : 0) | (p->writers ? 0 : POLLHUP);
}

static unsigned pipe_poll_write(struct file *f)
{
	struct pipe *p = f->data;

	return (ring_room(&p->ring) >= PIPE_BUF ? POLLOUT : 0) | (p->readers ? 0 : POLLERR);
}

static struct waitq *pipe_queue(struct file *f)
{
	return &((struct pipe *)f->data)->queue;
}

static int64_t pipe_read(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	struct pipe *p = f->data;
	uint64_t flags;
	int64_t rc;

	while (n) {
		bool end = !__atomic_load_n(&p->writers, __ATOMIC_SEQ_CST);

		flags = spin_lock(&p->lock);
		rc = ring_to_user(&p->ring, buf, n);
		spin_unlock(&p->lock, flags);
		if (rc || end) {
			waitq_wake(&p->queue, ~0u);
			return rc;
		}
		rc = file_wait(f, POLLIN);
		if (rc)
			return rc;
	}
	return 0;
}

static int64_t pipe_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	struct pipe *p = f->data;
	int64_t done = 0, rc = 0;
	uint64_t flags;

	while ((uint64_t)done < n) {
		uint64_t left = n - (uint64_t)done;

		if (!p->readers)
			return done ? done : -EPIPE;
		flags = spin_lock(&p->lock);
		rc = left <= PIPE_BUF && ring_room(&p->ring) < left
			     ? 0
			     : ring_from_user(&p->ring, buf + (uint64_t)done, left);
		spin_unlock(&p->lock, flags);
		if (rc > 0) {
			done += rc;
			waitq_wake(&p->queue, ~0u);
			continue;
		}
		rc = rc ? rc : file_wait(f, POLLOUT);
		if (rc)
			return done ? done : rc;
	}
	return done;
}

static int64_t pipe_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct pipe *p = f->data;
	int used = (int)ring_used(&p->ring);

	return cmd == 0x541b /* FIONREAD */ ? copy_to_user(arg, &used, 4) : -ENOTTY;
}

static void put_pipe(struct pipe *p)
{
	waitq_wake(&p->queue, ~0u);
	if (p->readers || p->writers)
		return;
	ring_free(&p->ring);
	kfree(p);
}

static void close_end(struct file *f, bool reader)
{
	struct pipe *p = f->data;
	uint64_t flags = spin_lock(&p->lock);

	if (reader)
		p->readers = 0;
	else
		p->writers = 0;
	spin_unlock(&p->lock, flags);
	put_pipe(p);
}

static void pipe_close_read(struct file *f)
{
	close_end(f, true);
}

static void pipe_close_write(struct file *f)
{
	close_end(f, false);
}

static const struct file_ops read_end = {
	.name = "pipe",
	.read = pipe_read,
	.poll = pipe_poll_read,
	.queue = pipe_queue,
	.ioctl = pipe_ioctl,
	.close = pipe_close_read,
};

static const struct file_ops write_end = {
	.name = "pipe",
	.write = pipe_write,
	.poll = pipe_poll_write,
	.queue = pipe_queue,
	.ioctl = pipe_ioctl,
	.close = pipe_close_write,
};

int64_t sys_pipe2(const uint64_t *a)
{
	unsigned flags = (unsigned)a[1];
	struct pipe *p = kzalloc(sizeof(*p));
	int fd[2];

	if (!p || ring_init(&p->ring, PIPE_SIZE)) {
		kfree(p);
		return -ENOMEM;
	}
	waitq_init(&p->queue);
	p->readers = p->writers = 1;
	fd[0] = fd_install(file_new(&read_end, flags & O_NONBLOCK, p), flags & O_CLOEXEC, 0);
	fd[1] = fd_install(file_new(&write_end, (flags & O_NONBLOCK) | O_WRONLY, p),
			   flags & O_CLOEXEC, 0);
	if (fd[0] < 0 || fd[1] < 0) {
		if (fd[0] >= 0)
			fd_close(fd[0]);
		return -EMFILE;
	}
	return copy_to_user(a[0], fd, sizeof(fd));
}
