/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM needs at its start: files, its own executable, and passt for its network. */
#include "manager/manager.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files ---------------------------------------------------------------------------------- */

static int check_file(const char *what, const char *path, int mode, struct err *e)
{
	if (path && access(path, mode))
		return err_set(e, -errno, "%s %s: %s", what, path, strerror(errno));
	return 0;
}

static int check_module(const char *text, struct err *e)
{
	char *path = strndup(text, strcspn(text, " "));
	int rc = path ? check_file("module", path, R_OK, e) : err_set(e, -ENOMEM, "out of memory");

	free(path);
	return rc;
}

int manager_check_files(const struct spec *s, struct err *e)
{
	int rc = check_file("kernel", s->kernel, R_OK, e);

	if (!rc)
		rc = check_file("initrd", s->initrd, R_OK, e);
	if (!rc)
		rc = check_file("firmware", spec_firmware_is_file(s) ? s->firmware : NULL, R_OK, e);
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = check_module(s->modules[i], e);
	for (unsigned i = 0; i < s->ndisks && !rc; i++)
		rc = check_file("disk", s->disks[i].path, s->disks[i].readonly ? R_OK : R_OK | W_OK,
				e);
	return rc;
}

/* ---- baton-vmm ------------------------------------------------------------------------------ */

static const char *const places[] = {"baton-vmm", "../libexec/baton/baton-vmm",
				     "../lib/baton/baton-vmm"};

int manager_find_vmm(char **path, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(e, -errno, "/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (asprintf(path, "%s/%s", self, places[i]) < 0)
			return err_set(e, -ENOMEM, "out of memory");
		if (!access(*path, X_OK))
			return 0;
		free(*path);
		*path = NULL;
	}
	return err_set(
		e, -ENOENT,
		"baton-vmm is neither in %s nor in its ../libexec/baton; is Baton installed?",
		self);
}

/* ---- passt ---------------------------------------------------------------------------------- */

#define PASST_MAX_ARGS (8 + 2 * SPEC_MAX_FORWARDS)

struct passt_args {
	char *argv[PASST_MAX_ARGS + 1];
	unsigned n;
	char fd[12], port[SPEC_MAX_FORWARDS][16];
};

static void add_forward(struct passt_args *a, const char *text, unsigned i)
{
	snprintf(a->port[i], sizeof(a->port[i]), "%s", text + 4);
	a->argv[a->n++] = *text == 't' ? "-t" : "-u";
	a->argv[a->n++] = a->port[i];
}

static void fill_args(struct passt_args *a, const struct spec_net *n, int fd)
{
	a->n = 0;
	snprintf(a->fd, sizeof(a->fd), "%d", fd);
	a->argv[a->n++] = "passt";
	a->argv[a->n++] = "--quiet";
	a->argv[a->n++] = "--fd";
	a->argv[a->n++] = a->fd;
	for (unsigned i = 0; i < n->nforwards; i++)
		add_forward(a, n->forwards[i], i);
	a->argv[a->n] = NULL;
}

/* In the child: only standard streams and the socket go along, so that no lock stays held. */
static void become_passt(const struct spec_net *n, int fd, int messages)
{
	struct passt_args a;

	dup2(messages, STDERR_FILENO);
	dup2(messages, STDOUT_FILENO);
	if (fd != 3) {
		dup2(fd, 3);
		fd = 3;
	}
	closefrom(fd + 1);
	fill_args(&a, n, fd);
	execvp("passt", a.argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* The last line that says something; without a system log passt complains after each message. */
static void last_message(int messages, char *out, size_t size)
{
	char text[4096], *rest = text, *line;
	ssize_t n = pread(messages, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	snprintf(out, size, "no message");
	while ((line = strsep(&rest, "\n")))
		if (*line && !strstr(line, "to syslog"))
			snprintf(out, size, "%s", line);
}

/* passt goes into the background by itself once it is ready: its first process ends then. */
static int wait_ready(pid_t pid, int messages, struct err *e)
{
	char why[200];
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "passt: %s", strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(
			e, -ENOENT,
			"--net user needs passt: install the package passt, or use --net none");
	last_message(messages, why, sizeof(why));
	return err_set(e, -EIO, "--net user: passt did not start: %s", why);
}

static int run_passt(const struct spec_net *n, int fd, struct err *e)
{
	int messages = memfd_create("passt", MFD_CLOEXEC), rc;
	pid_t pid;

	if (messages < 0)
		return err_set(e, -errno, "passt: %s", strerror(errno));
	pid = fork();
	if (!pid)
		become_passt(n, fd, messages);
	rc = pid < 0 ? err_set(e, -errno, "passt: %s", strerror(errno))
		     : wait_ready(pid, messages, e);
	close(messages);
	return rc;
}

/*
 * passt drops frames that its socket does not take, and TCP then waits for a timeout. It enlarges
 * sockets that it accepts, but not one that it is given. The kernel takes what its limits allow.
 */
static void enlarge(int fd)
{
	int size = INT_MAX / 2;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

int manager_start_passt(const struct spec_net *n, int *fd, struct err *e)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_set(e, -errno, "passt: %s", strerror(errno));
	enlarge(pair[0]);
	enlarge(pair[1]);
	rc = run_passt(n, pair[1], e);
	close(pair[1]);
	if (!rc) {
		*fd = dup(pair[0]); /* without close-on-exec */
		if (*fd < 0)
			rc = err_set(e, -errno, "passt: %s", strerror(errno));
	}
	close(pair[0]);
	return rc;
}

int manager_start_nets(struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->nnets; i++)
		if (s->nets[i].fd < 0 && manager_start_passt(&s->nets[i], &s->nets[i].fd, e))
			return e->code;
	return 0;
}

void manager_close_nets(struct spec *s)
{
	for (unsigned i = 0; i < s->nnets; i++) {
		if (s->nets[i].fd >= 0)
			close(s->nets[i].fd);
		s->nets[i].fd = -1;
	}
}
