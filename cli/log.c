/* SPDX-License-Identifier: Apache-2.0 */
/* baton log: what a VM's process wrote. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "manager/vm.h"

#define FOLLOW_POLL_MS 200

struct log_context {
	bool follow;
};

static int copy_rest(int fd, const char *path, struct err *e)
{
	char buf[8192];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	fflush(stdout);
	return n < 0 ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : 0;
}

/* Whether it runs is asked first: what it writes at its end is then printed, too. */
static int follow(struct manager *m, const char *name, int fd, const char *path, struct err *e)
{
	const struct timespec poll = {.tv_nsec = FOLLOW_POLL_MS * 1000000};
	bool alive;
	int rc;

	do {
		alive = manager_alive(m, name);
		rc = copy_rest(fd, path, e);
		if (alive && !rc)
			nanosleep(&poll, NULL);
	} while (alive && !rc);
	return rc;
}

static int print_log(struct manager *m, const char *name, bool follows, struct err *e)
{
	char path[512], resolved[64];
	int fd, rc;

	if (vm_resolve(m, name, resolved, e) || vm_file(m, resolved, "log", path, e))
		return e->code;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, -ENOENT,
			       "%s has no log: it has not been started by `baton start`", resolved);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	rc = follows ? follow(m, resolved, fd, path, e) : copy_rest(fd, path, e);
	close(fd);
	return rc;
}

static int run(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = print_log(m, operands[0], ((struct log_context *)context)->follow, e);
	manager_close(m);
	return rc;
}

static const struct cli_option options[] = {
	{.name = "follow",
	 .letter = 'f',
	 .help = "go on while the virtual machine runs",
	 .flag = offsetof(struct log_context, follow)},
	CLI_END,
};

const struct cli_verb cli_log = {
	.name = "log",
	.operands = "NAME",
	.help = "print what a virtual machine's process said",
	.example = "baton log web --follow",
	.min = 1,
	.max = 1,
	.options = options,
	.context_size = sizeof(struct log_context),
	.run = run,
};
