/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sched/sched.h"
#include "kernel/sys/signal.h"

unsigned waitq_wake(struct waitq *q, unsigned n)
{
	SPIN_GUARD(&q->lock);
	unsigned woken = 0;

	q->wakes++;
	LIST_ITEMS(struct waiter, w, &q->waiters, link) {
		if (woken == n)
			break;
		w->woken = true;
		thread_wake(w->thread);
		woken++;
	}
	return woken;
}

/* From here on a wake-up is not lost, even before the thread sleeps. */
void wait_begin(struct waiter *w, struct waitq *q)
{
	w->thread = current_thread();
	w->queue = q;
	w->woken = false;
	LOCKED(&q->lock)
		list_add_tail(&q->waiters, &w->link);
	__atomic_store_n(&w->thread->state, THREAD_WAITING, __ATOMIC_SEQ_CST);
}

int wait_sleep(uint64_t deadline)
{
	return signal_pending(current_thread()) ? -EINTR : wait_deaf(deadline);
}

int wait_deaf(uint64_t deadline)
{
	struct thread *t = current_thread();

	t->timed_out = deadline <= now_ns();
	if (!t->timed_out) {
		if (deadline != NEVER)
			timer_start(&t->timeout, deadline);
		schedule();
		if (deadline != NEVER) /* or it would end the next wait */
			timer_end(&t->timeout);
	}
	/* For the next look at the condition. */
	__atomic_store_n(&t->state, THREAD_WAITING, __ATOMIC_SEQ_CST);
	return t->timed_out ? -ETIMEDOUT : 0;
}

void wait_end(struct waiter *w)
{
	LOCKED(&w->queue->lock)
		list_del(&w->link);
	__atomic_store_n(&w->thread->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
}
