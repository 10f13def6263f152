/* SPDX-License-Identifier: Apache-2.0 */
/* Listening on Unix sockets. */
#include "vmm/backend/unixsocket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int remove_stale(const struct sockaddr_un *addr, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (lstat(addr->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "%s exists and is no socket", addr->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? errno : 0;
	close(fd);
	if (rc != ECONNREFUSED)
		return err_set(e, -EADDRINUSE, "%s is in use by another process", addr->sun_path);
	unlink(addr->sun_path);
	return 0;
}

int unix_listen(const char *path, int backlog, int *fd, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket's path is longer than %zu bytes",
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	rc = remove_stale(&addr, e);
	if (rc)
		return rc;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	/* The mode set before bind() is the socket file's: no moment in which others may connect.
	 */
	fchmod(*fd, 0600);
	if (bind(*fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(*fd, backlog)) {
		rc = err_set(e, -errno, "cannot listen on %s: %s", path, strerror(errno));
		close(*fd);
		*fd = -1;
		return rc;
	}
	return 0;
}
