/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a qcow2 image: reading with every field checked, and writing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "vmm/backend/image/qcow2.h"

#define CACHE_BYTES  (32 * MIB) /* of L2 tables: 256 GiB of disk with clusters of 64 KiB */
#define CACHE_TABLES 16u        /* at least */

bool qcow2_probe(const uint8_t head[IMAGE_HEAD_BYTES])
{
	uint32_t magic;

	memcpy(&magic, head, sizeof(magic));
	return be32toh(magic) == QCOW2_MAGIC;
}

/* ---- byte order -------------------------------------------------------------------------------
 */

/* Both ways: swapping is its own inverse. */
static void swap_header(struct qcow2_header *h)
{
	uint32_t *word[] = {
		&h->magic,          &h->version,   &h->backing_len,       &h->cluster_bits,
		&h->crypt_method,   &h->l1_size,   &h->reftable_clusters, &h->nsnapshots,
		&h->refcount_order, &h->header_len};
	uint64_t *quad[] = {
		&h->backing_offset,   &h->size,         &h->l1_offset,  &h->reftable_offset,
		&h->snapshots_offset, &h->incompatible, &h->compatible, &h->autoclear};

	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		*word[i] = be32toh(*word[i]);
	for (size_t i = 0; i < sizeof(quad) / sizeof(quad[0]); i++)
		*quad[i] = be64toh(*quad[i]);
}

int qcow2_write_header(struct image *img)
{
	const struct qcow2 *q = qcow2_of(img);
	struct qcow2_header h = q->h;
	uint64_t len = q->h.version < 3 ? QCOW2_V2_HEADER : q->h.header_len;

	swap_header(&h);
	return bytes_write(img->fd, &h, len < sizeof(h) ? len : sizeof(h), 0);
}

int qcow2_corrupt(struct image *img, const char *what, uint64_t offset)
{
	struct qcow2 *q = qcow2_of(img);

	if (img->writable && q->h.version >= 3 && !(q->h.incompatible & FEATURE_CORRUPT)) {
		log_warn("%s: damaged: %s at %llu; it was marked so, see `baton disk check`",
			 img->path, what, (unsigned long long)offset);
		q->h.incompatible |= FEATURE_CORRUPT;
		qcow2_write_header(img);
	}
	return -EIO;
}

/* ---- checks -----------------------------------------------------------------------------------
 */

static int check_version(const struct qcow2_header *h, struct err *e)
{
	if (h->magic != QCOW2_MAGIC)
		return err_set(e, -EINVAL, "it does not begin like a qcow2 image");
	if (h->version != 2 && h->version != 3)
		return err_set(e, -ENOTSUP, "qcow2 version %u is not known; 2 and 3 are",
			       h->version);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return err_set(e, -EINVAL, "qcow2 cluster_bits: %u is not from 9 to 21",
			       h->cluster_bits);
	if (h->crypt_method)
		return err_set(e, -ENOTSUP, "encrypted qcow2 images cannot be opened");
	if (h->version < 3)
		return 0;
	if (h->header_len < 104 || h->header_len % 8 || h->header_len > 1u << h->cluster_bits)
		return err_set(e, -EINVAL, "qcow2 header_length: %u cannot be", h->header_len);
	if (h->refcount_order > 6)
		return err_set(e, -EINVAL, "qcow2 refcount_order: %u is more than 6",
			       h->refcount_order);
	return 0;
}

/* The table of feature names: entries of 48 bytes, type, bit, name. */
static void name_feature(const uint8_t *names, uint64_t len, unsigned bit, char *out, size_t size)
{
	static const char *const known[] = {
		[2] = "external data file", [4] = "extended L2 entries"};

	snprintf(out, size, "bit %u", bit);
	if (bit < sizeof(known) / sizeof(known[0]) && known[bit])
		snprintf(out, size, "%s", known[bit]);
	for (uint64_t at = 0; at + 48 <= len; at += 48)
		if (!names[at] && names[at + 1] == bit && bit > 4)
			snprintf(out, size, "%.46s", names + at + 2);
	for (char *c = out; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static int check_features(const struct qcow2_header *h, const uint8_t *names, uint64_t len,
			  struct err *e)
{
	uint64_t unknown = h->incompatible & ~FEATURES_SUPPORTED;
	char name[64];

	if (unknown) {
		name_feature(names, len, (unsigned)__builtin_ctzll(unknown), name, sizeof(name));
		return err_set(e, -ENOTSUP,
			       "the qcow2 image needs a feature that is not supported: %s; convert "
			       "it with `qemu-img convert`",
			       name);
	}
	if (h->incompatible & FEATURE_COMPRESSION ? h->compression != 1 : h->compression)
		return err_set(e, -ENOTSUP, "qcow2 compression_type: %u is not known",
			       h->compression);
	return 0;
}

static int check_table(const struct qcow2 *q, const char *what, uint64_t offset, uint64_t len,
		       uint64_t file, struct err *e)
{
	if (offset & (q->cluster - 1))
		return err_set(e, -EINVAL, "qcow2 %s: offset %llu is not that of a cluster", what,
			       (unsigned long long)offset);
	if (offset < q->cluster)
		return err_set(e, -EINVAL, "qcow2 %s: it overlaps the header", what);
	if (!range_ok(offset, len, file))
		return err_set(e, -EINVAL,
			       "qcow2 %s: it reaches past the end of the file; the image is cut "
			       "short",
			       what);
	return 0;
}

static int check_tables(const struct qcow2 *q, uint64_t file, struct err *e)
{
	const struct qcow2_header *h = &q->h;
	uint64_t l1_len = (uint64_t)h->l1_size * 8;
	uint64_t ref_len = (uint64_t)h->reftable_clusters << q->cluster_bits;
	uint64_t covers = (uint64_t)h->l1_size << q->l2_bits;

	if (h->size > IMAGE_MAX_SIZE)
		return err_set(e, -EFBIG, "qcow2 size: %llu bytes is more than a disk can have",
			       (unsigned long long)h->size);
	if (l1_len > QCOW2_MAX_L1)
		return err_set(e, -EFBIG, "qcow2 l1_size: %u is too large", h->l1_size);
	if (covers < align_up(h->size, q->cluster) >> q->cluster_bits)
		return err_set(e, -EINVAL, "qcow2 l1_size: %u is too small for the disk's size",
			       h->l1_size);
	if (!ref_len || ref_len > QCOW2_MAX_REFTABLE)
		return err_set(e, -EINVAL, "qcow2 refcount_table_clusters: %u cannot be",
			       h->reftable_clusters);
	if (h->nsnapshots > QCOW2_MAX_SNAPSHOTS)
		return err_set(e, -EFBIG, "qcow2 nb_snapshots: %u is too large", h->nsnapshots);
	if ((l1_len && check_table(q, "L1 table", h->l1_offset, l1_len, file, e)) ||
	    check_table(q, "refcount table", h->reftable_offset, ref_len, file, e))
		return e->code;
	if (h->l1_offset < h->reftable_offset + ref_len &&
	    h->reftable_offset < h->l1_offset + l1_len)
		return err_set(e, -EINVAL, "qcow2: L1 table and refcount table overlap");
	return 0;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static char *text_of(const uint8_t *from, uint64_t len)
{
	char *text = strndup((const char *)from, len);

	return text && strlen(text) == len && len ? text : (free(text), NULL);
}

struct extension {
	uint32_t type, len;
};

/* Calls for each extension in the header's cluster; false when they run over their bounds. */
static bool next_extension(const uint8_t *head, uint64_t end, uint64_t *at, struct extension *x)
{
	if (*at + sizeof(*x) > end)
		return false;
	memcpy(x, head + *at, sizeof(*x));
	x->type = be32toh(x->type);
	x->len = be32toh(x->len);
	*at += sizeof(*x);
	return x->type != EXT_END;
}

static int read_extensions(struct image *img, const uint8_t *head, uint64_t end, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t at = q->h.version < 3 ? QCOW2_V2_HEADER : q->h.header_len, names_len = 0;
	const uint8_t *names = NULL;
	struct extension x;

	for (; next_extension(head, end, &at, &x); at += align_up(x.len, 8)) {
		if (!range_ok(at, x.len, end))
			return err_set(e, -EINVAL, "qcow2 header extension %#x is cut short",
				       x.type);
		if (x.type == EXT_BACKING_FORMAT) {
			free(img->backing_format);
			img->backing_format = text_of(head + at, x.len);
		} else if (x.type == EXT_FEATURE_NAMES) {
			names = head + at;
			names_len = x.len;
		}
		q->has_bitmaps |= x.type == EXT_BITMAPS;
	}
	return check_features(&q->h, names, names_len, e);
}

static int read_backing_name(struct image *img, const uint8_t *head, struct err *e)
{
	const struct qcow2_header *h = &qcow2_of(img)->h;

	if (!h->backing_offset || !h->backing_len)
		return 0;
	if (h->backing_len > QCOW2_MAX_NAME ||
	    !range_ok(h->backing_offset, h->backing_len, 1ull << h->cluster_bits))
		return err_set(e, -EINVAL,
			       "qcow2 backing_file_offset: the name is not in the "
			       "header's cluster");
	img->backing_name = text_of(head + h->backing_offset, h->backing_len);
	return img->backing_name ? 0 : err_set(e, -EINVAL, "qcow2 backing file: not a name");
}

static int read_numbers(int fd, uint64_t *out, uint64_t n, uint64_t offset)
{
	int rc = bytes_read(fd, out, n * 8, offset);

	for (uint64_t i = 0; i < n && !rc; i++)
		out[i] = be64toh(out[i]);
	return rc;
}

static int read_tables(struct image *img, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t limit = CACHE_BYTES >> q->cluster_bits;
	int rc = 0;

	q->reftable_size = (uint64_t)q->h.reftable_clusters << q->cluster_bits >> 3;
	q->l1 = malloc(q->h.l1_size * 8ull + 8);
	q->reftable = malloc(q->reftable_size * 8);
	if (!q->l1 || !q->reftable ||
	    tables_init(&q->l2, q->h.l1_size,
			(unsigned)(limit > CACHE_TABLES ? limit : CACHE_TABLES)) ||
	    tables_init(&q->refblocks, q->reftable_size, CACHE_TABLES))
		return err_set(e, -ENOMEM, "out of memory");
	if (q->h.l1_size)
		rc = read_numbers(img->fd, q->l1, q->h.l1_size, q->h.l1_offset);
	if (!rc)
		rc = read_numbers(img->fd, q->reftable, q->reftable_size, q->h.reftable_offset);
	for (uint64_t i = 0; i < q->reftable_size && !rc; i++)
		if (q->reftable[i])
			q->reftable_used = i + 1;
	return rc ? err_set(e, rc, "qcow2 tables: %s", strerror(-rc)) : 0;
}

/* The fixed part; what version 2 does not have gets the values that it means. */
static int read_fixed(struct image *img, uint64_t file, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t len = file < sizeof(q->h) ? QCOW2_V2_HEADER : sizeof(q->h);
	int rc;

	if (file < QCOW2_V2_HEADER || bytes_read(img->fd, &q->h, len, 0))
		return err_set(e, -EINVAL, "it is too short for a qcow2 header");
	swap_header(&q->h);
	rc = check_version(&q->h, e);
	if (rc)
		return rc;
	if (q->h.version < 3) {
		q->h.incompatible = q->h.compatible = q->h.autoclear = 0;
		q->h.refcount_order = 4;
	}
	if (q->h.version < 3 || q->h.header_len <= 104)
		q->h.compression = 0;
	q->cluster_bits = q->h.cluster_bits;
	q->cluster = 1ull << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	q->refblock_bits = q->cluster_bits + 3 - q->h.refcount_order;
	q->fresh_from = align_up(file, q->cluster);
	return 0;
}

/* The rest of the first cluster: extensions, then the backing file's name. */
static int read_variable(struct image *img, uint64_t file, struct err *e)
{
	const struct qcow2 *q = qcow2_of(img);
	uint64_t end = file < q->cluster ? file : q->cluster;
	uint8_t *head = calloc(1, q->cluster);
	int rc;

	if (!head)
		return err_set(e, -ENOMEM, "out of memory");
	rc = bytes_read(img->fd, head, end, 0);
	if (rc)
		err_set(e, rc, "%s", strerror(-rc));
	if (!rc)
		rc = read_backing_name(img, head, e);
	if (img->backing_name && q->h.backing_offset < end)
		end = q->h.backing_offset;
	if (!rc)
		rc = read_extensions(img, head, end, e);
	free(head);
	return rc;
}

static int read_header(struct image *img, struct err *e)
{
	uint64_t file;
	int rc = file_length(img->fd, &file, e);

	if (!rc)
		rc = read_fixed(img, file, e);
	if (!rc)
		rc = read_variable(img, file, e);
	return rc ? rc : check_tables(qcow2_of(img), file, e);
}

/* ---- opening for writing -----------------------------------------------------------------------
 */

static int repair_dirty(struct image *img, struct err *e)
{
	struct image_check c = {0};

	log_info("%s: was not closed; counting its clusters anew", img->path);
	if (qcow2_check(img, true, &c, e))
		return e->code;
	return 0;
}

/* What this program does not keep up to date loses its mark of being so. */
int qcow2_reopened(struct image *img, struct err *e)
{
	struct qcow2 *q = qcow2_of(img);
	int rc;

	if (img->repairing || !img->writable)
		return 0;
	if (q->h.incompatible & FEATURE_CORRUPT)
		return err_set(
			e, -EROFS,
			"the qcow2 image is marked as damaged; use it read-only or repair it "
			"with `baton disk check --repair FILE`");
	if (qcow2_check_layout(img, e))
		return e->code;
	if (q->h.incompatible & FEATURE_DIRTY && repair_dirty(img, e))
		return e->code;
	if (!(q->h.incompatible & FEATURE_DIRTY) && !q->h.autoclear)
		return 0;
	q->h.autoclear = 0;
	q->h.incompatible &= ~FEATURE_DIRTY;
	rc = qcow2_write_header(img);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	return rc ? err_set(e, rc, "qcow2 header: %s", strerror(-rc)) : 0;
}

int qcow2_open(struct image *img, struct err *e)
{
	int rc;

	img->priv = calloc(1, sizeof(struct qcow2));
	if (!img->priv)
		return err_set(e, -ENOMEM, "out of memory");
	rc = read_header(img, e);
	if (!rc)
		rc = read_tables(img, e);
	if (rc)
		return rc;
	img->size = align_down(qcow2_of(img)->h.size, SECTOR);
	img->cluster = (uint32_t)qcow2_of(img)->cluster;
	return qcow2_reopened(img, e);
}

void qcow2_close(struct image *img)
{
	struct qcow2 *q = qcow2_of(img);

	tables_free(&q->l2);
	tables_free(&q->refblocks);
	free(q->freed.cluster);
	free(q->reftable);
	free(q->l1);
	free(q);
}
