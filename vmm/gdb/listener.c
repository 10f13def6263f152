/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backend/unixsocket.h"

static int listen_tcp(uint16_t port, int *fd, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return err_set(e, -errno, "gdb: %s", strerror(errno));
	setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(*fd, (struct sockaddr *)&a, sizeof(a)) && !listen(*fd, 1))
		return 0;
	err_set(e, -errno, "gdb: port %u of 127.0.0.1: %s", port, strerror(errno));
	close(*fd);
	*fd = -1;
	return e->code;
}

int gdb_listen(const struct gdb_address *a, int *fd, struct err *e)
{
	if (!*a->path)
		return listen_tcp(a->port, fd, e);
	return unix_listen(a->path, 1, fd, e) ? err_prefix(e, "gdb") : 0;
}

bool gdb_is_listener(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) && yes;
}
