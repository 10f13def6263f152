/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, with Linux's numbers and frames (asm/signal.h, asm/sigcontext.h, asm/ucontext.h of
 * x86-64). */
#ifndef KERNEL_SYS_SIGNAL_H
#define KERNEL_SYS_SIGNAL_H

#include <linux/signal.h>

#include "kernel/sys/process.h"

#define SIGBIT(n) (1UL << ((n)-1))

/* An exception of the current thread's program; `code` as si_code tells it. */
void signal_fault(const struct regs *r, int signo, int code, uint64_t addr);
/* To a process (any thread takes it) or to one thread. */
void signal_process(struct process *p, int signo);
void signal_thread(struct thread *t, int signo);
void signal_group(int pgid, int signo);

/* Something for the thread to do before it goes on in user mode. */
bool signal_pending(const struct thread *t);
/* A system call ended for a signal that another thread has taken since: signal_deliver() settles
 * it. */
bool signal_unsettled(const struct regs *r);
/* Builds the frame of a handler, or ends the process. */
void signal_deliver(struct regs *r);
/* Takes one pending signal of `mask` for signalfd: its number, 0 if there is none. */
int signal_take(uint64_t mask);

#endif
