/* SPDX-License-Identifier: Apache-2.0 */
/* Making threads and ending them. */
#include "kernel/cpu/entry.h"
#include "kernel/cpu/fpu.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/pagetable.h"
#include "kernel/sched/sched.h"
#include "kernel/sys/process.h"

static int next_tid = 1;

/* What switch_stacks() pops on the first switch to the thread. */
struct first_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, rip;
};

static void on_timeout(struct ktimer *timer)
{
	struct thread *t = CONTAINER(timer, struct thread, timeout);

	t->timed_out = true;
	thread_wake(t);
}

static struct thread *alloc_thread(void)
{
	struct thread *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->stack_top = kstack_alloc();
	if (!t->stack_top) {
		kfree(t);
		return NULL;
	}
	t->tid = __atomic_fetch_add(&next_tid, 1, __ATOMIC_RELAXED);
	t->state = THREAD_WAITING;
	t->timeout.fn = on_timeout;
	t->altstack_flags = 2; /* SS_DISABLE */
	return t;
}

static void push_frame(struct thread *t, uint64_t top, uint64_t rbx, uint64_t rbp)
{
	struct first_frame *f = (struct first_frame *)top - 1;

	*f = (struct first_frame){.rip = (uint64_t)thread_start, .rbx = rbx, .rbp = rbp};
	t->rsp = (uint64_t)f;
}

struct thread *kthread_start(const char *name, void (*fn)(void *), void *opaque)
{
	struct thread *t = alloc_thread();

	if (!t)
		return NULL;
	strlcpy(t->name, name, sizeof(t->name));
	t->group = sched_kernel_group();
	push_frame(t, t->stack_top - 8, (uint64_t)fn, (uint64_t)opaque);
	thread_wake(t);
	return t;
}

struct thread *thread_new(struct process *p, const struct regs *regs)
{
	struct thread *t = alloc_thread();
	struct regs *r;

	if (!t)
		return NULL;
	t->fpu = kzalloc(MAX(fpu_size(), 64UL));
	if (!t->fpu) {
		thread_free(t);
		return NULL;
	}
	fpu_init_area(t->fpu);
	t->proc = p;
	t->group = p->group;
	r = (struct regs *)t->stack_top - 1;
	*r = *regs;
	t->regs = r;
	push_frame(t, (uint64_t)r, 0, 0);
	return t;
}

void thread_begin_with(struct thread *t, void (*fn)(void *), void *opaque)
{
	push_frame(t, (uint64_t)t->regs - 8, (uint64_t)fn, (uint64_t)opaque);
}

void thread_free(struct thread *t)
{
	kstack_free(t->stack_top);
	kfree(t->fpu);
	kfree(t);
}

_Noreturn void thread_exit(void)
{
	struct thread *t = current_thread();

	irq_save();
	timer_end(&t->timeout);
	t->state = THREAD_DEAD;
	schedule();
	__builtin_unreachable();
}
