/* SPDX-License-Identifier: Apache-2.0 */
/* poll() and epoll. All look at every file at each wake-up: the sets here are small. */
#include <linux/eventpoll.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/errno.h"
#include "kernel/sys/file.h"

#define MAX_POLL 1024

static unsigned poll_file(struct file *f)
{
	return f->ops->poll ? f->ops->poll(f) : POLLIN | POLLOUT;
}

/* ---- waiting for many files ------------------------------------------------------------------ */

struct multi {
	struct waiter *w;
	unsigned n;
};

static void multi_add(struct multi *m, struct file *f)
{
	if (file_queue(f))
		wait_begin(&m->w[m->n++], file_queue(f));
}

static void multi_end(struct multi *m)
{
	while (m->n)
		wait_end(&m->w[--m->n]);
	current_thread()->state = THREAD_RUNNING;
}

/* ---- poll ------------------------------------------------------------------------------------ */

static unsigned look(struct pollfd *p, struct file **files, unsigned n)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned ev = 0;

		if (files[i])
			ev = poll_file(files[i]) & ((uint16_t)p[i].events | POLLERR | POLLHUP);
		else if (p[i].fd >= 0)
			ev = POLLNVAL;
		p[i].revents = (int16_t)ev;
		ready += ev != 0;
	}
	return ready;
}

static int64_t wait_poll(struct pollfd *p, struct file **files, unsigned n, uint64_t deadline)
{
	struct multi m = {.w = kzalloc(MAX(n, 1u) * sizeof(struct waiter))};
	struct waitq none;
	struct waiter self;
	unsigned ready;
	int rc = 0;

	if (!m.w)
		return -ENOMEM;
	waitq_init(&none);
	wait_begin(&self, &none); /* a set without queues sleeps too */
	for (unsigned i = 0; i < n; i++) {
		if (files[i])
			multi_add(&m, files[i]);
	}
	while (!(ready = look(p, files, n))) {
		rc = wait_sleep(deadline);
		if (rc)
			break;
	}
	multi_end(&m);
	wait_end(&self);
	kfree(m.w);
	return ready ? (int64_t)ready : rc == -ETIMEDOUT ? 0 : rc;
}

static int64_t do_poll(uint64_t fds, unsigned n, uint64_t deadline)
{
	struct pollfd *p = kzalloc(MAX(n, 1u) * sizeof(*p));
	struct file **files = kzalloc(MAX(n, 1u) * sizeof(*files));
	int64_t rc = p && files ? copy_from_user(p, fds, n * sizeof(*p)) : -ENOMEM;

	for (unsigned i = 0; !rc && i < n; i++)
		files[i] = fd_get(p[i].fd);
	if (!rc) {
		rc = look(p, files, n);
		if (!rc && deadline)
			rc = wait_poll(p, files, n, deadline);
		if (rc >= 0 && copy_to_user(fds, p, n * sizeof(*p)))
			rc = -EFAULT;
	}
	for (unsigned i = 0; files && i < n; i++)
		file_put(files[i]);
	kfree(files);
	kfree(p);
	return rc;
}

static uint64_t ms_deadline(int ms)
{
	return ms < 0 ? NEVER : ms ? now_ns() + (uint64_t)ms * 1000000 : 0;
}

int64_t sys_poll(const uint64_t *a)
{
	return a[1] > MAX_POLL ? -EINVAL : do_poll(a[0], (unsigned)a[1], ms_deadline((int)a[2]));
}

/* ---- epoll ----------------------------------------------------------------------------------- */

struct epoll_item {
	struct list link;
	int fd;
	struct file *file; /* a reference: closing the descriptor elsewhere does not take it out */
	struct epoll_event ev;
	unsigned seen; /* edge triggered: what was told already */
};

struct epoll {
	struct spinlock lock;
	struct list items;
	unsigned count, version; /* of items; changes so far */
	struct waitq changed;
};

static unsigned item_ready(const struct epoll_item *i)
{
	return poll_file(i->file) & (i->ev.events | POLLERR | POLLHUP);
}

static unsigned epoll_poll(struct file *f)
{
	struct epoll *e = f->data;
	SPIN_GUARD(&e->lock);
	unsigned ready = 0;

	LIST_EACH(l, &e->items)
		ready |= item_ready(CONTAINER(l, struct epoll_item, link)) ? POLLIN : 0;
	return ready;
}

static void epoll_close(struct file *f)
{
	struct epoll *e = f->data;

	LIST_ITEMS_SAFE(struct epoll_item, i, &e->items, link) {
		file_put(i->file);
		kfree(i);
	}
	kfree(e);
}

static const struct file_ops epoll_ops = {
	.name = "anon_inode:[eventpoll]",
	.poll = epoll_poll,
	.waitq = offsetof(struct epoll, changed),
	.close = epoll_close,
};

int64_t sys_epoll_create1(const uint64_t *a)
{
	struct epoll *e = kzalloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	list_init(&e->items);
	waitq_init(&e->changed);
	return fd_new(&epoll_ops, (unsigned)a[0], e);
}

static struct epoll_item *find_item(struct epoll *e, int fd, const struct file *f)
{
	LIST_ITEMS(struct epoll_item, i, &e->items, link) {
		if (i->fd == fd && i->file == f)
			return i;
	}
	return NULL;
}

/* Lock held. *spare is a new item, or receives one that is not of the set any more. */
static int change_locked(struct epoll *e, unsigned op, const struct epoll_item *with,
			 struct epoll_item **spare)
{
	struct epoll_item *i = find_item(e, with->fd, with->file);

	if (op == EPOLL_CTL_ADD && (i || !*spare || e->count >= MAX_POLL))
		return i ? -EEXIST : -ENOMEM;
	if (op != EPOLL_CTL_ADD && !i)
		return -ENOENT;
	if (op == EPOLL_CTL_ADD) {
		**spare = *with;
		file_get(with->file);
		list_add_tail(&e->items, &(*spare)->link);
		e->count++;
		*spare = NULL;
	} else if (op == EPOLL_CTL_MOD) {
		i->ev = with->ev;
		i->seen = 0;
	} else {
		list_del(&i->link);
		e->count--;
		*spare = i;
	}
	e->version++;
	return 0;
}

static int64_t change(struct epoll *e, unsigned op, const struct epoll_item *with)
{
	struct epoll_item *spare = op == EPOLL_CTL_ADD ? kzalloc(sizeof(*spare)) : NULL;
	int rc;

	LOCKED(&e->lock)
		rc = change_locked(e, op, with, &spare);
	if (spare)
		file_put(spare->file);
	kfree(spare);
	waitq_wake(&e->changed, ~0u);
	return rc;
}

int64_t sys_epoll_ctl(struct file *f, const uint64_t *a)
{
	struct file *target = fd_get((int)a[2]);
	struct epoll_item with = {.fd = (int)a[2], .file = target};
	int64_t rc = 0;

	if (!target)
		rc = -EBADF;
	else if (f->ops != &epoll_ops || target->ops == &epoll_ops || a[1] < 1 || a[1] > 3)
		rc = -EINVAL;
	else if (target->node && !file_queue(target))
		rc = -EPERM; /* files are always ready */
	else if (a[1] != EPOLL_CTL_DEL)
		rc = copy_from_user(&with.ev, a[3], sizeof(with.ev));
	if (!rc)
		rc = change(f->data, (unsigned)a[1], &with);
	file_put(target);
	return rc;
}

/* Collects what is ready into `out`; lock held by it. */
static unsigned collect(struct epoll *e, struct epoll_event *out, unsigned max)
{
	SPIN_GUARD(&e->lock);
	unsigned n = 0, left = e->count;

	LIST_ITEMS_SAFE(struct epoll_item, i, &e->items, link) {
		unsigned ready, tell;

		if (!left--)
			break; /* those that went to the end come again */
		ready = tell = item_ready(i);
		if (i->ev.events & EPOLLET)
			tell = ready & ~i->seen;
		i->seen = ready;
		if (!tell || n == max)
			continue;
		out[n++] = (struct epoll_event){ready, i->ev.data};
		if (i->ev.events & EPOLLONESHOT)
			i->ev.events = 0;
		/* In turn: who was told goes to the end. */
		list_del(&i->link);
		list_add_tail(&e->items, &i->link);
	}
	return n;
}

/*
 * Once in the queues of all files, until something happens there or to the set. The files are kept
 * meanwhile: another thread may take them out of the set and close them.
 */
static int sleep_once(struct epoll *e, struct epoll_event *out, unsigned max, uint64_t deadline)
{
	unsigned version = e->version, room = e->count, nfiles = 0;
	struct multi m = {.w = kzalloc((room + 1) * sizeof(struct waiter))};
	struct file **files = kzalloc((room + 1) * sizeof(*files));
	int rc = m.w && files ? 0 : -ENOMEM;

	LOCKED(&e->lock) {
		LIST_EACH(l, &e->items)
			if (!rc && nfiles < room)
				files[nfiles++] =
					file_get(CONTAINER(l, struct epoll_item, link)->file);
	}
	if (!rc) {
		wait_begin(&m.w[m.n++], &e->changed);
		for (unsigned i = 0; i < nfiles; i++)
			multi_add(&m, files[i]);
		rc = (int)collect(e, out, max);
		if (!rc && e->version == version)
			rc = wait_sleep(deadline);
		multi_end(&m);
	}
	while (nfiles)
		file_put(files[--nfiles]);
	kfree(files);
	kfree(m.w);
	return rc;
}

static int64_t epoll_sleep(struct epoll *e, struct epoll_event *out, unsigned max,
			   uint64_t deadline)
{
	int rc;

	do
		rc = sleep_once(e, out, max, deadline);
	while (!rc);
	return rc == -ETIMEDOUT ? 0 : rc;
}

#define MAX_EVENTS 64

int64_t sys_epoll_pwait(struct file *f, const uint64_t *a)
{
	struct epoll_event out[MAX_EVENTS];
	unsigned max = (unsigned)MIN(a[2], (uint64_t)MAX_EVENTS);
	uint64_t deadline = ms_deadline((int)a[3]);
	int64_t n;

	if (f->ops != &epoll_ops || (int)a[2] <= 0 || a[4])
		return -EINVAL;
	n = collect(f->data, out, max);
	if (!n && deadline)
		n = epoll_sleep(f->data, out, max, deadline);
	if (n > 0 && copy_to_user(a[1], out, (size_t)n * sizeof(out[0])))
		n = -EFAULT;
	return n;
}
