/* SPDX-License-Identifier: Apache-2.0 */
/* Raw images and block devices: what is at an offset of the disk is there in the file, too. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/image/image.h"

static int raw_open(struct image *img, struct err *e)
{
	if (file_length(img->fd, &img->size, e))
		return e->code;
	/* Not padded: a guest's partition table at the end would land in the wrong place. */
	if (img->size % SECTOR)
		return err_set(e, -EINVAL,
			       "its size, %llu bytes, is not a multiple of 512; extend it with "
			       "`truncate -s %%512 FILE`",
			       (unsigned long long)img->size);
	img->cluster = 1;
	return 0;
}

static void raw_close(struct image *img)
{
	(void)img;
}

static int raw_map(struct image *img, uint64_t offset, uint64_t len, struct extent *x)
{
	(void)img;
	*x = (struct extent){.kind = EXTENT_DATA, .host = offset, .len = len};
	return 0;
}

/* Holes of a sparse file. Block devices and simple file systems have none: all is data. */
static int raw_scan(struct image *img, uint64_t offset, uint64_t len, struct extent *x)
{
	off_t data = lseek(img->fd, (off_t)offset, SEEK_DATA), hole;

	raw_map(img, offset, len, x);
	if (data < 0 && errno == ENXIO) {
		x->kind = EXTENT_ZERO;
	} else if (data > (off_t)offset) {
		x->kind = EXTENT_ZERO;
		x->len = (uint64_t)data - offset < len ? (uint64_t)data - offset : len;
	} else if (data >= 0) {
		hole = lseek(img->fd, (off_t)offset, SEEK_HOLE);
		if (hole > (off_t)offset && (uint64_t)hole - offset < len)
			x->len = (uint64_t)hole - offset;
	}
	return 0;
}

static int raw_commit(struct image *img, unsigned step)
{
	(void)img;
	return step ? -ENODATA : 0;
}

static void raw_committed(struct image *img)
{
	img->dirty = img->commit_soon = false;
}

static int set_size(int fd, uint64_t size, struct err *e)
{
	if (ftruncate(fd, (off_t)size))
		return err_set(e, -errno, "%s", strerror(errno));
	return 0;
}

static int raw_create(int fd, const struct image_create *c, struct err *e)
{
	if (set_size(fd, c->size, e))
		return e->code;
	if (c->fixed && fallocate(fd, 0, 0, (off_t)c->size))
		return err_set(e, -errno, "%s", strerror(errno));
	return 0;
}

static int raw_resize(struct image *img, uint64_t size, struct err *e)
{
	int rc = set_size(img->fd, size, e);

	if (!rc)
		img->size = size;
	return rc;
}

const struct image_format image_raw = {
	.name = "raw",
	.zero_in_place = true,
	.open = raw_open,
	.close = raw_close,
	.map = raw_map,
	.scan = raw_scan,
	.commit = raw_commit,
	.committed = raw_committed,
	.create = raw_create,
	.resize = raw_resize,
};
