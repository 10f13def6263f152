/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with an image that no VM uses: check, resize, compact. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

#define GRAIN 65536u /* what is zeros in this unit goes, if clusters are not larger */

int image_check(const char *path, const char *format, bool repair, struct image_check *c,
		struct err *e)
{
	const struct image_access a = {
		.format = format, .writable = repair, .alone = true, .repairing = repair};
	struct image *img;
	int rc = image_open_file(&img, path, &a, e);

	if (rc)
		return rc;
	if (img->format->check)
		rc = img->format->check(img, repair, c, e);
	else
		rc = err_set(e, -ENOTSUP, "a %s image has nothing that could be checked",
			     img->format->name);
	image_close_chain(img);
	return rc;
}

int image_resize(const char *path, const char *format, uint64_t size, struct err *e)
{
	const struct image_access a = {.format = format, .writable = true, .alone = true};
	struct image *img;
	int rc;

	if (!size || size % SECTOR || size > IMAGE_MAX_SIZE)
		return err_set(e, -EINVAL, "size: %llu bytes is not a multiple of 512 from 512 on",
			       (unsigned long long)size);
	rc = image_open_file(&img, path, &a, e);
	if (rc)
		return rc;
	if (size != img->size)
		rc = img->format->resize(img, size, e);
	image_close_chain(img);
	return rc;
}

/* ---- compact -------------------------------------------------------------------------------- */

static void store_rc(struct disk_req *r, int rc)
{
	*(int *)r->opaque = rc;
}

static int run(struct disk *d, enum disk_op op, uint64_t offset, void *buf, uint64_t len)
{
	int rc = 0;
	struct iovec iov = {buf, len};
	struct disk_req r = {.op = op,
			     .offset = offset,
			     .len = len,
			     .iov = &iov,
			     .niov = 1,
			     .done = store_rc,
			     .opaque = &rc};

	disk_submit(d, &r);
	disk_drain(d);
	return rc;
}

static int compact_range(struct disk *d, uint64_t offset, uint64_t len, uint8_t *buf)
{
	struct image *top = image_disk_top(d);
	struct extent x;
	int rc = top->format->scan ? top->format->scan(top, offset, len, &x)
				   : top->format->map(top, offset, len, &x);

	/* Holes show what is below, packed clusters are small already. */
	if (rc || x.kind != EXTENT_DATA)
		return rc;
	rc = run(d, DISK_READ, offset, buf, len);
	return rc || !bytes_zero(buf, len) ? rc : run(d, DISK_DISCARD, offset, NULL, len);
}

static int compact_all(struct disk *d, image_progress_fn *progress, void *opaque)
{
	uint64_t step = image_disk_top(d)->cluster > GRAIN ? image_disk_top(d)->cluster : GRAIN;
	uint8_t *buf = malloc(step);
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < d->size && !rc; at += step) {
		rc = compact_range(d, at, d->size - at < step ? d->size - at : step, buf);
		if (progress)
			progress(opaque, at, d->size);
	}
	free(buf);
	return rc;
}

static uint64_t used(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * SECTOR;
}

int image_compact(const char *path, const char *format, uint64_t *freed,
		  image_progress_fn *progress, void *opaque, struct err *e)
{
	const struct image_access a = {.format = format, .writable = true, .alone = true};
	const struct disk_options o = {.path = path};
	uint64_t before = used(path), after;
	struct image *top;
	struct disk *d;
	int rc = image_open_file(&top, path, &a, e);

	if (rc)
		return rc;
	rc = image_disk_create(top, &o, NULL, &d, e);
	if (rc) {
		image_close_chain(top);
		return rc;
	}
	rc = compact_all(d, progress, opaque);
	disk_close(d);
	after = used(path);
	*freed = before > after ? before - after : 0;
	return rc ? err_set(e, rc, "%s", strerror(-rc)) : 0;
}
