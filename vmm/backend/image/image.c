/* SPDX-License-Identifier: Apache-2.0 */
/* Opens images: finds the format, takes the lock, and opens what an image stands on. */
#include "vmm/backend/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Raw is last: it looks like anything. */
static const struct image_format *const formats[] = {&image_qcow2, &image_vdi, &image_raw};

#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

const struct image_format *image_format_find(const char *name, struct err *e)
{
	for (size_t i = 0; i < NFORMATS; i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	err_set(e, -EINVAL, "unknown format \"%.40s\"; known: raw, qcow2, vdi", name);
	return NULL;
}

const struct image_format *image_probe_head(const uint8_t head[IMAGE_HEAD_BYTES])
{
	for (size_t i = 0; i < NFORMATS; i++)
		if (formats[i]->probe && formats[i]->probe(head))
			return formats[i];
	return &image_raw;
}

int image_probe(int fd, const struct image_format **out, struct err *e)
{
	uint8_t head[IMAGE_HEAD_BYTES] = {0};
	const char *foreign;

	if (pread(fd, head, sizeof(head), 0) < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	foreign = image_foreign(head);
	if (foreign)
		return err_set(
			e, -ENOTSUP,
			"it is a %s image, which is not supported; convert it with `qemu-img "
			"convert -O qcow2`, or add \",format=raw\" if the guest shall see it as "
			"it is",
			foreign);
	*out = image_probe_head(head);
	return 0;
}

/* ---- one file ------------------------------------------------------------------------------- */

/* A guest may do with a disk that it only reads; a tool that changes an image cannot. */
static const char *open_remedy(const struct image_access *a, int error)
{
	if (!a->writable || (error != EACCES && error != EROFS))
		return "";
	return a->alone ? "; it has to be writable for this" : "; add \",ro\" to use it read-only";
}

static int open_file(struct image *img, const struct image_access *a, struct err *e)
{
	/* A FIFO without O_NONBLOCK would wait for its other end. */
	int flags = (a->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;

	if (!a->given)
		img->fd = open(img->path, flags);
	if (img->fd < 0)
		return err_set(e, -errno, "%s%s", strerror(errno), open_remedy(a, errno));
	if (!a->direct)
		return 0;
	if (!a->given_direct)
		img->direct_fd = open(img->path, flags | O_DIRECT);
	if (img->direct_fd < 0)
		return err_set(e, -errno, "its file system has no direct I/O (cache=none): %s",
			       strerror(errno));
	return 0;
}

static int find_format(struct image *img, const char *name, struct err *e)
{
	if (name) {
		img->format = image_format_find(name, e);
		return 0;
	}
	if (image_probe(img->fd, &img->format, e))
		return e->code;
	img->guessed = img->format == &image_raw;
	return 0;
}

static int open_one(struct image *img, const struct image_access *a, struct err *e)
{
	uint64_t size;
	int rc;

	if (a->format && !image_format_find(a->format, e))
		return -EINVAL;
	rc = open_file(img, a, e);
	if (!rc)
		rc = file_length(img->fd, &size, e);
	if (!rc && !a->unlocked)
		rc = image_lock(img->fd, a->writable, e);
	if (!rc && !a->unlocked && a->writable && !a->given)
		rc = image_claim(img->path, img->fd, &img->claim_fd, e);
	if (!rc)
		rc = find_format(img, a->format, e);
	if (!rc)
		rc = img->format->open(img, e);
	if (rc)
		return rc;
	if (img->size > IMAGE_MAX_SIZE)
		return err_set(e, -EFBIG, "its size, %llu bytes, is more than a disk can have",
			       (unsigned long long)img->size);
	return 0;
}

/* ---- what an image stands on ----------------------------------------------------------------- */

char *image_backing_path(const struct image *img)
{
	const char *slash = strrchr(img->path, '/'), *name = img->backing_name;
	char *path;

	if (!name)
		return NULL;
	if (*name == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - img->path), img->path, name) < 0)
		return NULL;
	return path;
}

static bool inside(const char *path, const char *folder)
{
	char *real = realpath(folder, NULL);
	size_t n = real ? strlen(real) : 0;
	bool in = n && !strncmp(path, real, n) && (path[n] == '/' || real[n - 1] == '/');

	free(real);
	return in;
}

static bool in_own_folder(const char *real, const char *image_path)
{
	char *own = realpath(image_path, NULL), *slash = own ? strrchr(own, '/') : NULL;
	bool in;

	if (slash)
		slash[slash == own] = '\0'; /* "/" itself stays */
	in = own && inside(real, own);
	free(own);
	return in;
}

/* Symbolic links are followed first: they may lead out of the folder. */
static int check_place(const struct image *img, const char *path, const struct image_access *a,
		       struct err *e)
{
	char *real = realpath(path, NULL);
	bool ok = a->any_backing;

	if (!real)
		return err_set(e, -errno, "its backing file %.200s: %s", path, strerror(errno));
	ok |= in_own_folder(real, img->path);
	for (unsigned i = 0; i < a->nbacking_folders && !ok; i++)
		ok = inside(real, a->backing_folders[i]);
	if (!ok)
		err_set(e, -EPERM,
			"its backing file %.150s lies outside its own folder; if you trust the "
			"image, add \"allow-backing=FOLDER\"",
			real);
	free(real);
	return ok ? 0 : -EPERM;
}

static int check_backing_name(const struct image *img, struct err *e)
{
	const char *colon = strchr(img->backing_name, ':'), *slash = strchr(img->backing_name, '/');

	if (!strncmp(img->backing_name, "json:", 5) || (colon && (!slash || colon < slash)))
		return err_set(e, -ENOTSUP,
			       "its backing file \"%.150s\" is not the name of a local file",
			       img->backing_name);
	return 0;
}

int image_open_backing(struct image *img, const struct image_access *a, unsigned depth,
		       struct err *e)
{
	struct image_access below = *a;
	char *path;
	int rc;

	if (!img->backing_name)
		return 0;
	if (depth + 1 >= IMAGE_MAX_DEPTH)
		return err_set(e, -ELOOP,
			       "more than %d images stand on each other; do the backing files "
			       "form a loop?",
			       IMAGE_MAX_DEPTH);
	rc = check_backing_name(img, e);
	if (rc)
		return rc;
	path = image_backing_path(img);
	if (!path)
		return err_set(e, -ENOMEM, "out of memory");
	below.writable = below.repairing = false;
	below.given = below.given_direct = NULL;
	below.format = img->backing_format;
	rc = check_place(img, path, a, e);
	if (!rc) {
		rc = image_open_file(&img->backing, path, &below, e);
		if (rc)
			err_prefix(e, "backing file %.100s", path);
	}
	if (!rc)
		rc = image_open_backing(img->backing, a, depth + 1, e);
	free(path);
	return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

int image_open_file(struct image **out, const char *path, const struct image_access *a,
		    struct err *e)
{
	struct image *img = calloc(1, sizeof(*img));
	int rc;

	if (!img) {
		if (a->given)
			close(*a->given);
		if (a->given_direct)
			close(*a->given_direct);
		return err_set(e, -ENOMEM, "out of memory");
	}
	img->fd = a->given ? *a->given : -1;
	img->direct_fd = a->given_direct ? *a->given_direct : -1;
	img->claim_fd = -1;
	img->writable = a->writable;
	img->repairing = a->repairing;
	img->path = strdup(path);
	rc = img->path ? open_one(img, a, e) : err_set(e, -ENOMEM, "out of memory");
	if (rc) {
		image_close_chain(img);
		return rc;
	}
	*out = img;
	return 0;
}

void image_close_chain(struct image *img)
{
	while (img) {
		struct image *below = img->backing;

		if (img->format && img->priv)
			img->format->close(img);
		if (img->fd >= 0)
			close(img->fd);
		if (img->direct_fd >= 0)
			close(img->direct_fd);
		if (img->claim_fd >= 0)
			close(img->claim_fd);
		free(img->backing_name);
		free(img->backing_format);
		free(img->path);
		free(img);
		img = below;
	}
}

static int look_up(struct image *img, uint64_t offset, uint64_t len, bool exact, struct extent *x)
{
	if (exact && img->format->scan)
		return img->format->scan(img, offset, len, x);
	return img->format->map(img, offset, len, x);
}

static int resolve(struct image *img, uint64_t offset, uint64_t len, bool exact, struct extent *x,
		   struct image **owner)
{
	for (;; img = img->backing) {
		int rc;

		*owner = img;
		if (offset >= img->size) {
			*x = (struct extent){.kind = EXTENT_ZERO, .len = len};
			return 0;
		}
		if (len > img->size - offset)
			len = img->size - offset;
		rc = look_up(img, offset, len, exact, x);
		if (rc || x->kind != EXTENT_HOLE)
			return rc;
		len = x->len;
		if (!img->backing) {
			x->kind = EXTENT_ZERO;
			return 0;
		}
	}
}

int image_resolve(struct image *img, uint64_t offset, uint64_t len, struct extent *x,
		  struct image **owner)
{
	return resolve(img, offset, len, false, x, owner);
}

int image_scan(struct image *img, uint64_t offset, uint64_t len, struct extent *x)
{
	struct image *owner;

	return resolve(img, offset, len, true, x, &owner);
}

int image_commit(struct image *img)
{
	for (unsigned step = 0;; step++) {
		int rc = img->format->commit(img, step);

		if (rc == -ENODATA)
			break;
		if (rc < 0)
			return rc;
		if ((rc || !step) && fdatasync(img->fd))
			return -errno;
	}
	img->format->committed(img);
	return 0;
}

int image_settle(struct image *img)
{
	int rc = image_commit(img);

	return rc || !img->dirty ? rc : image_commit(img);
}
