/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sys/file.h"

#include <asm/ioctls.h>
#include <linux/close_range.h>

#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/ring.h"
#include "kernel/sys/vfs.h"

#define O_OPENING (O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC) /* not of the open file */

struct file *file_new(const struct file_ops *ops, unsigned flags, void *data)
{
	static uint64_t last;
	struct file new = {.ops = ops, .refs = 1, .flags = flags & ~O_OPENING, .data = data};
	struct file *f = kzalloc(sizeof(*f));

	new.number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	if (!f) {
		if (ops->close)
			ops->close(&new);
		return NULL;
	}
	*f = new;
	return f;
}

struct file *file_get(struct file *f)
{
	__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

void file_put(struct file *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (f->ops->close)
		f->ops->close(f);
	if (f->node) {
		node_unlock_file(f->node, f);
		node_put(f->node);
	}
	kfree(f);
}

struct file *fd_get(int fd)
{
	return files_get(current_process()->files, fd);
}

struct file *files_get(struct files *files, int fd)
{
	struct file *f = NULL;

	if (!files || fd < 0 || fd >= MAX_FILES)
		return NULL;
	SPIN_GUARD(&files->lock);
	f = files->file[fd];
	if (f)
		file_get(f);
	return f;
}

/* Makes descriptors stand for a file. */
static struct file *opened(struct file *f)
{
	__atomic_fetch_add(&f->fds, 1, __ATOMIC_RELAXED);
	return f;
}

/* Lock held. */
static void set_cloexec(struct files *files, int fd, bool on)
{
	uint64_t bit = 1UL << fd % 64;

	files->cloexec[fd / 64] = (files->cloexec[fd / 64] & ~bit) | (on ? bit : 0);
}

int fd_install(struct file *f, bool cloexec, int min)
{
	struct files *files = current_process()->files;
	int fd;

	if (!f)
		return -ENOMEM;
	LOCKED(&files->lock) {
		for (fd = min; fd < MAX_FILES && files->file[fd]; fd++)
			;
		if (fd < MAX_FILES) {
			files->file[fd] = opened(f);
			set_cloexec(files, fd, cloexec);
		}
	}
	if (fd < MAX_FILES)
		return fd;
	file_put(f);
	return -EMFILE;
}

int fd_new(const struct file_ops *ops, unsigned flags, void *data)
{
	return fd_install(file_new(ops, O_RDWR | (flags & O_NONBLOCK), data), flags & O_CLOEXEC, 0);
}

int fd_new_pair(struct file *a, struct file *b, bool cloexec, uint64_t to)
{
	int fd[2] = {fd_install(a, cloexec, 0), fd_install(b, cloexec, 0)};
	int rc = fd[0] < 0 ? fd[0] : fd[1] < 0 ? fd[1] : copy_to_user(to, fd, sizeof(fd));

	for (unsigned i = 0; rc && i < 2; i++)
		fd_close(fd[i]);
	return rc;
}

/* Of a descriptor that is gone; its owner's POSIX locks on the file go, too. NULL is allowed. */
static void closed(struct process *owner, struct file *f)
{
	if (!f)
		return;
	if (f->node)
		node_unlock_posix(f->node, owner);
	if (!__atomic_sub_fetch(&f->fds, 1, __ATOMIC_SEQ_CST))
		epoll_forget(f);
	file_put(f);
}

/* Puts `f` in the place of what is behind the descriptor, which is given. */
static struct file *replace(int fd, struct file *f, bool cloexec)
{
	struct files *files = current_process()->files;
	SPIN_GUARD(&files->lock);
	struct file *old = files->file[fd];

	files->file[fd] = f ? opened(f) : NULL;
	set_cloexec(files, fd, cloexec);
	return old;
}

int fd_close(int fd)
{
	struct file *f = fd < 0 || fd >= MAX_FILES ? NULL : replace(fd, NULL, false);

	closed(current_process(), f);
	return f ? 0 : -EBADF;
}

struct files *files_new(void)
{
	return kzalloc(sizeof(struct files));
}

struct files *files_copy(struct files *from)
{
	struct files *f = files_new();

	if (!f)
		return NULL;
	SPIN_GUARD(&from->lock); /* another thread may close one */
	memcpy(f->cloexec, from->cloexec, sizeof(f->cloexec));
	for (unsigned i = 0; i < MAX_FILES; i++) {
		if (from->file[i])
			f->file[i] = opened(file_get(from->file[i]));
	}
	return f;
}

void files_free(struct process *owner, struct files *f)
{
	for (unsigned i = 0; f && i < MAX_FILES; i++)
		closed(owner, f->file[i]);
	kfree(f);
}

void files_close_on_exec(struct files *f)
{
	for (int i = 0; i < MAX_FILES; i++) {
		if (f->cloexec[i / 64] & 1UL << i % 64)
			fd_close(i);
	}
	memset(f->cloexec, 0, sizeof(f->cloexec));
}

struct waitq *file_queue(struct file *f)
{
	if (f->ops->queue)
		return f->ops->queue(f);
	return f->ops->waitq ? (struct waitq *)((char *)f->data + f->ops->waitq) : NULL;
}

int file_wait(struct file *f, unsigned events)
{
	events |= POLLERR | POLLHUP;
	if (f->ops->poll(f) & events)
		return 0;
	if (f->flags & O_NONBLOCK)
		return -EAGAIN;
	return RESTARTABLE(WAIT_FOR(file_queue(f), NEVER, f->ops->poll(f) & events));
}

int64_t file_read_some(struct file *f, uint64_t buf, uint64_t n, bool dontwait)
{
	int64_t rc, failed = 0;

	while ((rc = f->ops->take(f->data, buf, n)) == -EAGAIN && !failed)
		failed = dontwait ? -EAGAIN : file_wait(f, POLLIN);
	return rc == -EAGAIN ? failed : rc;
}

int64_t file_write_all(struct file *f, uint64_t buf, uint64_t n, bool dontwait)
{
	uint64_t done = 0;
	int64_t rc = 0;

	while (done < n && rc >= 0) {
		rc = f->ops->give(f->data, buf + done, n - done);
		done += rc > 0 ? (uint64_t)rc : 0;
		if (!rc)
			rc = dontwait ? -EAGAIN : file_wait(f, POLLOUT);
	}
	return done ? (int64_t)done : rc;
}

/* ---- system calls on descriptors ------------------------------------------------------------- */

static void fd_set_cloexec(int fd, bool on)
{
	struct files *files = current_process()->files;
	SPIN_GUARD(&files->lock);

	set_cloexec(files, fd, on);
}

int64_t sys_close(const uint64_t *a)
{
	return fd_close((int)a[0]);
}

int64_t sys_close_range(const uint64_t *a)
{
	unsigned last = MIN((unsigned)a[1], MAX_FILES - 1u);

	if ((unsigned)a[0] > (unsigned)a[1] || a[2] & ~(uint64_t)CLOSE_RANGE_CLOEXEC)
		return -EINVAL;
	for (unsigned fd = (unsigned)a[0]; fd <= last; fd++) {
		if (a[2] & CLOSE_RANGE_CLOEXEC)
			fd_set_cloexec((int)fd, true);
		else
			fd_close((int)fd);
	}
	return 0;
}

static int64_t dup_to(struct file *f, int to, bool cloexec)
{
	if (to < 0 || to >= MAX_FILES)
		return -EBADF;
	closed(current_process(), replace(to, file_get(f), cloexec));
	return to;
}

int64_t sys_dup2(struct file *f, const uint64_t *a)
{
	return (int)a[0] == (int)a[1] ? (int)a[0] : dup_to(f, (int)a[1], false);
}

int64_t sys_dup3(struct file *f, const uint64_t *a)
{
	return (int)a[0] == (int)a[1] || a[2] & ~(uint64_t)O_CLOEXEC
		       ? -EINVAL
		       : dup_to(f, (int)a[1], a[2] & O_CLOEXEC);
}

#define O_SETTABLE (O_APPEND | O_NONBLOCK)

int64_t sys_fcntl(struct file *f, const uint64_t *a)
{
	struct files *files = current_process()->files;
	unsigned cmd = (unsigned)a[1];
	int fd = (int)a[0];
	uint64_t arg = a[2];

	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return arg >= MAX_FILES ? -EINVAL
					: fd_install(file_get(f), cmd == F_DUPFD_CLOEXEC, (int)arg);
	case F_GETFD:
		return (int64_t)(files->cloexec[fd / 64] >> fd % 64 & 1);
	case F_SETFD:
		fd_set_cloexec(fd, arg & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return f->flags;
	case F_SETFL:
		f->flags = (f->flags & ~O_SETTABLE) | ((unsigned)arg & O_SETTABLE);
		return 0;
	case F_GETLK ... F_SETLKW:
	case F_OFD_GETLK ... F_OFD_SETLKW:
		return f->node && !(f->flags & O_PATH) ? node_fcntl_lock(f, cmd, arg) : -EBADF;
	}
	return -EINVAL;
}

/* What every file answers. */
static int64_t any_ioctl(struct file *f, int fd, unsigned cmd, uint64_t arg)
{
	int on, used;

	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		fd_set_cloexec(fd, cmd == FIOCLEX);
		return 0;
	case FIONBIO:
		if (copy_from_user(&on, arg, sizeof(on)))
			return -EFAULT;
		f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK;
		return 0;
	case FIONREAD:
		if (!f->ops->ring)
			return -ENOTTY;
		used = (int)ring_used((struct ring *)((char *)f->data + f->ops->ring));
		return copy_to_user(arg, &used, sizeof(used));
	}
	return -ENOTTY;
}

int64_t sys_ioctl(struct file *f, const uint64_t *a)
{
	int64_t rc = any_ioctl(f, (int)a[0], (unsigned)a[1], a[2]);

	return rc == -ENOTTY && f->ops->ioctl ? f->ops->ioctl(f, (unsigned)a[1], a[2]) : rc;
}
