/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VirtualBox's VDI format, version 1.1, as its header in VirtualBox's and QEMU's sources describes
 * it: a header, a map with one number a block, and the blocks in the order of their first
 * write. Little-endian. Blocks are never given up; discarded ones become holes of the file.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/image.h"

#define SIGNATURE    0xbeda107fu
#define VERSION      0x00010001u
#define HEADER_SIZE  0x190u
#define TYPE_DYNAMIC 1u
#define TYPE_FIXED   2u
#define BLOCK        (1u << 20)
#define MAP_AT       0x200u
#define UNUSED       0xffffffffu /* never written */
#define ZEROED       0xfffffffeu /* reads as zeros */
#define MAX_BLOCKS   (1u << 28)  /* 256 TiB in blocks of 1 MiB, a map of 1 GiB */
#define MAP_PIECE    4096u       /* bytes of the map that are written together */

struct header {
	char text[64];
	uint32_t signature, version, header_size, type, flags;
	char comment[256];
	uint32_t map_offset, data_offset;
	uint32_t cylinders, heads, sectors, sector_size, unused1;
	uint64_t size;
	uint32_t block_size, block_extra, blocks, allocated;
	uint8_t uuid[16], uuid_snapshot[16], uuid_link[16], uuid_parent[16];
	uint8_t unused2[56];
} __attribute__((packed));

_Static_assert(sizeof(struct header) == 512, "layout of version 1.1");
_Static_assert(offsetof(struct header, size) == 0x170, "layout of version 1.1");

struct vdi {
	struct header h; /* host order */
	uint32_t *map;   /* as in the file; padded to whole pieces */
	uint8_t *dirty;  /* by pieces of the map */
	uint32_t pieces;
	uint32_t next; /* the block of the file that comes next */
	uint64_t fresh_from;
	bool header_dirty;
};

static struct vdi *vdi_of(const struct image *img)
{
	return img->priv;
}

static bool vdi_probe(const uint8_t head[IMAGE_HEAD_BYTES])
{
	uint32_t signature;

	memcpy(&signature, head + offsetof(struct header, signature), sizeof(signature));
	return le32toh(signature) == SIGNATURE;
}

/* Both ways. */
static void swap_header(struct header *h)
{
	h->signature = le32toh(h->signature);
	h->version = le32toh(h->version);
	h->header_size = le32toh(h->header_size);
	h->type = le32toh(h->type);
	h->flags = le32toh(h->flags);
	h->map_offset = le32toh(h->map_offset);
	h->data_offset = le32toh(h->data_offset);
	h->sector_size = le32toh(h->sector_size);
	h->size = le64toh(h->size);
	h->block_size = le32toh(h->block_size);
	h->block_extra = le32toh(h->block_extra);
	h->blocks = le32toh(h->blocks);
	h->allocated = le32toh(h->allocated);
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static bool is_null(const uint8_t uuid[16])
{
	static const uint8_t null[16];

	return !memcmp(uuid, null, sizeof(null));
}

static int check_kind(const struct header *h, struct err *e)
{
	if (h->signature != SIGNATURE)
		return err_set(e, -EINVAL, "it does not begin like a VDI image");
	if (h->version != VERSION)
		return err_set(e, -ENOTSUP, "VDI version %u.%u is not known; 1.1 is",
			       h->version >> 16, h->version & 0xffff);
	if (h->type == 4 || !is_null(h->uuid_link) || !is_null(h->uuid_parent))
		return err_set(e, -ENOTSUP,
			       "a differencing VDI image cannot be opened; clone it to a full one "
			       "with `VBoxManage clonemedium`");
	if (h->type != TYPE_DYNAMIC && h->type != TYPE_FIXED)
		return err_set(e, -ENOTSUP,
			       "VDI image type %u is not known; dynamic (1) and "
			       "fixed (2) are",
			       h->type);
	return 0;
}

static int check_geometry(const struct header *h, struct err *e)
{
	if (h->sector_size != SECTOR)
		return err_set(e, -EINVAL, "VDI sector size: %u is not 512", h->sector_size);
	if (h->block_size < 4096 || h->block_size > 64 * MIB || h->block_size & (h->block_size - 1))
		return err_set(e, -EINVAL, "VDI block size: %u cannot be", h->block_size);
	if (h->block_extra)
		return err_set(e, -ENOTSUP, "VDI blocks with extra data cannot be opened");
	if (h->map_offset % SECTOR || h->data_offset % SECTOR || h->map_offset < sizeof(*h))
		return err_set(e, -EINVAL, "VDI offsets: map at %u, data at %u cannot be",
			       h->map_offset, h->data_offset);
	if (h->blocks > MAX_BLOCKS || h->size > (uint64_t)h->blocks * h->block_size)
		return err_set(e, -EINVAL, "VDI size: %llu bytes do not fit into %u blocks",
			       (unsigned long long)h->size, h->blocks);
	if (h->data_offset < h->map_offset + h->blocks * 4ull)
		return err_set(e, -EINVAL, "VDI: the block map overlaps the data");
	return 0;
}

/* Each block of the file at most once, none that cannot be. */
static int check_map(struct vdi *v, struct err *e)
{
	uint8_t *used = calloc(1, v->h.blocks / 8 + 1);
	int rc = used ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (uint32_t i = 0; i < v->h.blocks && !rc; i++) {
		uint32_t at = le32toh(v->map[i]);

		if (at >= ZEROED)
			continue;
		if (at >= v->h.blocks)
			rc = err_set(e, -EINVAL, "VDI block %u: number %u is too large", i, at);
		else if (used[at / 8] & 1u << at % 8)
			rc = err_set(e, -EINVAL, "VDI block %u: %u belongs to another one, too", i,
				     at);
		else
			used[at / 8] |= (uint8_t)(1u << at % 8);
		if (at >= v->next)
			v->next = at + 1;
	}
	free(used);
	return rc;
}

static int read_map(struct image *img, uint64_t file, struct err *e)
{
	struct vdi *v = vdi_of(img);
	uint64_t len = v->h.blocks * 4ull;
	int rc;

	if (!range_ok(v->h.map_offset, len, file))
		return err_set(e, -EINVAL, "VDI block map: it reaches past the end of the file");
	v->pieces = (uint32_t)((len + MAP_PIECE - 1) / MAP_PIECE);
	v->map = malloc((uint64_t)v->pieces * MAP_PIECE + 1);
	v->dirty = calloc(1, v->pieces + 1);
	if (!v->map || !v->dirty)
		return err_set(e, -ENOMEM, "out of memory");
	rc = bytes_read(img->fd, v->map, len, v->h.map_offset);
	if (rc)
		return err_set(e, rc, "VDI block map: %s", strerror(-rc));
	return check_map(v, e);
}

static uint32_t count_allocated(const struct vdi *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->h.blocks; i++)
		n += le32toh(v->map[i]) < ZEROED;
	return n;
}

/* A crash may have come between the map and the header's count. */
static void prepare_writing(struct image *img)
{
	struct vdi *v = vdi_of(img);
	uint32_t n = count_allocated(v);

	if (n == v->h.allocated)
		return;
	v->h.allocated = n;
	v->header_dirty = true;
	img->dirty = true;
}

static int vdi_reopened(struct image *img, struct err *e)
{
	(void)e;
	if (img->writable)
		prepare_writing(img);
	return 0;
}

static int vdi_open(struct image *img, struct err *e)
{
	struct vdi *v = calloc(1, sizeof(*v));
	uint64_t file;
	int rc;

	img->priv = v;
	if (!v)
		return err_set(e, -ENOMEM, "out of memory");
	if (file_length(img->fd, &file, e))
		return e->code;
	if (bytes_read(img->fd, &v->h, sizeof(v->h), 0))
		return err_set(e, -EINVAL, "it is too short for a VDI header");
	swap_header(&v->h);
	rc = check_kind(&v->h, e);
	if (!rc)
		rc = check_geometry(&v->h, e);
	if (!rc)
		rc = read_map(img, file, e);
	if (rc)
		return rc;
	img->size = align_down(v->h.size, SECTOR);
	img->cluster = v->h.block_size;
	v->fresh_from = file;
	if (img->writable)
		prepare_writing(img);
	return 0;
}

static void vdi_close(struct image *img)
{
	struct vdi *v = vdi_of(img);

	free(v->map);
	free(v->dirty);
	free(v);
}

/* ---- mapping ----------------------------------------------------------------------------------
 */

static uint64_t block_at(const struct vdi *v, uint32_t number)
{
	return v->h.data_offset + (uint64_t)number * v->h.block_size;
}

static int vdi_map(struct image *img, uint64_t offset, uint64_t len, struct extent *x)
{
	const struct vdi *v = vdi_of(img);
	uint64_t i = offset / v->h.block_size, skip = offset % v->h.block_size;
	uint32_t number = le32toh(v->map[i]);
	uint64_t n = 1, want = (skip + len + v->h.block_size - 1) / v->h.block_size;

	*x = (struct extent){.kind = EXTENT_HOLE};
	if (number < ZEROED) {
		x->kind = EXTENT_DATA;
		x->host = block_at(v, number) + skip;
		while (n < want && le32toh(v->map[i + n]) == number + n)
			n++;
	} else {
		while (n < want && le32toh(v->map[i + n]) >= ZEROED)
			n++;
	}
	x->len = n * v->h.block_size - skip;
	if (x->len > len)
		x->len = len;
	return 0;
}

static int vdi_reserve(struct image *img, uint64_t offset, uint64_t len, struct reservation *r)
{
	struct vdi *v = vdi_of(img);
	uint64_t n = len / v->h.block_size, left = v->h.blocks - v->next;

	(void)offset;
	if (n > left)
		n = left;
	if (!n)
		return -ENOSPC;
	*r = (struct reservation){.host = block_at(v, v->next), .len = n * v->h.block_size};
	r->fresh = r->host >= v->fresh_from;
	v->next += (uint32_t)n;
	if (v->fresh_from < r->host + r->len)
		v->fresh_from = r->host + r->len;
	return 0;
}

static void vdi_unreserve(struct image *img, const struct reservation *r)
{
	struct vdi *v = vdi_of(img);

	if (r->host + r->len == block_at(v, v->next))
		v->next -= (uint32_t)(r->len / v->h.block_size);
}

static int vdi_link(struct image *img, uint64_t offset, const struct reservation *r)
{
	struct vdi *v = vdi_of(img);
	uint32_t number = (uint32_t)((r->host - v->h.data_offset) / v->h.block_size);
	uint32_t i = (uint32_t)(offset / v->h.block_size);

	for (uint64_t done = 0; done < r->len; done += v->h.block_size, i++) {
		v->map[i] = htole32(number++);
		v->dirty[i * 4ull / MAP_PIECE] = 1;
		v->h.allocated++;
	}
	v->header_dirty = true;
	img->dirty = true;
	return 0;
}

/* ---- commit -----------------------------------------------------------------------------------
 */

static int write_header(struct image *img)
{
	struct vdi *v = vdi_of(img);
	struct header h = v->h;

	swap_header(&h);
	return bytes_write(img->fd, &h, sizeof(h), 0);
}

static int write_map(struct image *img)
{
	struct vdi *v = vdi_of(img);
	int rc = 0;

	for (uint32_t i = 0; i < v->pieces && !rc; i++) {
		uint64_t at = (uint64_t)i * MAP_PIECE, len = v->h.blocks * 4ull - at;

		if (!v->dirty[i])
			continue;
		rc = bytes_write(img->fd, (uint8_t *)v->map + at, len < MAP_PIECE ? len : MAP_PIECE,
				 v->h.map_offset + at);
		v->dirty[i] = rc != 0;
	}
	return rc;
}

/* Data first, then the map with the count of its blocks. */
static int vdi_commit(struct image *img, unsigned step)
{
	struct vdi *v = vdi_of(img);
	int rc;

	if (!step)
		return 0;
	if (step > 1)
		return -ENODATA;
	if (!v->header_dirty)
		return 0;
	rc = write_header(img);
	if (!rc)
		rc = write_map(img);
	if (rc)
		return rc;
	v->header_dirty = false;
	return 1;
}

static void vdi_committed(struct image *img)
{
	img->dirty = img->commit_soon = false;
}

/* ---- creation, size, check --------------------------------------------------------------------
 */

static void new_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		memset(uuid, 0x5a, 16);
	uuid[7] = (uint8_t)((uuid[7] & 0x0f) |
			    0x40); /* version 4; the first fields are little-endian */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

static uint32_t data_offset(uint64_t blocks)
{
	return (uint32_t)align_up(MAP_AT + blocks * 4, BLOCK);
}

static int fill_map(int fd, uint32_t blocks, bool fixed)
{
	uint32_t piece[MAP_PIECE / 4];
	int rc = 0;

	for (uint32_t i = 0; i < blocks && !rc;) {
		uint32_t start = i, n;

		for (n = 0; n < MAP_PIECE / 4 && i < blocks; n++, i++)
			piece[n] = htole32(fixed ? i : UNUSED);
		rc = bytes_write(fd, piece, n * 4ull, MAP_AT + start * 4ull);
	}
	return rc;
}

static int vdi_create(int fd, const struct image_create *c, struct err *e)
{
	uint64_t blocks = (c->size + BLOCK - 1) / BLOCK;
	struct header h = {
		.text = "<<< Baton Virtual Disk Image >>>\n",
		.signature = SIGNATURE,
		.version = VERSION,
		.header_size = HEADER_SIZE,
		.type = c->fixed ? TYPE_FIXED : TYPE_DYNAMIC,
		.map_offset = MAP_AT,
		.sector_size = SECTOR,
		.size = c->size,
		.block_size = BLOCK,
		.blocks = (uint32_t)blocks,
		.allocated = c->fixed ? (uint32_t)blocks : 0,
	};
	int rc;

	if (blocks > MAX_BLOCKS)
		return err_set(e, -EFBIG, "size: a VDI image holds at most 256 TiB");
	h.data_offset = data_offset(blocks);
	new_uuid(h.uuid);
	new_uuid(h.uuid_snapshot);
	swap_header(&h);
	rc = bytes_write(fd, &h, sizeof(h), 0);
	if (!rc)
		rc = fill_map(fd, (uint32_t)blocks, c->fixed);
	if (!rc && ftruncate(fd, (off_t)(data_offset(blocks) + (c->fixed ? blocks * BLOCK : 0))))
		rc = -errno;
	if (!rc && c->fixed && fallocate(fd, 0, data_offset(blocks), (off_t)(blocks * BLOCK)))
		rc = -errno;
	return rc ? err_set(e, rc, "%s", strerror(-rc)) : 0;
}

/* As far as the map has room before the data; it is not moved. */
static int vdi_resize(struct image *img, uint64_t size, struct err *e)
{
	struct vdi *v = vdi_of(img);
	uint64_t blocks = (size + v->h.block_size - 1) / v->h.block_size;
	uint64_t room = (v->h.data_offset - v->h.map_offset) / 4;
	uint32_t *map;
	int rc;

	if (size < img->size)
		return err_set(e, -ENOTSUP, "a VDI image cannot be made smaller");
	if (v->h.type == TYPE_FIXED)
		return err_set(e, -ENOTSUP,
			       "a fixed VDI image cannot be resized; convert it first");
	if (blocks > room)
		return err_set(e, -ENOTSUP,
			       "the map of this VDI image has room for %llu MiB; convert it to a "
			       "new, larger image",
			       (unsigned long long)(room * v->h.block_size / MIB));
	v->pieces = (uint32_t)((blocks * 4 + MAP_PIECE - 1) / MAP_PIECE);
	map = realloc(v->map, (uint64_t)v->pieces * MAP_PIECE + 1);
	if (!map)
		return err_set(e, -ENOMEM, "out of memory");
	v->map = map;
	free(v->dirty);
	v->dirty = malloc(v->pieces + 1);
	if (!v->dirty)
		return err_set(e, -ENOMEM, "out of memory");
	memset(v->dirty, 1, v->pieces + 1);
	for (uint64_t i = v->h.blocks; i < blocks; i++)
		map[i] = htole32(UNUSED);
	v->h.blocks = (uint32_t)blocks;
	v->h.size = size;
	/* The longer map first, then the header that counts on it. */
	rc = write_map(img);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	if (!rc)
		rc = write_header(img);
	if (!rc && fdatasync(img->fd))
		rc = -errno;
	if (rc)
		return err_set(e, rc, "%s", strerror(-rc));
	img->size = size;
	return 0;
}

/* Opening has refused all but a wrong count already. */
static int vdi_check(struct image *img, bool repair, struct image_check *c, struct err *e)
{
	struct vdi *v = vdi_of(img);
	uint32_t n = count_allocated(v);
	int rc;

	c->total = v->h.blocks;
	c->allocated = n;
	c->leaks = v->next - n;
	if (n == v->h.allocated && !v->header_dirty)
		return 0;
	c->corruptions = 1;
	if (c->say)
		c->say(c->opaque, "damage: the header's count of blocks is wrong");
	if (!repair)
		return 0;
	v->h.allocated = n;
	v->header_dirty = true;
	rc = image_commit(img);
	c->repaired = 1;
	return rc ? err_set(e, rc, "check: %s", strerror(-rc)) : 0;
}

const struct image_format image_vdi = {
	.name = "vdi",
	.zero_in_place = true,
	.zero_past_end = true,
	.probe = vdi_probe,
	.open = vdi_open,
	.reopened = vdi_reopened,
	.close = vdi_close,
	.map = vdi_map,
	.reserve = vdi_reserve,
	.unreserve = vdi_unreserve,
	.link = vdi_link,
	.commit = vdi_commit,
	.committed = vdi_committed,
	.create = vdi_create,
	.resize = vdi_resize,
	.check = vdi_check,
};
