/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw images and block devices. Requests go through io_uring, one system call a batch; what the
 * page cache can answer completes within that call. Where the host refuses io_uring (old kernel,
 * system-call filter) the same requests run synchronously.
 */
#include "vmm/backend/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"

#define RING_ENTRIES 128
#define ZERO_CHUNK   4096u
#define ZERO_VECS    64

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

struct raw {
	struct disk disk;
	int fd, event; /* event: -1 without io_uring */
	struct loop *loop;
	struct io_uring ring;
	unsigned held;      /* in the submission queue, unknown to the kernel yet */
	unsigned in_flight; /* held ones included */
	unsigned long errors;
};

static const char *const op_names[] = {
	[DISK_READ] = "read",
	[DISK_WRITE] = "write",
	[DISK_FLUSH] = "flush",
	[DISK_DISCARD] = "discard",
	[DISK_WRITE_ZEROES] = "write zeroes",
};

/* ---- synchronous path: without io_uring, and for what it left half done
 * ------------------------------ */

static ssize_t transfer(const struct raw *w, bool write, const struct iovec *iov, unsigned n,
			uint64_t at)
{
	ssize_t got;

	do
		got = write ? pwritev(w->fd, iov, (int)n, (off_t)at)
			    : preadv(w->fd, iov, (int)n, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* Moves the bytes from `done` to the end of the request. */
static int finish_transfer(const struct raw *w, const struct disk_req *r, uint64_t done)
{
	uint64_t start = 0;

	for (unsigned i = 0; i < r->niov; start += r->iov[i++].iov_len) {
		while (done < start + r->iov[i].iov_len) {
			uint64_t skip = done - start;
			struct iovec v = {(uint8_t *)r->iov[i].iov_base + skip,
					  r->iov[i].iov_len - skip};
			ssize_t got = transfer(w, r->op == DISK_WRITE, &v, 1, r->offset + done);

			if (got <= 0)
				return got ? (int)got : -EIO; /* the file has been cut short */
			done += (uint64_t)got;
		}
	}
	return 0;
}

static int write_zeroes(const struct raw *w, const struct disk_req *r)
{
	static const uint8_t zero[ZERO_CHUNK];
	struct iovec iov[ZERO_VECS];
	uint64_t done = 0;

	while (done < r->len) {
		unsigned n = 0;
		ssize_t got;

		for (uint64_t left = r->len - done; left && n < ZERO_VECS; n++) {
			uint64_t part = left < ZERO_CHUNK ? left : ZERO_CHUNK;

			iov[n] = (struct iovec){(void *)(uintptr_t)zero, part};
			left -= part;
		}
		got = transfer(w, true, iov, n, r->offset + done);
		if (got <= 0)
			return got ? (int)got : -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

static int run_sync(const struct raw *w, const struct disk_req *r)
{
	ssize_t got;

	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		got = transfer(w, r->op == DISK_WRITE, r->iov, r->niov, r->offset);
		return got < 0 ? (int)got : finish_transfer(w, r, (uint64_t)got);
	case DISK_FLUSH:
		return fdatasync(w->fd) ? -errno : 0;
	case DISK_DISCARD:
		return fallocate(w->fd, PUNCH, (off_t)r->offset, (off_t)r->len) ? -errno : 0;
	case DISK_WRITE_ZEROES:
		return fallocate(w->fd, ZERO, (off_t)r->offset, (off_t)r->len) ? -errno : 0;
	}
	return -EINVAL;
}

/* ---- completion
 * ------------------------------------------------------------------------------------ */

static bool moves_data(const struct disk_req *r)
{
	return r->op == DISK_READ || r->op == DISK_WRITE;
}

/* What a result means for the guest; short or interrupted work is brought to its end here. */
static int settle(struct raw *w, struct disk_req *r, int64_t res)
{
	int rc = res < 0 ? (int)res : 0;

	if (rc == -EINTR || rc == -EAGAIN || rc == -ECANCELED)
		rc = run_sync(w, r);
	else if (!rc && moves_data(r) && (uint64_t)res < r->len)
		rc = finish_transfer(w, r, (uint64_t)res);
	/* A file system without holes: discarding is advice, zeroes must be zeroes. */
	if (rc == -EOPNOTSUPP && r->op == DISK_DISCARD)
		rc = 0;
	if (rc == -EOPNOTSUPP && r->op == DISK_WRITE_ZEROES)
		rc = write_zeroes(w, r);
	if (rc)
		log_guest_error(&w->errors, "disk %s: %s of %llu bytes at %llu: %s", w->disk.id,
				op_names[r->op], (unsigned long long)r->len,
				(unsigned long long)r->offset, strerror(-rc));
	return rc;
}

static void complete(struct raw *w, struct disk_req *r, int64_t res)
{
	r->done(r, settle(w, r, res));
}

static unsigned reap(struct raw *w)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while (!io_uring_peek_cqe(&w->ring, &cqe)) {
		struct disk_req *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&w->ring, cqe);
		w->in_flight--;
		complete(w, r, res);
		n++;
	}
	return n;
}

static void tell_batch(struct raw *w)
{
	if (w->disk.batch_done)
		w->disk.batch_done(w->disk.batch_opaque);
}

static void completed(void *opaque, uint32_t events)
{
	struct raw *w = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(w->event, &count);
	if (reap(w))
		tell_batch(w);
}

/* ---- submission
 * ------------------------------------------------------------------------------------ */

static void prepare(struct raw *w, struct io_uring_sqe *sqe, struct disk_req *r)
{
	switch (r->op) {
	case DISK_READ:
		io_uring_prep_readv(sqe, w->fd, r->iov, r->niov, r->offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, w->fd, r->iov, r->niov, r->offset);
		break;
	case DISK_FLUSH:
		io_uring_prep_fsync(sqe, w->fd, IORING_FSYNC_DATASYNC);
		break;
	case DISK_DISCARD:
		io_uring_prep_fallocate(sqe, w->fd, PUNCH, r->offset, r->len);
		break;
	case DISK_WRITE_ZEROES:
		io_uring_prep_fallocate(sqe, w->fd, ZERO, r->offset, r->len);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

static void submit_held(struct raw *w)
{
	int n;

	while (w->held) {
		n = io_uring_submit(&w->ring);
		if (n > 0)
			w->held -= (unsigned)n < w->held ? (unsigned)n : w->held;
		else if (n == -EBUSY || n == -EAGAIN)
			reap(w); /* completions wait to be fetched first */
		else if (n != -EINTR)
			break;
	}
}

static void raw_submit(struct disk *d, struct disk_req *r)
{
	struct raw *w = (struct raw *)d;
	struct io_uring_sqe *sqe;

	if (w->event < 0) {
		complete(w, r, run_sync(w, r));
		return;
	}
	sqe = io_uring_get_sqe(&w->ring);
	if (!sqe) {
		submit_held(w);
		sqe = io_uring_get_sqe(&w->ring);
	}
	if (!sqe) {
		complete(w, r, -EAGAIN);
		return;
	}
	prepare(w, sqe, r);
	w->held++;
	w->in_flight++;
}

/*
 * Reads from the page cache are complete when the call returns: they are taken at once, with the
 * eventfd quiet, and the guest's doorbell write returns with its data already there.
 */
static void raw_kick(struct disk *d)
{
	struct raw *w = (struct raw *)d;

	if (!w->held)
		return;
	io_uring_cq_eventfd_toggle(&w->ring, false);
	submit_held(w);
	reap(w);
	io_uring_cq_eventfd_toggle(&w->ring, true);
	reap(w); /* what came between has rung no bell */
	tell_batch(w);
}

static void raw_drain(struct disk *d)
{
	struct raw *w = (struct raw *)d;
	struct io_uring_cqe *cqe;

	while (w->in_flight) {
		submit_held(w);
		io_uring_wait_cqe(&w->ring, &cqe); /* fails only when interrupted */
		reap(w);
	}
	tell_batch(w);
}

static void raw_destroy(struct disk *d)
{
	struct raw *w = (struct raw *)d;

	if (w->event >= 0) {
		loop_unwatch(w->loop, w->event);
		io_uring_queue_exit(&w->ring);
		close(w->event);
	}
	close(w->fd);
	free(w);
}

static const struct disk_ops raw_ops = {
	.name = "raw",
	.submit = raw_submit,
	.kick = raw_kick,
	.drain = raw_drain,
	.destroy = raw_destroy,
};

/* Leaves `event` at -1 when the host has no io_uring for us. */
static void open_ring(struct raw *w)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	w->event = -1;
	if (event < 0)
		return;
	if (io_uring_queue_init(RING_ENTRIES, &w->ring, 0))
		goto close_event;
	if (io_uring_register_eventfd(&w->ring, event) ||
	    loop_watch(w->loop, event, EPOLLIN, completed, w))
		goto exit_ring;
	w->event = event;
	return;
exit_ring:
	io_uring_queue_exit(&w->ring);
close_event:
	close(event);
}

int raw_open(int fd, uint64_t size, struct loop *loop, struct disk **out, struct err *e)
{
	struct raw *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	w->disk.ops = &raw_ops;
	w->disk.size = size;
	w->disk.can_discard = true;
	w->fd = fd;
	w->loop = loop;
	open_ring(w);
	*out = &w->disk;
	return 0;
}
