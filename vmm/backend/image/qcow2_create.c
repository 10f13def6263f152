/* SPDX-License-Identifier: Apache-2.0 */
/* New qcow2 images, and changes of an image's header: size and backing file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

#define DEFAULT_CLUSTER 65536u
#define REFCOUNT_ORDER  4u    /* 16 bits */
#define NAME_AT         1024u /* in the header's cluster; the other place is behind it */
#define HEAD_SLACK      2048u /* for what turns out not to fit into the header's cluster */

/* ---- the header's cluster ---------------------------------------------------------------------
 */

static uint64_t put_extension(uint8_t *head, uint64_t at, uint32_t type, const void *data,
			      uint32_t len)
{
	uint32_t x[2] = {htobe32(type), htobe32(len)};

	memcpy(head + at, x, sizeof(x));
	memcpy(head + at + sizeof(x), data, len);
	return align_up(at + sizeof(x) + len, 8);
}

/* Bytes that the extensions of `head` take which are not about the backing file, moved to `out`. */
static uint64_t keep_extensions(const uint8_t *head, uint64_t start, uint64_t end, uint8_t *out)
{
	uint64_t to = start;
	uint32_t x[2];

	for (uint64_t at = start; at + 8 <= end; at = align_up(at + be32toh(x[1]), 8)) {
		memcpy(x, head + at, 8);
		at += 8;
		if (be32toh(x[0]) == EXT_END || !range_ok(at, be32toh(x[1]), end))
			break;
		if (be32toh(x[0]) != EXT_BACKING_FORMAT)
			to = put_extension(out, to, be32toh(x[0]), head + at, be32toh(x[1]));
	}
	return to;
}

/* Where the name goes: behind the extensions, and not over the name that is there now. */
static uint64_t place_name(const struct qcow2_header *old, uint64_t ext_end, uint64_t len)
{
	uint64_t at = align_up(ext_end, 8), old_end = old->backing_offset + old->backing_len;

	if (1ull << old->cluster_bits < 4096)
		return at;
	if (at < NAME_AT)
		at = NAME_AT;
	if (old->backing_offset && at < old_end && old->backing_offset < at + len)
		at = align_up(old_end, 8);
	return at;
}

static int write_head(struct image *img, const uint8_t *head, uint64_t ext_end, uint64_t name_at,
		      uint64_t name_len)
{
	int rc = bytes_write(img->fd, head + name_at, name_len, name_at);

	if (!rc && fdatasync(img->fd))
		rc = -errno;
	if (!rc) /* one sector, as a rule: the old name or the new one, nothing between */
		rc = bytes_write(img->fd, head, ext_end, 0);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	return rc;
}

static int replace_name(struct image *img, const uint8_t *old, uint8_t *head, const char *name,
			const char *format, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t start = q->h.version < 3 ? QCOW2_V2_HEADER : q->h.header_len;
	uint64_t end = q->h.backing_offset ? q->h.backing_offset : q->cluster;
	uint64_t len = name ? strlen(name) : 0, at, ext_end;
	int rc;

	memcpy(head, old, start);
	ext_end = keep_extensions(old, start, end < q->cluster ? end : q->cluster, head);
	if (name && format)
		ext_end = put_extension(head, ext_end, EXT_BACKING_FORMAT, format,
					(uint32_t)strlen(format));
	ext_end = put_extension(head, ext_end, EXT_END, "", 0);
	at = place_name(&q->h, ext_end, len);
	if (len > QCOW2_MAX_NAME || !range_ok(at, len, q->cluster))
		return err_set(e, -ENAMETOOLONG,
			       "the backing file's name does not fit into the qcow2 header");
	if (len)
		memcpy(head + at, name, len);
	q->h.backing_offset = name ? at : 0;
	q->h.backing_len = (uint32_t)len;
	((struct qcow2_header *)head)->backing_offset = htobe64(q->h.backing_offset);
	((struct qcow2_header *)head)->backing_len = htobe32(q->h.backing_len);
	rc = write_head(img, head, ext_end, at, len);
	return rc ? err_set(e, rc, "qcow2 header: %s", strerror(-rc)) : 0;
}

int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
	const struct qcow2 *q = qcow2_of(img);
	uint64_t room = q->cluster + HEAD_SLACK;
	uint8_t *old = calloc(2, room);
	int rc;

	if (!old)
		return err_set(e, -ENOMEM, "out of memory");
	rc = bytes_read(img->fd, old, q->cluster, 0);
	if (rc)
		err_set(e, rc, "qcow2 header: %s", strerror(-rc));
	else
		rc = replace_name(img, old, old + room, name, format, e);
	free(old);
	return rc;
}

/* ---- creation ---------------------------------------------------------------------------------
 */

/* Header, refcount table, refcount blocks, L1 table, in this order. */
struct layout {
	uint64_t cluster, reftable, blocks, l1, total; /* clusters, but for `cluster` */
	uint32_t l1_size;
};

static void lay_out(struct layout *l, uint64_t size)
{
	uint64_t per_l2 = l->cluster * (l->cluster / 8),
		 per_block = l->cluster * 8 >> REFCOUNT_ORDER;

	l->l1_size = (uint32_t)((size + per_l2 - 1) / per_l2);
	l->l1 = (l->l1_size * 8ull + l->cluster - 1) / l->cluster;
	l->reftable = l->blocks = 1;
	for (;;) {
		uint64_t blocks, table;

		l->total = 1 + l->reftable + l->blocks + l->l1;
		blocks = (l->total + per_block - 1) / per_block;
		table = (blocks * 8 + l->cluster - 1) / l->cluster;
		if (blocks <= l->blocks && table <= l->reftable)
			return;
		l->blocks = blocks;
		l->reftable = table;
	}
}

static int write_refcounts(int fd, const struct layout *l)
{
	uint64_t first = 1 + l->reftable;
	int rc = 0;

	for (uint64_t i = 0; i < l->blocks && !rc; i++) {
		uint64_t be = htobe64((first + i) * l->cluster);

		rc = bytes_write(fd, &be, 8, l->cluster + i * 8);
	}
	for (uint64_t i = 0; i < l->total && !rc; i++) {
		uint16_t one = htobe16(1);

		rc = bytes_write(fd, &one, 2, first * l->cluster + i * 2);
	}
	return rc;
}

static int write_new_header(int fd, const struct image_create *c, const struct layout *l)
{
	struct qcow2_header h = {
		.magic = htobe32(QCOW2_MAGIC),
		.version = htobe32(3),
		.cluster_bits = htobe32((uint32_t)__builtin_ctzll(l->cluster)),
		.size = htobe64(c->size),
		.l1_size = htobe32(l->l1_size),
		.l1_offset = htobe64((1 + l->reftable + l->blocks) * l->cluster),
		.reftable_offset = htobe64(l->cluster),
		.reftable_clusters = htobe32((uint32_t)l->reftable),
		.refcount_order = htobe32(REFCOUNT_ORDER),
		.header_len = htobe32(sizeof(h)),
	};

	return bytes_write(fd, &h, sizeof(h), 0);
}

static int name_backing(int fd, const struct image_create *c, struct err *e)
{
	struct image img = {.format = &image_qcow2, .path = "", .fd = fd, .direct_fd = -1};
	int rc = qcow2_open(&img, e);

	if (!rc)
		rc = qcow2_set_backing(&img, c->backing, c->backing_format, e);
	if (img.priv)
		qcow2_close(&img);
	return rc;
}

int qcow2_create(int fd, const struct image_create *c, struct err *e)
{
	struct layout l = {.cluster = c->cluster ? c->cluster : DEFAULT_CLUSTER};
	int rc;

	if (l.cluster < 512 || l.cluster > 2 * MIB || l.cluster & (l.cluster - 1))
		return err_set(e, -EINVAL,
			       "cluster size: %llu is not a power of two from 512 to 2M",
			       (unsigned long long)l.cluster);
	if (c->size > (QCOW2_MAX_L1 / 8) * l.cluster * (l.cluster / 8))
		return err_set(e, -EFBIG, "size: too large for clusters of %llu bytes",
			       (unsigned long long)l.cluster);
	lay_out(&l, c->size);
	if (ftruncate(fd, (off_t)(l.total * l.cluster)))
		return err_set(e, -errno, "%s", strerror(errno));
	rc = write_refcounts(fd, &l);
	if (!rc)
		rc = write_new_header(fd, c, &l);
	if (rc)
		return err_set(e, rc, "%s", strerror(-rc));
	return c->backing ? name_backing(fd, c, e) : 0;
}

/* ---- size -------------------------------------------------------------------------------------
 */

static int write_l1(struct image *img, uint64_t first, const uint64_t *l1, uint64_t size)
{
	int rc = 0;

	for (uint64_t i = 0; i < size && !rc; i++) {
		uint64_t be = htobe64(l1[i]);

		rc = bytes_write(img->fd, &be, 8, (first << qcow2_of(img)->cluster_bits) + i * 8);
	}
	return rc;
}

/* A longer L1 table in new clusters; the header is written by the caller. */
static int grow_l1(struct image *img, uint64_t size)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t old = q->h.l1_offset >> q->cluster_bits, first;
	uint64_t nold = align_up(q->h.l1_size * 8ull, q->cluster) >> q->cluster_bits;
	uint64_t *l1 = realloc(q->l1, size * 8);
	int rc;

	if (!l1 || tables_grow(&q->l2, size))
		return -ENOMEM;
	q->l1 = l1;
	memset(l1 + q->h.l1_size, 0, (size - q->h.l1_size) * 8);
	rc = qcow2_alloc_run(img, align_up(size * 8, q->cluster) >> q->cluster_bits, &first);
	if (!rc)
		rc = write_l1(img, first, l1, size);
	if (!rc)
		rc = image_commit(img);
	if (rc)
		return rc;
	q->h.l1_offset = first << q->cluster_bits;
	q->h.l1_size = (uint32_t)size;
	for (uint64_t i = 0; i < nold && !rc; i++)
		rc = qcow2_free_later(q, old + i);
	return rc;
}

int qcow2_resize(struct image *img, uint64_t size, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t per_l2 = q->cluster << q->l2_bits, l1_size = (size + per_l2 - 1) / per_l2;
	int rc = 0;

	if (q->h.nsnapshots)
		return err_set(e, -ENOTSUP,
			       "the image has internal snapshots; delete them first with "
			       "`qemu-img snapshot -d`");
	if (l1_size * 8 > QCOW2_MAX_L1)
		return err_set(e, -EFBIG, "size: too large for clusters of %llu bytes",
			       (unsigned long long)q->cluster);
	if (size < img->size) {
		uint64_t from = align_up(size, q->cluster);

		if (from < img->size)
			rc = qcow2_clear(img, from, img->size - from, true);
		if (!rc)
			rc = image_commit(img);
	}
	if (!rc && l1_size > q->h.l1_size)
		rc = grow_l1(img, l1_size);
	q->h.size = size;
	if (!rc)
		rc = qcow2_write_header(img);
	if (!rc)
		rc = image_settle(img); /* old tables become free after the header is written */
	if (rc) {
		q->h.size = img->size;
		return err_set(e, rc, "%s", strerror(-rc));
	}
	img->size = size;
	return 0;
}
