/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's listener and its one client. */
#include "vmm/gdb/server.h"

#include <netinet/in.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct gdb_server {
	struct gdb_target target;
	struct gdb_address address;
	struct loop *loop;
	struct gdb_session *session; /* NULL: no client */
	int listener, client;
	bool lost; /* the client could not be sent to */
};

/* ---- the client ----------------------------------------------------------------------------- */

/* Replies fit into a socket's buffer; a client that lets them pile up is dropped. */
static void send_bytes(void *opaque, const char *bytes, size_t len)
{
	struct gdb_server *g = opaque;

	if (g->client < 0 ||
	    send(g->client, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		g->lost = true;
}

static void let_go(struct gdb_server *g)
{
	enum gdb_action action[GDB_MAX_CPUS];

	for (unsigned i = 0; i < g->target.ncpus; i++)
		action[i] = GDB_RUN;
	g->target.resume(g->target.opaque, action, NULL, 0, -1);
}

static void drop_client(struct gdb_server *g)
{
	loop_unwatch(g->loop, g->client);
	close(g->client);
	g->client = -1;
	g->target.interrupt(g->target.opaque); /* INT3 is taken out of memory at rest */
	gdb_session_close(g->session);
	g->session = NULL;
	let_go(g);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct gdb_server *g = opaque;
	char buf[4096];
	ssize_t n = recv(g->client, buf, sizeof(buf), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		gdb_session_input(g->session, buf, (size_t)n);
	if (n <= 0 || g->lost)
		drop_client(g);
}

static int take_client(struct gdb_server *g, int fd)
{
	const int one = 1;
	struct err e;

	if (gdb_session_open(&g->session, &g->target, g->address.i386, send_bytes, g, &e))
		return e.code;
	if (loop_watch(g->loop, fd, EPOLLIN, client_ready, g)) {
		gdb_session_close(g->session);
		g->session = NULL;
		return -EIO;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* packets are short */
	g->client = fd;
	g->lost = false;
	g->target.interrupt(g->target.opaque);
	return 0;
}

static void client_arrived(void *opaque, uint32_t events)
{
	struct gdb_server *g = opaque;
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && (g->session || take_client(g, fd)))
		close(fd);
}

bool gdb_server_has_client(const struct gdb_server *g)
{
	return g->session != NULL;
}

bool gdb_server_stopped(struct gdb_server *g, unsigned cpu, const struct engine_stop *stop)
{
	if (!g->session) {
		let_go(g);
		return false;
	}
	gdb_stopped(g->session, cpu, stop);
	if (g->lost)
		drop_client(g);
	return true;
}

/* ---- life ----------------------------------------------------------------------------------- */

int gdb_server_open(struct gdb_server **out, const struct gdb_address *a, int listener,
		    const struct gdb_target *target, struct loop *loop, struct err *e)
{
	struct gdb_server *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, -ENOMEM, "no memory for the debugger");
	g->address = *a;
	g->loop = loop;
	g->listener = listener;
	g->client = -1;
	g->target = *target;
	if (loop_watch(loop, listener, EPOLLIN, client_arrived, g)) {
		free(g);
		return err_set(e, -EIO, "gdb: the socket to listen at cannot be watched");
	}
	*out = g;
	return 0;
}

void gdb_server_close(struct gdb_server *g, int status)
{
	if (g->session) {
		gdb_exited(g->session, status);
		drop_client(g);
	}
	loop_unwatch(g->loop, g->listener);
	close(g->listener);
	if (*g->address.path)
		unlink(g->address.path);
	free(g);
}
