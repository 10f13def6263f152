/* SPDX-License-Identifier: Apache-2.0 */
/* The main thread's event loop: epoll for descriptors, a heap and one timerfd for timers, an
 * eventfd for calls. */
#include "vmm/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define LOOP_MAX_FDS    128
#define LOOP_MAX_TIMERS 256
#define LOOP_BATCH      16

struct watch {
	int fd;              /* -1: free */
	unsigned generation; /* so that an event of an old watch is not given to a new one */
	loop_fd_fn *fn;
	void *opaque;
};

struct call {
	struct call *next;
	loop_fn *fn;
	void *opaque;
};

struct loop {
	int epoll, timer, wake;
	pthread_mutex_t *lock; /* the machine lock */
	struct watch watch[LOOP_MAX_FDS];
	struct loop_timer *heap[LOOP_MAX_TIMERS + 1]; /* heap[1] is the earliest */
	unsigned nheap;
	uint64_t armed_for; /* deadline the timerfd is set to, 0: none */
	pthread_mutex_t call_lock;
	struct call *calls, **calls_end;
	int stop_code;
	bool stopping;
};

uint64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int add_fd(struct loop *l, int fd, uint64_t data, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* epoll data of the loop's own descriptors; watches use generation << 32 | index. */
#define DATA_TIMER UINT64_MAX
#define DATA_WAKE  (UINT64_MAX - 1)

int loop_create(struct loop **out, pthread_mutex_t *lock, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, -ENOMEM, "event loop: out of memory");
	for (int i = 0; i < LOOP_MAX_FDS; i++)
		l->watch[i].fd = -1;
	l->lock = lock;
	l->calls_end = &l->calls;
	pthread_mutex_init(&l->call_lock, NULL);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll < 0 || l->timer < 0 || l->wake < 0 ||
	    add_fd(l, l->timer, DATA_TIMER, EPOLLIN) || add_fd(l, l->wake, DATA_WAKE, EPOLLIN)) {
		int code = -errno;

		loop_destroy(l);
		return err_set(e, code, "event loop: %s", strerror(-code));
	}
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	struct call *c;

	if (!l)
		return;
	while ((c = l->calls)) {
		l->calls = c->next;
		free(c);
	}
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->timer >= 0)
		close(l->timer);
	if (l->wake >= 0)
		close(l->wake);
	pthread_mutex_destroy(&l->call_lock);
	free(l);
}

static struct watch *find_watch(struct loop *l, int fd)
{
	for (int i = 0; i < LOOP_MAX_FDS; i++)
		if (l->watch[i].fd == fd)
			return &l->watch[i];
	return NULL;
}

int loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *opaque)
{
	struct watch *w = find_watch(l, fd);
	int op = w ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	struct epoll_event ev = {.events = events};

	if (!w)
		w = find_watch(l, -1);
	if (!w)
		return -ENOSPC;
	if (op == EPOLL_CTL_ADD)
		w->generation = (w->generation + 1) & 0x7fffffff;
	ev.data.u64 = (uint64_t)w->generation << 32 | (uint64_t)(w - l->watch);
	if (epoll_ctl(l->epoll, op, fd, &ev))
		return -errno;
	w->fd = fd;
	w->fn = fn;
	w->opaque = opaque;
	return 0;
}

void loop_unwatch(struct loop *l, int fd)
{
	struct watch *w = fd < 0 ? NULL : find_watch(l, fd);

	if (!w)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
	w->fd = -1;
}

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the loop wakes anyway. */
	if (write(l->wake, &one, sizeof(one)) < 0)
		return;
}

void loop_call(struct loop *l, loop_fn *fn, void *opaque)
{
	struct call *c = malloc(sizeof(*c));

	if (!c)
		return;
	*c = (struct call){NULL, fn, opaque};
	pthread_mutex_lock(&l->call_lock);
	*l->calls_end = c;
	l->calls_end = &c->next;
	pthread_mutex_unlock(&l->call_lock);
	wake(l);
}

static void run_calls(struct loop *l)
{
	struct call *c, *next;

	pthread_mutex_lock(&l->call_lock);
	c = l->calls;
	l->calls = NULL;
	l->calls_end = &l->calls;
	pthread_mutex_unlock(&l->call_lock);
	for (; c; c = next) {
		next = c->next;
		c->fn(c->opaque);
		free(c);
	}
}

static bool before(const struct loop *l, unsigned a, unsigned b)
{
	return l->heap[a]->deadline < l->heap[b]->deadline;
}

static void heap_swap(struct loop *l, unsigned a, unsigned b)
{
	struct loop_timer *t = l->heap[a];

	l->heap[a] = l->heap[b];
	l->heap[b] = t;
	l->heap[a]->heap_index = a;
	l->heap[b]->heap_index = b;
}

static void heap_fix(struct loop *l, unsigned i)
{
	for (; i > 1 && before(l, i, i / 2); i /= 2)
		heap_swap(l, i, i / 2);
	for (;;) {
		unsigned c = i * 2;

		if (c < l->nheap && before(l, c + 1, c))
			c++;
		if (c > l->nheap || !before(l, c, i))
			return;
		heap_swap(l, c, i);
		i = c;
	}
}

/* The timerfd is only moved forward in time: a later deadline lets it fire once in vain. */
static void arm(struct loop *l)
{
	uint64_t t = l->nheap ? l->heap[1]->deadline : 0;
	struct itimerspec its = {0};

	if (!t || (l->armed_for && l->armed_for <= t))
		return;
	l->armed_for = t;
	its.it_value.tv_sec = (time_t)(t / 1000000000);
	its.it_value.tv_nsec = (long)(t % 1000000000);
	timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &its, NULL);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline)
{
	t->deadline = deadline < INT64_MAX ? (deadline ? deadline : 1) : INT64_MAX;
	if (!t->heap_index) {
		if (l->nheap == LOOP_MAX_TIMERS)
			return;
		t->heap_index = ++l->nheap;
		l->heap[t->heap_index] = t;
	}
	heap_fix(l, t->heap_index);
	arm(l);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	unsigned i = t->heap_index;

	if (!i)
		return;
	if (i != l->nheap)
		heap_swap(l, i, l->nheap);
	l->nheap--;
	t->heap_index = 0;
	if (i <= l->nheap)
		heap_fix(l, i);
}

static void run_timers(struct loop *l)
{
	uint64_t expirations, now = loop_now();

	if (read(l->timer, &expirations, sizeof(expirations)) > 0)
		l->armed_for = 0;
	/* Timers that re-arm themselves for the past wait for the next round: no endless loop. */
	for (unsigned budget = l->nheap; budget && l->nheap && l->heap[1]->deadline <= now;
	     budget--) {
		struct loop_timer *t = l->heap[1];

		loop_timer_cancel(l, t);
		t->fn(t->opaque);
	}
	arm(l);
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
	uint64_t data = ev->data.u64, count;

	if (data == DATA_TIMER) {
		run_timers(l);
	} else if (data == DATA_WAKE) {
		if (read(l->wake, &count, sizeof(count)) > 0)
			run_calls(l);
	} else {
		struct watch *w = &l->watch[data & 0xffffffff];

		if (w->fd >= 0 && w->generation == data >> 32)
			w->fn(w->opaque, ev->events);
	}
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[LOOP_BATCH];

	while (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE)) {
		int n = epoll_wait(l->epoll, ev, LOOP_BATCH, -1);

		pthread_mutex_lock(l->lock);
		for (int i = 0; i < n; i++)
			dispatch(l, &ev[i]);
		pthread_mutex_unlock(l->lock);
	}
	return l->stop_code;
}

void loop_stop(struct loop *l, int code)
{
	l->stop_code = code;
	__atomic_store_n(&l->stopping, true, __ATOMIC_RELEASE);
	wake(l);
}
