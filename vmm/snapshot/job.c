/* SPDX-License-Identifier: Apache-2.0 */
/* The child process that writes an image, and the pipe through which it tells how far it is. */
#include "vmm/snapshot/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_NS 100000000ull

/* One write to the pipe; shorter than PIPE_BUF, so it comes in one piece. */
struct report {
	uint64_t done, total;
	bool finished;
	struct err err; /* why it failed, when finished */
};

struct job {
	struct loop *loop;
	struct job_ops ops;
	void *opaque;
	pid_t child;
	int pipe;
	struct state_file file; /* the child's; here for removing it */
};

/* ---- the child ------------------------------------------------------------------------------ */

struct child {
	int pipe;
	uint64_t last_ns;
};

static void report(const struct child *c, const struct report *r)
{
	/* A full pipe loses a report of progress; the last one waits. */
	while (write(c->pipe, r, sizeof(*r)) < 0 && errno == EINTR)
		;
}

static void child_progress(void *opaque, uint64_t done, uint64_t total)
{
	struct child *c = opaque;
	struct report r = {.done = done, .total = total};
	uint64_t now = loop_now();

	if (now - c->last_ns < PROGRESS_NS && done < total)
		return;
	c->last_ns = now;
	report(c, &r);
}

/* Keeps the pipe and the file: neither locks nor sockets of the VM may outlive it in here. */
static void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	if (low > 3)
		close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

static _Noreturn void child_main(struct job *j, const struct image *i, int pipe, pid_t parent)
{
	struct child c = {.pipe = pipe};
	struct report r = {.finished = true};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "baton-save");
	if (getppid() != parent)
		_exit(1);
	close_others(pipe, j->file.fd);
	signal(SIGPIPE, SIG_IGN);
	if (!image_write(i, state_file_write, &j->file, child_progress, &c, &r.err))
		state_file_commit(&j->file, &r.err);
	else
		state_file_close(&j->file);
	report(&c, &r);
	_exit(0);
}

/* ---- the machine's side --------------------------------------------------------------------- */

static void forget(struct job *j)
{
	loop_unwatch(j->loop, j->pipe);
	close(j->pipe);
	while (waitpid(j->child, NULL, 0) < 0 && errno == EINTR)
		;
	free(j->file.path);
	free(j->file.temporary);
	free(j);
}

static void finished(struct job *j, const struct err *e)
{
	void (*done)(void *, const struct err *) = j->ops.done;
	void *opaque = j->opaque;

	forget(j);
	done(opaque, e);
}

static void died(struct job *j)
{
	struct err e;

	unlink(j->file.temporary);
	err_set(&e, -EIO, "the process that wrote %s was killed (is memory short?)", j->file.path);
	finished(j, &e);
}

static void reported(void *opaque, uint32_t events)
{
	struct job *j = opaque;
	struct report r;
	ssize_t n = read(j->pipe, &r, sizeof(r));

	(void)events;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n != (ssize_t)sizeof(r))
		died(j);
	else if (r.finished)
		finished(j, &r.err);
	else
		j->ops.progress(j->opaque, r.done, r.total);
}

static int start_child(struct job *j, const struct image *i, struct err *e)
{
	pid_t self = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return err_set(e, -errno, "pipe: %s", strerror(errno));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	j->child = fork();
	if (!j->child)
		child_main(j, i, ends[1], self);
	close(ends[1]);
	j->pipe = ends[0];
	if (j->child > 0)
		return 0;
	close(ends[0]);
	return err_set(e, -errno,
		       "the host has no memory for a second process of this size (%s); stop the VM "
		       "for the snapshot, or allow overcommit",
		       strerror(errno));
}

int job_start(struct job **out, struct loop *loop, const struct image *i, struct state_file *file,
	      const struct job_ops *ops, void *opaque, struct err *e)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return err_set(e, -ENOMEM, "out of memory");
	j->loop = loop;
	j->ops = *ops;
	j->opaque = opaque;
	j->file = *file;
	if (start_child(j, i, e)) {
		free(j);
		return e->code;
	}
	/* From here on the file is the child's. */
	close(j->file.fd);
	j->file.fd = -1;
	*file = (struct state_file){.fd = -1};
	if (loop_watch(loop, j->pipe, EPOLLIN, reported, j)) {
		err_set(e, -ENOMEM, "out of memory");
		job_cancel(j);
		return e->code;
	}
	*out = j;
	return 0;
}

void job_cancel(struct job *j)
{
	kill(j->child, SIGKILL);
	unlink(j->file.temporary);
	forget(j);
}
