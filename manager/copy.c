/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (4u << 20)

uint64_t copy_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void advance(struct copy_progress *p, uint64_t bytes)
{
	p->done = bytes < p->total - p->done ? p->done + bytes : p->total;
	if (p->fn)
		p->fn(p->opaque, "copying", p->done, p->total);
}

/* copy_file_range() leaves the work to the kernel; not every pair of file systems can. */
static ssize_t copy_some(int from, int to, off_t at, size_t len, char *buf)
{
	off_t in = at, out = at;
	ssize_t n = copy_file_range(from, &in, to, &out, len, 0);

	if (n > 0 || (n < 0 && errno == ENOSPC))
		return n;
	n = pread(from, buf, len, at);
	return n > 0 ? pwrite(to, buf, (size_t)n, at) : n;
}

static int copy_extent(int from, int to, off_t at, off_t end, char *buf, struct copy_progress *p)
{
	while (at < end) {
		size_t len = end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
		ssize_t n = copy_some(from, to, at, len, buf);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		advance(p, (uint64_t)n);
	}
	return 0;
}

/* lseek(2): a file system that knows no holes says that all is data. */
static int copy_extents(int from, int to, off_t size, struct copy_progress *p)
{
	char *buf = malloc(CHUNK);
	off_t data = 0, hole;
	int rc = buf ? 0 : -ENOMEM;

	while (!rc && data < size && (data = lseek(from, data, SEEK_DATA)) >= 0) {
		hole = lseek(from, data, SEEK_HOLE);
		rc = hole < 0 ? -errno : copy_extent(from, to, data, hole, buf, p);
		data = hole;
	}
	if (!rc && data < 0 && errno != ENXIO)
		rc = -errno;
	free(buf);
	return rc;
}

static int fill(int from, int to, struct copy_progress *p)
{
	off_t size = lseek(from, 0, SEEK_END);
	int rc = 0;

	if (size < 0)
		return -errno;
	if (!ioctl(to, FICLONE, from))
		advance(p, (uint64_t)size);
	else
		rc = ftruncate(to, size) ? -errno : copy_extents(from, to, size, p);
	return rc ? rc : fsync(to) ? -errno : 0;
}

int copy_file(const char *from, const char *to, struct copy_progress *p, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, rc;

	if (in < 0)
		return err_set(e, -errno, "%s: %s", from, strerror(errno));
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		rc = err_set(e, -errno, "%s: %s", to, strerror(errno));
		goto close_in;
	}
	rc = fill(in, out, p);
	close(out);
	if (rc) {
		unlink(to);
		err_set(e, rc, "%s: %s", to, strerror(-rc));
	}
close_in:
	close(in);
	return rc;
}
