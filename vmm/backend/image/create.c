/* SPDX-License-Identifier: Apache-2.0 */
/* New images, overlays, and what stands on what. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/unfinished.h"
#include "vmm/backend/image/chain.h"

/* ---- new files ------------------------------------------------------------------------------ */

static int fill_file(int fd, const struct image_create *c, struct err *e)
{
	const struct image_format *f = image_format_find(c->format, e);

	if (!f)
		return -EINVAL;
	if (c->backing && !f->can_back)
		return err_set(e, -EINVAL, "a %s image cannot stand on another one; qcow2 can",
			       f->name);
	if (!c->size || c->size % SECTOR || c->size > IMAGE_MAX_SIZE)
		return err_set(e, -EINVAL, "size: %llu bytes is not a multiple of 512 from 512 on",
			       (unsigned long long)c->size);
	if (f->create(fd, c, e))
		return e->code;
	return fsync(fd) ? err_set(e, -errno, "%s", strerror(errno)) : 0;
}

/* A file without a name gets it when it is complete: nobody sees half an image. */
static int give_name(const char *temporary, const char *path, struct err *e)
{
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE)) {
		if (errno == EEXIST)
			return err_set(e, -EEXIST, "there is a file of that name already");
		return err_set(e, -errno, "%s", strerror(errno));
	}
	return file_sync_parent(path, e);
}

static int make_file(const char *path, const struct image_create *c, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), rc;

	if (fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	rc = fill_file(fd, c, e);
	close(fd);
	return rc;
}

int image_create_filled(const char *path, const struct image_create *c,
			int (*fill)(const char *temporary, void *opaque, struct err *e),
			void *opaque, struct err *e)
{
	char *temporary;
	int rc;

	if (!access(path, F_OK))
		return err_set(e, -EEXIST, "there is a file of that name already");
	if (asprintf(&temporary, "%s.new-%d", path, (int)getpid()) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	unfinished_begin(temporary);
	rc = make_file(temporary, c, e);
	if (!rc && fill)
		rc = fill(temporary, opaque, e);
	if (!rc)
		rc = give_name(temporary, path, e);
	if (rc)
		unlink(temporary);
	unfinished_end();
	free(temporary);
	return rc;
}

int image_create_file(const char *path, const struct image_create *c, struct err *e)
{
	return image_create_filled(path, c, NULL, NULL, e);
}

/* ---- overlays ------------------------------------------------------------------------------- */

static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* How `path` shall name `backing`: by its last part when both are in one folder. malloc'd. */
char *image_name_backing(const char *path, const char *backing)
{
	size_t n = folder_len(path);

	if (n == folder_len(backing) && !strncmp(path, backing, n))
		return strdup(backing + n);
	return realpath(backing, NULL);
}

/* Size and format of an image that may be in use. */
static int look_at(const char *path, const char *format, struct image_create *c, struct err *e)
{
	const struct image_access a = {.format = format, .unlocked = true, .alone = true};
	struct image *img;

	if (image_open_file(&img, path, &a, e))
		return err_prefix(e, "backing file %.200s", path);
	c->size = img->size;
	c->backing_format = img->format->name;
	image_close_chain(img);
	return 0;
}

int image_create_named(const char *path, const struct image_create *c, struct err *e)
{
	struct image_create named = *c;
	char *name = image_name_backing(path, c->backing);
	int rc;

	if (!name)
		return err_set(e, -errno, "%s: %s", c->backing, strerror(errno));
	named.backing = name;
	rc = image_create_file(path, &named, e);
	free(name);
	return rc;
}

int image_create_overlay(const char *path, const char *backing, const char *backing_format,
			 struct err *e)
{
	struct image_create c = {.format = "qcow2", .backing = backing};

	if (look_at(backing, backing_format, &c, e))
		return e->code;
	return image_create_named(path, &c, e);
}

/* ---- chains --------------------------------------------------------------------------------- */

static uint64_t used_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (uint64_t)st.st_blocks * SECTOR;
}

static int list_chain(const struct image *top, struct image_link **out, unsigned *n, struct err *e)
{
	struct image_link *l;

	*n = 0;
	*out = calloc(IMAGE_MAX_DEPTH, sizeof(**out));
	if (!*out)
		return err_set(e, -ENOMEM, "out of memory");
	for (const struct image *i = top; i; i = i->backing) {
		l = &(*out)[(*n)++];
		*l = (struct image_link){.path = strdup(i->path),
					 .format = i->format->name,
					 .size = i->size,
					 .used = used_bytes(i->fd),
					 .cluster = i->cluster,
					 .backing =
						 i->backing_name ? strdup(i->backing_name) : NULL};
	}
	return 0;
}

void image_free_chain(struct image_link *links, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(links[i].path);
		free(links[i].backing);
	}
	free(links);
}

int image_read_chain(const char *path, const struct image_access *a, struct image_link **out,
		     unsigned *n, struct err *e)
{
	struct image_access look = *a;
	struct image *top;
	int rc;

	look.writable = false;
	look.unlocked = true;
	rc = image_open_file(&top, path, &look, e);
	if (rc)
		return rc;
	rc = look.alone ? 0 : image_open_backing(top, &look, 0, e);
	if (!rc)
		rc = list_chain(top, out, n, e);
	image_close_chain(top);
	return rc;
}

int disk_read_chain(const struct disk *d, struct image_link **out, unsigned *n, struct err *e)
{
	return list_chain(image_disk_top(d), out, n, e);
}
