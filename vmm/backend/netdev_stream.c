/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet frames over a stream socket, each behind its length in 32 bits, big-endian: what passt
 * speaks. Both directions are bounded: a frame from the host that the guest has no room for stays
 * here, and the socket is not read until it has; frames that the peer does not take are dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/backend/netdev.h"

#define LEN_BYTES 4u
#define MIN_FRAME 14u
#define MAX_FRAME 65550u
#define BUF_SIZE  (2 * (LEN_BYTES + MAX_FRAME))
#define MTU       65520u /* what passt tells guests over DHCP */

struct stream {
	struct netdev net;
	int fd;
	struct loop *loop;
	uint32_t events; /* what the loop watches now */
	bool dead;       /* the peer is gone, or broke the protocol */
	bool stalled;    /* the client has no room: resume() continues */
	bool in_batch;
	unsigned rx_start, rx_end; /* received bytes that are not delivered yet */
	unsigned tx_start, tx_end; /* frames that the peer has not taken yet */
	unsigned long dropped, errors;
	uint8_t rx[BUF_SIZE], tx[BUF_SIZE];
};

static void readable(struct stream *s);
static void flush(struct stream *s);

static void ready(void *opaque, uint32_t events)
{
	struct stream *s = opaque;

	if (events & EPOLLOUT)
		flush(s);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		readable(s);
}

static void update_watch(struct stream *s)
{
	uint32_t want = (s->stalled ? 0u : EPOLLIN) | (s->tx_start < s->tx_end ? EPOLLOUT : 0u);

	if (s->dead || want == s->events)
		return;
	s->events = want;
	/* A hang-up is reported even with no events asked for: not watching is the only rest. */
	if (want)
		loop_watch(s->loop, s->fd, want, ready, s);
	else
		loop_unwatch(s->loop, s->fd);
}

static void die(struct stream *s, const char *why)
{
	loop_unwatch(s->loop, s->fd);
	s->dead = true;
	s->rx_start = s->rx_end = s->tx_start = s->tx_end = 0;
	if (s->net.client.gone)
		s->net.client.gone(s->net.client.opaque);
	else
		log_warn("network: %s; the guest's link is dead from now on", why);
}

/* ---- host to guest
 * --------------------------------------------------------------------------------- */

/* Hands over complete frames; false when one must wait or the peer is at fault. */
static bool deliver(struct stream *s)
{
	while (s->rx_end - s->rx_start >= LEN_BYTES) {
		uint32_t len;

		memcpy(&len, s->rx + s->rx_start, LEN_BYTES);
		len = ntohl(len);
		if (len < MIN_FRAME || len > MAX_FRAME) {
			die(s, "the peer sent a frame of impossible length");
			return false;
		}
		if (s->rx_end - s->rx_start < LEN_BYTES + len)
			break;
		if (s->net.client.receive &&
		    !s->net.client.receive(s->net.client.opaque, s->rx + s->rx_start + LEN_BYTES,
					   len)) {
			s->stalled = true;
			return false;
		}
		s->rx_start += LEN_BYTES + len;
	}
	memmove(s->rx, s->rx + s->rx_start, s->rx_end - s->rx_start);
	s->rx_end -= s->rx_start;
	s->rx_start = 0;
	return true;
}

static void tell_batch(struct stream *s)
{
	if (s->net.client.batch_done)
		s->net.client.batch_done(s->net.client.opaque);
}

/* One buffer full at a time; the loop comes back while there is more. */
static void readable(struct stream *s)
{
	ssize_t n;

	if (s->dead || s->stalled)
		return;
	n = recv(s->fd, s->rx + s->rx_end, BUF_SIZE - s->rx_end, MSG_DONTWAIT);
	if (n == 0) {
		die(s, "the peer closed the connection");
		return;
	}
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			die(s, strerror(errno));
		return;
	}
	s->rx_end += (unsigned)n;
	s->in_batch = true;
	deliver(s);
	s->in_batch = false;
	tell_batch(s);
	update_watch(s);
}

static void stream_resume(struct netdev *n)
{
	struct stream *s = (struct stream *)n;

	if (s->dead || !s->stalled || s->in_batch)
		return;
	s->stalled = false;
	s->in_batch = true;
	deliver(s);
	s->in_batch = false;
	tell_batch(s);
	update_watch(s);
}

/* ---- guest to host
 * --------------------------------------------------------------------------------- */

static void flush(struct stream *s)
{
	while (s->tx_start < s->tx_end) {
		ssize_t n = send(s->fd, s->tx + s->tx_start, s->tx_end - s->tx_start,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die(s, strerror(errno));
		if (n < 0)
			break;
		s->tx_start += (unsigned)n;
	}
	if (s->tx_start == s->tx_end)
		s->tx_start = s->tx_end = 0;
	update_watch(s);
}

static bool make_room(struct stream *s, size_t need)
{
	if (BUF_SIZE - s->tx_end >= need)
		return true;
	flush(s);
	memmove(s->tx, s->tx + s->tx_start, s->tx_end - s->tx_start);
	s->tx_end -= s->tx_start;
	s->tx_start = 0;
	return BUF_SIZE - s->tx_end >= need;
}

/* Frames gather here, so that one system call takes a batch of them. */
static void stream_send(struct netdev *net, const struct iovec *frame, unsigned n)
{
	struct stream *s = (struct stream *)net;
	size_t len = 0;
	uint32_t be;

	for (unsigned i = 0; i < n; i++)
		len += frame[i].iov_len;
	if (len < MIN_FRAME || len > MAX_FRAME || s->dead || !make_room(s, LEN_BYTES + len)) {
		s->dropped++;
		return;
	}
	be = htonl((uint32_t)len);
	memcpy(s->tx + s->tx_end, &be, LEN_BYTES);
	s->tx_end += LEN_BYTES;
	for (unsigned i = 0; i < n; i++) {
		memcpy(s->tx + s->tx_end, frame[i].iov_base, frame[i].iov_len);
		s->tx_end += (unsigned)frame[i].iov_len;
	}
}

static void stream_flush(struct netdev *net)
{
	flush((struct stream *)net);
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

static void stream_destroy(struct netdev *n)
{
	struct stream *s = (struct stream *)n;

	loop_unwatch(s->loop, s->fd);
	close(s->fd);
	free(s);
}

static const struct netdev_ops stream_ops = {
	.send = stream_send,
	.flush = stream_flush,
	.resume = stream_resume,
	.destroy = stream_destroy,
};

int netdev_stream_open(int fd, struct loop *loop, struct netdev **out, struct err *e)
{
	int type = 0, rc;
	socklen_t len = sizeof(type);
	struct stream *s;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
		return err_set(e, -EINVAL, "descriptor %d is not a connected stream socket", fd);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->net.ops = &stream_ops;
	s->net.mtu = MTU;
	s->fd = fd;
	s->loop = loop;
	s->events = EPOLLIN;
	rc = loop_watch(loop, fd, EPOLLIN, ready, s);
	if (rc) {
		free(s);
		return err_set(e, rc, "cannot watch descriptor %d: %s", fd, strerror(-rc));
	}
	*out = &s->net;
	return 0;
}
