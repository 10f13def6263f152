/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's console on a Unix socket: one client at a time, who first gets what came before. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/backend/charkinds.h"
#include "vmm/backend/outring.h"

#define READ_MAX 1024

struct sock {
	struct chardev chr;
	struct loop *loop;
	int listener, client; /* client: -1 when nobody is there */
	uint32_t events;      /* watched on the client */
	bool no_room;         /* until poll_input() */
	struct sockaddr_un addr;
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
	unlink(s->addr.sun_path);
	free(s);
}

static const struct chardev_ops sock_ops = {sock_write, sock_poll_input, sock_destroy};

/* A socket file that nobody listens on any more is removed. */
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

static int open_listener(struct sock *s, const char *path, struct err *e)
{
	if (strlen(path) >= sizeof(s->addr.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket's path is longer than %zu bytes",
			       sizeof(s->addr.sun_path) - 1);
	s->addr.sun_family = AF_UNIX;
	strcpy(s->addr.sun_path, path);
	if (remove_stale(&s->addr, e))
		return -EADDRINUSE;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	/* The mode set before bind() is the socket file's: no moment in which others may connect.
	 */
	fchmod(s->listener, 0600);
	if (bind(s->listener, (struct sockaddr *)&s->addr, sizeof(s->addr)) ||
	    listen(s->listener, 4)) {
		int rc = err_set(e, -errno, "cannot listen on %s: %s", path, strerror(errno));

		close(s->listener);
		return rc;
	}
	return 0;
}

int chardev_open_socket(const struct chardev_request *q, struct chardev **out, struct err *e)
{
	struct sock *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	rc = open_listener(s, q->arg, e);
	if (rc) {
		free(s);
		return rc;
	}
	s->chr.ops = &sock_ops;
	s->loop = q->loop;
	s->client = -1;
	listen_on(s);
	*out = &s->chr;
	return 0;
}
