/* SPDX-License-Identifier: Apache-2.0 */
/* read(), write() and their many forms. */
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/errno.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/vfs.h"

#define MAX_RW  0x7ffff000UL
#define IOV_MAX 1024

static int64_t transfer(struct file *f, bool write, uint64_t buf, uint64_t n, uint64_t *pos)
{
	unsigned mode = f->flags & O_ACCMODE;
	int64_t rc;

	if (f->flags & O_PATH || (write ? mode == 0 : mode == O_WRONLY))
		return -EBADF;
	if (write ? !f->ops->write : !f->ops->read)
		return f->node && (f->node->mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
	rc = (write ? f->ops->write : f->ops->read)(f, buf, MIN(n, MAX_RW), pos);
	if (rc == -EPIPE)
		signal_thread(current_thread(), SIGPIPE);
	return rc;
}

static int64_t rw(const uint64_t *a, bool write)
{
	struct file *f = fd_get((int)a[0]);
	int64_t rc = f ? transfer(f, write, a[1], a[2], &f->pos) : -EBADF;

	file_put(f);
	return rc;
}

int64_t sys_read(const uint64_t *a)
{
	return rw(a, false);
}

int64_t sys_write(const uint64_t *a)
{
	return rw(a, true);
}

static bool seekable(const struct file *f)
{
	return f->node &&
	       ((f->node->mode & S_IFMT) == S_IFREG || (f->node->mode & S_IFMT) == S_IFBLK ||
		(f->node->mode & S_IFMT) == S_IFDIR);
}

static int64_t prw(const uint64_t *a, bool write)
{
	struct file *f = fd_get((int)a[0]);
	uint64_t pos = a[3];
	int64_t rc = !f                 ? -EBADF
		     : !seekable(f)     ? -ESPIPE
		     : (int64_t)pos < 0 ? -EINVAL
					: transfer(f, write, a[1], a[2], &pos);

	file_put(f);
	return rc;
}

int64_t sys_pread64(const uint64_t *a)
{
	return prw(a, false);
}

int64_t sys_pwrite64(const uint64_t *a)
{
	return prw(a, true);
}

/* One element after the other; a short one ends it. */
static int64_t vector(struct file *f, bool write, uint64_t iov, uint64_t n, uint64_t *pos)
{
	int64_t done = 0, rc = 0;
	struct uio u;

	if (n > IOV_MAX)
		return -EINVAL;
	for (uint64_t i = 0; i < n; i++) {
		if (copy_from_user(&u, iov + i * sizeof(u), sizeof(u)))
			return done ? done : -EFAULT;
		if (!u.len)
			continue;
		rc = transfer(f, write, u.addr, u.len, pos);
		if (rc < 0)
			return done ? done : rc;
		done += rc;
		if ((uint64_t)rc < u.len)
			break;
	}
	return done;
}

static int64_t rwv(const uint64_t *a, bool write, bool positioned)
{
	struct file *f = fd_get((int)a[0]);
	uint64_t pos = a[3];
	int64_t rc;

	if (!f)
		return -EBADF;
	if (positioned && !seekable(f))
		rc = -ESPIPE;
	else
		rc = vector(f, write, a[1], a[2], positioned ? &pos : &f->pos);
	file_put(f);
	return rc;
}

int64_t sys_readv(const uint64_t *a)
{
	return rwv(a, false, false);
}

int64_t sys_writev(const uint64_t *a)
{
	return rwv(a, true, false);
}

int64_t sys_preadv(const uint64_t *a)
{
	return rwv(a, false, true);
}

int64_t sys_pwritev(const uint64_t *a)
{
	return rwv(a, true, true);
}

static int64_t size_of(const struct file *f)
{
	return f->node->obj ? (int64_t)f->node->obj->size : (int64_t)f->node->rdev;
}

static int64_t seek(struct file *f, int64_t offset, unsigned whence)
{
	int64_t base, size;

	if (!seekable(f))
		return -ESPIPE;
	if (whence > 4)
		return -EINVAL;
	size = size_of(f);
	if (whence >= 3) { /* SEEK_DATA, SEEK_HOLE: no holes are told */
		if (offset < 0 || offset >= size)
			return -ENXIO;
		offset = whence == 3 ? offset : size;
		whence = 0;
	}
	base = whence == 0 ? 0 : whence == 1 ? (int64_t)f->pos : size;
	if (base + offset < 0)
		return -EINVAL;
	f->pos = (uint64_t)(base + offset);
	return base + offset;
}

int64_t sys_lseek(const uint64_t *a)
{
	struct file *f = fd_get((int)a[0]);
	int64_t rc = f ? seek(f, (int64_t)a[1], (unsigned)a[2]) : -EBADF;

	file_put(f);
	return rc;
}

/* Through a buffer of the process' own pages would need two mappings; a page of the kernel is
 * simpler. */
int64_t sys_sendfile(const uint64_t *a)
{
	struct file *out = fd_get((int)a[0]), *in = fd_get((int)a[1]);
	int64_t rc = in && out ? -EINVAL : -EBADF; /* callers fall back to read() and write() */

	file_put(in);
	file_put(out);
	return rc;
}

static int64_t truncate_file(struct file *f, uint64_t size)
{
	if (!f->node || !f->node->obj || !(f->flags & O_ACCMODE))
		return -EINVAL;
	if ((int64_t)size < 0)
		return -EINVAL;
	return memobj_resize(f->node->obj, size);
}

int64_t sys_ftruncate(const uint64_t *a)
{
	struct file *f = fd_get((int)a[0]);
	int64_t rc = f ? truncate_file(f, a[1]) : -EBADF;

	file_put(f);
	return rc;
}

static int64_t allocate(struct file *f, unsigned mode, uint64_t offset, uint64_t len)
{
	if (!f->node || !f->node->obj || !(f->flags & O_ACCMODE))
		return -ENODEV;
	if (mode == 3) { /* PUNCH_HOLE | KEEP_SIZE */
		memobj_punch(f->node->obj, offset, len);
		return 0;
	}
	if (mode)
		return -EOPNOTSUPP;
	if (offset + len > f->node->obj->size)
		return memobj_resize(f->node->obj, offset + len);
	return 0;
}

int64_t sys_fallocate(const uint64_t *a)
{
	struct file *f = fd_get((int)a[0]);
	int64_t rc = f ? allocate(f, (unsigned)a[1], a[2], a[3]) : -EBADF;

	file_put(f);
	return rc;
}

/* RAM has nothing to flush. */
int64_t sys_fsync(const uint64_t *a)
{
	struct file *f = fd_get((int)a[0]);

	file_put(f);
	return f ? 0 : -EBADF;
}

int64_t sys_flock(const uint64_t *a)
{
	struct file *f = fd_get((int)a[0]);
	int64_t rc = !f ? -EBADF : f->node ? node_flock(f, (unsigned)a[1]) : -EBADF;

	file_put(f);
	return rc;
}
