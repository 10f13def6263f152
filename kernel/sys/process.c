/* SPDX-License-Identifier: Apache-2.0 */
/* Birth and death of processes. */
#include "kernel/sys/process.h"

#include <linux/wait.h>

#include "kernel/cpu/fpu.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/cgroup.h"
#include "kernel/sys/futex.h"
#include "kernel/sys/landlock.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/vfs.h"

struct list processes;
struct spinlock processes_lock;

struct process *process_find(int pid)
{
	return LIST_FIND(struct process, p, &processes, link, p->pid == pid);
}

static struct process *process_alloc(void)
{
	struct process *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	sched_group_init(&p->own);
	p->group = &p->own;
	p->umask = 022;
	p->started_ns = now_ns();
	return p;
}

/* From here on others find it and may end it: it may be gone when this returns. */
static void start_thread(struct process *p, struct thread *t)
{
	SPIN_GUARD(&p->lock);

	t->group = p->group;
	list_add_tail(&p->threads, &t->proc_link);
	p->nthreads++;
	thread_wake(t);
}

/* Changed with processes_lock held. Who asks for room does not take it: processors that fork at
 * once may go beyond the limit by one each. */
static unsigned nprocesses;

static void enter_process(struct process *p, int pid)
{
	SPIN_GUARD(&processes_lock);

	nprocesses++;
	p->pid = pid;
	list_add_tail(&processes, &p->link);
}

void program_put(struct program *p)
{
	if (p && !__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		kfree(p);
}

static void free_parts(struct process *p)
{
	files_free(p, p->files);
	node_put(p->cwd);
	node_put(p->cgroup);
	space_put(p->space);
	program_put(p->program);
	domain_put(p->domain);
}

/* ---- clone ----------------------------------------------------------------------------------- */

static int copy_process(struct process *from, const struct clone_args *c, struct process **out)
{
	bool full = __atomic_load_n(&nprocesses, __ATOMIC_RELAXED) >= MAX_PROCESSES;
	struct process *p = full ? NULL : process_alloc();

	if (!p)
		return full ? -EAGAIN : -ENOMEM;
	p->ppid = from->pid;
	p->pgid = from->pgid;
	p->sid = from->sid;
	p->umask = from->umask;
	p->own.shares = from->own.shares;
	LOCKED(&from->lock)
		memcpy(p->action, from->action, sizeof(p->action));
	p->domain = domain_get(from->domain);
	p->cwd = cwd_get();
	LOCKED(&processes_lock) {
		cgroup_join(p, from->cgroup);
		p->program = from->program;
		__atomic_fetch_add(&p->program->refs, 1, __ATOMIC_RELAXED);
	}
	if (c->flags & CLONE_VM) {
		space_get(from->space);
		p->space = from->space;
	} else {
		p->space = space_copy(from->space);
	}
	p->files = files_copy(from->files);
	if (!p->space || !p->files) {
		free_parts(p);
		kfree(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

/* The new thread begins where the old one returns to, with 0. */
static struct thread *copy_thread(struct process *p, const struct clone_args *c)
{
	struct thread *me = current_thread(), *t;
	struct regs regs = *me->regs;

	regs.rax = 0;
	regs.vector = 0;
	if (c->stack)
		regs.rsp = c->stack;
	t = thread_new(p, &regs);
	if (!t)
		return NULL;
	fpu_save(t->fpu);
	t->fs_base = c->flags & CLONE_SETTLS ? c->tls : rdmsr(MSR_FS_BASE);
	t->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	t->sig_blocked = me->sig_blocked;
	memcpy(t->name, me->name, sizeof(t->name));
	if (c->flags & CLONE_CHILD_CLEARTID)
		t->clear_tid = c->child_tid;
	if (!(c->flags & CLONE_VM)) {
		t->altstack = me->altstack;
		t->altstack_size = me->altstack_size;
		t->altstack_flags = me->altstack_flags;
	}
	return t;
}

/* The child has a program of its own or none, or the parent shall end. */
static bool vfork_over(struct process *me, int pid)
{
	uint64_t signals = me->sig_pending | current_thread()->sig_pending;
	SPIN_GUARD(&processes_lock);
	struct process *child = process_find(pid);

	return !child || child->vfork_parent != me || me->exiting || signals & SIGBIT(SIGKILL);
}

static int64_t do_clone(const struct clone_args *c)
{
	struct process *me = current_process(), *p = me;
	int tid, rc;
	struct thread *t;

	if (c->flags & CLONE_SETTLS && c->tls >= USER_END)
		return -EPERM;
	if (landlock_is_full())
		return -EAGAIN;
	if (!(c->flags & CLONE_THREAD)) {
		rc = copy_process(me, c, &p);
		if (rc)
			return rc;
	} else if (!(c->flags & CLONE_VM) || me->nthreads >= MAX_THREADS) {
		return c->flags & CLONE_VM ? -EAGAIN : -EINVAL;
	}
	t = copy_thread(p, c);
	if (!t) {
		if (p != me) {
			free_parts(p);
			kfree(p);
		}
		return -ENOMEM;
	}
	tid = t->tid;
	if (c->flags & CLONE_PARENT_SETTID)
		copy_to_user(c->parent_tid, &tid, 4);
	if (c->flags & CLONE_CHILD_SETTID && c->flags & CLONE_VM)
		copy_to_user(c->child_tid, &tid, 4);
	if (p != me) {
		p->vfork_parent = c->flags & CLONE_VFORK ? me : NULL;
		enter_process(p, tid);
	}
	start_thread(p, t);
	if (c->flags & CLONE_VFORK)
		WAIT_DEAF(&me->child_wait, NEVER, vfork_over(me, tid));
	return tid;
}

int64_t sys_clone(const uint64_t *a)
{
	struct clone_args c = {
		.flags = a[0], .stack = a[1], .parent_tid = a[2], .child_tid = a[3], .tls = a[4]};

	return do_clone(&c);
}

int64_t sys_clone3(const uint64_t *a)
{
	struct clone_args args;

	if (a[1] < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (copy_from_user(&args, a[0], CLONE_ARGS_SIZE_VER0))
		return -EFAULT;
	args.stack += args.stack ? args.stack_size : 0;
	return do_clone(&args);
}

/* ---- the end --------------------------------------------------------------------------------- */

void process_release_vfork(struct process *p)
{
	struct process *parent = p->vfork_parent;

	if (!parent)
		return;
	p->vfork_parent = NULL;
	waitq_wake(&parent->child_wait, ~0u);
}

/* The last thread is leaving: give everything back but what wait4() asks for. */
static void become_zombie(struct process *p)
{
	struct process *parent, *init;
	struct files *files = p->files;
	struct space *space = p->space;

	LOCKED(&processes_lock) { /* for who looks into /proc */
		p->files = NULL;
		p->space = NULL;
	}
	files_free(p, files);
	space_load(NULL);
	space_put(space);
	node_put(p->cwd);
	p->cwd = NULL;
	LOCKED(&processes_lock) {
		init = process_find(1);
		LIST_ITEMS(struct process, c, &processes, link) {
			if (c->ppid == p->pid)
				c->ppid = 1;
			if (c->vfork_parent == p)
				c->vfork_parent = NULL;
		}
		cgroup_join(p, NULL);
		p->zombie = true;
		parent = process_find(p->ppid);
		parent = parent ? parent : init;
		process_release_vfork(p);
		if (parent) {
			signal_process(parent, SIGCHLD);
			waitq_wake(&parent->child_wait, ~0u);
		}
		if (init && init != parent)
			waitq_wake(&init->child_wait, ~0u);
	}
	if (p == init)
		panic("the first program has ended, status %04x", (unsigned)p->status);
}

_Noreturn void process_exit_thread(int code)
{
	struct thread *t = current_thread();
	struct process *p = t->proc;
	uint32_t zero = 0;
	bool last;

	if (t->clear_tid) {
		copy_to_user(t->clear_tid, &zero, 4);
		futex_wake_address(t->clear_tid, 1);
	}
	/* Once there are fewer threads the last one may end the process and wait4() free it: its
	 * group and page table are left before. */
	LOCKED(&p->lock) {
		list_del(&t->proc_link);
		sched_move(t, sched_kernel_group());
		last = p->nthreads == 1;
		if (!last) {
			space_load(NULL);
			t->proc = NULL;
		} else if (!p->exiting) {
			p->status = code << 8;
		}
		p->nthreads--;
	}
	if (last)
		become_zombie(p);
	t->proc = NULL;
	thread_exit();
}

_Noreturn void process_exit(int status)
{
	struct process *p = current_process();

	LOCKED(&p->lock) {
		if (!p->exiting || p->survivor) {
			p->exiting = true;
			p->survivor = NULL;
			p->status = status;
		}
		LIST_ITEMS(struct thread, t, &p->threads, proc_link)
			thread_kick(t);
	}
	process_exit_thread(0);
}

int64_t sys_exit(const uint64_t *a)
{
	process_exit_thread((int)a[0] & 0xff);
}

int64_t sys_exit_group(const uint64_t *a)
{
	process_exit((int)(a[0] & 0xff) << 8);
}

/* ---- wait ------------------------------------------------------------------------------------ */

static bool matches(const struct process *me, const struct process *c, int pid)
{
	if (c->ppid != me->pid)
		return false;
	return pid == -1 || (pid > 0 && c->pid == pid) || (pid == 0 && c->pgid == me->pgid) ||
	       (pid < -1 && c->pgid == -pid);
}

/* A child that has ended, taken out of the list; *any tells whether there is a child at all. */
static struct process *reap(struct process *me, int pid, bool *any)
{
	struct process *found = NULL;
	SPIN_GUARD(&processes_lock);

	*any = false;
	LIST_ITEMS(struct process, c, &processes, link) {
		if (!matches(me, c, pid))
			continue;
		*any = true;
		if (c->zombie && !found)
			found = c;
	}
	if (found) {
		list_del(&found->link);
		nprocesses--;
	}
	return found;
}

int64_t sys_wait4(const uint64_t *a)
{
	struct process *me = current_process(), *child = NULL;
	bool any = true;
	int rc = 0, pid;

	child = reap(me, (int)a[0], &any);
	if (!child && any && !(a[2] & WNOHANG))
		rc = WAIT_FOR(&me->child_wait, NEVER, (child = reap(me, (int)a[0], &any)) || !any);
	if (!child)
		return rc ? RESTARTABLE(rc) : any ? 0 : -ECHILD;
	pid = child->pid;
	if (a[1] && copy_to_user(a[1], &child->status, 4))
		rc = -EFAULT;
	program_put(child->program);
	domain_put(child->domain);
	kfree(child);
	return rc ? rc : pid;
}

/* ---- the first program ----------------------------------------------------------------------- */

void process_start_init(char *path)
{
	struct process *p = must(process_alloc(), "the first program");
	struct regs regs = {.cs = SEL_UCODE, .ss = SEL_UDATA, .rflags = RFLAGS_IF | 2};
	struct thread *t;

	p->space = must(space_new(), "its memory");
	p->files = must(files_new(), "its files");
	p->cwd = node_get(root_node);
	p->pgid = p->sid = 1;
	t = must(thread_new(p, &regs), "the first thread");
	t->tid = 1;
	enter_process(p, 1);
	thread_begin_with(t, (void (*)(void *))process_run_init, path);
	start_thread(p, t);
}

/* ---- identities ------------------------------------------------------------------------------ */

#define TELLS(name, value)                    \
	int64_t sys_##name(const uint64_t *a) \
	{                                     \
		return value;                 \
	}
TELLS(getpid, current_process()->pid)
TELLS(getppid, current_process()->ppid)
TELLS(gettid, current_thread()->tid)
/* The kernel knows one user: who may start VMs may do everything else in its own address space. */
TELLS(getuid, 0)

int64_t sys_set_tid_address(const uint64_t *a)
{
	current_thread()->clear_tid = a[0];
	return current_thread()->tid;
}

static struct process *target(int pid)
{
	return pid ? process_find(pid) : current_process();
}

/* ---- shares of the CPUs ---------------------------------------------------------------------- */

/* Nice values -20 to 19: each step is a quarter more or less CPU time than its neighbour's. */
static const unsigned shares_of_nice[40] = {
	88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
	9548,  7620,  6100,  4904,  3906,  3121,  2501,  1991,  1586,  1277,
	1024,  820,   655,   526,   423,   335,   272,   215,   172,   137,
	110,   87,    70,    56,    45,    36,    29,    23,    18,    15,
};

static int nice_of(unsigned shares)
{
	int i = 0;

	while (i < 39 && shares_of_nice[i] > shares)
		i++;
	return i - 20;
}

/* (which, who, nice); only PRIO_PROCESS, which is a VM here. */
int64_t sys_setpriority(const uint64_t *a)
{
	int nice = MAX(-20, MIN((int)a[2], 19));
	SPIN_GUARD(&processes_lock);
	struct process *p = a[0] ? NULL : target((int)a[1]);

	if (p)
		sched_set_shares(&p->own, shares_of_nice[nice + 20]);
	return p ? 0 : a[0] ? -EINVAL : -ESRCH;
}

/* As the system call gives it: 20 - nice. */
int64_t sys_getpriority(const uint64_t *a)
{
	SPIN_GUARD(&processes_lock);
	struct process *p = a[0] ? NULL : target((int)a[1]);
	int nice = p ? nice_of(p->own.shares) : 0;

	return p ? 20 - nice : a[0] ? -EINVAL : -ESRCH;
}

int64_t sys_setpgid(const uint64_t *a)
{
	SPIN_GUARD(&processes_lock);
	struct process *p = target((int)a[0]);

	if (p)
		p->pgid = a[1] ? (int)a[1] : p->pid;
	return p ? 0 : -ESRCH;
}

#define TELLS_OF(name, field)                          \
	int64_t sys_##name(const uint64_t *a)          \
	{                                              \
		SPIN_GUARD(&processes_lock);           \
		struct process *p = target((int)a[0]); \
                                                       \
		return p ? p->field : -ESRCH;          \
	}
TELLS_OF(getpgid, pgid)
TELLS_OF(getsid, sid)

int64_t sys_setsid(const uint64_t *a)
{
	struct process *p = current_process();

	p->sid = p->pgid = p->pid;
	return p->pid;
}
