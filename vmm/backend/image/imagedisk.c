/* SPDX-License-Identifier: Apache-2.0 */
/* A disk made of a chain of images: opening, draining, closing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

static void submit(struct disk *disk, struct disk_req *r)
{
	struct image_disk *d = image_disk_of(disk);

	struct io *io = io_create(d, NULL, r);

	if (!io)
		r->done(r, -ENOMEM);
	else if (!limit_holds(d, io))
		io_start(io);
}

static void kick(struct disk *disk)
{
	aio_kick(image_disk_of(disk)->aio);
}

static bool stalled(const struct disk *disk)
{
	const struct image_disk *d = (const struct image_disk *)disk;

	return d->stalled || d->commit.full;
}

static void retry(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);

	stalled_retry(d);
	commit_retry(d);
	aio_kick(d->aio);
}

static bool busy(const struct image_disk *d)
{
	return d->active.first || d->waiting.first || d->commit.active;
}

/* What the full host disk stopped has one more chance, then it fails. */
static void drain(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);
	bool retried = false;

	limit_release_all(d);
	aio_kick(d->aio);
	while (busy(d)) {
		if (aio_wait(d->aio))
			continue;
		if (!stalled(disk))
			break;
		d->failing = retried;
		retried = true;
		retry(disk);
	}
	d->failing = false;
	if (disk->batch_done)
		disk->batch_done(disk->batch_opaque);
}

/* What the tables have in memory only goes to the file; the guest may never have asked. */
static void settle(struct image_disk *d)
{
	for (int i = 0; i < 3 && d->top->writable && (d->top->dirty || d->settling.node); i++) {
		commit_start(d);
		drain(&d->disk);
	}
}

static void destroy(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);

	disk_merge_cancel(disk);
	disk_drop_overlay(disk);
	settle(d);
	if (d->loop) {
		loop_timer_cancel(d->loop, &d->commit.timer);
		loop_timer_cancel(d->loop, &d->limit.timer);
	}
	aio_destroy(d->aio);
	image_close_chain(d->top);
	free(d);
}

static int check_growth(const struct image_disk *d, uint64_t size, struct err *e)
{
	if (d->disk.readonly)
		return err_set(e, -EROFS, "it is used read-only");
	if (d->merge || d->overlay || d->settling.node)
		return err_set(e, -EBUSY, "a snapshot or merge is under way");
	if (size < d->disk.size)
		return err_set(e, -EINVAL, "a disk that is in use can only grow");
	if (size % SECTOR || size > IMAGE_MAX_SIZE)
		return err_set(e, -EINVAL, "%llu bytes: not a size for a disk",
			       (unsigned long long)size);
	return 0;
}

int disk_grow(struct disk *disk, uint64_t size, struct err *e)
{
	struct image_disk *d = image_disk_of(disk);
	int rc = check_growth(d, size, e);

	if (!rc && size > disk->size) {
		rc = image_disk_settle(d, e);
		if (!rc)
			rc = d->top->format->resize(d->top, size, e);
		if (!rc)
			disk->size = size;
	}
	return rc;
}

static const struct disk_ops image_disk_ops = {
	.name = "image",
	.submit = submit,
	.kick = kick,
	.drain = drain,
	.retry = retry,
	.stalled = stalled,
	.destroy = destroy,
};

static void batch(void *opaque)
{
	struct image_disk *d = opaque;

	if (d->disk.batch_done)
		d->disk.batch_done(d->disk.batch_opaque);
}

/* The serial number: the last part of the name is what people recognise. */
static void set_id(struct disk *d, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(d->id, sizeof(d->id), "%.20s", slash ? slash + 1 : path);
}

static int check_usable(const struct image *img, const struct disk_options *o, struct err *e)
{
	if (!img->size)
		return err_set(e, -EINVAL,
			       "it is empty; give it a size with `baton disk resize FILE SIZE`");
	if (img->writable && !img->format->commit)
		return err_set(e, -ENOTSUP, "%s images can only be read; add \",ro\"",
			       img->format->name);
	(void)o;
	return 0;
}

int image_disk_create(struct image *top, const struct disk_options *o, struct loop *loop,
		      struct disk **out, struct err *e)
{
	struct image_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->disk.ops = &image_disk_ops;
	d->disk.size = top->size;
	d->disk.readonly = o->readonly;
	d->disk.can_discard = true;
	d->top = top;
	d->loop = loop;
	d->detect_zeroes = o->detect_zeroes;
	limit_init(&d->limit, o);
	d->limit.timer = (struct loop_timer){.fn = limit_timeout, .opaque = d};
	d->commit.timer = (struct loop_timer){.fn = commit_timeout, .opaque = d};
	d->aio = aio_create(loop, batch, d);
	if (!d->aio) {
		free(d);
		return err_set(e, -ENOMEM, "out of memory");
	}
	set_id(&d->disk, o->path);
	*out = &d->disk;
	return 0;
}

int disk_open(const struct disk_options *o, struct loop *loop, struct disk **out, struct err *e)
{
	struct image_access a = {.format = o->format,
				 .writable = !o->readonly,
				 .direct = o->direct,
				 .backing_folders = o->backing_folders,
				 .nbacking_folders = o->nbacking_folders,
				 .any_backing = o->any_backing,
				 .given = o->given};
	struct image *top;
	int rc = image_open_file(&top, o->path, &a, e);

	if (rc)
		return rc;
	rc = image_open_backing(top, &a, 0, e);
	if (!rc)
		rc = check_usable(top, o, e);
	if (!rc)
		rc = image_disk_create(top, o, loop, out, e);
	if (rc)
		image_close_chain(top);
	return rc;
}
