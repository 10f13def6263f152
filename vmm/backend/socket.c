/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's console on a Unix socket: one client at a time, who first gets what came before. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backend/charkinds.h"
#include "vmm/backend/outring.h"
#include "vmm/backend/unixsocket.h"

#define READ_MAX 1024

struct sock {
	struct chardev chr;
	struct loop *loop;
	int listener, client; /* client: -1 when nobody is there */
	uint32_t events;      /* watched on the client */
	bool no_room;         /* until poll_input() */
	char *path;
	struct outring ring;
};

static void accept_client(void *opaque, uint32_t events);
static void client_ready(void *opaque, uint32_t events);

static void listen_on(struct sock *s)
{
	loop_watch(s->loop, s->listener, EPOLLIN, accept_client, s);
}

static void drop_client(struct sock *s)
{
	loop_unwatch(s->loop, s->client);
	close(s->client);
	s->client = -1;
	s->no_room = false;
	listen_on(s);
}

static void update_watch(struct sock *s)
{
	uint32_t want = (s->no_room ? 0u : EPOLLIN) | (s->ring.len ? EPOLLOUT : 0u);

	if (s->client < 0 || want == s->events)
		return;
	s->events = want;
	if (want)
		loop_watch(s->loop, s->client, want, client_ready, s);
	else
		loop_unwatch(s->loop, s->client); /* or a hang-up would wake us without end */
}

static void read_client(struct sock *s)
{
	uint8_t buf[READ_MAX];
	size_t room = chardev_room(&s->chr, sizeof(buf));
	ssize_t n;

	if (!room) {
		s->no_room = true;
		return;
	}
	n = recv(s->client, buf, room, MSG_DONTWAIT);
	if (n > 0)
		chardev_input(&s->chr, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		drop_client(s);
}

static void flush(struct sock *s)
{
	if (s->client >= 0 && outring_flush(&s->ring, s->client))
		drop_client(s);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct sock *s = opaque;

	if (events & EPOLLOUT)
		flush(s);
	if (s->client >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !s->no_room)
		read_client(s);
	else if (events & EPOLLERR && s->client >= 0)
		drop_client(s);
	update_watch(s);
}

/* While a client is there, others wait in the listener's queue. */
static void accept_client(void *opaque, uint32_t events)
{
	struct sock *s = opaque;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	loop_unwatch(s->loop, s->listener);
	s->client = fd;
	s->events = 0;
	flush(s);
	update_watch(s);
}

static void sock_write(struct chardev *c, const void *data, size_t len)
{
	struct sock *s = (struct sock *)c;

	if (s->client < 0)
		outring_put(&s->ring, data, len);
	else if (outring_write(&s->ring, s->client, data, len))
		drop_client(s);
	update_watch(s);
}

static void sock_poll_input(struct chardev *c)
{
	struct sock *s = (struct sock *)c;

	s->no_room = false;
	update_watch(s);
}

static void sock_destroy(struct chardev *c)
{
	struct sock *s = (struct sock *)c;

	if (s->client >= 0) {
		outring_drain(&s->ring, s->client, 100);
		drop_client(s);
	}
	loop_unwatch(s->loop, s->listener);
	close(s->listener);
	if (s->path)
		unlink(s->path);
	free(s->path);
	free(s);
}

static const struct chardev_ops sock_ops = {sock_write, sock_poll_input, sock_destroy};

int chardev_open_socket(const struct chardev_request *q, struct chardev **out, struct err *e)
{
	struct sock *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	rc = unix_listen(q->arg, 4, &s->listener, e);
	if (rc) {
		free(s);
		return rc;
	}
	s->path = strdup(q->arg);
	s->chr.ops = &sock_ops;
	s->loop = q->loop;
	s->client = -1;
	listen_on(s);
	*out = &s->chr;
	return 0;
}
