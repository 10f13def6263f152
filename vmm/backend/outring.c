/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of output bytes in front of a descriptor. */
#include "vmm/backend/outring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a pipe that polls writable takes without blocking (PIPE_BUF). */
#define CHUNK 4096u

void outring_put(struct outring *r, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len > OUTRING_SIZE) {
		r->dropped += len - OUTRING_SIZE;
		p += len - OUTRING_SIZE;
		len = OUTRING_SIZE;
	}
	if (len > OUTRING_SIZE - r->len) {
		unsigned lost = (unsigned)len - (OUTRING_SIZE - r->len);

		r->dropped += lost;
		r->start = (r->start + lost) % OUTRING_SIZE;
		r->len -= lost;
	}
	for (size_t i = 0; i < len; i++)
		r->buf[(r->start + r->len + i) % OUTRING_SIZE] = p[i];
	r->len += (unsigned)len;
}

static ssize_t write_now(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (n >= 0 || errno != ENOTSOCK)
		return n;
	/* The descriptor may be blocking, and shared with others whom that suits. */
	if (poll(&p, 1, 0) != 1 || !(p.revents & (POLLOUT | POLLERR))) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, data, len < CHUNK ? len : CHUNK);
}

/* Returns how many bytes went out, or -errno when the descriptor is no longer good for any. */
static ssize_t write_some(int fd, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_now(fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int outring_flush(struct outring *r, int fd)
{
	while (r->len) {
		unsigned part = OUTRING_SIZE - r->start;
		ssize_t n;

		if (part > r->len)
			part = r->len;
		n = write_some(fd, r->buf + r->start, part);
		if (n < 0)
			return (int)-n;
		r->start = (r->start + (unsigned)n) % OUTRING_SIZE;
		r->len -= (unsigned)n;
		if ((unsigned)n < part)
			break;
	}
	return 0;
}

int outring_write(struct outring *r, int fd, const void *data, size_t len)
{
	int rc = outring_flush(r, fd);
	ssize_t n = 0;

	if (!rc && !r->len)
		n = write_some(fd, data, len);
	if (n < 0) {
		rc = (int)-n;
		n = 0;
	}
	if ((size_t)n < len)
		outring_put(r, (const uint8_t *)data + n, len - (size_t)n);
	return rc;
}

void outring_drain(struct outring *r, int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (r->len && poll(&p, 1, ms) == 1 && !outring_flush(r, fd))
		;
}
