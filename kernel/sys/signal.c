/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/signal.h"

#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "kernel/cpu/fpu.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/landlock.h"

#define DEFAULT 0UL /* as handlers */
#define IGNORE  1UL

#define UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
/* By default nothing happens; there is no job control, so stops are among them. */
#define IGNORED                                                                                    \
	(SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGSTOP) | \
	 SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))

/* ---- sending --------------------------------------------------------------------------------- */

static bool is_ignored(struct process *p, int signo)
{
	uint64_t h = p->action[signo - 1].handler;

	return h == IGNORE || (h == DEFAULT && IGNORED & SIGBIT(signo));
}

void signal_thread(struct thread *t, int signo)
{
	if (is_ignored(t->proc, signo) && !(t->sig_blocked & SIGBIT(signo)))
		return;
	__atomic_fetch_or(&t->sig_pending, SIGBIT(signo), __ATOMIC_SEQ_CST);
	thread_kick(t);
	waitq_wake(&t->proc->signal_wait, ~0u);
}

void signal_process(struct process *p, int signo)
{
	struct thread *chosen = NULL;
	SPIN_GUARD(&p->lock);
	bool blocked = true;

	LIST_ITEMS(struct thread, t, &p->threads, proc_link) {
		if (!(t->sig_blocked & SIGBIT(signo))) {
			blocked = false;
			chosen = chosen ? chosen : t;
		}
	}
	if (blocked || !is_ignored(p, signo))
		__atomic_fetch_or(&p->sig_pending, SIGBIT(signo), __ATOMIC_SEQ_CST);
	if (chosen)
		thread_kick(chosen);
	waitq_wake(&p->signal_wait, ~0u);
}

void signal_group(int pgid, int signo)
{
	SPIN_GUARD(&processes_lock);

	LIST_ITEMS(struct process, p, &processes, link) {
		if (p->pgid == pgid && !p->zombie)
			signal_process(p, signo);
	}
}

bool signal_pending(const struct thread *t)
{
	const struct process *p = t->proc;

	if (!p)
		return false;
	return p->exiting || (t->sig_pending | p->sig_pending) & ~(t->sig_blocked & ~UNBLOCKABLE);
}

int signal_take(uint64_t mask)
{
	struct thread *t = current_thread();
	struct process *p = t->proc;
	SPIN_GUARD(&p->lock);
	uint64_t have = (t->sig_pending | p->sig_pending) & mask;
	int signo = have ? __builtin_ctzl(have) + 1 : 0;

	if (signo) {
		if (t->sig_pending & SIGBIT(signo))
			__atomic_fetch_and(&t->sig_pending, ~SIGBIT(signo), __ATOMIC_SEQ_CST);
		else
			__atomic_fetch_and(&p->sig_pending, ~SIGBIT(signo), __ATOMIC_SEQ_CST);
	}
	return signo;
}

/* ---- frames ---------------------------------------------------------------------------------- */

_Static_assert(offsetof(struct sigcontext, rsp) == offsetof(struct regs, vector) &&
		       offsetof(struct sigcontext, rcx) == offsetof(struct regs, rcx) &&
		       offsetof(struct sigcontext, rdi) == offsetof(struct regs, rdi),
	       "signal frames copy the general registers as one");

struct frame {
	uint64_t restorer;
	struct ucontext uc;
	siginfo_t info;
};

static int write_fpu(uint64_t to)
{
	struct thread *t = current_thread();
	uint32_t size = (uint32_t)fpu_size(), magic2 = FP_XSTATE_MAGIC2;
	struct _fpx_sw_bytes sw = {FP_XSTATE_MAGIC1, size + 4, fpu_features(), size, {0}};
	int rc;

	fpu_save(t->fpu);
	rc = copy_to_user(to, t->fpu, size);
	if (!rc && fpu_has_xsave()) {
		rc = copy_to_user(to + 464, &sw, sizeof(sw));
		rc = rc ? rc : copy_to_user(to + size, &magic2, 4);
	}
	return rc;
}

/* The registers of a context that both it and struct regs begin with. */
#define GENERAL offsetof(struct regs, vector)

static void fill_context(struct sigcontext *c, const struct regs *r, uint64_t fpstate)
{
	*c = (struct sigcontext){
		.rsp = r->rsp,
		.rip = r->rip,
		.eflags = r->rflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
		.err = r->error,
		.trapno = r->vector,
		.cr2 = current_thread()->sig_info.addr,
		.fpstate = (void *)fpstate,
	};
	memcpy(c, r, GENERAL);
}

static bool on_altstack(const struct thread *t, uint64_t rsp)
{
	return !(t->altstack_flags & SS_DISABLE) && rsp > t->altstack &&
	       rsp <= t->altstack + t->altstack_size;
}

static stack_t tell_altstack(const struct thread *t, uint64_t rsp)
{
	stack_t s;

	memset(&s, 0, sizeof(s)); /* it has a hole, and goes to user memory */
	s.ss_sp = (void *)t->altstack;
	s.ss_size = t->altstack_size;
	s.ss_flags = (int)t->altstack_flags | (on_altstack(t, rsp) ? SS_ONSTACK : 0);
	return s;
}

static int push_handler(struct regs *r, int signo, const struct sigaction_k *a)
{
	struct thread *t = current_thread();
	struct frame f = {.restorer = a->restorer};
	uint64_t sp = r->rsp - 128, fpstate; /* the red zone */
	int rc;

	if (a->flags & SA_ONSTACK && !(t->altstack_flags & SS_DISABLE) && !on_altstack(t, r->rsp))
		sp = t->altstack + t->altstack_size;
	fpstate = (sp - fpu_size() - 4) & ~63UL;
	sp = ((fpstate - sizeof(f)) & ~15UL) - 8;
	f.uc.uc_flags =
		UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (fpu_has_xsave() ? UC_FP_XSTATE : 0);
	f.uc.uc_stack = tell_altstack(t, r->rsp);
	fill_context(&f.uc.uc_mcontext, r, fpstate);
	f.uc.uc_sigmask = t->sig_restore ? t->sig_saved : t->sig_blocked;
	f.info.si_signo = signo;
	f.info.si_code = t->sig_info.signo == signo ? t->sig_info.code : 0;
	f.info.si_addr = t->sig_info.signo == signo ? (void *)t->sig_info.addr : NULL;
	rc = write_fpu(fpstate);
	rc = rc ? rc : copy_to_user(sp, &f, sizeof(f));
	if (rc)
		return rc;
	t->sig_restore = false;
	t->sig_info.signo = 0;
	t->sig_blocked |= a->mask | (a->flags & SA_NODEFER ? 0 : SIGBIT(signo));
	r->rip = a->handler;
	r->rsp = sp;
	r->rdi = (uint64_t)signo;
	r->rsi = sp + offsetof(struct frame, info);
	r->rdx = sp + offsetof(struct frame, uc);
	r->rax = 0;
	r->rflags &= ~(RFLAGS_DF | RFLAGS_TF);
	r->cs = SEL_UCODE;
	r->ss = SEL_UDATA;
	fpu_init_area(t->fpu);
	fpu_load(t->fpu);
	return 0;
}

/* A system call that the signal interrupted begins again, or tells EINTR. */
static bool interrupted(const struct regs *r)
{
	return r->vector == 0x100 && (int64_t)r->rax == -ERESTARTSYS;
}

static void settle_call(struct regs *r, const struct sigaction_k *a)
{
	if (!interrupted(r))
		return;
	if (a && a->handler > IGNORE && !(a->flags & SA_RESTART)) {
		r->rax = (uint64_t)-EINTR;
		return;
	}
	r->rax = r->error;
	r->rip -= 2;
}

bool signal_unsettled(const struct regs *r)
{
	return interrupted(r) || current_thread()->sig_restore;
}

void signal_deliver(struct regs *r)
{
	struct thread *t = current_thread();
	struct process *p = t->proc;
	struct sigaction_k a;
	int signo;

	if (p->exiting)
		process_exit_thread(0);
	do
		signo = signal_take(~(t->sig_blocked & ~UNBLOCKABLE));
	while (signo && is_ignored(p, signo));
	if (!signo) {
		settle_call(r, NULL);
		if (t->sig_restore)
			t->sig_blocked = t->sig_saved;
		t->sig_restore = false;
		return;
	}
	LOCKED(&p->lock) {
		a = p->action[signo - 1];
		if (a.flags & SA_RESETHAND)
			p->action[signo - 1].handler = DEFAULT;
	}
	if (a.handler == DEFAULT)
		process_exit(signo);
	settle_call(r, &a);
	if (push_handler(r, signo, &a))
		process_exit(SIGSEGV);
}

/* ---- faults ---------------------------------------------------------------------------------- */

void signal_fault(const struct regs *r, int signo, int code, uint64_t addr)
{
	struct thread *t = current_thread();
	struct sigaction_k *a = &t->proc->action[signo - 1];

	if (t->sig_blocked & SIGBIT(signo) || a->handler <= IGNORE) {
		klog("%s[%d]: signal %d%s at rip %lx, address %lx, error %lx", t->name, t->tid,
		     signo, signo == SIGBUS ? " (no memory left, or a file's end)" : "", r->rip,
		     addr, r->error);
		process_exit(signo);
	}
	t->sig_info = (struct siginfo_k){.signo = signo, .code = code, .addr = addr};
	__atomic_fetch_or(&t->sig_pending, SIGBIT(signo), __ATOMIC_SEQ_CST);
}

/* ---- system calls ---------------------------------------------------------------------------- */

int64_t sys_rt_sigreturn(const uint64_t *arg)
{
	struct thread *t = current_thread();
	struct regs *r = t->regs;
	struct frame f;
	struct sigcontext *c = &f.uc.uc_mcontext;

	/* The handler's RET has taken the restorer's address off. */
	if (copy_from_user(&f, r->rsp - 8, sizeof(f)) ||
	    (c->fpstate && copy_from_user(t->fpu, (uint64_t)c->fpstate, fpu_size())))
		process_exit(SIGSEGV);
	fpu_sanitize(t->fpu);
	fpu_load(t->fpu);
	t->sig_blocked = f.uc.uc_sigmask & ~UNBLOCKABLE;
	memcpy(r, c, GENERAL);
	r->rsp = c->rsp;
	r->rip = c->rip;
	r->rflags = (c->eflags & RFLAGS_USER) | RFLAGS_IF | 2;
	r->cs = SEL_UCODE;
	r->ss = SEL_UDATA;
	r->vector = 0; /* no restart, and back by IRET */
	return (int64_t)c->rax;
}

int64_t sys_rt_sigaction(const uint64_t *arg)
{
	struct process *p = current_process();
	unsigned signo = (unsigned)arg[0];
	struct sigaction_k new, old;

	if (!signo || signo > SIGNALS || arg[3] != 8)
		return -EINVAL;
	if (arg[1] && (signo == SIGKILL || signo == SIGSTOP))
		return -EINVAL;
	if (arg[1] && copy_from_user(&new, arg[1], sizeof(new)))
		return -EFAULT;
	LOCKED(&p->lock) {
		old = p->action[signo - 1];
		if (arg[1]) {
			p->action[signo - 1] = new;
			p->action[signo - 1].mask &= ~UNBLOCKABLE;
		}
	}
	return arg[2] ? copy_to_user(arg[2], &old, sizeof(old)) : 0;
}

int64_t sys_rt_sigprocmask(const uint64_t *arg)
{
	struct thread *t = current_thread();
	uint64_t old = t->sig_blocked, set;

	if (arg[3] != 8)
		return -EINVAL;
	if (arg[1]) {
		if (copy_from_user(&set, arg[1], 8))
			return -EFAULT;
		set &= ~UNBLOCKABLE;
		if (arg[0] > 2)
			return -EINVAL;
		t->sig_blocked = arg[0] == 0 ? old | set : arg[0] == 1 ? old & ~set : set;
	}
	return arg[2] ? copy_to_user(arg[2], &old, 8) : 0;
}

int64_t sys_pause(const uint64_t *arg)
{
	return WAIT_FOR(&current_process()->signal_wait, NEVER, false);
}

int64_t sys_rt_sigsuspend(const uint64_t *arg)
{
	struct thread *t = current_thread();
	uint64_t set;

	if (copy_from_user(&set, arg[0], 8))
		return -EFAULT;
	t->sig_saved = t->sig_blocked;
	t->sig_blocked = set & ~UNBLOCKABLE;
	sys_pause(arg);
	t->sig_restore = true; /* the handler's return brings the old mask back */
	return -EINTR;
}

int64_t sys_sigaltstack(const uint64_t *arg)
{
	struct thread *t = current_thread();
	stack_t new, old = tell_altstack(t, t->regs->rsp);

	if (arg[0]) {
		if (copy_from_user(&new, arg[0], sizeof(new)))
			return -EFAULT;
		if (old.ss_flags & SS_ONSTACK)
			return -EPERM;
		if (!(new.ss_flags &SS_DISABLE) && new.ss_size < MINSIGSTKSZ)
			return -ENOMEM;
		t->altstack = (uint64_t) new.ss_sp;
		t->altstack_size = new.ss_size;
		t->altstack_flags = new.ss_flags &SS_DISABLE;
	}
	return arg[1] ? copy_to_user(arg[1], &old, sizeof(old)) : 0;
}

static struct thread *thread_of(struct process *p, int tid)
{
	return LIST_FIND(struct thread, t, &p->threads, proc_link, t->tid == tid);
}

int64_t sys_kill(const uint64_t *arg)
{
	int pid = (int)arg[0], signo = (int)arg[1], rc = -ESRCH;
	int group = pid < -1 ? -pid : pid ? 0 : current_process()->pgid;
	bool may;

	if (signo < 0 || signo > SIGNALS)
		return -EINVAL;
	SPIN_GUARD(&processes_lock);
	LIST_ITEMS(struct process, p, &processes, link) {
		if (group ? p->pgid != group : p->pid != pid)
			continue;
		may = landlock_covers(p);
		rc = may || !rc ? 0 : -EPERM;
		if (may && signo && !p->zombie)
			signal_process(p, signo);
	}
	return rc;
}

static bool signal_one(struct process *p, int tid, int signo)
{
	SPIN_GUARD(&p->lock);
	struct thread *t = thread_of(p, tid);

	if (t && signo)
		signal_thread(t, signo);
	return t;
}

int64_t sys_tgkill(const uint64_t *arg)
{
	int signo = (int)arg[2];
	SPIN_GUARD(&processes_lock);
	struct process *p = process_find((int)arg[0]);

	if (signo < 0 || signo > SIGNALS)
		return -EINVAL;
	if (p && !landlock_covers(p))
		return -EPERM;
	return p && signal_one(p, (int)arg[1], signo) ? 0 : -ESRCH;
}
