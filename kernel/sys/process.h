/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: an address space, open files, signal handlers and threads. */
#ifndef KERNEL_SYS_PROCESS_H
#define KERNEL_SYS_PROCESS_H

#include <linux/sched.h>

#include "kernel/mm/space.h"
#include "kernel/sched/sched.h"

#define SIGNALS   64
#define MAX_FILES 1024
/* So that nobody takes all kernel stacks (see mm/pagetable.c); who ended and is not waited for
 * counts, too. */
#define MAX_PROCESSES 1024
#define MAX_THREADS   512 /* of a process */

#define PATH_MAX 1024
#define MAX_ARGS (128 * 1024) /* bytes of arguments and environment */

struct file;
struct node;
struct domain;

struct sigaction_k {
	uint64_t handler, flags, restorer, mask;
};

struct files {
	struct spinlock lock;
	struct file *file[MAX_FILES];
	uint64_t cloexec[MAX_FILES / 64];
};

/* What a process and its children became by execve(). */
struct program {
	uint32_t refs;
	char exe[PATH_MAX];
	size_t len;
	char cmdline[]; /* arguments, each with its NUL */
};
void program_put(struct program *p); /* NULL is allowed */

struct process {
	struct list link; /* of all processes */
	int pid, ppid, pgid, sid;
	struct space *space;
	struct files *files;
	struct node *cwd;
	struct domain *domain; /* see landlock.h; children have it, too */
	unsigned umask;
	struct sched_group own, *group; /* `group` may be a cgroup's */
	struct node *cgroup;            /* its directory, NULL: none */
	uint64_t used_ns;               /* of the CPUs' time */

	struct spinlock lock; /* guards the fields below */
	struct list threads;
	unsigned nthreads;
	struct sigaction_k action[SIGNALS];
	uint64_t sig_pending;          /* for any thread */
	bool exiting;                  /* exit_group() or a deadly signal: threads end */
	const struct thread *survivor; /* of them: it is in execve(), NULL: nobody */
	bool zombie;
	int status;                   /* as wait4() gives it */
	struct waitq child_wait;      /* a child ended */
	struct waitq signal_wait;     /* a signal came: signalfd */
	struct process *vfork_parent; /* waits in child_wait until exec or exit */

	struct program *program; /* guarded by processes_lock; NULL before the first execve() */
	uint64_t started_ns;
};

extern struct list processes;
extern struct spinlock processes_lock;
struct process *process_find(int pid); /* processes_lock held */

static inline struct process *current_process(void)
{
	return current_thread()->proc;
}

/* Starts the first program. `path` must stay. */
void process_start_init(char *path);

/* Ends all threads of the current process. `status` as wait4() gives it. */
_Noreturn void process_exit(int status);
/* Ends the calling thread only; the process with the last one. */
_Noreturn void process_exit_thread(int code);

/* After exec and exit: a vfork()ing parent goes on. processes_lock held. */
void process_release_vfork(struct process *p);
/* The first thread of the first process: becomes the program, or panics. */
_Noreturn void process_run_init(void *path);

/* Arguments and environment: texts one after the other, each with its NUL. */
struct exec_args {
	const char *args, *env;
	size_t args_len, env_len;
	unsigned argc, envc;
};

/* Replaces the current process' program; 0 or a negative errno (nothing has changed then). */
int process_exec(const char *path, const struct exec_args *args);

#endif
