/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual disk's content. Requests are asynchronous; `done` runs on the main loop with the
 * machine lock held, possibly from inside disk_submit(). Flush completes when all writes that
 * completed before it was submitted are on stable storage.
 */
#ifndef VMM_BACKEND_DISK_H
#define VMM_BACKEND_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "vmm/loop.h"

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_DISCARD,
	DISK_WRITE_ZEROES
};

struct disk_req {
	enum disk_op op;
	uint64_t offset;   /* bytes, multiple of 512; checked against the size by disk_submit() */
	uint64_t len;      /* bytes; for reads and writes the sum of iov */
	struct iovec *iov; /* guest memory; stays valid until done */
	unsigned niov;
	void (*done)(struct disk_req *r, int rc); /* rc 0 or negative errno */
	void *opaque;
	uint64_t priv[4]; /* for the format */
};

struct disk;

struct disk_ops {
	const char *name;
	void (*submit)(struct disk *d, struct disk_req *r);
	void (*kick)(struct disk *d);    /* starts what submit() held back */
	void (*destroy)(struct disk *d); /* after drain */
	void (*drain)(struct disk *d);   /* returns when no request is in flight */
};

struct disk {
	const struct disk_ops *ops;
	uint64_t size; /* bytes, multiple of 512 */
	bool readonly;
	char id[21];      /* serial number shown to the guest, NUL-terminated */
	bool can_discard; /* DISK_DISCARD gives space back; it is accepted in any case */
	/* Called after each batch of done() calls, so that the guest is interrupted once. Optional.
	 */
	void (*batch_done)(void *opaque);
	void *batch_opaque;
};

/*
 * Opens an image or block device, format "raw" (or NULL: raw). Takes an exclusive lock for writing
 * and a shared one for reading; -EBUSY names who holds it.
 */
int disk_open(const char *path, const char *format, bool readonly, struct loop *loop,
	      struct disk **out, struct err *e);
/* The request may be held back until disk_kick(): one system call serves a batch. */
void disk_submit(struct disk *d, struct disk_req *r);
void disk_kick(struct disk *d);
/* Waits for everything submitted; all done() calls have been made on return. */
void disk_drain(struct disk *d);
void disk_close(struct disk *d); /* drains; NULL is allowed */

#endif
