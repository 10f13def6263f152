/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on images: open file description locks on single bytes, with the meaning that QEMU and its
 * tools give them (permissions from byte 100 on, refusals from byte 200 on), so that both sides
 * respect each other. A holder puts read locks on what it does and on what it refuses to
 * others; conflicts are found by asking whether a write lock would be possible.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/backend/image/image.h"

#define DOES    100
#define REFUSES 200

#define LEFTOVER_TRIES   100
#define LEFTOVER_WAIT_US 20000
#define CLAIM_TRIES      25 /* for who only has a short look at a disk's partitions */

enum permission {
	READ,
	WRITE,
	RESIZE = 3,
	NPERMISSIONS
};

#define BIT(n) (1u << (n))

static bool same_file(const char *path, const struct stat *want)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

/* How many descriptors of the process are the file. */
static unsigned count_open(const char *pid, const struct stat *want)
{
	char path[64 + 2 * 256];
	struct dirent *f;
	unsigned found = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	while (fds && (f = readdir(fds))) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, f->d_name);
		found += same_file(path, want);
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
		    count_open(p->d_name, &st))
			pid = atol(p->d_name);
	if (proc)
		closedir(proc);
	return pid;
}

/* A VM's process was given its description, which lies in a folder of the VM's name. */
static bool vm_name(long pid, char *name, size_t size)
{
	char path[64], text[IMAGE_MAX_PATH] = "", *spec, *slash;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fread(text, 1, sizeof(text) - 1, f))
		text[0] = '\0';
	fclose(f);
	if (strcmp(text, "baton-vmm"))
		return false;
	spec = text + strlen(text) + 1;
	slash = strrchr(spec, '/');
	if (!slash)
		return false;
	*slash = '\0';
	slash = strrchr(spec, '/');
	snprintf(name, size, "%s", slash ? slash + 1 : spec);
	return *name;
}

static bool is_block(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISBLK(st.st_mode);
}

static int busy(int fd, bool writable, struct err *e)
{
	long pid = find_holder(fd);
	char name[64];

	if (!pid)
		return err_set(e, -EBUSY, "it is in use already, perhaps by this very machine%s",
			       is_block(fd)
				       ? "; or the disk that it is a part of, or a part of it, is"
				       : "");
	if (vm_name(pid, name, sizeof(name)))
		return err_set(e, -EBUSY, "it is in use by VM %s (process %ld)%s", name, pid,
			       writable ? "" : " for writing");
	return err_set(e, -EBUSY, "it is in use by process %ld%s", pid,
		       writable ? "" : " for writing");
}

/* False only when the lock is another's; file systems without locks are used unlocked. */
static bool lock_byte(int fd, int command, short type, int byte)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, command, &l))
		return errno != EAGAIN && errno != EACCES;
	return command != F_OFD_GETLK || l.l_type == F_UNLCK;
}

static bool try_lock(int fd, bool writable)
{
	unsigned does = writable ? BIT(READ) | BIT(WRITE) | BIT(RESIZE) : BIT(READ);
	unsigned refuses = BIT(WRITE) | BIT(RESIZE);
	bool ok = true;

	for (int i = 0; i < NPERMISSIONS; i++) {
		if (does & BIT(i))
			ok &= lock_byte(fd, F_OFD_SETLK, F_RDLCK, DOES + i);
		if (refuses & BIT(i))
			ok &= lock_byte(fd, F_OFD_SETLK, F_RDLCK, REFUSES + i);
	}
	for (int i = 0; i < NPERMISSIONS && ok; i++) {
		if (does & BIT(i))
			ok &= lock_byte(fd, F_OFD_GETLK, F_WRLCK, REFUSES + i);
		if (refuses & BIT(i))
			ok &= lock_byte(fd, F_OFD_GETLK, F_WRLCK, DOES + i);
	}
	if (!ok)
		image_unlock(fd);
	return ok;
}

/* The kernel keeps the files of a process that was killed until its io_uring is taken down. */
static bool is_leftover(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !find_holder(fd) && count_open("self", &st) == 1;
}

int image_lock(int fd, bool writable, struct err *e)
{
	for (int tries = 0; !try_lock(fd, writable); tries++) {
		if (tries == LEFTOVER_TRIES || !is_leftover(fd))
			return busy(fd, writable, e);
		usleep(LEFTOVER_WAIT_US);
	}
	return 0;
}

int image_claim(const char *path, int fd, int *claim, struct err *e)
{
	if (!is_block(fd))
		return 0;
	for (int tries = 0; *claim < 0; tries++) {
		*claim = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
		if (*claim < 0 && (errno != EBUSY || tries == CLAIM_TRIES))
			break;
		if (*claim < 0)
			usleep(LEFTOVER_WAIT_US);
	}
	if (*claim >= 0)
		return 0;
	return err_set(e, -errno, "%s%s", strerror(errno),
		       errno == EBUSY ? ": it, the disk that it is a part of, or a part of it is "
					"mounted or in use by another program; add \",ro\" to "
					"use it read-only"
				      : "");
}

void image_unlock(int fd)
{
	for (int i = 0; i < NPERMISSIONS; i++) {
		lock_byte(fd, F_OFD_SETLK, F_UNLCK, DOES + i);
		lock_byte(fd, F_OFD_SETLK, F_UNLCK, REFUSES + i);
	}
}
