/* SPDX-License-Identifier: Apache-2.0 */
/* From guest offsets to clusters of the file: L1 and L2 tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

#define MAX_FREED (1u << 20) /* clusters; then a commit is due */

/* ---- L2 tables ------------------------------------------------------------------------------- */

static uint64_t l1_index(const struct qcow2 *q, uint64_t offset)
{
	return offset >> (q->cluster_bits + q->l2_bits);
}

static uint64_t l2_index(const struct qcow2 *q, uint64_t offset)
{
	return offset >> q->cluster_bits & ((1ull << q->l2_bits) - 1);
}

/* *out is NULL when there is no table. */
static int get_l2(struct image *img, uint64_t index, struct table **out)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t offset = q->l1[index] & L1_OFFSET;
	int rc;

	*out = tables_find(&q->l2, index);
	if (*out || !offset)
		return 0;
	if (offset & (q->cluster - 1))
		return qcow2_corrupt(img, "L2 table", offset);
	*out = tables_add(&q->l2, index, q->cluster);
	if (!*out)
		return -ENOMEM;
	rc = bytes_read(img->fd, (*out)->data, q->cluster, offset);
	if (rc) {
		tables_drop(&q->l2, *out);
		*out = NULL;
	}
	return rc;
}

static void l2_changed(struct image *img, struct table *t)
{
	const struct qcow2 *q = qcow2_of(img);

	t->dirty = true;
	img->dirty = true;
	if (q->l2.n > 2 * q->l2.limit || q->freed.n > MAX_FREED)
		img->commit_soon = true;
}

/* A table that a snapshot shares is copied before it changes. */
static int own_l2(struct image *img, uint64_t index, struct table **out)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t old = q->l1[index], first, got;
	int rc = get_l2(img, index, out);

	if (rc || (*out && old & COPIED))
		return rc;
	rc = qcow2_alloc(img, 1, &first, &got);
	if (!rc && *out)
		rc = qcow2_free_later(q, (old & L1_OFFSET) >> q->cluster_bits);
	if (rc)
		return rc;
	if (!*out)
		*out = tables_add(&q->l2, index, q->cluster);
	if (!*out)
		return -ENOMEM;
	q->l1[index] = first << q->cluster_bits | COPIED;
	span_add(&q->l1_dirty, index);
	l2_changed(img, *out);
	return 0;
}

/* ---- reading the map --------------------------------------------------------------------------
 */

static struct extent describe(const struct qcow2 *q, uint64_t entry)
{
	struct extent x = {.kind = EXTENT_HOLE};

	if (entry & L2_COMPRESSED) {
		x.kind = EXTENT_PACKED;
		qcow2_packed(q, entry, &x.host, &x.packed_len);
	} else if (q->h.version >= 3 && entry & L2_ZERO) {
		x.kind = EXTENT_ZERO;
	} else if (entry & L2_OFFSET) {
		x.kind = EXTENT_DATA;
		x.host = entry & L2_OFFSET;
		x.frozen = !(entry & COPIED);
	}
	return x;
}

static bool continues(const struct extent *x, const struct extent *next, uint64_t clusters,
		      uint64_t cluster)
{
	if (x->kind != next->kind || x->kind == EXTENT_PACKED)
		return false;
	return x->kind != EXTENT_DATA ||
	       (next->host == x->host + clusters * cluster && next->frozen == x->frozen);
}

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

/* A damaged or hostile image could lead the guest's writes into the tables. */
static bool hits_tables(const struct qcow2 *q, uint64_t host, uint64_t len)
{
	if (overlap(host, len, 0, q->cluster) ||
	    overlap(host, len, q->h.l1_offset, (uint64_t)q->h.l1_size * 8) ||
	    overlap(host, len, q->h.reftable_offset, (uint64_t)q->h.reftable_clusters * q->cluster))
		return true;
	for (uint32_t i = 0; i < q->h.l1_size; i++)
		if (q->l1[i] & L1_OFFSET && overlap(host, len, q->l1[i] & L1_OFFSET, q->cluster))
			return true;
	for (uint64_t i = 0; i < q->reftable_used; i++)
		if (q->reftable[i] && overlap(host, len, q->reftable[i], q->cluster))
			return true;
	return false;
}

static int check_data(struct image *img, const struct extent *x, uint64_t clusters)
{
	const struct qcow2 *q = qcow2_of(img);

	if (x->kind != EXTENT_DATA)
		return 0;
	if (x->host & (q->cluster - 1))
		return qcow2_corrupt(img, "data cluster", x->host);
	/* Nothing that is linked lies behind all that was ever used. */
	if (img->writable && x->host + clusters * q->cluster > q->fresh_from)
		return qcow2_corrupt(img, "data past the end of the file", x->host);
	if (img->writable && hits_tables(q, x->host, clusters * q->cluster))
		return qcow2_corrupt(img, "data among the tables", x->host);
	return 0;
}

int qcow2_map(struct image *img, uint64_t offset, uint64_t len, struct extent *x)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t i2 = l2_index(q, offset), skip = offset & (q->cluster - 1);
	uint64_t room = (((1ull << q->l2_bits) - i2) << q->cluster_bits) - skip;
	uint64_t want, n = 1;
	const uint64_t *entry;
	struct table *t;
	int rc = get_l2(img, l1_index(q, offset), &t);

	if (rc)
		return rc;
	if (len > room)
		len = room;
	if (!t) {
		*x = (struct extent){.kind = EXTENT_HOLE, .len = len};
		return 0;
	}
	entry = (const uint64_t *)t->data + i2;
	want = (skip + len + q->cluster - 1) >> q->cluster_bits;
	*x = describe(q, be64toh(*entry));
	for (struct extent next; n < want; n++) {
		next = describe(q, be64toh(entry[n]));
		if (!continues(x, &next, n, q->cluster))
			break;
	}
	rc = check_data(img, x, n);
	x->len = (n << q->cluster_bits) - skip < len ? (n << q->cluster_bits) - skip : len;
	if (x->kind == EXTENT_DATA)
		x->host += skip;
	return rc;
}

/* ---- changing it ------------------------------------------------------------------------------
 */

int qcow2_reserve(struct image *img, uint64_t offset, uint64_t len, struct reservation *r)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t fresh_from = q->fresh_from, first, got;
	uint64_t room = (1ull << q->l2_bits) - l2_index(q, offset);
	uint64_t want = len >> q->cluster_bits < room ? len >> q->cluster_bits : room;
	struct table *t;
	int rc = own_l2(img, l1_index(q, offset), &t);

	if (!rc)
		rc = qcow2_alloc(img, want, &first, &got);
	if (rc)
		return rc;
	*r = (struct reservation){.host = first << q->cluster_bits,
				  .len = got << q->cluster_bits,
				  .fresh = first << q->cluster_bits >= fresh_from};
	return 0;
}

void qcow2_unreserve(struct image *img, const struct reservation *r)
{
	struct qcow2 *q = qcow2_of(img);

	for (uint64_t at = r->host; at < r->host + r->len; at += q->cluster)
		qcow2_set_refcount(img, at >> q->cluster_bits, 0);
}

/* What an entry led to loses one reference. */
static int drop_entry(struct qcow2 *q, uint64_t entry)
{
	uint64_t host = entry & L2_OFFSET, len = q->cluster;
	int rc = 0;

	if (entry & L2_COMPRESSED)
		qcow2_packed(q, entry, &host, &len);
	else if (!host)
		return 0;
	for (uint64_t c = host >> q->cluster_bits; c <= (host + len - 1) >> q->cluster_bits && !rc;
	     c++)
		rc = qcow2_free_later(q, c);
	return rc;
}

static int set_entry(struct image *img, uint64_t offset, uint64_t entry)
{
	struct qcow2 *q = qcow2_of(img);
	struct table *t;
	uint64_t *at;
	int rc = own_l2(img, l1_index(q, offset), &t);

	if (rc)
		return rc;
	at = (uint64_t *)t->data + l2_index(q, offset);
	rc = drop_entry(q, be64toh(*at));
	if (rc)
		return rc;
	*at = htobe64(entry);
	l2_changed(img, t);
	return 0;
}

int qcow2_link(struct image *img, uint64_t offset, const struct reservation *r)
{
	const struct qcow2 *q = qcow2_of(img);
	int rc = 0;

	for (uint64_t done = 0; done < r->len && !rc; done += q->cluster)
		rc = set_entry(img, offset + done, (r->host + done) | COPIED);
	return rc;
}

/* Without an image below, a cluster that is not there is zeros. */
int qcow2_clear(struct image *img, uint64_t offset, uint64_t len, bool discard)
{
	const struct qcow2 *q = qcow2_of(img);
	uint64_t entry = img->backing_name ? L2_ZERO : 0;
	int rc = 0;

	(void)discard;
	if (entry && q->h.version < 3)
		return -EOPNOTSUPP;
	for (uint64_t at = offset; at < offset + len && !rc; at += q->cluster) {
		struct extent x;

		rc = qcow2_map(img, at, q->cluster, &x);
		if (!rc && x.kind != (entry ? EXTENT_ZERO : EXTENT_HOLE))
			rc = set_entry(img, at, entry);
	}
	return rc;
}

/* ---- commit -----------------------------------------------------------------------------------
 */

static int write_tables(struct image *img, struct tables *ts, const uint64_t *where)
{
	const struct qcow2 *q = qcow2_of(img);
	int wrote = 0;

	for (unsigned i = 0; i < ts->n; i++) {
		struct table *t = ts->table[i];
		int rc;

		if (!t->dirty)
			continue;
		rc = bytes_write(img->fd, t->data, q->cluster, where[t->index] & L1_OFFSET);
		if (rc)
			return rc;
		t->dirty = false;
		wrote = 1;
	}
	return wrote;
}

static int write_span(struct image *img, struct span *s, const uint64_t *table, uint64_t offset)
{
	uint64_t n = s->end - s->first, *be;
	int rc;

	if (!n)
		return 0;
	be = malloc(n * 8);
	if (!be)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		be[i] = htobe64(table[s->first + i]);
	rc = bytes_write(img->fd, be, n * 8, offset + s->first * 8);
	free(be);
	if (rc)
		return rc;
	*s = (struct span){0};
	return 1;
}

int qcow2_commit(struct image *img, unsigned step)
{
	struct qcow2 *q = qcow2_of(img);

	switch (step) {
	case 0: /* with the data: what is used is marked as used */
		return write_tables(img, &q->refblocks, q->reftable);
	case 1:
		return write_span(img, &q->reftable_dirty, q->reftable, q->h.reftable_offset);
	case 2:
		return write_tables(img, &q->l2, q->l1);
	case 3:
		return write_span(img, &q->l1_dirty, q->l1, q->h.l1_offset);
	}
	return -ENODATA;
}

void qcow2_committed(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);

	img->commit_soon = false;
	img->dirty = q->freed.n;
	qcow2_free_now(img); /* its refcounts go out with the next commit */
}
