/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts how often each cluster of the file is referred to and compares with the refcounts. A count
 * that is too low would let a cluster be used twice: that is damage. One that is too high only
 * wastes space: a leak.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

#define MAX_CLUSTERS (1ull << 32)
#define CHUNK        65536u /* counters allocated together; a sparse file needs few */

struct count {
	struct image *img;
	struct qcow2 *q;
	struct image_check *c;
	uint32_t **chunk;
	uint64_t clusters; /* of the file */
	bool repair;
};

static void say(struct image_check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct image_check *c, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	if (!c->say)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->say(c->opaque, text);
}

static void corruption(struct count *n, const char *what, uint64_t at)
{
	n->c->corruptions++;
	say(n->c, "damage: %s at %#llx", what, (unsigned long long)at);
}

/* ---- counting ---------------------------------------------------------------------------------
 */

static uint32_t counted(const struct count *n, uint64_t cluster)
{
	const uint32_t *chunk = cluster < n->clusters ? n->chunk[cluster / CHUNK] : NULL;

	return chunk ? chunk[cluster % CHUNK] : 0;
}

static int refer(struct count *n, const char *what, uint64_t offset, uint64_t len)
{
	unsigned bits = n->q->cluster_bits;

	if (!len)
		return 0;
	if (offset + len < len || (offset + len - 1) >> bits >= n->clusters) {
		corruption(n, what, offset);
		return 0;
	}
	for (uint64_t i = offset >> bits; i <= (offset + len - 1) >> bits; i++) {
		uint32_t **chunk = &n->chunk[i / CHUNK];

		if (!*chunk)
			*chunk = calloc(CHUNK, sizeof(**chunk));
		if (!*chunk)
			return -ENOMEM;
		(*chunk)[i % CHUNK]++;
	}
	return 0;
}

static int refer_entry(struct count *n, uint64_t entry)
{
	uint64_t host = entry & L2_OFFSET, len = n->q->cluster;

	if (entry & L2_COMPRESSED) {
		qcow2_packed(n->q, entry, &host, &len);
		/* Its last sectors may lie past the end of the file, in the last cluster. */
		return refer(n, "compressed cluster", host, len);
	}
	if (!host)
		return 0;
	if (host & (n->q->cluster - 1)) {
		corruption(n, "data cluster that is not aligned", host);
		return 0;
	}
	return refer(n, "data cluster", host, len);
}

static int refer_l2(struct count *n, uint64_t offset)
{
	uint64_t entries = n->q->cluster / 8;
	uint64_t *l2;
	int rc = refer(n, "L2 table", offset, n->q->cluster);

	if (rc)
		return rc;
	l2 = calloc(1, n->q->cluster);
	if (!l2)
		return -ENOMEM;
	/* A table past the end was counted as damage above. */
	if (bytes_read(n->img->fd, l2, n->q->cluster, offset))
		memset(l2, 0, n->q->cluster);
	for (uint64_t i = 0; i < entries && !rc; i++)
		rc = refer_entry(n, be64toh(l2[i]));
	free(l2);
	return rc;
}

static int refer_l1(struct count *n, const uint64_t *l1, uint64_t size, uint64_t at)
{
	int rc = refer(n, "L1 table", at, size * 8);

	for (uint64_t i = 0; i < size && !rc; i++) {
		uint64_t offset = l1[i] & L1_OFFSET;

		if (offset & (n->q->cluster - 1))
			corruption(n, "L2 table that is not aligned", offset);
		else if (offset)
			rc = refer_l2(n, offset);
	}
	return rc;
}

static int refer_blocks(struct count *n)
{
	const struct qcow2 *q = n->q;
	int rc = refer(n, "refcount table", q->h.reftable_offset,
		       (uint64_t)q->h.reftable_clusters << q->cluster_bits);

	for (uint64_t i = 0; i < q->reftable_size && !rc; i++) {
		if (q->reftable[i] & (q->cluster - 1))
			corruption(n, "refcount block that is not aligned", q->reftable[i]);
		else if (q->reftable[i])
			rc = refer(n, "refcount block", q->reftable[i], q->cluster);
	}
	return rc;
}

/* ---- internal snapshots -----------------------------------------------------------------------
 */

/* The start of an entry of the snapshot table; names and more follow. */
struct snapshot {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint16_t id_len, name_len;
	uint32_t sec, nsec;
	uint64_t clock;
	uint32_t vm_state, extra_len;
};

static int refer_snapshot(struct count *n, const struct snapshot *s)
{
	uint64_t size = be32toh(s->l1_size), at = be64toh(s->l1_offset);
	uint64_t *l1;
	int rc = 0;

	if (size * 8 > QCOW2_MAX_L1) {
		corruption(n, "snapshot with too large an L1 table", at);
		return 0;
	}
	l1 = malloc(size * 8 + 8);
	if (!l1)
		return -ENOMEM;
	if (bytes_read(n->img->fd, l1, size * 8, at)) {
		corruption(n, "snapshot's L1 table", at);
	} else {
		for (uint64_t i = 0; i < size; i++)
			l1[i] = be64toh(l1[i]);
		rc = refer_l1(n, l1, size, at);
	}
	free(l1);
	return rc;
}

static int refer_snapshots(struct count *n)
{
	uint64_t start = n->q->h.snapshots_offset, at = start;
	int rc = 0;

	for (uint32_t i = 0; i < n->q->h.nsnapshots && !rc; i++) {
		struct snapshot s;

		if (bytes_read(n->img->fd, &s, sizeof(s), at)) {
			corruption(n, "snapshot table", at);
			return 0;
		}
		rc = refer_snapshot(n, &s);
		at = align_up(at + sizeof(s) + be32toh(s.extra_len) + be16toh(s.id_len) +
				      be16toh(s.name_len),
			      8);
	}
	return rc ? rc : refer(n, "snapshot table", start, at - start);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static int compare_cluster(struct count *n, uint64_t cluster)
{
	uint64_t have, want = counted(n, cluster);
	int rc = qcow2_refcount(n->img, cluster, &have);

	if (rc || have == want)
		return rc;
	if (have < want)
		n->c->corruptions++;
	else
		n->c->leaks++;
	say(n->c, "%s: cluster %llu is used %llu times, its refcount is %llu",
	    have < want ? "damage" : "leak", (unsigned long long)cluster, (unsigned long long)want,
	    (unsigned long long)have);
	if (!n->repair || (n->q->has_bitmaps && have > want))
		return 0;
	n->c->repaired++;
	return qcow2_set_refcount(n->img, cluster, want);
}

static int compare_counts(struct count *n)
{
	int rc = 0;

	for (uint64_t i = 0; i < n->clusters && !rc; i++)
		rc = compare_cluster(n, i);
	return rc;
}

/* An entry says "used once" exactly when that is so; otherwise writes would go to shared data. */
static bool flag_wrong(struct count *n, const char *what, uint64_t entry, uint64_t offset,
		       uint64_t *fixed)
{
	bool once = counted(n, offset >> n->q->cluster_bits) == 1;

	if (!offset || once == !!(entry & COPIED))
		return false;
	corruption(n, what, offset);
	if (n->repair)
		n->c->repaired++;
	*fixed = once ? entry | COPIED : entry & ~COPIED;
	return n->repair;
}

static int fix(struct count *n, uint64_t at, uint64_t value)
{
	uint64_t be = htobe64(value);

	return bytes_write(n->img->fd, &be, 8, at);
}

static int check_l2_flags(struct count *n, uint64_t table)
{
	struct qcow2 *q = n->q;
	uint64_t *l2 = malloc(q->cluster), fixed;
	int rc = 0;

	if (!l2)
		return -ENOMEM;
	if (bytes_read(n->img->fd, l2, q->cluster, table))
		memset(l2, 0, q->cluster);
	for (uint64_t i = 0; i < q->cluster / 8 && !rc; i++) {
		uint64_t entry = be64toh(l2[i]);

		n->c->allocated += entry & L2_COMPRESSED || entry & L2_OFFSET;
		if (!(entry & L2_COMPRESSED) && flag_wrong(n, "flag COPIED of the data cluster",
							   entry, entry & L2_OFFSET, &fixed))
			rc = fix(n, table + i * 8, fixed);
	}
	free(l2);
	return rc;
}

static int check_flags(struct count *n)
{
	struct qcow2 *q = n->q;
	int rc = 0;

	for (uint64_t i = 0; i < q->h.l1_size && !rc; i++) {
		uint64_t offset = q->l1[i] & L1_OFFSET, fixed;

		if (flag_wrong(n, "flag COPIED of the L2 table", q->l1[i], offset, &fixed)) {
			q->l1[i] = fixed;
			rc = fix(n, q->h.l1_offset + i * 8, fixed);
		}
		if (!rc && offset)
			rc = check_l2_flags(n, offset);
	}
	return rc;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* New refcount blocks are clusters too: they were not there when the counting was done. */
static int finish_repair(struct count *n)
{
	struct qcow2 *q = n->q;
	int rc;

	while (q->l2.n)
		tables_drop(&q->l2, q->l2.table[0]);
	rc = image_commit(n->img);
	if (rc)
		return rc;
	q->h.incompatible &= ~(FEATURE_DIRTY | FEATURE_CORRUPT);
	rc = qcow2_write_header(n->img);
	return rc ? rc : image_commit(n->img);
}

static int check(struct count *n)
{
	int rc = refer(n, "header", 0, n->q->cluster);

	if (!rc)
		rc = refer_l1(n, n->q->l1, n->q->h.l1_size, n->q->h.l1_offset);
	if (!rc)
		rc = refer_snapshots(n);
	if (!rc)
		rc = refer_blocks(n);
	if (!rc)
		rc = check_flags(n);
	if (!rc)
		rc = compare_counts(n);
	if (!rc && n->repair && n->c->repaired == n->c->corruptions + n->c->leaks)
		rc = finish_repair(n);
	return rc;
}

int qcow2_check(struct image *img, bool repair, struct image_check *c, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	struct count n = {.img = img, .q = q, .c = c, .repair = repair};
	uint64_t file, chunks;
	int rc;

	if (file_length(img->fd, &file, e))
		return e->code;
	n.clusters = align_up(file, q->cluster) >> q->cluster_bits;
	if (n.clusters > MAX_CLUSTERS)
		return err_set(e, -EFBIG, "check: the file is too large");
	chunks = n.clusters / CHUNK + 1;
	c->total = align_up(img->size, q->cluster) >> q->cluster_bits;
	n.chunk = calloc(chunks, sizeof(*n.chunk));
	rc = n.chunk ? check(&n) : -ENOMEM;
	for (uint64_t i = 0; i < chunks && n.chunk; i++)
		free(n.chunk[i]);
	free(n.chunk);
	return rc ? err_set(e, rc, "check: %s", strerror(-rc)) : 0;
}
