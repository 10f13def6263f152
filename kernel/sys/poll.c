/* SPDX-License-Identifier: Apache-2.0 */
/* poll(), select() and epoll. All look at every file at each wake-up: the sets here are small. */
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/errno.h"
#include "kernel/sys/file.h"
#include "kernel/sys/signal.h"

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
	if (f->ops->queue)
		wait_begin(&m->w[m->n++], f->ops->queue(f));
}

static void multi_end(struct multi *m)
{
	while (m->n)
		wait_end(&m->w[--m->n]);
	current_thread()->state = THREAD_RUNNING;
}

/* ---- poll ------------------------------------------------------------------------------------ */

struct pollfd_k {
	int32_t fd;
	int16_t events, revents;
};

static unsigned look(struct pollfd_k *p, struct file **files, unsigned n)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned ev = 0;

		if (files[i])
			ev = poll_file(files[i]) & ((uint16_t)p[i].events | POLLERR | POLLHUP);
		else if (p[i].fd >= 0)
			ev = 32; /* POLLNVAL */
		p[i].revents = (int16_t)ev;
		ready += ev != 0;
	}
	return ready;
}

static int64_t wait_poll(struct pollfd_k *p, struct file **files, unsigned n, uint64_t deadline)
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
	struct pollfd_k *p = kzalloc(MAX(n, 1u) * sizeof(*p));
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

static int deadline_of(uint64_t ts_addr, uint64_t *deadline)
{
	uint64_t ts[2];

	*deadline = NEVER;
	if (!ts_addr)
		return 0;
	if (copy_from_user(ts, ts_addr, sizeof(ts)))
		return -EFAULT;
	if (ts[0] < INT64_MAX / NSEC_PER_SEC)
		*deadline = ts[0] || ts[1] ? now_ns() + ts[0] * NSEC_PER_SEC + ts[1] : 0;
	return 0;
}

int64_t sys_poll(const uint64_t *a)
{
	int ms = (int)a[2];

	if (a[1] > MAX_POLL)
		return -EINVAL;
	return do_poll(a[0], (unsigned)a[1],
		       ms < 0 ? NEVER
		       : ms   ? now_ns() + (uint64_t)ms * 1000000
			      : 0);
}

/* With another signal mask while it waits; see sys_rt_sigsuspend(). */
static int swap_mask(uint64_t mask_addr)
{
	struct thread *t = current_thread();
	uint64_t mask;

	if (!mask_addr)
		return 0;
	if (copy_from_user(&mask, mask_addr, 8))
		return -EFAULT;
	t->sig_saved = t->sig_blocked;
	t->sig_blocked = mask & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	return 0;
}

static void restore_mask(uint64_t mask_addr)
{
	struct thread *t = current_thread();

	if (!mask_addr)
		return;
	if (signal_pending(t))
		t->sig_restore = true;
	else
		t->sig_blocked = t->sig_saved;
}

int64_t sys_ppoll(const uint64_t *a)
{
	uint64_t deadline;
	int64_t rc = a[1] > MAX_POLL ? -EINVAL : deadline_of(a[2], &deadline);

	rc = rc ? rc : swap_mask(a[3]);
	if (rc)
		return rc;
	rc = do_poll(a[0], (unsigned)a[1], deadline);
	restore_mask(a[3]);
	return rc;
}

/* ---- select ---------------------------------------------------------------------------------- */

static const struct {
	unsigned events, ready;
} sets[3] = {
	{POLLIN, POLLIN | POLLHUP | POLLERR}, {POLLOUT, POLLOUT | POLLERR}, {2, 2}, /* POLLPRI */
};

static unsigned gather(const uint64_t in[3][16], unsigned nfds, struct pollfd_k *p,
		       struct file **files)
{
	unsigned n = 0;

	for (unsigned fd = 0; fd < nfds; fd++) {
		unsigned ev = 0;

		for (unsigned s = 0; s < 3; s++)
			ev |= in[s][fd / 64] >> fd % 64 & 1 ? sets[s].events : 0;
		if (!ev)
			continue;
		files[n] = fd_get((int)fd);
		p[n++] = (struct pollfd_k){(int)fd, (int16_t)ev, 0};
	}
	return n;
}

struct select {
	uint64_t in[3][16], out[3][16];
	struct pollfd_k p[MAX_POLL];
	struct file *files[MAX_POLL];
};

static int64_t do_select(struct select *s, unsigned nfds, const uint64_t addr[3], uint64_t deadline)
{
	size_t bytes = (nfds + 63) / 64 * 8;
	int64_t rc = 0, count = 0;
	unsigned n;

	for (unsigned i = 0; i < 3; i++) {
		if (addr[i] && copy_from_user(s->in[i], addr[i], bytes))
			return -EFAULT;
	}
	n = gather((const uint64_t(*)[16])s->in, nfds, s->p, s->files);
	rc = look(s->p, s->files, n);
	if (!rc && deadline)
		rc = wait_poll(s->p, s->files, n, deadline);
	for (unsigned i = 0; i < n; i++) {
		if (!s->files[i])
			rc = -EBADF;
		for (unsigned k = 0; k < 3; k++) {
			unsigned fd = (unsigned)s->p[i].fd;

			if (s->in[k][fd / 64] >> fd % 64 & 1 &&
			    (uint16_t)s->p[i].revents & sets[k].ready) {
				s->out[k][fd / 64] |= 1UL << fd % 64;
				count++;
			}
		}
		file_put(s->files[i]);
	}
	for (unsigned i = 0; rc >= 0 && i < 3; i++) {
		if (addr[i] && copy_to_user(addr[i], s->out[i], bytes))
			rc = -EFAULT;
	}
	return rc < 0 ? rc : count;
}

static int64_t select_with(const uint64_t *a, uint64_t deadline)
{
	struct select *s;
	int64_t rc;

	if (a[0] > MAX_POLL)
		return -EINVAL;
	s = kzalloc(sizeof(*s));
	rc = s ? do_select(s, (unsigned)a[0], a + 1, deadline) : -ENOMEM;
	kfree(s);
	return rc;
}

int64_t sys_pselect6(const uint64_t *a)
{
	uint64_t deadline, mask[2] = {0, 0};
	int64_t rc = deadline_of(a[4], &deadline);

	if (!rc && a[5])
		rc = copy_from_user(mask, a[5], sizeof(mask));
	rc = rc ? rc : swap_mask(mask[0]);
	if (rc)
		return rc;
	rc = select_with(a, deadline);
	restore_mask(mask[0]);
	return rc;
}

int64_t sys_select(const uint64_t *a)
{
	uint64_t tv[2], deadline = NEVER;

	if (a[4]) {
		if (copy_from_user(tv, a[4], sizeof(tv)))
			return -EFAULT;
		deadline = tv[0] || tv[1] ? now_ns() + tv[0] * NSEC_PER_SEC + tv[1] * 1000 : 0;
	}
	return select_with(a, deadline);
}

/* ---- epoll ----------------------------------------------------------------------------------- */

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EPOLLONESHOT  (1u << 30)
#define EPOLLET       (1u << 31)

struct epoll_event_k {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

struct epoll_item {
	struct list link;
	int fd;
	struct file *file; /* a reference: closing the descriptor elsewhere does not take it out */
	struct epoll_event_k ev;
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

static struct waitq *epoll_queue(struct file *f)
{
	return &((struct epoll *)f->data)->changed;
}

static void drop_item(struct epoll *e, struct epoll_item *i)
{
	list_del(&i->link);
	e->count--;
	file_put(i->file);
	kfree(i);
}

static void epoll_close(struct file *f)
{
	struct epoll *e = f->data;

	LIST_EACH_SAFE(l, &e->items)
	drop_item(e, CONTAINER(l, struct epoll_item, link));
	kfree(e);
}

static const struct file_ops epoll_ops = {
	.name = "anon_inode:[eventpoll]",
	.poll = epoll_poll,
	.queue = epoll_queue,
	.close = epoll_close,
};

static int64_t make_epoll(unsigned flags)
{
	struct epoll *e = kzalloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	list_init(&e->items);
	waitq_init(&e->changed);
	return fd_install(file_new(&epoll_ops, O_RDWR, e), flags & O_CLOEXEC, 0);
}

int64_t sys_epoll_create1(const uint64_t *a)
{
	return make_epoll((unsigned)a[0]);
}

int64_t sys_epoll_create(const uint64_t *a)
{
	return make_epoll(0);
}

static struct epoll_item *find_item(struct epoll *e, int fd, const struct file *f)
{
	LIST_EACH(l, &e->items)
	{
		struct epoll_item *i = CONTAINER(l, struct epoll_item, link);

		if (i->fd == fd && i->file == f)
			return i;
	}
	return NULL;
}

static int64_t change(struct epoll *e, unsigned op, int fd, struct file *target,
		      const struct epoll_event_k *ev)
{
	struct epoll_item *i, *new = op == EPOLL_CTL_ADD ? kzalloc(sizeof(*new)) : NULL;
	uint64_t flags = spin_lock(&e->lock);
	int64_t rc = 0;

	i = find_item(e, fd, target);
	if (op == EPOLL_CTL_ADD && !i && new && e->count < MAX_POLL) {
		*new = (struct epoll_item){.fd = fd, .file = file_get(target), .ev = *ev};
		list_add_tail(&e->items, &new->link);
		e->count++;
		new = NULL;
	} else if (op == EPOLL_CTL_ADD) {
		rc = i ? -EEXIST : -ENOMEM;
	} else if (!i) {
		rc = -ENOENT;
	} else if (op == EPOLL_CTL_MOD) {
		i->ev = *ev;
		i->seen = 0;
	} else {
		drop_item(e, i);
	}
	e->version++;
	spin_unlock(&e->lock, flags);
	kfree(new);
	waitq_wake(&e->changed, ~0u);
	return rc;
}

int64_t sys_epoll_ctl(struct file *f, const uint64_t *a)
{
	struct file *target = fd_get((int)a[2]);
	struct epoll_event_k ev = {0, 0};
	int64_t rc = 0;

	if (!target)
		rc = -EBADF;
	else if (f->ops != &epoll_ops || target == f || a[1] < 1 || a[1] > 3)
		rc = -EINVAL;
	else if (target->node && target->ops->queue == NULL)
		rc = -EPERM; /* files are always ready */
	else if (a[1] != EPOLL_CTL_DEL)
		rc = copy_from_user(&ev, a[3], sizeof(ev));
	if (!rc)
		rc = change(f->data, (unsigned)a[1], (int)a[2], target, &ev);
	file_put(target);
	return rc;
}

/* Collects what is ready into `out`; lock held by it. */
static unsigned collect(struct epoll *e, struct epoll_event_k *out, unsigned max)
{
	SPIN_GUARD(&e->lock);
	unsigned n = 0, left = e->count;

	LIST_EACH_SAFE(l, &e->items)
	{
		struct epoll_item *i = CONTAINER(l, struct epoll_item, link);
		unsigned ready, tell;

		if (!left--)
			break; /* those that went to the end come again */
		ready = tell = item_ready(i);
		if (i->ev.events & EPOLLET)
			tell = ready & ~i->seen;
		i->seen = ready;
		if (!tell || n == max)
			continue;
		out[n++] = (struct epoll_event_k){ready, i->ev.data};
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
static int sleep_once(struct epoll *e, struct epoll_event_k *out, unsigned max, uint64_t deadline)
{
	unsigned version = e->version, room = e->count, nfiles = 0;
	struct multi m = {.w = kzalloc((room + 1) * sizeof(struct waiter))};
	struct file **files = kzalloc((room + 1) * sizeof(*files));
	int rc = m.w && files ? 0 : -ENOMEM;
	uint64_t flags;

	flags = spin_lock(&e->lock);
	LIST_EACH(l, &e->items)
	if (!rc && nfiles < room)
		files[nfiles++] = file_get(CONTAINER(l, struct epoll_item, link)->file);
	spin_unlock(&e->lock, flags);
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

static int64_t epoll_sleep(struct epoll *e, struct epoll_event_k *out, unsigned max,
			   uint64_t deadline)
{
	int rc;

	do
		rc = sleep_once(e, out, max, deadline);
	while (!rc);
	return rc == -ETIMEDOUT ? 0 : rc;
}

#define MAX_EVENTS 64

static int64_t do_epoll_wait(struct file *f, const uint64_t *a, uint64_t deadline)
{
	struct epoll_event_k out[MAX_EVENTS];
	unsigned max = (unsigned)MIN(a[2], (uint64_t)MAX_EVENTS);
	int64_t n;

	if (f->ops != &epoll_ops || (int)a[2] <= 0)
		return -EINVAL;
	n = collect(f->data, out, max);
	if (!n && deadline)
		n = epoll_sleep(f->data, out, max, deadline);
	if (n > 0 && copy_to_user(a[1], out, (size_t)n * sizeof(out[0])))
		n = -EFAULT;
	return n;
}

static uint64_t ms_deadline(int ms)
{
	return ms < 0 ? NEVER : ms ? now_ns() + (uint64_t)ms * 1000000 : 0;
}

int64_t sys_epoll_wait(struct file *f, const uint64_t *a)
{
	return do_epoll_wait(f, a, ms_deadline((int)a[3]));
}

int64_t sys_epoll_pwait(struct file *f, const uint64_t *a)
{
	int64_t rc = swap_mask(a[4]);

	if (rc)
		return rc;
	rc = do_epoll_wait(f, a, ms_deadline((int)a[3]));
	restore_mask(a[4]);
	return rc;
}

int64_t sys_epoll_pwait2(struct file *f, const uint64_t *a)
{
	uint64_t deadline;
	int64_t rc = deadline_of(a[3], &deadline);

	rc = rc ? rc : swap_mask(a[4]);
	if (rc)
		return rc;
	rc = do_epoll_wait(f, a, deadline);
	restore_mask(a[4]);
	return rc;
}
