/* SPDX-License-Identifier: Apache-2.0 */
/* The server's listening socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/backend/unixsocket.h"
#include "vmm/backend/vnc/internal.h"

#define BACKLOG 8

union address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static socklen_t fill(union address *a, const struct vnc_config *c)
{
	const char *host = strcmp(c->host, "localhost") ? c->host : "127.0.0.1";

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &a->four.sin_addr) == 1) {
		a->four.sin_family = AF_INET;
		a->four.sin_port = htons(c->port);
		return sizeof(a->four);
	}
	inet_pton(AF_INET6, host, &a->six.sin6_addr);
	a->six.sin6_family = AF_INET6;
	a->six.sin6_port = htons(c->port);
	return sizeof(a->six);
}

/* With the port that the kernel chose, if it was to choose. */
static void note_address(struct vnc *v)
{
	char host[INET6_ADDRSTRLEN];
	union address a;
	socklen_t n = sizeof(a);

	getsockname(v->listener, &a.any, &n);
	if (a.any.sa_family == AF_INET)
		snprintf(v->address, sizeof(v->address), "%s:%u",
			 inet_ntop(AF_INET, &a.four.sin_addr, host, sizeof(host)),
			 ntohs(a.four.sin_port));
	else
		snprintf(v->address, sizeof(v->address), "[%s]:%u",
			 inet_ntop(AF_INET6, &a.six.sin6_addr, host, sizeof(host)),
			 ntohs(a.six.sin6_port));
}

static int listen_tcp(struct vnc *v, const struct vnc_config *c, struct err *e)
{
	union address a;
	socklen_t n = fill(&a, c);
	int one = 1;

	v->listener = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listener >= 0)
		setsockopt(v->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (v->listener < 0 || bind(v->listener, &a.any, n) || listen(v->listener, BACKLOG))
		return err_set(e, -errno, "cannot listen on %s, port %u: %s", c->host, c->port,
			       strerror(errno));
	note_address(v);
	return 0;
}

static int listen_unix(struct vnc *v, const char *path, struct err *e)
{
	int rc = unix_listen(path, BACKLOG, &v->listener, e);

	if (rc)
		return rc;
	v->unix_path = strdup(path);
	snprintf(v->address, sizeof(v->address), "unix:%s", path);
	return v->unix_path ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int vnc_listen(struct vnc *v, const struct vnc_config *c, struct err *e)
{
	if (c->unix_path)
		return listen_unix(v, c->unix_path, e);
	if (c->host)
		return listen_tcp(v, c, e);
	return err_set(e, -EINVAL, "no address; write vnc=unix:PATH or vnc=127.0.0.1:5900");
}
