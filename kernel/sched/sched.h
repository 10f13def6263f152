/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads and who runs. The kernel itself is not preempted: a thread in it runs until it waits or
 * returns to user mode.
 *
 * CPU time is divided between groups (a process, that is a VM) by their shares, and inside a group
 * between its threads in turn. There is one run queue for all CPUs: with dozens of groups a look at
 * each is cheaper than to keep queues of several CPUs in balance, and shares hold exactly.
 */
#ifndef KERNEL_SCHED_SCHED_H
#define KERNEL_SCHED_SCHED_H

#include "kernel/cpu/cpu.h"
#include "kernel/lib/lib.h"
#include "kernel/sched/timer.h"

#define SHARES_DEFAULT 1024
#define WINDOW_NS      20000000UL /* in which a cap holds */

struct sched_group {
	struct list link;           /* of groups with runnable threads */
	struct list runnable;       /* threads, in turn */
	unsigned shares;            /* relative weight, 1 to 65536 */
	uint64_t cap_ns;            /* CPU time in a window; 0: no limit */
	uint64_t vtime;             /* CPU time in ns, times SHARES_DEFAULT, by shares */
	uint64_t used_ns;           /* since the group was made */
	uint64_t window, window_ns; /* number of the cap's window, and CPU time in it */
	unsigned running;           /* threads on CPUs */
};

void sched_group_init(struct sched_group *g);
/* From now on; what was used counts as before. */
void sched_set_shares(struct sched_group *g, unsigned shares);
void sched_set_cap(struct sched_group *g, uint64_t cap_ns);

enum thread_state {
	THREAD_READY,
	THREAD_RUNNING,
	THREAD_WAITING,
	THREAD_DEAD,
};

struct process;
struct hv_vcpu;

struct thread {
	uint64_t rsp; /* saved, while it does not run */
	uint64_t stack_top;
	struct process *proc;      /* NULL: a kernel thread */
	struct sched_group *group; /* NULL: an idle thread */
	struct list run_link, proc_link;
	enum thread_state state;
	bool on_cpu;
	unsigned cpu;
	uint64_t since; /* when it got its CPU or became ready */
	uint64_t cpu_ns;
	void *fpu; /* save area; NULL for kernel threads */
	uint64_t fs_base, gs_base;
	char name[16];
	int tid;

	struct waiter *waiting;
	struct ktimer timeout;
	bool timed_out;

	/* Signals: see sys/signal.c. */
	uint64_t sig_blocked, sig_pending, sig_saved;
	bool sig_restore; /* sig_saved replaces sig_blocked after the next delivery */
	struct siginfo_k {
		int signo, errno_, code;
		uint64_t addr;
		int pid;
		uint64_t value;
	} sig_info;
	uint64_t altstack, altstack_size;
	uint32_t altstack_flags;
	uint64_t clear_tid;
	struct regs *regs;    /* of the way in from user mode */
	struct hv_vcpu *vcpu; /* whose guest it runs now: a kick must leave it */
};

/* A kernel thread that runs fn(opaque). */
struct thread *kthread_start(const char *name, void (*fn)(void *), void *opaque);
/* A thread for user mode that begins with *regs; not yet runnable. */
struct thread *thread_new(struct process *p, const struct regs *regs);
/* Before its first run: it begins with fn(opaque) in the kernel, which must not return. */
void thread_begin_with(struct thread *t, void (*fn)(void *), void *opaque);
void thread_free(struct thread *t);
_Noreturn void thread_exit(void);
/* The thread counts as one of `g` from now on; its old group may end. */
void sched_move(struct thread *t, struct sched_group *g);

void sched_init(void);
void sched_init_cpu(struct cpu *c); /* makes the idle thread */
_Noreturn void sched_run_idle(struct cpu *c);

/* Of threads without a process. */
struct sched_group *sched_kernel_group(void);

/* Makes it runnable if it waits. From anywhere. */
void thread_wake(struct thread *t);
/* Gives the CPU away; the caller has set its own state, or is still RUNNING and goes to the end. */
void schedule(void);
/* In long loops, without locks: others have their turn when it is due. */
static inline void schedule_if_due(void)
{
	if (this_cpu()->need_resched)
		schedule();
}
/* Leave user mode or the guest soon: signals and requests are looked at. */
void thread_kick(struct thread *t);

/* Moves on the clock of the running thread and its group; for statistics that are exact now. */
void sched_account(void);
/* For how long all CPUs together had no thread to run, up to *now, which it tells. */
uint64_t sched_idle_ns(uint64_t *now);

/* ---- waiting --------------------------------------------------------------------------------- */

/* Zeros: nobody waits. */
struct waitq {
	struct spinlock lock;
	struct list waiters;
	unsigned wakes; /* calls of waitq_wake() so far */
};

struct waiter {
	struct list link;
	struct thread *thread;
	struct waitq *queue;
	bool woken;
};

/* Wakes up to n, in the order they came; returns how many. */
unsigned waitq_wake(struct waitq *q, unsigned n);

/*
 * To wait for a condition:
 *	wait_begin(&w, q);
 *	while (!condition) { rc = wait_sleep(deadline); if (rc) break; }
 *	wait_end(&w);
 * wait_sleep() returns 0 after a wake-up, -ETIMEDOUT, or -EINTR when a signal is there. The
 * condition must be looked at after wait_begin() and after each wait_sleep().
 */
void wait_begin(struct waiter *w, struct waitq *q);
int wait_sleep(uint64_t deadline);
int wait_deaf(uint64_t deadline); /* as wait_sleep(), but signals have to wait, too */
void wait_end(struct waiter *w);

#define WAIT_WITH(sleep, q, deadline, condition) \
	({                                       \
		struct waiter w_;                \
		int rc_ = 0;                     \
                                                 \
		wait_begin(&w_, (q));            \
		while (!(condition)) {           \
			rc_ = sleep(deadline);   \
			if (rc_)                 \
				break;           \
		}                                \
		wait_end(&w_);                   \
		rc_;                             \
	})
#define WAIT_FOR(q, deadline, condition)  WAIT_WITH(wait_sleep, q, deadline, condition)
#define WAIT_DEAF(q, deadline, condition) WAIT_WITH(wait_deaf, q, deadline, condition)

#endif
