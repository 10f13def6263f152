/* SPDX-License-Identifier: Apache-2.0 */
/* User networks: passt, which shares the host's own network with a guest. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/net/net.h"

#define PASST_MAX_ARGS (8 + 2 * SPEC_MAX_FORWARDS)

struct passt_args {
	char *argv[PASST_MAX_ARGS + 1];
	unsigned n;
	char port[SPEC_MAX_FORWARDS][80];
};

/* "127.0.0.1/8080:80" */
static void add_forward(struct passt_args *a, const char *text, unsigned i)
{
	unsigned hostport = 0, guestport = 0;
	char host[64];

	spec_forward_parse(text, host, &hostport, &guestport);
	snprintf(a->port[i], sizeof(a->port[i]), "%s%s%u:%u", host, *host ? "/" : "", hostport,
		 guestport);
	a->argv[a->n++] = *text == 't' ? "-t" : "-u";
	a->argv[a->n++] = a->port[i];
}

static void fill_args(struct passt_args *a, const struct spec_net *n)
{
	a->n = 0;
	a->argv[a->n++] = "passt";
	a->argv[a->n++] = "--quiet";
	a->argv[a->n++] = "--fd";
	a->argv[a->n++] = NET_PASSED_FD_TEXT;
	for (unsigned i = 0; i < n->nforwards; i++)
		add_forward(a, n->forwards[i], i);
	a->argv[a->n] = NULL;
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

int net_start_passt(const struct spec_net *n, int *fd, struct err *e)
{
	struct passt_args a;
	int pair[2], rc;

	fill_args(&a, n);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_set(e, -errno, "passt: %s", strerror(errno));
	enlarge(pair[0]);
	enlarge(pair[1]);
	/* It goes into the background by itself once it is ready: its first process ends then. */
	rc = net_run(a.argv, NULL, pair[1], e);
	close(pair[1]);
	if (!rc) {
		*fd = dup(pair[0]); /* without close-on-exec */
		if (*fd < 0)
			rc = err_set(e, -errno, "passt: %s", strerror(errno));
	}
	close(pair[0]);
	return rc;
}
