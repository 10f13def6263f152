/* SPDX-License-Identifier: Apache-2.0 */
/* baton console: joins this terminal to a VM's serial port. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "manager/vm.h"

#define DETACH_KEY 0x1d /* Ctrl-] */

/* Path of the socket; *lock keeps other terminals away until it is closed. */
static int find_socket(const char *name, char path[108], int *lock, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = vm_console(m, name, path, e);
	if (!rc)
		rc = vm_console_lock(m, name, lock, e);
	manager_close(m);
	return rc;
}

static int dial(const char *path, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	memcpy(a.sun_path, path, strnlen(path, sizeof(a.sun_path) - 1));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		int code = -errno;

		close(fd);
		return err_set(e, code, "%s: %s", path, strerror(-code));
	}
	return fd;
}

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return true;
}

enum moved {
	MOVED,
	ENDED,
	STOPPED
};

/* Moves what is there from one to the other, up to the byte `stop_at` (0: none). */
static enum moved move(int from, int to, char stop_at)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));
	char *stop;

	if (n < 0 && errno == EINTR)
		return MOVED;
	if (n <= 0)
		return ENDED;
	stop = stop_at ? memchr(buf, stop_at, (size_t)n) : NULL;
	if (!write_all(to, buf, stop ? (size_t)(stop - buf) : (size_t)n))
		return ENDED;
	return stop ? STOPPED : MOVED;
}

static void pump(int fd)
{
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	for (;;) {
		enum moved typed = MOVED;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents && move(fd, STDOUT_FILENO, 0) != MOVED)
			return;
		if (p[0].revents)
			typed = move(STDIN_FILENO, fd, DETACH_KEY);
		if (typed == STOPPED || (typed == ENDED && isatty(STDIN_FILENO)))
			return;
		if (typed == ENDED)
			p[0].fd = -1; /* a script's input has ended: only the output goes on */
	}
}

static void join(int fd, const char *name)
{
	struct termios old, raw;
	bool terminal = !tcgetattr(STDIN_FILENO, &old);

	if (terminal) {
		fprintf(stderr, "baton: joined to %s; Ctrl-] leaves\n", name);
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	pump(fd);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
}

int cli_join_console(const char *name, struct err *e)
{
	char path[108];
	int fd, lock;

	if (find_socket(name, path, &lock, e))
		return e->code;
	fd = dial(path, e);
	if (fd >= 0) {
		join(fd, name);
		close(fd);
	}
	close(lock);
	return fd < 0 ? fd : CLI_OK;
}

static int console(void *context, char **operands, struct err *e)
{
	(void)context;
	return cli_join_console(operands[0], e);
}

const struct cli_verb cli_console = {
	.name = "console",
	.operands = "NAME",
	.help = "join this terminal to a virtual machine's serial port",
	.example = "baton console web",
	.min = 1,
	.max = 1,
	.run = console,
};
