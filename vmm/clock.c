/* SPDX-License-Identifier: Apache-2.0 */
/* VM time: the host's monotonic clock less the pauses, and timers that stand still in a pause. */
#include "vmm/clock.h"

#include <string.h>

void clock_init(struct vm_clock *c, struct loop *loop)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
}

uint64_t clock_now(const struct vm_clock *c)
{
	if (!__atomic_load_n(&c->running, __ATOMIC_ACQUIRE))
		return c->paused_at;
	return loop_now() - c->offset;
}

static uint64_t host_deadline(const struct vm_clock *c, uint64_t vm_time)
{
	uint64_t t;

	return __builtin_add_overflow(vm_time, c->offset, &t) ? UINT64_MAX : t;
}

void clock_pause(struct vm_clock *c)
{
	if (!c->running)
		return;
	c->paused_at = clock_now(c);
	__atomic_store_n(&c->running, false, __ATOMIC_RELEASE);
	for (struct clock_timer *t = c->armed; t; t = t->next)
		loop_timer_cancel(c->loop, &t->host);
}

void clock_resume(struct vm_clock *c)
{
	if (c->running)
		return;
	c->offset = loop_now() - c->paused_at;
	__atomic_store_n(&c->running, true, __ATOMIC_RELEASE);
	for (struct clock_timer *t = c->armed; t; t = t->next)
		loop_timer_set(c->loop, &t->host, host_deadline(c, t->deadline));
}

void clock_set(struct vm_clock *c, uint64_t now)
{
	c->paused_at = now;
}

static void unlink_timer(struct clock_timer *t)
{
	if (!t->is_armed)
		return;
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->is_armed = false;
}

static void timer_fired(void *opaque)
{
	struct clock_timer *t = opaque;

	unlink_timer(t);
	t->fn(t->opaque);
}

void clock_timer_init(struct clock_timer *t, struct vm_clock *c, loop_fn *fn, void *opaque)
{
	memset(t, 0, sizeof(*t));
	t->clock = c;
	t->fn = fn;
	t->opaque = opaque;
	t->host.fn = timer_fired;
	t->host.opaque = t;
}

void clock_timer_set(struct clock_timer *t, uint64_t deadline)
{
	struct vm_clock *c = t->clock;

	if (!t->is_armed) {
		t->next = c->armed;
		t->link = &c->armed;
		if (t->next)
			t->next->link = &t->next;
		c->armed = t;
		t->is_armed = true;
	}
	t->deadline = deadline;
	if (c->running)
		loop_timer_set(c->loop, &t->host, host_deadline(c, deadline));
}

void clock_timer_cancel(struct clock_timer *t)
{
	unlink_timer(t);
	loop_timer_cancel(t->clock->loop, &t->host);
}
