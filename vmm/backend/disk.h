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
};

struct disk;

struct disk_ops {
	const char *name;
	void (*submit)(struct disk *d, struct disk_req *r);
	void (*kick)(struct disk *d);    /* starts what submit() held back */
	void (*destroy)(struct disk *d); /* after drain */
	void (*drain)(struct disk *d);   /* returns when no request is in flight */
	void (*retry)(struct disk *d);
	bool (*stalled)(const struct disk *d);
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
	/*
	 * The host has no space for a write, which now waits for disk_retry(); so does a flush.
	 * Called for each. NULL: the guest gets an error.
	 */
	void (*full)(void *opaque);
	void *full_opaque;
};

struct disk_options {
	const char *path;
	const char *format; /* raw, qcow2, vdi; NULL: by the file's first bytes */
	bool readonly;
	bool direct;        /* data goes past the host's page cache (O_DIRECT) */
	bool detect_zeroes; /* what is written as zeros takes no space */
	/* Folders, besides an image's own, where its backing files may be. */
	const char *const *backing_folders;
	unsigned nbacking_folders;
	/*
	 * At most so many bytes and requests a second, 0: any number. What was not used in `burst`
	 * seconds (0: 1) may be made up for at once.
	 */
	uint64_t bps, iops, burst;
	bool any_backing; /* anywhere: only for images that their user trusts */
	/*
	 * The file, open already and taken over also when the call fails; `path` is then only its
	 * name, and `direct` not possible. NULL: `path` is opened.
	 */
	const int *given;
};

/*
 * Opens an image or block device and all that it stands on. Takes an exclusive lock for writing and
 * a shared one for reading; -EBUSY names who holds it.
 *
 * Without a format, an image whose first bytes mean nothing is raw, and then a write that would
 * make it look like another format is refused: the guest could have its next start open any
 * file of the host as a "backing file".
 */
int disk_open(const struct disk_options *o, struct loop *loop, struct disk **out, struct err *e);
/* The request may be held back until disk_kick(): one system call serves a batch. */
void disk_submit(struct disk *d, struct disk_req *r);
void disk_kick(struct disk *d);
/* Waits for everything submitted; all done() calls have been made on return. */
void disk_drain(struct disk *d);
/* Tries again what the full host disk stopped. */
void disk_retry(struct disk *d);
bool disk_stalled(const struct disk *d); /* something waits for disk_retry() */
void disk_close(struct disk *d);         /* drains and commits; NULL is allowed */
/*
 * The disk gets larger while it is used; what is new reads as zeros. Drains. `size` in bytes, a
 * multiple of 512, not less than now (-EINVAL). -EBUSY while a snapshot or merge is under way. The
 * device that shows it tells its guest.
 */
int disk_grow(struct disk *d, uint64_t size, struct err *e);

#endif
