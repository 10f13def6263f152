/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, with Linux's numbers and frames (asm/signal.h, asm/sigcontext.h, asm/ucontext.h of
 * x86-64). */
#ifndef KERNEL_SYS_SIGNAL_H
#define KERNEL_SYS_SIGNAL_H

#include "kernel/sys/process.h"

enum {
	SIGHUP = 1,
	SIGINT = 2,
	SIGQUIT = 3,
	SIGILL = 4,
	SIGTRAP = 5,
	SIGABRT = 6,
	SIGBUS = 7,
	SIGFPE = 8,
	SIGKILL = 9,
	SIGUSR1 = 10,
	SIGSEGV = 11,
	SIGPIPE = 13,
	SIGALRM = 14,
	SIGTERM = 15,
	SIGCHLD = 17,
	SIGCONT = 18,
	SIGSTOP = 19,
	SIGTSTP = 20,
	SIGTTIN = 21,
	SIGTTOU = 22,
	SIGURG = 23,
	SIGWINCH = 28,
};

#define SIGBIT(n) (1UL << ((n)-1))

/* An exception of the current thread's program. */
void signal_fault(struct regs *r, int signo, uint64_t addr);
/* To a process (any thread takes it) or to one thread. */
void signal_process(struct process *p, int signo);
void signal_thread(struct thread *t, int signo);
void signal_group(int pgid, int signo);

/* Something for the thread to do before it goes on in user mode. */
bool signal_pending(const struct thread *t);
/* Builds the frame of a handler, or ends the process. */
void signal_deliver(struct regs *r);
/* Takes one pending signal of `mask` for signalfd: its number, 0 if there is none. */
int signal_take(uint64_t mask);

#endif
