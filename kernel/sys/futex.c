/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/futex.h"

#include <linux/futex.h>

#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/file.h"
#include "kernel/sys/time.h"

#define BUCKETS 256

struct key {
	uint64_t a, b; /* space and address, or 0 and the physical address */
};

struct futex_waiter {
	struct list link;
	struct key key;
	uint32_t bits;
	struct thread *thread;
	bool woken;
};

static struct {
	struct spinlock lock;
	struct list waiters;
} bucket[BUCKETS];

static unsigned hash(struct key k)
{
	return (unsigned)((k.a >> 6 ^ k.b >> 2 ^ k.b >> 12) * 0x9e3779b97f4a7c15UL >> 56);
}

static int make_key(uint64_t addr, bool private, struct key *k)
{
	struct space *s = current_process()->space;
	uint64_t page;
	unsigned order;

	if (addr % 4)
		return -EINVAL;
	*k = (struct key){(uint64_t)s, addr};
	if (private)
		return 0;
	LOCKED(&s->lock)
		page = space_page_locked(s, addr & PAGE_MASK, false, &order);
	*k = (struct key){0, page | (addr & ~PAGE_MASK)};
	return page ? 0 : -EFAULT;
}

static bool same(struct key x, struct key y)
{
	return x.a == y.a && x.b == y.b;
}

static unsigned wake(struct key k, unsigned n, uint32_t bits)
{
	unsigned b = hash(k), woken = 0;
	SPIN_GUARD(&bucket[b].lock);

	LIST_ITEMS_SAFE(struct futex_waiter, w, &bucket[b].waiters, link) {
		struct thread *t = w->thread;

		if (woken == n)
			break;
		if (!same(w->key, k) || !(w->bits & bits))
			continue;
		list_del(&w->link);
		__atomic_store_n(&w->woken, true, __ATOMIC_RELEASE);
		thread_wake(t);
		woken++;
	}
	return woken;
}

unsigned futex_wake_address(uint64_t addr, unsigned n)
{
	struct key k;

	return make_key(addr, false, &k) ? 0 : wake(k, n, ~0u);
}

/* Enters the list, then compares: a wake-up between the two is not lost. */
static int64_t wait(struct key k, uint64_t addr, uint32_t want, uint32_t bits, uint64_t deadline)
{
	unsigned b = hash(k);
	struct futex_waiter w = {.key = k, .bits = bits, .thread = current_thread()};
	uint32_t have;
	int rc = 0;

	LOCKED(&bucket[b].lock)
		list_add_tail(&bucket[b].waiters, &w.link);
	if (copy_from_user(&have, addr, 4))
		rc = -EFAULT;
	else if (have != want)
		rc = -EAGAIN;
	__atomic_store_n(&w.thread->state, THREAD_WAITING, __ATOMIC_SEQ_CST);
	while (!rc && !__atomic_load_n(&w.woken, __ATOMIC_ACQUIRE))
		rc = wait_sleep(deadline);
	__atomic_store_n(&w.thread->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
	LOCKED(&bucket[b].lock) {
		if (w.woken)
			rc = 0;
		else
			list_del(&w.link);
	}
	return deadline == NEVER ? RESTARTABLE(rc) : rc;
}

static int read_deadline(uint64_t ts_addr, bool absolute, bool realtime, uint64_t *deadline)
{
	int rc = ts_addr ? timespec_from_user(ts_addr, deadline) : 0;
	uint64_t base = absolute ? 0 : now_ns(), offset = realtime ? wall_offset_ns() : 0;

	if (!ts_addr)
		*deadline = NEVER;
	else if (!rc)
		*deadline = base + *deadline - MIN(*deadline, absolute ? offset : 0);
	return rc;
}

/* futex(addr, op, value, timeout or value2, addr2, value3) */
int64_t sys_futex(const uint64_t *a)
{
	unsigned op = (unsigned)a[1] & FUTEX_CMD_MASK;
	bool private = a[1] & FUTEX_PRIVATE_FLAG;
	struct key k;
	uint64_t deadline;
	int rc = make_key(a[0], private, &k);

	if (rc)
		return rc;
	switch (op) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		rc = read_deadline(a[3], op == FUTEX_WAIT_BITSET, a[1] & FUTEX_CLOCK_REALTIME,
				   &deadline);
		return rc ? rc
			  : wait(k, a[0], (uint32_t)a[2], op == FUTEX_WAIT ? ~0u : (uint32_t)a[5],
				 deadline);
	case FUTEX_WAKE:
		return wake(k, (unsigned)a[2], ~0u);
	case FUTEX_WAKE_BITSET:
		return wake(k, (unsigned)a[2], (uint32_t)a[5]);
	case FUTEX_REQUEUE:
		/* Who would move to another lock's list is woken: it finds the lock taken, waits.
		 */
		return wake(k, (uint32_t)a[2] + (uint32_t)a[3], ~0u);
	}
	return -ENOSYS;
}
