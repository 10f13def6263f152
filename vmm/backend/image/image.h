/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image file, and the chain of images that it stands on.
 *
 * A format only knows where things are: it translates guest offsets to places in the file, reserves
 * space, and writes its own tables, all of it synchronously and mostly from memory. The
 * movement of data, copying on write, locking of ranges and the order of flushes are the same for
 * all formats (vmm/backend/image/engine.h).
 *
 * The order that keeps an image whole through a crash: space is reserved in the tables of used
 * space, data is written, and only after both are on stable storage the tables that lead to the
 * data are written. Space is given back after those no longer lead to it. A crash may therefore
 * leave space reserved for nothing, and never one place used twice.
 *
 * `e` is never NULL in this folder.
 */
#ifndef VMM_BACKEND_IMAGE_IMAGE_H
#define VMM_BACKEND_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SECTOR           512u
#define IMAGE_MAX_DEPTH  256          /* images in a chain */
#define IMAGE_MAX_SIZE   (1ull << 60) /* bytes that a guest can see */
#define IMAGE_HEAD_BYTES 512          /* enough to tell formats apart */
#define IMAGE_MAX_PATH   4096

enum extent_kind {
	EXTENT_HOLE,  /* not in this image: ask the one below, zeros if there is none */
	EXTENT_ZERO,  /* reads as zeros, whatever is below */
	EXTENT_DATA,  /* at `host` in the file */
	EXTENT_PACKED /* one compressed cluster */
};

struct extent {
	enum extent_kind kind;
	uint64_t host;       /* DATA, PACKED: bytes from the start of the file */
	uint64_t len;        /* bytes for which this holds, at most what was asked for */
	uint64_t packed_len; /* PACKED: bytes at `host` that hold the compressed cluster */
	bool frozen;         /* DATA that must be copied and not written in place */
};

/* Space for a write to whole clusters. */
struct reservation {
	uint64_t host, len; /* len: a multiple of the cluster, at most what was asked for */
	bool fresh;         /* has never been written: reads as zeros */
};

struct image;

struct image_create {
	const char *format;
	uint64_t size;                        /* bytes that the guest sees */
	const char *backing, *backing_format; /* NULL: stands alone */
	uint32_t cluster;                     /* 0: the format's default */
	bool fixed;                           /* all space is taken at once (raw, vdi) */
};

struct image_check {
	uint64_t corruptions, leaks; /* found; leaks: clusters reserved for nothing */
	uint64_t repaired;           /* of both */
	uint64_t allocated, total;   /* clusters of the guest's view */
	void (*say)(void *opaque, const char *text); /* one line for each finding; may be NULL */
	void *opaque;
};

struct image_format {
	const char *name;
	bool zero_in_place; /* ranges are zeroed and discarded in the file, the tables stay */
	bool can_back;      /* an overlay: has a field for its backing file */
	bool zero_past_end; /* the file may end before its last cluster does */
	/* Does the image begin like this format's? Never called for raw. */
	bool (*probe)(const uint8_t head[IMAGE_HEAD_BYTES]);
	/*
	 * Reads the header; img->fd, path and writable are set. Allocates img->priv, sets size,
	 * cluster and, if there is one, backing_name and backing_format.
	 */
	int (*open)(struct image *img, struct err *e);
	/* img->writable has changed; refuses what may not be written. May be NULL. */
	int (*reopened)(struct image *img, struct err *e);
	void (*close)(struct image *img);
	/* What is at `offset`; [offset, offset+len) lies inside the image. */
	int (*map)(struct image *img, uint64_t offset, uint64_t len, struct extent *x);
	/* Like map(), but also finds what reads as zeros; slower. NULL: map(). */
	int (*scan)(struct image *img, uint64_t offset, uint64_t len, struct extent *x);
	/* Reserves space for whole clusters from `offset` on. */
	int (*reserve)(struct image *img, uint64_t offset, uint64_t len, struct reservation *r);
	/* Gives back what was never linked. */
	void (*unreserve)(struct image *img, const struct reservation *r);
	/* The clusters from `offset` on are now at r->host, where their data has been written. */
	int (*link)(struct image *img, uint64_t offset, const struct reservation *r);
	/*
	 * Whole clusters (the last may be cut by the image's end) become zeros. `discard`: their
	 * content does not matter. -EOPNOTSUPP: zeros must be written.
	 */
	int (*clear)(struct image *img, uint64_t offset, uint64_t len, bool discard);
	/*
	 * Writes tables in steps 0, 1, ...; the caller makes the file stable after each step that
	 * wrote something. Returns 1 if it wrote, 0 if not, -ENODATA when there are no more steps.
	 */
	int (*commit)(struct image *img, unsigned step);
	void (*committed)(struct image *img); /* all steps are on stable storage */
	/* Unpacks a compressed cluster; `out` has room for one cluster. */
	int (*unpack)(struct image *img, const uint8_t *in, uint64_t len, uint8_t *out);
	/* The rest works on images that nobody else uses, with everything committed. */
	int (*create)(int fd, const struct image_create *c, struct err *e);
	int (*resize)(struct image *img, uint64_t size, struct err *e);
	/* Finds, and repairs if asked to, what is wrong with the tables. */
	int (*check)(struct image *img, bool repair, struct image_check *c, struct err *e);
	/* Replaces the name of the image below; NULL: none. */
	int (*set_backing)(struct image *img, const char *name, const char *format, struct err *e);
};

struct image {
	const struct image_format *format;
	char *path;
	int fd;        /* for tables and data */
	int direct_fd; /* for data past the page cache, or -1 */
	int claim_fd;  /* see image_claim(), or -1 */
	bool writable;
	bool guessed;     /* raw only because it looks like nothing else */
	bool repairing;   /* see struct image_access */
	bool dirty;       /* tables wait for a commit */
	bool commit_soon; /* memory or freed space should not wait for the guest's next flush */
	uint64_t size;    /* bytes that the guest sees, multiple of 512 */
	uint32_t cluster; /* bytes, power of two; 1 when any range may be written in place */
	char *backing_name, *backing_format; /* as the header has them; format NULL: not said */
	struct image *backing;
	void *priv;
};

extern const struct image_format image_raw, image_qcow2, image_vdi;

/* NULL and a sentence when there is no such format. */
const struct image_format *image_format_find(const char *name, struct err *e);
/* By its first bytes; raw when they mean nothing else. */
const struct image_format *image_probe_head(const uint8_t head[IMAGE_HEAD_BYTES]);
int image_probe(int fd, const struct image_format **out, struct err *e);
/* The name of another program's format that these are the first bytes of, or NULL. */
const char *image_foreign(const uint8_t head[IMAGE_HEAD_BYTES]);

/* How an image and what is below it may be opened. */
struct image_access {
	const char *format; /* NULL: by its first bytes */
	bool writable;      /* the first image only; the others are always read */
	bool direct;        /* data past the page cache (O_DIRECT) */
	bool alone;         /* does not open the images below */
	bool unlocked;      /* only looks at the header: takes no lock */
	bool repairing;     /* opens for writing what is marked as damaged */
	/*
	 * An image may stand on another in its own folder (or below that), or in one of these.
	 * Otherwise a strange image could show the guest any file of the host.
	 */
	const char *const *backing_folders;
	unsigned nbacking_folders;
	bool any_backing;
	/* `path`, open already, for `direct` the second; closed also after an error. NULL: opened.
	 */
	const int *given, *given_direct;
};

int image_open_file(struct image **out, const char *path, const struct image_access *a,
		    struct err *e);
/* Closes the image and those below; unwritten tables are lost (see disk_close()). */
void image_close_chain(struct image *img);
/* Path of the image below, relative to this one's folder as the header says; malloc'd. */
char *image_backing_path(const struct image *img);
/* Opens what `img` stands on; `depth` images are above it already. */
int image_open_backing(struct image *img, const struct image_access *a, unsigned depth,
		       struct err *e);

/*
 * What the guest would read at `offset` of `img`: never EXTENT_HOLE; *owner is the image of the
 * chain whose file has the data.
 */
int image_resolve(struct image *img, uint64_t offset, uint64_t len, struct extent *x,
		  struct image **owner);
/* The same with holes of files found, too, as EXTENT_ZERO; slower. */
int image_scan(struct image *img, uint64_t offset, uint64_t len, struct extent *x);
/* All of a commit at once, with the file made stable. */
int image_commit(struct image *img);
/* The same until nothing waits: what a commit has freed is noted by the next one. */
int image_settle(struct image *img);

/* ---- locks (lock.c) ------------------------------------------------------------------------- */

/* Many readers or one writer; also against QEMU's tools. -EBUSY names who holds it. */
int image_lock(int fd, bool writable, struct err *e);
void image_unlock(int fd);
/*
 * For who writes to a block device, `fd` of `path`: nobody else may have claimed it, the whole or a
 * part of it, and nobody can until *claim, -1 before, is closed (open(2), O_EXCL; Linux claims what
 * it mounts). Of a file nothing is done. On Baton's own kernel the locks are enough for that.
 */
int image_claim(const char *path, int fd, int *claim, struct err *e);

/* ---- whole transfers (bytes.c) ----------------------------------------------------------------
 */

int bytes_read(int fd, void *buf, uint64_t len, uint64_t offset);        /* -EIO past the end */
int bytes_write(int fd, const void *buf, uint64_t len, uint64_t offset); /* 0 or negative errno */
bool bytes_zero(const void *buf, uint64_t len);
/* Bytes of a file or block device. */
int file_length(int fd, uint64_t *size, struct err *e);
#endif
