/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd, timerfd, signalfd: events as files. */
#include "kernel/sys/eventfds.h"

#include <linux/timerfd.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/time.h"

/* ---- eventfd --------------------------------------------------------------------------------- */

#define EFD_SEMAPHORE 1u

struct eventfd {
	struct spinlock lock;
	uint64_t count;
	bool semaphore;
	struct waitq queue;
};

static unsigned eventfd_poll(struct file *f)
{
	struct eventfd *e = f->data;

	return (e->count ? POLLIN : 0) | (e->count < UINT64_MAX - 1 ? POLLOUT : 0);
}

/* What read() of a counter gives: it must be 8 bytes, and is there when it is not 0. */
static int64_t give_count(uint64_t v, uint64_t buf)
{
	if (!v)
		return -EAGAIN;
	return copy_to_user(buf, &v, sizeof(v)) ? -EFAULT : (int64_t)sizeof(v);
}

static uint64_t take(struct eventfd *e)
{
	SPIN_GUARD(&e->lock);
	uint64_t v = e->count;

	if (v && e->semaphore)
		v = 1;
	e->count -= v;
	return v;
}

static int64_t eventfd_take(void *data, uint64_t buf, uint64_t n)
{
	struct eventfd *e = data;
	uint64_t v = n < sizeof(v) ? 0 : take(e);

	if (v)
		waitq_wake(&e->queue, ~0u);
	return n < sizeof(v) ? -EINVAL : give_count(v, buf);
}

static bool add(struct eventfd *e, uint64_t v)
{
	bool fits;

	LOCKED(&e->lock) {
		fits = v < UINT64_MAX - e->count;
		e->count += fits ? v : 0;
	}
	if (fits)
		waitq_wake(&e->queue, ~0u);
	return fits;
}

void eventfd_signal(struct file *f)
{
	add(f->data, 1);
}

static int64_t eventfd_write(struct file *f, uint64_t buf, uint64_t n, uint64_t *pos)
{
	struct eventfd *e = f->data;
	uint64_t v;
	int rc;

	if (n < 8 || copy_from_user(&v, buf, 8))
		return n < 8 ? -EINVAL : -EFAULT;
	if (v == UINT64_MAX)
		return -EINVAL;
	rc = FILE_WAIT_FOR(f, POLLOUT, add(e, v));
	return rc ? rc : 8;
}

static void eventfd_close(struct file *f)
{
	kfree(f->data);
}

static const struct file_ops eventfd_ops = {
	.name = "anon_inode:[eventfd]",
	.take = eventfd_take,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.waitq = offsetof(struct eventfd, queue),
	.close = eventfd_close,
};

bool file_is_eventfd(const struct file *f)
{
	return f->ops == &eventfd_ops;
}

int64_t sys_eventfd2(const uint64_t *a)
{
	struct eventfd *e = kzalloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->count = a[0] & 0xffffffff;
	e->semaphore = a[1] & EFD_SEMAPHORE;
	return fd_new(&eventfd_ops, (unsigned)a[1], e);
}

/* ---- timerfd --------------------------------------------------------------------------------- */

struct timerfd {
	struct spinlock lock;
	struct ktimer timer;
	bool realtime, expired;
	uint64_t next; /* the first expiry that nobody has read, NEVER: there is none to come */
	uint64_t interval;
	struct waitq queue;
};

static void timerfd_fire(struct ktimer *t)
{
	struct timerfd *d = CONTAINER(t, struct timerfd, timer);

	LOCKED(&d->lock)
		d->expired = d->next <= now_ns(); /* else it was set anew while this call began */
	waitq_wake(&d->queue, ~0u);
}

static unsigned timerfd_poll(struct file *f)
{
	return ((struct timerfd *)f->data)->expired ? POLLIN : 0;
}

/* The timer is set for the next one only now: however short the interval, it costs what is read. */
static uint64_t take_expirations(struct timerfd *d)
{
	SPIN_GUARD(&d->lock);
	uint64_t now = MAX(now_ns(), d->next), n;

	if (!d->expired)
		return 0;
	d->expired = false;
	n = d->interval ? (now - d->next) / d->interval + 1 : 1;
	d->next = d->interval ? d->next + n * d->interval : NEVER;
	if (d->interval)
		timer_start(&d->timer, d->next);
	return n;
}

static int64_t timerfd_take(void *data, uint64_t buf, uint64_t n)
{
	return n < sizeof(uint64_t) ? -EINVAL : give_count(take_expirations(data), buf);
}

static void timerfd_close(struct file *f)
{
	struct timerfd *d = f->data;

	timer_end(&d->timer);
	kfree(d);
}

static const struct file_ops timerfd_ops = {
	.name = "anon_inode:[timerfd]",
	.take = timerfd_take,
	.poll = timerfd_poll,
	.waitq = offsetof(struct timerfd, queue),
	.close = timerfd_close,
};

int64_t sys_timerfd_create(const uint64_t *a)
{
	struct timerfd *d = kzalloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->realtime = a[0] == 0;
	d->timer.fn = timerfd_fire;
	return fd_new(&timerfd_ops, (unsigned)a[1], d);
}

static int64_t timerfd_set(struct timerfd *d, unsigned how, const uint64_t spec[4])
{
	uint64_t value, interval;

	if (timespec_check(spec, &interval) || timespec_check(spec + 2, &value))
		return -EINVAL;
	SPIN_GUARD(&d->lock);
	timer_cancel(&d->timer);
	d->expired = false;
	d->interval = interval;
	if (value && how & TFD_TIMER_ABSTIME && d->realtime)
		value = value > wall_offset_ns() ? value - wall_offset_ns() : 1;
	else if (value && !(how & TFD_TIMER_ABSTIME))
		value += now_ns();
	d->next = value ? value : NEVER;
	if (value)
		timer_start(&d->timer, value);
	return 0;
}

int64_t sys_timerfd_settime(struct file *f, const uint64_t *a)
{
	uint64_t spec[4];

	if (f->ops != &timerfd_ops || a[3])
		return -EINVAL;
	if (copy_from_user(spec, a[2], sizeof(spec)))
		return -EFAULT;
	return timerfd_set(f->data, (unsigned)a[1], spec);
}

/* ---- signalfd -------------------------------------------------------------------------------- */

static unsigned signalfd_poll(struct file *f)
{
	struct thread *t = current_thread();

	return (t->sig_pending | t->proc->sig_pending) & (uint64_t)f->data ? POLLIN : 0;
}

static struct waitq *signalfd_queue(struct file *f)
{
	return &current_process()->signal_wait;
}

static int64_t signalfd_take(void *data, uint64_t buf, uint64_t n)
{
	uint32_t info[32] = {0};

	if (n < sizeof(info))
		return -EINVAL;
	info[0] = (uint32_t)signal_take((uint64_t)data);
	if (!info[0])
		return -EAGAIN;
	return copy_to_user(buf, info, sizeof(info)) ? -EFAULT : (int64_t)sizeof(info);
}

static const struct file_ops signalfd_ops = {
	.name = "anon_inode:[signalfd]",
	.take = signalfd_take,
	.poll = signalfd_poll,
	.queue = signalfd_queue,
};

int64_t sys_signalfd4(const uint64_t *a)
{
	struct file *f;
	uint64_t mask;

	if (a[2] != 8)
		return -EINVAL;
	if (copy_from_user(&mask, a[1], 8))
		return -EFAULT;
	if ((int)a[0] < 0)
		return fd_new(&signalfd_ops, (unsigned)a[3], (void *)mask);
	f = fd_get((int)a[0]);
	if (f && f->ops == &signalfd_ops)
		f->data = (void *)mask;
	file_put(f);
	return f ? (int64_t)a[0] : -EBADF;
}
