/* SPDX-License-Identifier: Apache-2.0 */
/* poll() and epoll. All look at every file at each wake-up: the sets here are small. */
#include <linux/eventpoll.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"

#define MAX_POLL 1024

static unsigned poll_file(struct file *f)
{
	return f->ops->poll ? f->ops->poll(f) : POLLIN | POLLOUT;
}

/* ---- waiting for many files ------------------------------------------------------------------ */

/*
 * Sleeps once, until something happens to one of the files (NULL: none) or in `own`, unless ready()
 * finds something already. What that found, 0, or an error of wait_sleep().
 */
static int sleep_on(struct waitq *own, struct file **files, unsigned n, int (*ready)(void *opaque),
		    void *opaque, uint64_t deadline)
{
	struct waiter *w = kzalloc((n + 1) * sizeof(*w));
	unsigned used = 0;
	int rc;

	if (!w)
		return -ENOMEM;
	wait_begin(&w[used++], own);
	for (unsigned i = 0; i < n; i++) {
		if (files[i] && file_queue(files[i]))
			wait_begin(&w[used++], file_queue(files[i]));
	}
	rc = ready(opaque);
	if (!rc)
		rc = wait_sleep(deadline);
	while (used)
		wait_end(&w[--used]);
	kfree(w);
	return rc;
}

/* ---- poll ------------------------------------------------------------------------------------ */

struct pollset {
	struct pollfd *p;
	struct file **files;
	unsigned n;
};

static int look(void *opaque)
{
	struct pollset *s = opaque;
	int ready = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct pollfd *p = &s->p[i];
		unsigned ev = 0;

		if (s->files[i])
			ev = poll_file(s->files[i]) & ((uint16_t)p->events | POLLERR | POLLHUP);
		else if (p->fd >= 0)
			ev = POLLNVAL;
		p->revents = (int16_t)ev;
		ready += ev != 0;
	}
	return ready;
}

static int64_t do_poll(uint64_t fds, unsigned n, uint64_t deadline)
{
	struct pollfd *p = kzalloc(MAX(n, 1u) * sizeof(*p));
	struct file **files = kzalloc(MAX(n, 1u) * sizeof(*files));
	int64_t rc = p && files ? copy_from_user(p, fds, n * sizeof(*p)) : -ENOMEM;
	struct pollset s = {p, files, n};
	struct waitq none = {0};

	for (unsigned i = 0; !rc && i < n; i++)
		files[i] = fd_get(p[i].fd);
	if (!rc) {
		rc = look(&s);
		while (!rc && deadline)
			rc = sleep_on(&none, files, n, look, &s, deadline);
		rc = rc == -ETIMEDOUT ? 0 : rc;
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
	struct list link, of_file; /* of the set's and the file's items */
	struct epoll *set;
	int fd;
	struct file *file; /* a reference, which goes with the last descriptor: epoll_forget() */
	struct epoll_event ev;
	unsigned seen, wakes; /* edge triggered: what was told already, and when */
};

struct epoll {
	struct spinlock lock;
	struct list items;
	unsigned count, version; /* of items; changes so far */
	struct waitq changed;
};

/* Guards the files' lists of items, and that a set does not end while one is looked at. Taken
 * before a set's lock. */
static struct spinlock watch_lock;

static unsigned item_ready(const struct epoll_item *i)
{
	return poll_file(i->file) & i->ev.events;
}

/* The edge triggered ones tell anew what was there before when something has happened since. */
static unsigned item_news(struct epoll_item *i, unsigned *ready)
{
	const struct waitq *q = file_queue(i->file);
	unsigned wakes = q ? __atomic_load_n(&q->wakes, __ATOMIC_ACQUIRE) : 0;
	unsigned old = i->ev.events & EPOLLET && wakes == i->wakes ? i->seen : 0;

	i->wakes = wakes;
	i->seen = *ready = item_ready(i);
	return *ready & ~old;
}

static void free_items(struct list *items)
{
	LIST_ITEMS_SAFE(struct epoll_item, i, items, link) {
		file_put(i->file);
		kfree(i);
	}
}

/* Both locks held. */
static void take_out(struct epoll_item *i)
{
	list_del(&i->link);
	list_del(&i->of_file);
	i->set->count--;
	i->set->version++;
}

static void forget(struct epoll_item *i, struct list *gone)
{
	SPIN_GUARD(&i->set->lock);

	take_out(i);
	list_add_tail(gone, &i->link);
	waitq_wake(&i->set->changed, ~0u);
}

void epoll_forget(struct file *f)
{
	struct list gone = {0};

	LOCKED(&watch_lock) {
		LIST_ITEMS_SAFE(struct epoll_item, i, &f->watched, of_file)
			forget(i, &gone);
	}
	free_items(&gone);
}

static unsigned epoll_poll(struct file *f)
{
	struct epoll *e = f->data;
	SPIN_GUARD(&e->lock);
	unsigned ready = 0;

	LIST_ITEMS(struct epoll_item, i, &e->items, link)
		ready |= item_ready(i) ? POLLIN : 0;
	return ready;
}

static void epoll_close(struct file *f)
{
	struct epoll *e = f->data;

	LOCKED(&watch_lock) {
		LIST_ITEMS(struct epoll_item, i, &e->items, link)
			list_del(&i->of_file);
	}
	free_items(&e->items);
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

	return e ? fd_new(&epoll_ops, (unsigned)a[0], e) : -ENOMEM;
}

static struct epoll_item *find_item(struct epoll *e, int fd, const struct file *f)
{
	return LIST_FIND(struct epoll_item, i, &e->items, link, i->fd == fd && i->file == f);
}

/* watch_lock held. *spare is a new item, or receives one that is not of the set any more. */
static int change_locked(struct epoll *e, unsigned op, const struct epoll_item *with,
			 struct epoll_item **spare)
{
	SPIN_GUARD(&e->lock);
	struct epoll_item *i = find_item(e, with->fd, with->file);

	if (op == EPOLL_CTL_ADD && (i || !*spare || e->count >= MAX_POLL))
		return i ? -EEXIST : -ENOMEM;
	if (op != EPOLL_CTL_ADD && !i)
		return -ENOENT;
	if (!with->file->fds) /* closed meanwhile */
		return -EBADF;
	if (op == EPOLL_CTL_ADD) {
		**spare = *with;
		file_get(with->file);
		list_add_tail(&e->items, &(*spare)->link);
		list_add_tail(&with->file->watched, &(*spare)->of_file);
		e->count++;
		*spare = NULL;
	} else if (op == EPOLL_CTL_MOD) {
		i->ev = with->ev;
		i->seen = 0;
	} else {
		take_out(i);
		*spare = i;
	}
	e->version++;
	return 0;
}

static int64_t change(struct epoll *e, unsigned op, const struct epoll_item *with)
{
	struct epoll_item *spare = op == EPOLL_CTL_ADD ? kzalloc(sizeof(*spare)) : NULL;
	int rc;

	LOCKED(&watch_lock)
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
	struct epoll_item with = {.set = f->data, .fd = (int)a[2], .file = target};
	int64_t rc = 0;

	if (!target)
		rc = -EBADF;
	else if (f->ops != &epoll_ops || target->ops == &epoll_ops || a[1] < 1 || a[1] > 3)
		rc = -EINVAL;
	else if (target->node && !file_queue(target))
		rc = -EPERM; /* files are always ready */
	else if (a[1] != EPOLL_CTL_DEL)
		rc = copy_from_user(&with.ev, a[3], sizeof(with.ev));
	with.ev.events |= POLLERR | POLLHUP;
	if (!rc)
		rc = change(f->data, (unsigned)a[1], &with);
	file_put(target);
	return rc;
}

/* A call of epoll_wait(), and the version of the set when it last looked which files there are. */
struct collection {
	struct epoll *e;
	struct epoll_event *out;
	unsigned max, version;
};

/* Collects what is ready: how much, 0, or -EAGAIN: nothing, but the set has other files now. */
static int collect(void *opaque)
{
	const struct collection *c = opaque;
	struct epoll *e = c->e;
	SPIN_GUARD(&e->lock);
	unsigned n = 0, left = e->count;

	LIST_ITEMS_SAFE(struct epoll_item, i, &e->items, link) {
		unsigned ready;

		if (!left-- || n == c->max)
			break; /* those that went to the end come again */
		if (!item_news(i, &ready))
			continue;
		c->out[n++] = (struct epoll_event){ready, i->ev.data};
		if (i->ev.events & EPOLLONESHOT)
			i->ev.events = 0;
		/* In turn: who was told goes to the end. */
		list_del(&i->link);
		list_add_tail(&e->items, &i->link);
	}
	return n ? (int)n : e->version == c->version ? 0 : -EAGAIN;
}

/*
 * Once in the queues of all files and of changes of the set. The files are kept meanwhile: another
 * thread may take them out of the set and close them.
 */
static int sleep_once(struct collection *c, uint64_t deadline)
{
	struct epoll *e = c->e;
	struct file **files;
	unsigned n = 0;
	int rc = -ENOMEM;

	LOCKED(&e->lock) {
		c->version = e->version;
		files = kzalloc((e->count + 1) * sizeof(*files));
		LIST_ITEMS(struct epoll_item, i, &e->items, link) {
			if (files)
				files[n++] = file_get(i->file);
		}
	}
	if (files)
		rc = sleep_on(&e->changed, files, n, collect, c, deadline);
	while (n)
		file_put(files[--n]);
	kfree(files);
	return rc;
}

#define MAX_EVENTS 64

int64_t sys_epoll_pwait(struct file *f, const uint64_t *a)
{
	struct epoll_event out[MAX_EVENTS];
	struct collection c = {f->data, out, (unsigned)MIN(a[2], (uint64_t)MAX_EVENTS), 0};
	uint64_t deadline = ms_deadline((int)a[3]);
	int64_t n;

	if (f->ops != &epoll_ops || (int)a[2] <= 0 || a[4])
		return -EINVAL;
	n = collect(&c);
	while ((!n || n == -EAGAIN) && deadline)
		n = sleep_once(&c, deadline);
	if (n > 0 && copy_to_user(a[1], out, (size_t)n * sizeof(out[0])))
		n = -EFAULT;
	return n == -ETIMEDOUT || n == -EAGAIN ? 0 : n;
}
