/* SPDX-License-Identifier: Apache-2.0 */
/* A running disk goes over to an overlay. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/backend/image/chain.h"
#include "vmm/backend/image/engine.h"

struct image *image_disk_top(const struct disk *d)
{
	return ((const struct image_disk *)d)->top;
}

/* ---- other rights on the same file ------------------------------------------------------------
 */

/* For reading and writing. */
static int open_again(const struct image *img, bool direct, struct image_files *files,
		      struct err *e)
{
	struct stat want, now;
	int fd;

	if (fstat(img->fd, &want))
		return err_set(e, -errno, "%s: %s", img->path, strerror(errno));
	fd = image_files_take(files, &want, direct);
	if (fd >= 0)
		return fd;
	fd = open(img->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | (direct ? O_DIRECT : 0));
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", img->path, strerror(errno));
	if (fstat(fd, &now) || want.st_dev != now.st_dev || want.st_ino != now.st_ino) {
		close(fd);
		return err_set(e, -ESTALE, "%s: another file has that name now", img->path);
	}
	return fd;
}

/*
 * Brings a descriptor of an image, which may be -1, to reading and writing. Requests on their way
 * know it: it stays the number, and what they began goes on.
 */
static int widen(const struct image *img, int old, bool direct, struct image_files *files,
		 struct err *e)
{
	int fd, rc = 0;

	if (old < 0 || (fcntl(old, F_GETFL) & O_ACCMODE) == O_RDWR)
		return 0;
	fd = open_again(img, direct, files, e);
	if (fd < 0)
		return fd;
	if (dup3(fd, old, O_CLOEXEC) < 0)
		rc = err_set(e, -errno, "%.200s: %s", img->path, strerror(errno));
	close(fd);
	return rc;
}

static int change_lock(struct image *img, bool writable, struct err *e)
{
	struct err ignored;

	image_unlock(img->fd);
	if (!image_lock(img->fd, writable, e))
		return 0;
	err_prefix(e, "%.200s", img->path);
	image_lock(img->fd, img->writable, &ignored);
	return e->code;
}

/* Whoever writes to a block device has it for itself. */
static int claim(struct image *img, struct image_files *files, struct err *e)
{
	struct stat st;

	if (img->claim_fd < 0 && !fstat(img->fd, &st))
		img->claim_fd = image_files_take_claim(files, &st);
	if (!image_claim(img->path, img->fd, &img->claim_fd, e))
		return 0;
	return err_set(e, -EBUSY,
		       "%.200s: it, the disk that it is a part of, or a part of it is mounted or "
		       "in use by another program",
		       img->path);
}

int image_reopen(struct image *img, bool writable, struct image_files *files, struct err *e)
{
	if (img->writable == writable)
		return 0;
	if (writable && (claim(img, files, e) || widen(img, img->fd, false, files, e) ||
			 widen(img, img->direct_fd, true, files, e)))
		return e->code;
	if (change_lock(img, writable, e))
		return e->code;
	img->writable = writable;
	return img->format->reopened ? img->format->reopened(img, e) : 0;
}

/* ---- the switch -------------------------------------------------------------------------------
 */

/* What an overlay was put on. */
static int settle_below(struct image_disk *d, struct err *e)
{
	if (!d->settling.node)
		return 0;
	commit_start(d);
	disk_drain(&d->disk);
	return d->settling.node
		       ? err_set(e, -EIO, "%s: it cannot be made stable", d->settling.node->path)
		       : 0;
}

int image_disk_settle(struct image_disk *d, struct err *e)
{
	int rc;

	if (settle_below(d, e))
		return e->code;
	disk_drain(&d->disk);
	if (d->stalled || d->commit.full)
		return err_set(e, -ENOSPC, "%s: the host's disk is full", d->top->path);
	rc = d->top->writable ? image_settle(d->top) : 0;
	return rc ? err_set(e, rc, "%s: %s", d->top->path, strerror(-rc)) : 0;
}

static bool stands_on(const struct image *overlay, const struct image *below)
{
	char *path = image_backing_path(overlay);
	struct stat a, b;
	bool same = path && !stat(path, &a) && !fstat(below->fd, &b) && a.st_dev == b.st_dev &&
		    a.st_ino == b.st_ino;

	free(path);
	return same;
}

/* What of it is not among the files is opened. */
static int open_image(struct image_disk *d, const char *path, struct image_files *files,
		      struct err *e)
{
	struct image_access a = {.writable = true, .direct = d->top->direct_fd >= 0};
	struct stat st;
	int fd = -1, direct = -1;

	if (!stat(path, &st)) {
		fd = image_files_take(files, &st, false);
		direct = a.direct ? image_files_take(files, &st, true) : -1;
	}
	a.given = fd >= 0 ? &fd : NULL;
	a.given_direct = direct >= 0 ? &direct : NULL;
	return image_open_file(&d->overlay, path, &a, e);
}

static int open_overlay(struct image_disk *d, const char *path, struct image_files *files,
			struct err *e)
{
	int rc = open_image(d, path, files, e);

	if (rc) {
		d->overlay = NULL;
		return err_prefix(e, "%.200s", path);
	}
	if (!stands_on(d->overlay, d->top))
		rc = err_set(e, -EINVAL, "%.150s: it does not stand on %.150s", path, d->top->path);
	else if (d->overlay->size != d->disk.size)
		rc = err_set(e, -EINVAL, "%.200s: its size is not the disk's", path);
	if (rc)
		disk_drop_overlay(&d->disk);
	return rc;
}

int disk_open_overlay(struct disk *disk, const char *path, struct image_files *files, struct err *e)
{
	struct image_disk *d = image_disk_of(disk);

	if (disk->readonly)
		return err_set(e, -EROFS, "%.200s is used read-only", d->top->path);
	if (d->merge)
		return err_set(e, -EBUSY, "%.200s: a merge is under way", d->top->path);
	return settle_below(d, e) ? e->code : open_overlay(d, path, files, e);
}

void disk_drop_overlay(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);

	image_close_chain(d->overlay);
	d->overlay = NULL;
}

void disk_switch_overlay(struct disk *disk)
{
	struct image_disk *d = image_disk_of(disk);

	d->settling = (struct settling){.node = d->top};
	d->overlay->backing = d->top;
	d->top = d->overlay;
	d->overlay = NULL;
}

void disk_settle_below(struct disk *disk, void (*done)(void *opaque, const struct err *e),
		       void *opaque)
{
	struct image_disk *d = image_disk_of(disk);

	d->settling.done = done;
	d->settling.opaque = opaque;
	commit_start(d);
	aio_kick(d->aio);
}

void disk_settle_forget(struct disk *disk)
{
	image_disk_of(disk)->settling.done = NULL;
}
