/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sched/sched.h"

#include "kernel/cpu/apic.h"
#include "kernel/cpu/entry.h"
#include "kernel/cpu/fpu.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/pagetable.h"
#include "kernel/mm/space.h"
#include "kernel/sys/process.h"

#define SLICE_NS 4000000UL /* a thread's turn while others wait */
#define SLEEPER  8000000UL /* a group that slept is at most this far ahead of the others */

static struct spinlock lock;
static struct list groups;
static uint64_t min_vtime;
static struct sched_group kernel_group;

static struct thread *first_thread(struct sched_group *g)
{
	return CONTAINER(g->runnable.next, struct thread, run_link);
}

void sched_group_init(struct sched_group *g)
{
	memset(g, 0, sizeof(*g));
	g->shares = SHARES_DEFAULT;
	g->vtime = min_vtime;
}

/* ---- accounting; lock held ------------------------------------------------------------------- */

static bool throttled(struct sched_group *g, uint64_t now)
{
	uint64_t window = now / WINDOW_NS;

	if (!g->cap_ns)
		return false;
	if (g->window != window) {
		/* What was used too much is taken from the next windows. */
		uint64_t allowed = g->cap_ns * (window - g->window);

		g->window_ns = g->window_ns > allowed ? g->window_ns - allowed : 0;
		g->window = window;
	}
	return g->window_ns >= g->cap_ns;
}

static void account(struct thread *t, uint64_t now)
{
	struct sched_group *g = t->group;
	uint64_t ran = now - t->since;

	t->since = now;
	t->cpu_ns += ran;
	if (!g)
		return;
	if (t->proc)
		t->proc->used_ns += ran;
	g->used_ns += ran;
	g->window_ns += g->cap_ns ? ran : 0;
	g->vtime += ran * SHARES_DEFAULT / g->shares;
}

void sched_set_shares(struct sched_group *g, unsigned shares)
{
	SPIN_GUARD(&lock);

	g->shares = shares;
}

void sched_set_cap(struct sched_group *g, uint64_t cap_ns)
{
	SPIN_GUARD(&lock);

	g->cap_ns = cap_ns;
	g->window = now_ns() / WINDOW_NS;
	g->window_ns = 0;
}

void sched_account(void)
{
	SPIN_GUARD(&lock);

	account(current_thread(), now_ns());
}

uint64_t sched_idle_ns(uint64_t *now)
{
	SPIN_GUARD(&lock);
	uint64_t ns = 0;

	*now = now_ns();
	for (unsigned i = 0; i < ncpus; i++) {
		const struct thread *t = cpus[i].idle;

		ns += t->cpu_ns + (cpus[i].current == t ? *now - t->since : 0);
	}
	return ns;
}

/* ---- the queue; lock held -------------------------------------------------------------------- */

static void enqueue(struct thread *t, uint64_t now)
{
	struct sched_group *g = t->group;

	t->state = THREAD_READY;
	t->since = now;
	if (list_empty(&g->runnable)) {
		list_add_tail(&groups, &g->link);
		if (!g->running && g->vtime + SLEEPER < min_vtime)
			g->vtime = min_vtime - SLEEPER;
	}
	list_add_tail(&g->runnable, &t->run_link);
}

static void dequeue(struct thread *t)
{
	list_del(&t->run_link);
	if (list_empty(&t->group->runnable))
		list_del(&t->group->link);
}

static struct thread *pick(uint64_t now)
{
	struct sched_group *best = NULL;
	struct thread *t;

	LIST_ITEMS(struct sched_group, g, &groups, link) {
		if (!throttled(g, now) && (!best || g->vtime < best->vtime))
			best = g;
	}
	if (!best)
		return NULL;
	t = first_thread(best);
	dequeue(t);
	min_vtime = MAX(min_vtime, best->vtime);
	return t;
}

/* When this CPU has to look again: others wait, or a cap is nearly used up. */
static uint64_t next_look(const struct thread *t, uint64_t now)
{
	const struct sched_group *g = t->group;
	uint64_t next = !g && list_empty(&groups) ? NEVER : now + SLICE_NS;

	if (g && g->cap_ns) {
		uint64_t left = g->cap_ns - MIN(g->window_ns, g->cap_ns);

		next = MIN(next, now + MAX(left / MAX(g->running, 1u), 100000UL));
	}
	if (!g && next != NEVER) /* idle, and only throttled groups wait */
		next = (now / WINDOW_NS + 1) * WINDOW_NS;
	return next;
}

/* An idle CPU takes it, or the one whose group is furthest ahead of the woken group. */
static void find_cpu(const struct thread *t)
{
	struct cpu *victim = NULL;
	uint64_t worst = t->group->vtime + SLICE_NS / 2;

	for (unsigned i = 0; i < ncpus; i++) {
		struct cpu *c = &cpus[(t->cpu + i) % ncpus];
		struct thread *cur = c->current;

		if (!c->online || c->need_resched)
			continue;
		if (cur == c->idle) {
			victim = c;
			break;
		}
		if (cur->group && cur->group->vtime > worst) {
			worst = cur->group->vtime;
			victim = c;
		}
	}
	if (!victim)
		return;
	victim->need_resched = true;
	if (victim != this_cpu())
		apic_send(victim->apic_id, VECTOR_RESCHED);
}

/* ---- switching ------------------------------------------------------------------------------- */

static void leave(struct thread *t)
{
	if (!t->fpu)
		return;
	fpu_save(t->fpu);
	t->fs_base = rdmsr(MSR_FS_BASE);
	t->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

static void enter(struct thread *t)
{
	struct cpu *c = this_cpu();

	c->kernel_rsp = c->tss.rsp[0] = t->stack_top;
	if (!t->fpu) { /* it must not keep the page table of a process that may end */
		if (c->space)
			space_load(NULL);
		return;
	}
	if (c->space != t->proc->space)
		space_load(t->proc->space);
	fpu_load(t->fpu);
	wrmsr(MSR_FS_BASE, t->fs_base);
	wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
}

/* First thing on the new stack: the lock that schedule() took on the old one. */
void schedule_tail(void)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->previous;
	bool dead = prev->state == THREAD_DEAD;

	enter(c->current);
	__atomic_store_n(&prev->on_cpu, false, __ATOMIC_RELEASE);
	spin_unlock(&lock, 0); /* interrupts stay off until the thread turns them on */
	if (dead)
		thread_free(prev);
}

void schedule(void)
{
	uint64_t flags = spin_lock(&lock), now = now_ns();
	struct cpu *c = this_cpu();
	struct thread *prev = c->current, *next;

	c->need_resched = false;
	account(prev, now);
	if (prev->group)
		prev->group->running--;
	if (prev->state == THREAD_RUNNING && prev != c->idle)
		enqueue(prev, now);
	next = pick(now);
	if (!next)
		next = c->idle;
	next->state = THREAD_RUNNING;
	next->since = now;
	next->cpu = c->index;
	if (next->group)
		next->group->running++;
	timer_set_slice(next_look(next, now));
	if (next == prev) {
		spin_unlock(&lock, flags);
		return;
	}
	next->on_cpu = true;
	leave(prev);
	c->previous = prev;
	c->current = next;
	switch_stacks(&prev->rsp, next->rsp);
	schedule_tail();
	irq_restore(flags);
}

void thread_wake(struct thread *t)
{
	SPIN_GUARD(&lock);

	if (t->state == THREAD_WAITING) {
		if (t->on_cpu) { /* it is about to sleep; schedule() will see that it should not */
			t->state = THREAD_RUNNING;
		} else {
			enqueue(t, now_ns());
			find_cpu(t);
		}
	}
}

void thread_kick(struct thread *t)
{
	thread_wake(t);
	if (t->on_cpu && t != current_thread())
		apic_send(cpus[t->cpu].apic_id, VECTOR_KICK);
}

/* ---- idle ------------------------------------------------------------------------------------ */

static void idle(struct cpu *c)
{
	for (;;) {
		__asm__ volatile("cli");
		if (c->need_resched || !list_empty(&groups)) {
			schedule();
			if (c->need_resched)
				continue;
		}
		__asm__ volatile("sti; hlt");
	}
}

static struct thread *idle_thread(unsigned cpu)
{
	struct thread *t = must(kzalloc(sizeof(*t)), "an idle thread");

	t->stack_top = (uint64_t)must((void *)kstack_alloc(), "its stack");
	t->state = THREAD_RUNNING;
	t->on_cpu = true;
	t->cpu = cpu;
	snprintf(t->name, sizeof(t->name), "idle/%u", cpu);
	return t;
}

void sched_init_cpu(struct cpu *c)
{
	timer_init_cpu(c->index);
	c->idle = c->current = idle_thread(c->index);
	c->kernel_rsp = c->idle->stack_top;
}

_Noreturn void sched_run_idle(struct cpu *c)
{
	c->idle->since = now_ns();
	idle(c);
	__builtin_unreachable();
}

void sched_init(void)
{
	sched_group_init(&kernel_group);
}

void sched_move(struct thread *t, struct sched_group *g)
{
	SPIN_GUARD(&lock);
	uint64_t now = now_ns();
	bool ready = t->state == THREAD_READY;

	if (ready)
		dequeue(t);
	if (t->on_cpu) {
		account(t, now);
		t->group->running--;
		g->running++;
	}
	t->group = g;
	if (ready)
		enqueue(t, now);
}

struct sched_group *sched_kernel_group(void)
{
	return &kernel_group;
}
