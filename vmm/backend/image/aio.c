/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/image/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_ENTRIES 128
#define ZERO_CHUNK   4096u
#define ZERO_VECS    64

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

struct aio {
	struct loop *loop;
	void (*batch)(void *opaque);
	void *opaque;
	bool has_ring;
	int event; /* -1 without a loop */
	struct io_uring ring;
	unsigned held;      /* in the submission queue, unknown to the kernel yet */
	unsigned in_flight; /* held ones included */
};

/* ---- synchronously: without io_uring, and for what it left half done ------------------------- */

static ssize_t transfer(const struct aio_op *op, const struct iovec *iov, unsigned n, uint64_t at)
{
	ssize_t got;

	n = n < IOV_MAX ? n : IOV_MAX;
	do
		got = op->kind == AIO_READ ? preadv(op->fd, iov, (int)n, (off_t)at)
					   : pwritev(op->fd, iov, (int)n, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* Brings the bytes from `done` to the end of the request. */
static int finish_transfer(const struct aio_op *op, uint64_t done)
{
	uint64_t start = 0;

	for (unsigned i = 0; i < op->niov; start += op->iov[i++].iov_len) {
		while (done < start + op->iov[i].iov_len) {
			uint64_t skip = done - start;
			struct iovec v = {(uint8_t *)op->iov[i].iov_base + skip,
					  op->iov[i].iov_len - skip};
			ssize_t got = transfer(op, &v, 1, op->offset + done);

			if (!got && op->kind == AIO_READ && op->zero_past_end) {
				memset(v.iov_base, 0, v.iov_len);
				got = (ssize_t)v.iov_len;
			}
			if (got <= 0)
				return got ? (int)got : -EIO; /* the file has been cut short */
			done += (uint64_t)got;
		}
	}
	return 0;
}

static int write_zeroes(const struct aio_op *op)
{
	static const uint8_t zero[ZERO_CHUNK];
	const struct aio_op write = {.kind = AIO_WRITE, .fd = op->fd};
	struct iovec iov[ZERO_VECS];
	uint64_t done = 0;

	while (done < op->len) {
		unsigned n = 0;
		ssize_t got;

		for (uint64_t left = op->len - done; left && n < ZERO_VECS; n++) {
			uint64_t part = left < ZERO_CHUNK ? left : ZERO_CHUNK;

			iov[n] = (struct iovec){(void *)(uintptr_t)zero, part};
			left -= part;
		}
		got = transfer(&write, iov, n, op->offset + done);
		if (got <= 0)
			return got ? (int)got : -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

static int run_sync(const struct aio_op *op)
{
	ssize_t got;

	switch (op->kind) {
	case AIO_READ:
	case AIO_WRITE:
		got = transfer(op, op->iov, op->niov, op->offset);
		return got < 0 ? (int)got : finish_transfer(op, (uint64_t)got);
	case AIO_SYNC:
		return fdatasync(op->fd) ? -errno : 0;
	case AIO_PUNCH:
		return fallocate(op->fd, PUNCH, (off_t)op->offset, (off_t)op->len) ? -errno : 0;
	case AIO_ZERO:
		return fallocate(op->fd, ZERO, (off_t)op->offset, (off_t)op->len) ? -errno : 0;
	}
	return -EINVAL;
}

/* ---- completion ----------------------------------------------------------------------------- */

static bool moves_data(const struct aio_op *op)
{
	return op->kind == AIO_READ || op->kind == AIO_WRITE;
}

/* Short or interrupted work is brought to its end here. */
static void complete(struct aio_op *op, int64_t res)
{
	int rc = res < 0 ? (int)res : 0;

	if (rc == -EINTR || rc == -EAGAIN || rc == -ECANCELED)
		rc = run_sync(op);
	else if (!rc && moves_data(op) && (uint64_t)res < op->len)
		rc = finish_transfer(op, (uint64_t)res);
	/* A file system without holes: discarding is advice, zeroes must be zeroes. */
	if (rc == -EOPNOTSUPP && op->kind == AIO_PUNCH)
		rc = 0;
	if (rc == -EOPNOTSUPP && op->kind == AIO_ZERO)
		rc = write_zeroes(op);
	op->done(op, rc);
}

static unsigned reap(struct aio *a)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while (!io_uring_peek_cqe(&a->ring, &cqe)) {
		struct aio_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&a->ring, cqe);
		a->in_flight--;
		complete(op, res);
		n++;
	}
	return n;
}

/* ---- submission ----------------------------------------------------------------------------- */

static void prepare(struct io_uring_sqe *sqe, struct aio_op *op)
{
	switch (op->kind) {
	case AIO_READ:
		io_uring_prep_readv(sqe, op->fd, op->iov, op->niov, op->offset);
		break;
	case AIO_WRITE:
		io_uring_prep_writev(sqe, op->fd, op->iov, op->niov, op->offset);
		break;
	case AIO_SYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_PUNCH:
		io_uring_prep_fallocate(sqe, op->fd, PUNCH, op->offset, op->len);
		break;
	case AIO_ZERO:
		io_uring_prep_fallocate(sqe, op->fd, ZERO, op->offset, op->len);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

static void submit_held(struct aio *a)
{
	int n;

	while (a->held) {
		n = io_uring_submit(&a->ring);
		if (n > 0)
			a->held -= (unsigned)n < a->held ? (unsigned)n : a->held;
		else if (n == -EBUSY || n == -EAGAIN)
			reap(a); /* completions wait to be fetched first */
		else if (n != -EINTR)
			break;
	}
}

void aio_submit(struct aio *a, struct aio_op *op)
{
	struct io_uring_sqe *sqe;

	if (!a->has_ring || op->niov > IOV_MAX) {
		complete(op, -EINTR);
		return;
	}
	sqe = io_uring_get_sqe(&a->ring);
	if (!sqe) {
		submit_held(a);
		sqe = io_uring_get_sqe(&a->ring);
	}
	if (!sqe) {
		complete(op, -EAGAIN);
		return;
	}
	prepare(sqe, op);
	a->held++;
	a->in_flight++;
}

/*
 * Reads from the page cache are complete when the call returns: they are taken at once, with the
 * eventfd quiet, and the guest's doorbell write returns with its data already there. What their
 * done() submitted goes out as well.
 */
void aio_kick(struct aio *a)
{
	if (!a->held)
		return;
	if (a->event >= 0)
		io_uring_cq_eventfd_toggle(&a->ring, false);
	while (a->held) {
		submit_held(a);
		reap(a);
	}
	if (a->event >= 0)
		io_uring_cq_eventfd_toggle(&a->ring, true);
	reap(a); /* what came between has rung no bell */
	submit_held(a);
	a->batch(a->opaque);
}

static void completed(void *opaque, uint32_t events)
{
	struct aio *a = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(a->event, &count);
	if (!reap(a))
		return;
	submit_held(a);
	a->batch(a->opaque);
}

bool aio_wait(struct aio *a)
{
	struct io_uring_cqe *cqe;

	if (!a->in_flight)
		return false;
	submit_held(a);
	io_uring_wait_cqe(&a->ring, &cqe); /* fails only when interrupted */
	reap(a);
	a->batch(a->opaque);
	return true;
}

/* ---- creation ------------------------------------------------------------------------------- */

/*
 * Besides what prepare() asks for the ring does nothing, whoever fills it: it could open files and
 * make connections past the filter of system calls (vmm/sandbox/calls.c).
 */
static bool restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				      IORING_OP_FALLOCATE};
	struct io_uring_restriction r[sizeof(ops) + 1] = {
		[sizeof(ops)] = {.opcode = IORING_RESTRICTION_REGISTER_OP,
				 .register_op = IORING_REGISTER_EVENTFD}};

	for (size_t i = 0; i < sizeof(ops); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = ops[i];
	}
	return !io_uring_register_restrictions(ring, r, sizeof(ops) + 1) &&
	       !io_uring_enable_rings(ring);
}

static bool watch_ring(struct aio *a)
{
	a->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->event >= 0 && !io_uring_register_eventfd(&a->ring, a->event) &&
	    !loop_watch(a->loop, a->event, EPOLLIN, completed, a))
		return true;
	if (a->event >= 0)
		close(a->event);
	a->event = -1;
	return false;
}

struct aio *aio_create(struct loop *loop, void (*batch)(void *opaque), void *opaque)
{
	struct aio *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct aio){.loop = loop, .batch = batch, .opaque = opaque, .event = -1};
	/* Without rings that begin disabled (Linux 5.10), all is done synchronously. */
	if (io_uring_queue_init(RING_ENTRIES, &a->ring, IORING_SETUP_R_DISABLED))
		return a;
	if (!restrict_ring(&a->ring) || (loop && !watch_ring(a))) {
		io_uring_queue_exit(&a->ring);
		return a;
	}
	a->has_ring = true;
	return a;
}

void aio_destroy(struct aio *a)
{
	if (!a)
		return;
	if (a->event >= 0) {
		loop_unwatch(a->loop, a->event);
		close(a->event);
	}
	if (a->has_ring)
		io_uring_queue_exit(&a->ring);
	free(a);
}
