/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet frames through a TAP interface of the host: one system call each, no copies kept but the
 * one frame that the guest has no room for. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/backend/netdev.h"

#define MIN_FRAME 14u
#define MAX_FRAME 65550u
#define BATCH     64 /* frames in one turn of the loop */

struct tap {
	struct netdev net;
	int fd;
	struct loop *loop;
	bool watched;
	unsigned waiting; /* length of the frame in `rx` that the client had no room for */
	uint8_t rx[MAX_FRAME];
};

static void ready(void *opaque, uint32_t events);

static void watch(struct tap *t, bool want)
{
	if (want == t->watched)
		return;
	t->watched = want;
	if (want)
		loop_watch(t->loop, t->fd, EPOLLIN, ready, t);
	else
		loop_unwatch(t->loop, t->fd);
}

/* False: the client has no room. */
static bool deliver(struct tap *t)
{
	const struct netdev_client *c = &t->net.client;

	if (t->waiting && c->receive && !c->receive(c->opaque, t->rx, t->waiting))
		return false;
	t->waiting = 0;
	return true;
}

static bool read_frame(struct tap *t)
{
	ssize_t n = read(t->fd, t->rx, sizeof(t->rx));

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		log_warn("network: TAP: %s; the guest's link is dead from now on", strerror(errno));
		watch(t, false);
	}
	t->waiting = n >= MIN_FRAME ? (unsigned)n : 0;
	return n > 0;
}

static void receive_batch(struct tap *t)
{
	bool room = deliver(t);

	for (unsigned i = 0; room && i < BATCH && read_frame(t); i++)
		room = deliver(t);
	if (!room)
		watch(t, false);
	if (t->net.client.batch_done)
		t->net.client.batch_done(t->net.client.opaque);
}

static void ready(void *opaque, uint32_t events)
{
	(void)events;
	receive_batch(opaque);
}

/* The loop comes back at once if there is more to read. */
static void tap_resume(struct netdev *n)
{
	struct tap *t = (struct tap *)n;

	if (t->waiting && deliver(t))
		watch(t, true);
}

static void tap_send(struct netdev *net, const struct iovec *frame, unsigned n)
{
	/* A full queue of the host loses the frame, as a cable would. */
	if (writev(((struct tap *)net)->fd, frame, (int)n) < 0)
		return;
}

static void tap_flush(struct netdev *net)
{
	(void)net;
}

static void tap_destroy(struct netdev *n)
{
	struct tap *t = (struct tap *)n;

	watch(t, false);
	close(t->fd);
	free(t);
}

static const struct netdev_ops tap_ops = {
	.send = tap_send,
	.flush = tap_flush,
	.resume = tap_resume,
	.destroy = tap_destroy,
};

int netdev_tap_open(int fd, struct loop *loop, struct netdev **out, struct err *e)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	if (fcntl(fd, F_SETFL, O_NONBLOCK)) {
		free(t);
		return err_set(e, -errno, "descriptor %d: %s", fd, strerror(errno));
	}
	t->net.ops = &tap_ops;
	t->fd = fd;
	t->loop = loop;
	watch(t, true);
	*out = &t->net;
	return 0;
}
