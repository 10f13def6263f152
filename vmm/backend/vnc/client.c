/* SPDX-License-Identifier: Apache-2.0 */
/* One viewer's connection: bytes in and out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backend/vnc/internal.h"

/* Memory for a large picture is given back when the picture is sent. */
#define OUT_KEEP (256u << 10)

struct vnc_client *vnc_client_create(struct vnc *v, int fd)
{
	struct vnc_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = v;
	c->fd = fd;
	c->format = vnc_native;
	c->told_absolute = -1;
	vnc_greet(c);
	return c;
}

void vnc_client_destroy(struct vnc_client *c)
{
	struct vnc *v = c->server;

	for (unsigned i = 0; i < VNC_MAX_CLIENTS; i++)
		if (v->client[i] == c)
			v->client[i] = NULL;
	loop_timer_cancel(v->loop, &c->release);
	if (c->tls)
		vnc_tls_end(c->tls);
	if (c->fd >= 0) {
		loop_unwatch(v->loop, c->fd);
		close(c->fd);
	}
	if (c->has_deflate)
		deflateEnd(&c->deflate);
	free(c->zrle_plain.data);
	free(c->out.data);
	free(c->dirty);
	free(c);
}

/* ---- transport ------------------------------------------------------------------------------ */

static ssize_t receive(struct vnc_client *c, void *buf, size_t len)
{
	ssize_t n;

	if (c->tls)
		return vnc_tls_read(c->tls, buf, len);
	n = recv(c->fd, buf, len, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static ssize_t transmit(struct vnc_client *c, const void *buf, size_t len)
{
	ssize_t n;

	if (c->tls)
		return vnc_tls_write(c->tls, buf, len);
	n = send(c->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

static bool would_wait(ssize_t n)
{
	return n == -EAGAIN || n == -EINTR;
}

/* ---- input ---------------------------------------------------------------------------------- */

static void skip(struct vnc_client *c)
{
	size_t n = c->skip < c->in_len ? (size_t)c->skip : c->in_len;

	memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= n;
	c->skip -= n;
}

bool vnc_client_parse(struct vnc_client *c)
{
	int n = 1;

	while (n > 0 && !c->doomed && !c->tls_handshake) {
		skip(c);
		if (c->skip || !c->in_len)
			return true;
		n = c->step(c);
		if (n > 0) {
			memmove(c->in, c->in + n, c->in_len - (size_t)n);
			c->in_len -= (size_t)n;
		}
	}
	return n >= 0 && c->in_len < sizeof(c->in); /* a message that does not fit is too long */
}

/* False: the client is to be dropped. */
static bool read_all(struct vnc_client *c)
{
	ssize_t n = 1;

	while (n > 0 && !c->doomed && !c->tls_handshake) {
		n = receive(c, c->in + c->in_len, sizeof(c->in) - c->in_len);
		if (n > 0)
			c->in_len += (size_t)n;
		if (n == 0 || (n < 0 && !would_wait(n)) || !vnc_client_parse(c))
			return false;
	}
	return true;
}

/* ---- output --------------------------------------------------------------------------------- */

static bool write_all(struct vnc_client *c)
{
	if (c->held)
		return true;
	while (c->sent < c->out.len && !c->tls_handshake) {
		ssize_t n = transmit(c, c->out.data + c->sent, c->out.len - c->sent);

		if (would_wait(n))
			return true;
		if (n <= 0)
			return false;
		c->sent += (size_t)n;
	}
	if (c->sent < c->out.len)
		return true;
	c->sent = c->out.len = 0;
	if (c->out.cap > OUT_KEEP) {
		free(c->out.data);
		c->out = (struct vnc_bytes){0};
	}
	return !c->doomed;
}

static bool handshake(struct vnc_client *c)
{
	int rc = c->tls_handshake ? vnc_tls_handshake(c->tls) : 0;

	if (rc)
		return would_wait(rc);
	if (c->tls_handshake) {
		c->tls_handshake = false;
		vnc_tls_ready(c);
	}
	return true;
}

static bool watch(struct vnc_client *c)
{
	uint32_t want = EPOLLIN | (c->out.len && !c->held ? EPOLLOUT : 0u);

	if (want == c->events)
		return true;
	c->events = want;
	return !loop_watch(c->server->loop, c->fd, want, vnc_client_ready, c);
}

void vnc_client_ready(void *client, uint32_t events)
{
	struct vnc_client *c = client;

	(void)events;
	if (!handshake(c) || !read_all(c) || c->out.failed || !write_all(c) || !watch(c)) {
		vnc_client_destroy(c);
		return;
	}
	if (c->wants_update && !c->out.len)
		vnc_schedule(c->server);
}

static void release(void *opaque)
{
	((struct vnc_client *)opaque)->held = false;
	vnc_client_ready(opaque, 0);
}

void vnc_client_hold(struct vnc_client *c, uint64_t ns)
{
	c->held = true;
	c->release = (struct loop_timer){.fn = release, .opaque = c};
	loop_timer_set(c->server->loop, &c->release, loop_now() + ns);
}

/* Without reading: the caller walks the list of clients, so that nobody is destroyed here. */
void vnc_client_flush(struct vnc_client *c)
{
	if (c->out.failed || !write_all(c) || !watch(c))
		shutdown(c->fd, SHUT_RDWR); /* the loop then finds the end */
}
