/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a disk that all formats share: it cuts requests at extents, moves data with
 * several operations in flight, copies clusters on write, and commits tables in order.
 *
 * A request holds its range of whole clusters: alone, if it may change where things are, else
 * together with others. During a commit no request may change the tables, so what is written to
 * the file is what the file has been made stable for.
 */
#ifndef VMM_BACKEND_IMAGE_ENGINE_H
#define VMM_BACKEND_IMAGE_ENGINE_H

#include "vmm/backend/disk.h"
#include "vmm/backend/image/aio.h"
#include "vmm/backend/image/image.h"

struct image_disk;
struct merge;

enum io_kind {
	IO_PLAIN,
	IO_ALONE, /* holds its range alone in any case: sees all writes before it */
	IO_COPY   /* a merge's: the range comes into `node` from below */
};

/* One request on its way. */
struct io {
	struct disk_req *req;
	struct image_disk *d;
	struct image *node;  /* the image of the chain that it reads or writes */
	uint64_t start, end; /* the range it holds, whole clusters */
	bool alone;          /* nobody else may hold any of it */
	enum io_kind kind;
	unsigned parts; /* under way */
	int rc;         /* the first error */
	struct io *next, **link;
	void (*finish)(struct io *io);
};

struct io_list {
	struct io *first, **end;
};

/* One operation on a file for a part of a request. */
struct part {
	struct aio_op op;
	struct io *io;
	struct image *node;      /* whose file it works on */
	uint64_t offset;         /* in the disk */
	struct reservation room; /* a write to new clusters */
	uint8_t *bounce;         /* what is copied round the guest's data; a packed cluster */
	unsigned fills;          /* reads into `bounce` under way */
	int fill_rc;
	uint64_t skip, len; /* a packed cluster: the bytes that are wanted */
	uint64_t at;        /* in the request's iov */
	struct part *next;
	struct iovec iov[]; /* slices of the guest's buffers */
};

struct commit {
	bool active, full;
	struct image *node; /* whose tables do not change meanwhile */
	unsigned step;
	struct aio_op sync;
	struct io_list now, later; /* flush requests that it serves, and that came since */
	struct part *links;        /* written clusters that wait for its end */
	struct loop_timer timer;
};

/* What the guest wrote until it got an overlay, on its way to stable storage. */
struct settling {
	struct image *node; /* still writable, but not written by the guest; NULL: none */
	void (*done)(void *opaque, const struct err *e);
	void *opaque;
};

struct limit {
	uint64_t bps, iops, burst;       /* burst: ns */
	uint64_t bytes_point, ops_point; /* loop_now() until which the rate is used up */
	struct io_list held;
	struct loop_timer timer;
};

struct image_disk {
	struct disk disk;
	struct image *top;
	struct aio *aio;
	struct loop *loop; /* NULL: a tool, which drains after each batch */
	struct io_list active, waiting;
	struct commit commit;
	struct image *overlay; /* opened, for disk_switch_overlay(); or NULL */
	struct settling settling;
	struct limit limit;
	struct merge *merge;  /* under way, or NULL */
	struct part *stalled; /* the host's disk is full */
	bool detect_zeroes;
	bool rescan, rescanning;
	bool failing; /* a full disk is an error now */
	unsigned long errors;
};

static inline struct image_disk *image_disk_of(struct disk *d)
{
	return (struct image_disk *)d;
}

static inline uint64_t io_len(const struct io *io)
{
	return io->req->len;
}

void io_list_add(struct io_list *l, struct io *io);
void io_list_remove(struct io_list *l, struct io *io);

/* ---- request.c: life of a request ------------------------------------------------------------ */

/* Starts `io`, now or when its range is free; io->finish runs at its end. */
void io_start(struct io *io);
/* A part has ended. */
void io_part_done(struct io *io, int rc);
/* Looks which waiting requests can go on. */
void io_rescan(struct image_disk *d);
/* A request on any image of the chain. 0, or -ENOMEM and done() is not called. */
int io_submit(struct image_disk *d, struct image *node, struct disk_req *r, enum io_kind kind);
struct io *io_create(struct image_disk *d, struct image *node, struct disk_req *r); /* or NULL */
void io_finish(struct io *io);

/* ---- part.c ---------------------------------------------------------------------------------- */

/* A part with the slices [at, at+len) of the request's buffers and `extra` empty slots in front. */
struct part *part_create(struct io *io, struct image *node, uint64_t at, uint64_t len,
			 unsigned extra);
void part_free(struct part *p);
void part_submit(struct part *p, enum aio_kind kind, uint64_t host, uint64_t len,
		 void (*done)(struct aio_op *op, int rc));
/* The usual end of a part; what met a full disk waits for image_disk_retry(). */
void part_done(struct aio_op *op, int rc);
/* True if the part was put aside because the host's disk is full. */
bool part_stalls(struct part *p, int rc);
void stalled_retry(struct image_disk *d);

/* ---- read.c, write.c, zero.c ----------------------------------------------------------------- */

/* [offset, offset+len) as seen from io->node, into the buffers from `at` on. */
void read_range(struct io *io, uint64_t offset, uint64_t len, uint64_t at);
void write_range(struct io *io, uint64_t offset, uint64_t len, uint64_t at);
void zero_range(struct io *io);
/* The clusters of the range come into io->node as they are below. */
void copy_range(struct io *io);
/* Does the range read as zeros without looking at data? */
bool reads_as_zero(struct image *node, uint64_t offset, uint64_t len);
/* Must the request hold its range alone, because it changes tables? */
bool write_moves(const struct io *io);
bool all_zero(const struct disk_req *r);

/* ---- commit.c -------------------------------------------------------------------------------- */

void commit_request(struct io *io); /* a flush */
/* Must tables of `node` stay as they are? */
bool commit_freezes(const struct image_disk *d, const struct image *node);
/* The part's clusters are written: links them, after a commit that is under way. */
void commit_link(struct part *p);
/* After tables have changed: a commit in some seconds, or at once. */
void commit_later(struct image_disk *d);
/* Of d->settling.node first, if there is one. */
void commit_start(struct image_disk *d);
void commit_retry(struct image_disk *d);
void commit_timeout(void *opaque);

/* ---- limit.c ----------------------------------------------------------------------------------
 */

void limit_init(struct limit *l, const struct disk_options *o);
/* True: the request waits for its turn. */
bool limit_holds(struct image_disk *d, struct io *io);
void limit_release_all(struct image_disk *d);
void limit_timeout(void *opaque);

/* ---- merge.c --------------------------------------------------------------------------------- */

/* The guest writes while a merge is under way. */
void merge_note_write(struct image_disk *d, uint64_t offset, uint64_t len);

#endif
