/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sorted list of timers for each CPU; its local APIC is set to the first of them, the slice's
 * end or its beat, whatever is first. At each beat a CPU looks whether another one's interrupt is
 * late: one that is lost would be waited for for ever.
 */
#include "kernel/sched/timer.h"

#include "kernel/cpu/apic.h"
#include "kernel/cpu/cpu.h"
#include "kernel/sched/sched.h"

#define BEAT_NS NSEC_PER_SEC

static struct {
	struct spinlock lock;
	struct list timers;
	struct ktimer *running; /* whose call is under way */
	uint64_t slice, beat;
	uint64_t due; /* what the hardware is set to */
} queue[MAX_CPUS];

static struct ktimer *to_timer(struct list *l)
{
	return CONTAINER(l, struct ktimer, link);
}

void timer_init_cpu(unsigned cpu)
{
	queue[cpu].slice = NEVER;
}

/* Sets this CPU's hardware; its queue's lock is held. */
static void program(unsigned cpu)
{
	uint64_t next = MIN(queue[cpu].slice, queue[cpu].beat);

	if (!list_empty(&queue[cpu].timers))
		next = MIN(next, to_timer(queue[cpu].timers.next)->deadline);
	queue[cpu].due = next;
	apic_timer(tsc_at(next));
}

static void wake_late(uint64_t now)
{
	for (unsigned i = 0; i < ncpus; i++) {
		if (queue[i].due + BEAT_NS < now)
			apic_send(cpus[i].apic_id, VECTOR_TIMER);
	}
}

static void unlink_timer(struct ktimer *t)
{
	SPIN_GUARD(&queue[t->cpu].lock);

	if (t->armed)
		list_del(&t->link);
	t->armed = false;
}

void timer_start(struct ktimer *t, uint64_t deadline)
{
	uint64_t irq = irq_save();
	unsigned cpu = this_cpu()->index;
	struct list *at;

	if (t->armed)
		unlink_timer(t);
	LOCKED(&queue[cpu].lock) {
		t->cpu = cpu;
		t->deadline = deadline;
		t->armed = true;
		at = list_first(&queue[cpu].timers);
		while (at != &queue[cpu].timers && to_timer(at)->deadline <= deadline)
			at = at->next;
		list_add_tail(at, &t->link);
		if (queue[cpu].timers.next == &t->link)
			program(cpu);
	}
	irq_restore(irq);
}

void timer_cancel(struct ktimer *t)
{
	if (__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE))
		unlink_timer(t);
}

static bool is_running(const struct ktimer *t)
{
	for (unsigned i = 0; i < ncpus; i++) {
		if (__atomic_load_n(&queue[i].running, __ATOMIC_ACQUIRE) == t)
			return true;
	}
	return false;
}

void timer_end(struct ktimer *t)
{
	do {
		timer_cancel(t);
		while (is_running(t))
			flush_poll();
	} while (__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE));
}

void timer_set_slice(uint64_t deadline)
{
	unsigned cpu = this_cpu()->index;
	SPIN_GUARD(&queue[cpu].lock);

	queue[cpu].slice = deadline;
	program(cpu);
}

void timer_interrupt(void)
{
	unsigned cpu = this_cpu()->index;
	uint64_t flags = spin_lock(&queue[cpu].lock), now = now_ns();

	this_cpu()->timer_ticks++;
	while (!list_empty(&queue[cpu].timers)) {
		struct ktimer *t = to_timer(queue[cpu].timers.next);

		if (t->deadline > now)
			break;
		list_del(&t->link);
		/* In this order: timer_end(), without the lock, must see one of the two. */
		__atomic_store_n(&queue[cpu].running, t, __ATOMIC_RELEASE);
		__atomic_store_n(&t->armed, false, __ATOMIC_RELEASE);
		spin_unlock(&queue[cpu].lock, flags);
		t->fn(t);
		__atomic_store_n(&queue[cpu].running, NULL, __ATOMIC_RELEASE);
		flags = spin_lock(&queue[cpu].lock);
	}
	if (queue[cpu].beat <= now) {
		queue[cpu].beat = now + BEAT_NS;
		wake_late(now);
	}
	if (queue[cpu].slice <= now) {
		queue[cpu].slice = NEVER;
		this_cpu()->need_resched = true;
	}
	program(cpu);
	spin_unlock(&queue[cpu].lock, flags);
}
