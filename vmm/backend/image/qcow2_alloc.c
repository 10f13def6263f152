/* SPDX-License-Identifier: Apache-2.0 */
/* Refcounts: which clusters of the file are used, and how often. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

#define MAX_BOGUS 65536u /* clusters past the file's end that may count as used */

/* ---- one refcount in its block ----------------------------------------------------------------
 */

/* Entries have 1 << refcount_order bits; below a byte, the lowest bits come first. */
uint64_t qcow2_refcount_in(const struct qcow2 *q, const void *block, uint64_t i)
{
	unsigned order = q->h.refcount_order;

	switch (order) {
	case 6:
		return be64toh(((const uint64_t *)block)[i]);
	case 5:
		return be32toh(((const uint32_t *)block)[i]);
	case 4:
		return be16toh(((const uint16_t *)block)[i]);
	default: {
		unsigned per_byte = 8u >> order, bits = 1u << order;
		unsigned shift = (unsigned)(i % per_byte) * bits;

		return ((const uint8_t *)block)[i / per_byte] >> shift & ((1u << bits) - 1);
	}
	}
}

static void set_in(const struct qcow2 *q, void *block, uint64_t i, uint64_t count)
{
	unsigned order = q->h.refcount_order;

	switch (order) {
	case 6:
		((uint64_t *)block)[i] = htobe64(count);
		break;
	case 5:
		((uint32_t *)block)[i] = htobe32((uint32_t)count);
		break;
	case 4:
		((uint16_t *)block)[i] = htobe16((uint16_t)count);
		break;
	default: {
		unsigned per_byte = 8u >> order, bits = 1u << order;
		unsigned shift = (unsigned)(i % per_byte) * bits;
		uint8_t *byte = (uint8_t *)block + i / per_byte;

		*byte &= (uint8_t) ~(((1u << bits) - 1) << shift);
		*byte |= (uint8_t)(count << shift);
	}
	}
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static uint64_t block_of(const struct qcow2 *q, uint64_t cluster)
{
	return cluster >> q->refblock_bits;
}

static uint64_t index_in_block(const struct qcow2 *q, uint64_t cluster)
{
	return cluster & ((1ull << q->refblock_bits) - 1);
}

/* *out is NULL when the file has no block for these clusters: none is used. */
static int get_block(struct image *img, uint64_t index, struct table **out)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t offset;
	int rc;

	*out = NULL;
	if (index >= q->reftable_size)
		return 0;
	offset = q->reftable[index];
	if (!offset)
		return 0;
	*out = tables_find(&q->refblocks, index);
	if (*out)
		return 0;
	if (offset & (q->cluster - 1))
		return qcow2_corrupt(img, "refcount block", offset);
	*out = tables_add(&q->refblocks, index, q->cluster);
	if (!*out)
		return -ENOMEM;
	rc = bytes_read(img->fd, (*out)->data, q->cluster, offset);
	if (rc)
		tables_drop(&q->refblocks, *out);
	return rc;
}

static void note_dirty(struct image *img, struct table *t)
{
	const struct qcow2 *q = qcow2_of(img);

	t->dirty = true;
	img->dirty = true;
	if (q->refblocks.n > 2 * q->refblocks.limit)
		img->commit_soon = true;
}

static void taken(struct qcow2 *q, uint64_t first, uint64_t n)
{
	if (q->fresh_from < (first + n) << q->cluster_bits)
		q->fresh_from = (first + n) << q->cluster_bits;
	if (q->next_free == first)
		q->next_free = first + n;
}

static int grow_table(struct image *img, uint64_t entries);

/* A block at `cluster` for the stretch `index`. The caller counts the cluster itself. */
static int place_block(struct image *img, uint64_t index, uint64_t cluster, struct table **out)
{
	struct qcow2 *q = qcow2_of(img);

	*out = tables_add(&q->refblocks, index, q->cluster);
	if (!*out)
		return -ENOMEM;
	q->reftable[index] = cluster << q->cluster_bits;
	if (q->reftable_used <= index)
		q->reftable_used = index + 1;
	span_add(&q->reftable_dirty, index);
	note_dirty(img, *out);
	return 0;
}

static int make_entry(struct image *img, uint64_t index)
{
	return index < qcow2_of(img)->reftable_size ? 0 : grow_table(img, index + 1);
}

/* The first cluster of a stretch that nobody counts becomes its block, and counts itself. */
static int cover(struct image *img, uint64_t cluster)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t index = block_of(q, cluster);
	struct table *t = NULL;
	int rc = make_entry(img, index);

	if (!rc)
		rc = get_block(img, index, &t);
	if (rc || t)
		return rc;
	rc = place_block(img, index, cluster, &t);
	if (rc)
		return rc;
	set_in(q, t->data, index_in_block(q, cluster), 1);
	taken(q, cluster, 1);
	return 0;
}

/* In a repair, used clusters may lack a block: it comes behind everything else. */
static int add_block(struct image *img, uint64_t index, struct table **out)
{
	uint64_t cluster;
	int rc = make_entry(img, index);

	if (!rc)
		rc = qcow2_alloc_run(img, 1, &cluster);
	if (!rc)
		rc = get_block(img, index, out);
	if (rc || !*out)
		return rc ? rc : place_block(img, index, cluster, out);
	/* The search for a place has made the block already. */
	return qcow2_set_refcount(img, cluster, 0);
}

/* ---- a longer refcount table (seldom: one cluster of it covers 16 TiB) ------------------------
 */

static int write_table(struct image *img, uint64_t first)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t *be = malloc(q->reftable_size * 8);
	int rc;

	if (!be)
		return -ENOMEM;
	for (uint64_t i = 0; i < q->reftable_size; i++)
		be[i] = htobe64(q->reftable[i]);
	rc = bytes_write(img->fd, be, q->reftable_size * 8, first << q->cluster_bits);
	free(be);
	return rc;
}

static int write_blocks(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);
	int wrote = 0;

	for (unsigned i = 0; i < q->refblocks.n; i++) {
		struct table *t = q->refblocks.table[i];
		int rc = t->dirty ? bytes_write(img->fd, t->data, q->cluster, q->reftable[t->index])
				  : 0;

		if (rc)
			return rc;
		wrote |= t->dirty;
		t->dirty = false;
	}
	return wrote;
}

/* New table, then the header that leads to it, then the old one's clusters are free. */
static int move_table(struct image *img, uint64_t first, uint64_t clusters)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t old = q->h.reftable_offset >> q->cluster_bits, nold = q->h.reftable_clusters;
	int rc = write_blocks(img);

	if (rc >= 0)
		rc = write_table(img, first);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	if (rc)
		return rc;
	q->h.reftable_offset = first << q->cluster_bits;
	q->h.reftable_clusters = (uint32_t)clusters;
	q->reftable_dirty = (struct span){0};
	rc = qcow2_write_header(img);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	for (uint64_t i = 0; i < nold && !rc; i++)
		rc = qcow2_free_later(q, old + i);
	return rc;
}

static int grow_table(struct image *img, uint64_t entries)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t clusters, size, first, *bigger;
	int rc;

	entries += entries / 2 + 1;
	clusters = align_up(entries * 8, q->cluster) >> q->cluster_bits;
	size = clusters << q->cluster_bits;
	if (size > QCOW2_MAX_REFTABLE)
		return -EFBIG;
	bigger = realloc(q->reftable, size);
	if (!bigger)
		return -ENOMEM;
	q->reftable = bigger;
	memset(bigger + q->reftable_size, 0, size - q->reftable_size * 8);
	q->reftable_size = size / 8;
	rc = tables_grow(&q->refblocks, q->reftable_size);
	if (!rc)
		rc = qcow2_alloc_run(img, clusters, &first);
	return rc ? rc : move_table(img, first, clusters);
}

/* ---- counting ---------------------------------------------------------------------------------
 */

int qcow2_refcount(struct image *img, uint64_t cluster, uint64_t *count)
{
	const struct qcow2 *q = qcow2_of(img);
	struct table *t;
	int rc = get_block(img, block_of(q, cluster), &t);

	*count = rc || !t ? 0 : qcow2_refcount_in(q, t->data, index_in_block(q, cluster));
	return rc;
}

int qcow2_set_refcount(struct image *img, uint64_t cluster, uint64_t count)
{
	struct qcow2 *q = qcow2_of(img);
	struct table *t;
	int rc = get_block(img, block_of(q, cluster), &t);

	if (!rc && !t)
		rc = add_block(img, block_of(q, cluster), &t);
	if (rc)
		return rc;
	set_in(q, t->data, index_in_block(q, cluster), count);
	note_dirty(img, t);
	if (!count && cluster < q->next_free)
		q->next_free = cluster;
	return 0;
}

/* How many of the `want` clusters from `first` on are free. */
static int count_free(struct image *img, uint64_t first, uint64_t want, uint64_t *n)
{
	uint64_t count;

	for (*n = 0; *n < want; ++*n) {
		int rc = qcow2_refcount(img, first + *n, &count);

		if (rc)
			return rc;
		if (count)
			break;
	}
	return 0;
}

static int take(struct image *img, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		int rc = qcow2_set_refcount(img, first + i, 1);

		if (rc)
			return rc;
	}
	taken(qcow2_of(img), first, n);
	return 0;
}

static int find_free(struct image *img, uint64_t want, uint64_t *first, uint64_t *got)
{
	struct qcow2 *q = qcow2_of(img);

	for (uint64_t at = q->next_free;; at++) {
		if (at > (q->fresh_from >> q->cluster_bits) + MAX_BOGUS)
			return qcow2_corrupt(img, "used clusters past the end of the file",
					     at << q->cluster_bits);
		/* A run ends where counting does: the next stretch begins with its own block. */
		uint64_t left = (1ull << q->refblock_bits) - index_in_block(q, at), n;
		int rc = cover(img, at);

		if (!rc)
			rc = count_free(img, at, want < left ? want : left, &n);
		if (rc)
			return rc;
		if (n) {
			*first = at;
			*got = n;
			return 0;
		}
		if (at == q->next_free)
			q->next_free++;
	}
}

int qcow2_alloc(struct image *img, uint64_t want, uint64_t *first, uint64_t *got)
{
	int rc = find_free(img, want, first, got);

	return rc ? rc : take(img, *first, *got);
}

/* The first cluster behind all that was ever used, from where `n` are free. */
static int find_end(struct image *img, uint64_t n, uint64_t *first)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t found = 0;
	int rc = 0;

	for (*first = q->fresh_from >> q->cluster_bits; !rc && found < n; *first += found + 1) {
		rc = count_free(img, *first, n, &found);
		if (found == n)
			break;
	}
	return rc;
}

/* A longer refcount table goes to the end, too: then the end is another one. */
static int find_end_with_entries(struct image *img, uint64_t n, uint64_t *first)
{
	const struct qcow2 *q = qcow2_of(img);
	uint64_t entries;
	int rc;

	do {
		entries = q->reftable_size;
		rc = find_end(img, n, first);
		if (!rc) /* blocks for n clusters are fewer than n + 1 */
			rc = make_entry(img, block_of(q, *first + 2 * n + 1));
	} while (!rc && entries != q->reftable_size);
	return rc;
}

/* Blocks that the run lacks are put behind it, and then counted like the run. */
int qcow2_alloc_run(struct image *img, uint64_t n, uint64_t *first)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t end;
	int rc = find_end_with_entries(img, n, first);

	end = *first + n;
	for (uint64_t i = block_of(q, *first); !rc && i <= block_of(q, *first + n - 1); i++) {
		struct table *t;

		rc = get_block(img, i, &t);
		if (!rc && !t)
			rc = place_block(img, i, end++, &t);
	}
	if (rc)
		return rc;
	taken(q, *first, end - *first); /* before a block for the blocks is looked for */
	return take(img, *first, end - *first);
}

/* ---- giving back ------------------------------------------------------------------------------
 */

int qcow2_free_later(struct qcow2 *q, uint64_t cluster)
{
	struct freed *f = &q->freed;

	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		uint64_t *bigger = realloc(f->cluster, room * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		f->cluster = bigger;
		f->room = room;
	}
	f->cluster[f->n++] = cluster;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void punch(struct image *img, uint64_t first, uint64_t n)
{
	unsigned bits = qcow2_of(img)->cluster_bits;

	/* Where the file system cannot, the space stays with the file and is used again. */
	if (n && fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   (off_t)(first << bits), (off_t)(n << bits)))
		return;
}

/* True when nothing refers to the cluster any more. */
static bool drop_reference(struct image *img, uint64_t cluster)
{
	uint64_t count;

	if (qcow2_refcount(img, cluster, &count))
		return false;
	if (!count) {
		qcow2_corrupt(img, "freed twice: cluster", cluster);
		return false;
	}
	return !qcow2_set_refcount(img, cluster, count - 1) && count == 1;
}

void qcow2_free_now(struct image *img)
{
	struct freed *f = &qcow2_of(img)->freed;
	uint64_t first = 0, n = 0;

	if (f->n)
		qsort(f->cluster, f->n, sizeof(*f->cluster), compare);
	for (size_t i = 0; i < f->n; i++) {
		if (!drop_reference(img, f->cluster[i]))
			continue;
		if (first + n != f->cluster[i]) {
			punch(img, first, n);
			first = f->cluster[i];
			n = 0;
		}
		n++;
	}
	punch(img, first, n);
	f->n = 0;
}
