/* SPDX-License-Identifier: Apache-2.0 */
/* read(), write() and their many forms. */
#include <linux/falloc.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/landlock.h"
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
	if (f->ops->vector)
		return f->ops->vector(f, write, &(struct uio){buf, n}, 1);
	n = MIN(n, MAX_RW);
	if (write ? f->ops->give : f->ops->take)
		rc = (write ? file_write_all : file_read_some)(f, buf, n, false);
	else if (write ? f->ops->write : f->ops->read)
		rc = (write ? f->ops->write : f->ops->read)(f, buf, n, pos);
	else
		return f->node && S_ISDIR(f->node->mode) ? -EISDIR : -EINVAL;
	if (rc == -EPIPE)
		signal_thread(current_thread(), SIGPIPE);
	return rc;
}

static bool seekable(const struct file *f)
{
	return f->node &&
	       (S_ISREG(f->node->mode) || S_ISBLK(f->node->mode) || S_ISDIR(f->node->mode));
}

/* One element after the other; a short one ends it. */
static int64_t each(struct file *f, bool write, const struct uio *v, uint64_t n, uint64_t *pos)
{
	int64_t done = 0, rc = 0;

	for (uint64_t i = 0; i < n; i++) {
		rc = v[i].len ? transfer(f, write, v[i].addr, v[i].len, pos) : 0;
		if (rc < 0)
			break;
		done += rc;
		if ((uint64_t)rc < v[i].len)
			break;
	}
	return done ? done : rc;
}

static int64_t vector(struct file *f, bool write, uint64_t iov, uint64_t n, uint64_t *pos)
{
	struct uio *v = n > IOV_MAX ? NULL : kzalloc(MAX(n, 1UL) * sizeof(*v));
	int64_t rc = v ? copy_from_user(v, iov, n * sizeof(*v)) : n > IOV_MAX ? -EINVAL : -ENOMEM;

	if (!rc)
		rc = f->ops->vector ? f->ops->vector(f, write, v, (unsigned)n)
				    : each(f, write, v, n, pos);
	kfree(v);
	return rc;
}

/* pread(), pwrite() and their vectors: at a place that the call tells. */
static int64_t at_place(struct file *f, const uint64_t *a, bool write,
			int64_t (*move)(struct file *f, bool write, uint64_t from, uint64_t n,
					uint64_t *pos))
{
	uint64_t pos = a[3];

	if (!seekable(f))
		return -ESPIPE;
	return (int64_t)pos < 0 ? -EINVAL : move(f, write, a[1], a[2], &pos);
}

/* (f, from, n) at the file's own place, or with a place as the fourth. */
#define MOVES(name, move, write)                              \
	int64_t sys_##name(struct file *f, const uint64_t *a) \
	{                                                     \
		return move(f, write, a[1], a[2], &f->pos);   \
	}
#define MOVES_AT(name, move, write)                           \
	int64_t sys_##name(struct file *f, const uint64_t *a) \
	{                                                     \
		return at_place(f, a, write, move);           \
	}

MOVES(read, transfer, false)
MOVES(write, transfer, true)
MOVES(readv, vector, false)
MOVES(writev, vector, true)
MOVES_AT(pread64, transfer, false)
MOVES_AT(pwrite64, transfer, true)
MOVES_AT(preadv, vector, false)
MOVES_AT(pwritev, vector, true)

static int64_t size_of(struct file *f)
{
	return (int64_t)(f->ops->size ? f->ops->size(f) : f->node->obj ? f->node->obj->size : 0);
}

int64_t sys_lseek(struct file *f, const uint64_t *a)
{
	int64_t offset = (int64_t)a[1], base, size;
	unsigned whence = (unsigned)a[2];

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

int64_t sys_ftruncate(struct file *f, const uint64_t *a)
{
	if (!f->node || !f->node->obj || !(f->flags & O_ACCMODE) || (int64_t)a[1] < 0)
		return -EINVAL;
	if (f->denied & RIGHT(TRUNCATE))
		return -EACCES;
	return memobj_resize(f->node->obj, a[1]);
}

int64_t sys_fallocate(struct file *f, const uint64_t *a)
{
	unsigned mode = (unsigned)a[1];
	int64_t offset = (int64_t)a[2], len = (int64_t)a[3], end;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (__builtin_add_overflow(offset, len, &end))
		return -EFBIG;
	if (f->node && S_ISBLK(f->node->mode))
		return -EOPNOTSUPP;
	if (!f->node || !f->node->obj || !(f->flags & O_ACCMODE))
		return -ENODEV;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		memobj_punch(f->node->obj, (uint64_t)offset, (uint64_t)len);
		return 0;
	}
	if (mode)
		return -EOPNOTSUPP;
	if ((uint64_t)end > f->node->obj->size)
		return memobj_resize(f->node->obj, (uint64_t)end);
	return 0;
}

int64_t sys_fsync(struct file *f, const uint64_t *a)
{
	return f->ops->sync ? f->ops->sync(f) : 0;
}

int64_t sys_flock(struct file *f, const uint64_t *a)
{
	return f->node && !(f->flags & O_PATH) ? node_flock(f, (unsigned)a[1]) : -EBADF;
}
