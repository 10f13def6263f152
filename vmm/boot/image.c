/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel and module files, read with bounds checks. */
#include "vmm/boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"

/* ---- files that stay open -------------------------------------------------------------------- */

/* A FIFO without O_NONBLOCK would wait for its other end. */
static int open_path(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

void boot_files_add(struct boot_files *f, const char *path, size_t len)
{
	char *copy = f->n < BOOT_MAX_FILES ? strndup(path, len) : NULL;
	int fd = copy ? open_path(copy) : -1;

	if (fd < 0) {
		free(copy);
		return;
	}
	f->file[f->n].path = copy;
	f->file[f->n++].fd = fd;
}

void boot_files_close(struct boot_files *f)
{
	while (f->n) {
		f->n--;
		close(f->file[f->n].fd);
		free(f->file[f->n].path);
	}
}

static int open_held(const struct boot_files *held, const char *path)
{
	for (unsigned n = 0; held && n < held->n; n++)
		if (!strcmp(held->file[n].path, path))
			return fcntl(held->file[n].fd, F_DUPFD_CLOEXEC, 0);
	return open_path(path);
}

/* ---- one file -------------------------------------------------------------------------------- */

int image_open(struct boot_image *i, const struct boot_files *held, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	*i = (struct boot_image){.path = path};
	i->fd = open_held(held, path);
	if (i->fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fstat(i->fd, &st)) {
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
		goto close_fd;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = err_set(e, -EINVAL, "%s: not a regular file", path);
		goto close_fd;
	}
	i->size = (uint64_t)st.st_size;
	return 0;
close_fd:
	image_close(i);
	return rc;
}

void image_close(struct boot_image *i)
{
	if (i->fd >= 0)
		close(i->fd);
	i->fd = -1;
}

static int read_file(const struct boot_image *i, uint64_t off, uint8_t *buf, uint64_t len,
		     struct err *e)
{
	while (len) {
		ssize_t n = pread(i->fd, buf, len < GIB ? len : GIB, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "%s: %s", i->path, strerror(errno));
		if (!n)
			return err_set(e, -EIO, "%s: the file became shorter while it was read",
				       i->path);
		buf += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int image_read(const struct boot_image *i, uint64_t off, void *buf, uint64_t len, const char *what,
	       struct err *e)
{
	if (!range_ok(off, len, i->size))
		return err_set(e, -EINVAL,
			       "%s: truncated: %s needs bytes %llu to %llu, the file has %llu",
			       i->path, what, (unsigned long long)off,
			       (unsigned long long)(off + len), (unsigned long long)i->size);
	if (i->fd >= 0)
		return read_file(i, off, buf, len, e);
	if (len)
		memcpy(buf, i->data + off, len);
	return 0;
}

int image_load(const struct boot_image *i, uint64_t off, struct guest_memory *m, gpa_t gpa,
	       uint64_t len, const char *what, struct err *e)
{
	uint8_t *to = mem_ptr(m, gpa, len, true);

	if (!to)
		return err_set(e, -ENOSPC,
			       "%s: %s (%llu KiB at %#llx) does not fit into the guest's memory of "
			       "%llu MiB; give more with --memory",
			       i->path, what, (unsigned long long)(len / KIB),
			       (unsigned long long)gpa, (unsigned long long)(m->ram_size / MIB));
	if (image_read(i, off, to, len, what, e))
		return e ? e->code : -EINVAL;
	mem_written(m, gpa, len);
	return 0;
}
