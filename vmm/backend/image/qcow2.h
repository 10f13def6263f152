/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 format, versions 2 and 3, as specified in QEMU's docs/interop/qcow2.txt. All numbers in
 * the file are big-endian. Between the files of the format only.
 *
 *   header -> L1 table -> L2 tables -> data clusters
 *          -> refcount table -> refcount blocks: how often each cluster of the file is referred to
 */
#ifndef VMM_BACKEND_IMAGE_QCOW2_H
#define VMM_BACKEND_IMAGE_QCOW2_H

#include <endian.h>
#include <stddef.h>

#include "vmm/backend/image/image.h"

#define QCOW2_MAGIC         0x514649fbu
#define QCOW2_V2_HEADER     72u
#define QCOW2_MAX_L1        (32u << 20) /* bytes, like QEMU's own limit */
#define QCOW2_MAX_REFTABLE  (8u << 20)
#define QCOW2_MAX_NAME      1023u
#define QCOW2_MAX_SNAPSHOTS 65536u

#define L1_OFFSET     0x00fffffffffffe00ull
#define L2_OFFSET     0x00fffffffffffe00ull
#define L2_ZERO       1ull
#define L2_COMPRESSED (1ull << 62)
#define COPIED        (1ull << 63) /* the refcount is exactly one */

/* Incompatible features. */
#define FEATURE_DIRTY       (1ull << 0)
#define FEATURE_CORRUPT     (1ull << 1)
#define FEATURE_COMPRESSION (1ull << 3)
#define FEATURES_SUPPORTED  (FEATURE_DIRTY | FEATURE_CORRUPT | FEATURE_COMPRESSION)

/* Header extensions. */
#define EXT_END            0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES  0x6803f857u
#define EXT_BITMAPS        0x23852875u

struct qcow2_header {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_len, cluster_bits;
	uint64_t size;
	uint32_t crypt_method, l1_size;
	uint64_t l1_offset, reftable_offset;
	uint32_t reftable_clusters, nsnapshots;
	uint64_t snapshots_offset;
	/* version 3 */
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order, header_len;
	uint8_t compression, pad[7];
};

_Static_assert(sizeof(struct qcow2_header) == 112, "layout of the specification");

/* ---- tables in memory (tables.c) --------------------------------------------------------------
 */

struct table {
	uint64_t index; /* in the table that leads to it */
	void *data;     /* one cluster, as in the file */
	bool dirty;
	uint64_t used; /* when, by tables.clock */
};

/* A cache of L2 tables or refcount blocks. Dirty ones stay until they are written. */
struct tables {
	struct table **table;
	unsigned n, room, limit;
	uint32_t *where; /* by index: position in `table` plus one, 0: not here */
	uint64_t entries, clock;
};

int tables_init(struct tables *t, uint64_t entries, unsigned limit);
int tables_grow(struct tables *t, uint64_t entries);
void tables_free(struct tables *t);
struct table *tables_find(struct tables *t, uint64_t index);
/* A zeroed table; an old clean one goes when there are too many. NULL: out of memory. */
struct table *tables_add(struct tables *t, uint64_t index, uint64_t size);
void tables_drop(struct tables *t, struct table *old);

/* ---- an open image ----------------------------------------------------------------------------
 */

/* Clusters whose references go away with the next commit. */
struct freed {
	uint64_t *cluster;
	size_t n, room;
};

struct span {
	uint64_t first, end; /* empty when equal */
};

struct qcow2 {
	struct qcow2_header h; /* in host order */
	unsigned cluster_bits, l2_bits, refblock_bits;
	uint64_t cluster;
	uint64_t *l1, *reftable; /* host order */
	uint64_t reftable_size;  /* entries */
	uint64_t reftable_used;  /* no entry from here on leads to a block */
	struct span l1_dirty, reftable_dirty;
	struct tables l2, refblocks;
	uint64_t next_free;  /* no free cluster below this one */
	uint64_t fresh_from; /* bytes; nothing was ever written from here on */
	struct freed freed;
	bool has_bitmaps;
};

static inline struct qcow2 *qcow2_of(const struct image *img)
{
	return img->priv;
}

static inline void span_add(struct span *s, uint64_t i)
{
	if (s->first == s->end)
		*s = (struct span){i, i + 1};
	else if (i < s->first)
		s->first = i;
	else if (i >= s->end)
		s->end = i + 1;
}

/* Where a compressed cluster lies and how many bytes may belong to it. */
static inline void qcow2_packed(const struct qcow2 *q, uint64_t entry, uint64_t *host,
				uint64_t *len)
{
	unsigned shift = 62 - (q->cluster_bits - 8);
	uint64_t sectors = (entry >> shift & ((1ull << (q->cluster_bits - 8)) - 1)) + 1;

	*host = entry & ((1ull << shift) - 1);
	*len = sectors * 512 - (*host & 511);
}

/* ---- header (qcow2_header.c) ------------------------------------------------------------------
 */

int qcow2_open(struct image *img, struct err *e);
int qcow2_reopened(struct image *img, struct err *e);
void qcow2_close(struct image *img);
bool qcow2_probe(const uint8_t head[IMAGE_HEAD_BYTES]);
/* Writes the header's fixed part from q->h. */
int qcow2_write_header(struct image *img);
int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e);
int qcow2_create(int fd, const struct image_create *c, struct err *e);
int qcow2_resize(struct image *img, uint64_t size, struct err *e);
/* Marks the image as damaged, so that nobody writes to it before a repair. Returns -EIO. */
int qcow2_corrupt(struct image *img, const char *what, uint64_t offset);

/* ---- used space (qcow2_alloc.c) ----------------------------------------------------------------
 */

int qcow2_refcount(struct image *img, uint64_t cluster, uint64_t *count);
int qcow2_set_refcount(struct image *img, uint64_t cluster, uint64_t count);
/* Up to `want` consecutive clusters, at least one; their refcounts become one. */
int qcow2_alloc(struct image *img, uint64_t want, uint64_t *first, uint64_t *got);
/* Exactly `n` consecutive clusters. */
int qcow2_alloc_run(struct image *img, uint64_t n, uint64_t *first);
int qcow2_free_later(struct qcow2 *q, uint64_t cluster);
void qcow2_free_now(struct image *img); /* what qcow2_free_later() noted */
uint64_t qcow2_refcount_in(const struct qcow2 *q, const void *block, uint64_t i);

/* ---- mapping (qcow2_map.c) ---------------------------------------------------------------------
 */

int qcow2_map(struct image *img, uint64_t offset, uint64_t len, struct extent *x);
int qcow2_reserve(struct image *img, uint64_t offset, uint64_t len, struct reservation *r);
void qcow2_unreserve(struct image *img, const struct reservation *r);
int qcow2_link(struct image *img, uint64_t offset, const struct reservation *r);
int qcow2_clear(struct image *img, uint64_t offset, uint64_t len, bool discard);
int qcow2_commit(struct image *img, unsigned step);
void qcow2_committed(struct image *img);
int qcow2_unpack(struct image *img, const uint8_t *in, uint64_t len, uint8_t *out);

/* Is it safe to write, as far as the tables' places go? -EROFS: no (qcow2_layout.c). */
int qcow2_check_layout(struct image *img, struct err *e);

/* ---- check (qcow2_check.c) ---------------------------------------------------------------------
 */

int qcow2_check(struct image *img, bool repair, struct image_check *c, struct err *e);

#endif
