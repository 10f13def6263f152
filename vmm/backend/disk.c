/* SPDX-License-Identifier: Apache-2.0 */
/* Opens disk images: finds out size and kind, takes the lock, hands over to the format. */
#include "vmm/backend/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "vmm/backend/raw.h"

#define SECTOR 512u

static const struct format {
	const char *name;
	int (*open)(int fd, uint64_t size, struct loop *loop, struct disk **out, struct err *e);
} formats[] = {
	{"raw", raw_open},
};

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	return NULL;
}

static int probe_size(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, "%s", strerror(errno));
	if (S_ISREG(st.st_mode))
		*size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL, "it is neither a file nor a block device");
	else if (ioctl(fd, BLKGETSIZE64, size))
		return err_set(e, -errno, "cannot learn its size: %s", strerror(errno));
	if (!*size)
		return err_set(e, -EINVAL, "it is empty; give it a size with `truncate -s SIZE`");
	/* Not padded: a guest's partition table at the end would land in the wrong place. */
	if (*size % SECTOR)
		return err_set(e, -EINVAL,
			       "its size, %llu bytes, is not a multiple of 512; extend it with "
			       "`truncate -s %%512 FILE`",
			       (unsigned long long)*size);
	return 0;
}

static bool same_file(const char *path, const struct stat *want)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

static bool has_open(const char *pid, const struct stat *want)
{
	char path[64 + 2 * 256];
	struct dirent *f;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	while (fds && !found && (f = readdir(fds))) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, f->d_name);
		found = same_file(path, want);
	}
	if (fds)
		closedir(fds);
	return found;
}

/* Open file description locks do not tell their owner: looks for who else has the file open. */
static long find_holder(int fd)
{
	DIR *proc = opendir("/proc");
	struct dirent *p;
	struct stat st;
	long pid = 0;

	while (proc && !pid && !fstat(fd, &st) && (p = readdir(proc)))
		if (p->d_name[0] >= '1' && p->d_name[0] <= '9' && atol(p->d_name) != getpid() &&
		    has_open(p->d_name, &st))
			pid = atol(p->d_name);
	if (proc)
		closedir(proc);
	return pid;
}

/* Many readers or one writer. File systems without locks are used unlocked. */
static int lock(int fd, bool readonly, struct err *e)
{
	struct flock l = {.l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	long pid;

	if (!fcntl(fd, F_OFD_SETLK, &l) || (errno != EAGAIN && errno != EACCES))
		return 0;
	pid = find_holder(fd);
	if (pid)
		return err_set(e, -EBUSY, "it is in use by process %ld%s", pid,
			       readonly ? " for writing" : "");
	return err_set(e, -EBUSY, "it is in use already, perhaps by this very machine");
}

/* The serial number: the last part of the name is what people recognise. */
static void set_id(struct disk *d, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(d->id, sizeof(d->id), "%.20s", slash ? slash + 1 : path);
}

int disk_open(const char *path, const char *format, bool readonly, struct loop *loop,
	      struct disk **out, struct err *e)
{
	const struct format *f = find_format(format ? format : "raw");
	uint64_t size;
	int fd, rc;

	if (!f)
		return err_set(e, -EINVAL, "unknown format \"%s\"; known: raw", format);
	/* A FIFO without O_NONBLOCK would wait for its other end. */
	fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, -errno, "%s%s", strerror(errno),
			       !readonly && (errno == EACCES || errno == EROFS)
				       ? "; add \",ro\" to use it read-only"
				       : "");
	rc = probe_size(fd, &size, e);
	if (!rc)
		rc = lock(fd, readonly, e);
	if (!rc)
		rc = f->open(fd, size, loop, out, e);
	if (rc) {
		close(fd);
		return rc;
	}
	(*out)->readonly = readonly;
	set_id(*out, path);
	return 0;
}

void disk_submit(struct disk *d, struct disk_req *r)
{
	if (r->op != DISK_READ && d->readonly && r->op != DISK_FLUSH)
		r->done(r, -EROFS);
	else if (r->offset % SECTOR || r->len % SECTOR || !range_ok(r->offset, r->len, d->size))
		r->done(r, -EINVAL);
	else if (!r->len && r->op != DISK_FLUSH)
		r->done(r, 0);
	else
		d->ops->submit(d, r);
}

void disk_kick(struct disk *d)
{
	d->ops->kick(d);
}

void disk_drain(struct disk *d)
{
	d->ops->drain(d);
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	d->ops->drain(d);
	d->ops->destroy(d);
}
