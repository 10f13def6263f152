/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket's server: the listener, its clients, and their lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backend/unixsocket.h"
#include "vmm/control/internal.h"

/* ---- clients -------------------------------------------------------------------------------- */

static void drop(struct client *cl)
{
	loop_unwatch(cl->control->loop, cl->fd);
	close(cl->fd);
	cl->fd = -1;
	given_close(&cl->given);
	cl->len = 0;
	request_forget(cl->control, cl);
}

/*
 * Messages are far smaller than a socket's buffer. A client that lets them pile up until it is full
 * is dropped: the machine never waits for a client.
 */
void client_send(struct client *cl, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(message);
	if (text)
		text[len] = '\n'; /* takes the NUL's place */
	if (!text || send(cl->fd, text, len + 1, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len + 1)
		drop(cl);
	free(text);
}

/* Handles all complete lines in the buffer and keeps the rest. */
static void handle_lines(struct client *cl)
{
	size_t start = 0;
	const char *end;

	while (cl->fd >= 0 && (end = memchr(cl->line + start, '\n', cl->len - start))) {
		size_t len = (size_t)(end - cl->line) - start;

		if (len)
			request_line(cl, cl->line + start, len);
		given_close(&cl->given); /* what it did not take */
		start += len + 1;
	}
	if (cl->fd < 0)
		return;
	memmove(cl->line, cl->line + start, cl->len - start);
	cl->len -= start;
}

static void client_ready(void *opaque, uint32_t events)
{
	struct client *cl = opaque;
	int fds[SENDFD_MAX];
	unsigned nfds = 0;
	ssize_t n = recvfd(cl->fd, cl->line + cl->len, sizeof(cl->line) - cl->len, fds, &nfds);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	given_add(&cl->given, fds, nfds);
	if (n <= 0) {
		drop(cl);
		return;
	}
	cl->len += (size_t)n;
	handle_lines(cl);
	if (cl->len == sizeof(cl->line)) {
		request_refuse(cl, RPC_INVALID_REQUEST, "longer than 65536 bytes");
		if (cl->fd >= 0)
			drop(cl);
	}
}

static struct client *free_client(struct control *c)
{
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (!c->client[i]) {
			c->client[i] = calloc(1, sizeof(struct client));
			if (c->client[i])
				c->client[i]->fd = -1;
		}
		if (c->client[i] && c->client[i]->fd < 0)
			return c->client[i];
	}
	return NULL;
}

static void client_arrived(void *opaque, uint32_t events)
{
	struct control *c = opaque;
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *cl;

	(void)events;
	if (fd < 0)
		return;
	cl = free_client(c);
	if (!cl || loop_watch(c->loop, fd, EPOLLIN, client_ready, cl)) {
		close(fd);
		return;
	}
	cl->control = c;
	cl->fd = fd;
	cl->len = 0;
}

/* ---- the listener --------------------------------------------------------------------------- */

static int listen_at(struct control *c, const char *path, struct err *e)
{
	if (unix_listen(path, CONTROL_MAX_CLIENTS, &c->listener, e))
		return err_prefix(e, "control socket");
	c->path = strdup(path);
	if (!c->path || loop_watch(c->loop, c->listener, EPOLLIN, client_arrived, c))
		return err_set(e, -EIO, "control socket %s: cannot listen", path);
	return 0;
}

int control_open(struct control **out, const char *path, struct loop *loop,
		 const struct control_method *const *tables, void *opaque, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(e, -ENOMEM, "control socket: out of memory");
	c->loop = loop;
	c->tables = tables;
	c->opaque = opaque;
	c->listener = -1;
	if (listen_at(c, path, e)) {
		control_close(c);
		return e->code;
	}
	*out = c;
	return 0;
}

void control_close(struct control *c)
{
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (c->client[i] && c->client[i]->fd >= 0)
			drop(c->client[i]);
		free(c->client[i]);
	}
	if (c->listener >= 0) {
		loop_unwatch(c->loop, c->listener);
		close(c->listener);
	}
	if (c->path)
		unlink(c->path);
	request_abandon(c);
	free(c->path);
	free(c);
}
