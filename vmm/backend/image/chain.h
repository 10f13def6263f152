/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done with whole images and chains of them: new images, overlays, switching a running
 * disk to an overlay, merging, and changing what an image stands on. Snapshots are made of these.
 *
 * A chain a <- b <- c: c is the overlay on b, b on a. Only the last is written. All steps can be
 * interrupted by a crash: the chain then reads as before or as after.
 */
#ifndef VMM_BACKEND_IMAGE_CHAIN_H
#define VMM_BACKEND_IMAGE_CHAIN_H

#include "vmm/backend/disk.h"
#include "vmm/backend/image/files.h"
#include "vmm/backend/image/image.h"

/* ---- files ---------------------------------------------------------------------------------- */

/*
 * Makes a new image under a temporary name, makes it stable and gives it its name. -EEXIST if there
 * is a file of that name.
 */
int image_create_file(const char *path, const struct image_create *c, struct err *e);

/* The same with c->backing as a path from here; stored relative when both are in one folder. */
int image_create_named(const char *path, const struct image_create *c, struct err *e);

/*
 * Makes `path`, a qcow2 image of the same size that stands on `backing`. Reads only the header of
 * `backing`, which may be in use. The name is stored relative when both are in one folder.
 */
int image_create_overlay(const char *path, const char *backing, const char *backing_format,
			 struct err *e);

/* `done` and `total` in bytes of the disk. */
typedef void image_progress_fn(void *opaque, uint64_t done, uint64_t total);

struct image_convert {
	const char *source, *target;
	const char *source_format;    /* NULL: by its first bytes */
	const struct image_access *a; /* for what the source stands on */
	struct image_create create;   /* the target; size 0: the source's */
	image_progress_fn *progress;  /* may be NULL */
	void *opaque;
};

/*
 * Makes `target`, a new image that reads like `source` and stands on nothing. Zeros take no space
 * in it unless it is fixed. The target gets its name when it is complete and stable.
 */
int image_convert(const struct image_convert *c, struct err *e);

/* Gives the space of what reads as zeros back to the host; in place. *freed in bytes. */
int image_compact(const char *path, const char *format, uint64_t *freed,
		  image_progress_fn *progress, void *opaque, struct err *e);

/* What is lost when it shrinks is the caller's to ask about. */
int image_resize(const char *path, const char *format, uint64_t size, struct err *e);

/* -ENOTSUP for formats without tables. `repair`: what can be. */
int image_check(const char *path, const char *format, bool repair, struct image_check *c,
		struct err *e);

struct image_link {
	char *path;         /* as it can be opened from the current folder */
	const char *format; /* "raw", "qcow2", "vdi" */
	uint64_t size;      /* bytes that the guest sees */
	uint64_t used;      /* bytes on the host's disk */
	uint32_t cluster;   /* bytes; 1 for raw */
	char *backing;      /* as the header has it, or NULL */
};

/* The chain of `path`, itself first; takes no lock. *out is malloc'd: image_free_chain(). */
int image_read_chain(const char *path, const struct image_access *a, struct image_link **out,
		     unsigned *n, struct err *e);
void image_free_chain(struct image_link *links, unsigned n);

/* ---- a running disk -------------------------------------------------------------------------- */

/* The chain that `d` uses now, itself first; image_free_chain(). */
int disk_read_chain(const struct disk *d, struct image_link **out, unsigned *n, struct err *e);

/*
 * A running disk goes over to an overlay in three steps, so that only the second needs a machine
 * that stands. First: opens and locks `path`, which image_create_overlay() made on the disk's
 * present image. What `files` (may be NULL) has is not opened.
 */
int disk_open_overlay(struct disk *d, const char *path, struct image_files *files, struct err *e);
void disk_drop_overlay(struct disk *d); /* it is not wanted after all */

/* From now on `d`, which is drained, writes to the opened overlay. Cannot fail. */
void disk_switch_overlay(struct disk *d);

/*
 * Makes stable what the guest has written below the overlay, and gives up writing there; then
 * done() is called, perhaps at once. Flushes of the guest wait for it. After an error the next
 * flush tries again.
 */
void disk_settle_below(struct disk *d, void (*done)(void *opaque, const struct err *e),
		       void *opaque);
void disk_settle_forget(struct disk *d); /* done() is not called any more */

enum merge_direction {
	/*
	 * What the image below has comes into `path`, which then stands on the image after that.
	 * The image below is no longer used by this chain.
	 */
	MERGE_UP,
	/*
	 * What `path` has goes into the image below, whose content changes: it must not belong to
	 * another chain. The image above `path` then stands on the image below, or the
	 * guest writes there if `path` was the last. `path` is no longer used.
	 */
	MERGE_DOWN
};

struct merge_options {
	const char *path; /* an image of the chain, named as in disk_read_chain() */
	enum merge_direction direction;
	struct image_files *files; /* of images that it writes to; NULL: none. Until done() */
	/*
	 * The last image of the chain changes to `path` (MERGE_DOWN of the last one): write it
	 * down for the next start before returning 0; then the guest goes on. May be NULL.
	 */
	int (*switching)(void *opaque, const char *path, struct err *e);
	image_progress_fn *progress;                     /* may be NULL */
	void (*done)(void *opaque, const struct err *e); /* e->code 0: merged; files are closed */
	void *opaque;
};

/*
 * Starts merging while the guest goes on; done() is called on the main loop. One merge a disk at a
 * time (-EBUSY). disk_close() gives up one that is under way, the chain stays valid.
 */
int disk_merge(struct disk *d, const struct merge_options *o, struct err *e);
void disk_merge_cancel(struct disk *d);

/* The same for a chain that nobody uses: `last` is its last image, o->path an image of it. */
int image_merge(const char *last, const struct image_access *a, const struct merge_options *o,
		struct err *e);

/* ---- between the files of this folder -------------------------------------------------------- */

struct image_disk;

/* image_create_file() with something done to the new image before it gets its name. */
int image_create_filled(const char *path, const struct image_create *c,
			int (*fill)(const char *temporary, void *opaque, struct err *e),
			void *opaque, struct err *e);
struct image *image_disk_top(const struct disk *d);
/* Drains, and makes everything stable. */
int image_disk_settle(struct image_disk *d, struct err *e);
/* How `path` shall name `backing` in its header; malloc'd. */
char *image_name_backing(const char *path, const char *backing);
int image_disk_create(struct image *top, const struct disk_options *o, struct loop *loop,
		      struct disk **out, struct err *e);
/*
 * The same image with another right and lock; nothing in flight. On an error it is as before. One
 * that has been written to stays open for that, so that it can be again.
 */
int image_reopen(struct image *img, bool writable, struct image_files *files, struct err *e);

#endif
