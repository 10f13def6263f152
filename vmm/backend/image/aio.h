/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous file operations on io_uring, one system call a batch. What the page cache can
 * answer completes within that call. Where the host refuses io_uring (old kernel, system-call
 * filter) the same operations run synchronously, inside aio_submit().
 *
 * One ring serves all files of a disk's chain. Machine lock held throughout.
 */
#ifndef VMM_BACKEND_IMAGE_AIO_H
#define VMM_BACKEND_IMAGE_AIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "vmm/loop.h"

enum aio_kind {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,  /* fdatasync */
	AIO_PUNCH, /* gives the range back to the file system; it then reads as zeros */
	AIO_ZERO   /* makes the range zeros */
};

struct aio_op {
	enum aio_kind kind;
	int fd;
	struct iovec *iov; /* for reads and writes; stays valid until done */
	unsigned niov;
	uint64_t offset, len;
	bool zero_past_end; /* a read past the file's end yields zeros, otherwise -EIO */
	void (*done)(struct aio_op *op,
		     int rc); /* rc 0 or negative errno; never a short transfer */
};

struct aio;

/* `loop` NULL: nobody is called unless aio_wait() is. `batch` runs after each batch of done(). */
struct aio *aio_create(struct loop *loop, void (*batch)(void *opaque), void *opaque);
void aio_destroy(struct aio *a);                   /* nothing in flight; NULL is allowed */
void aio_submit(struct aio *a, struct aio_op *op); /* may hold it back until aio_kick() */
void aio_kick(struct aio *a);
/* Waits until something completed; false when nothing is in flight. */
bool aio_wait(struct aio *a);

#endif
