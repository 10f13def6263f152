/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a VM: a lock (flock) on its file "lock", which says who and why: "1234 run". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "manager/folders.h"

#define LOCK_FILE "lock"

/* The text may be that of an earlier holder for the moment in which a new one writes its own. */
static void read_holder(int fd, struct holder *h)
{
	char text[64] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%d %23[^\n]", &h->pid, h->what) < 1 || h->pid <= 0) {
		h->pid = 0;
		return;
	}
	if (!*h->what)
		strcpy(h->what, HOLD_RUN);
}

void holder_find(const struct manager *m, const char *folder, struct holder *h)
{
	char path[PATH_SIZE];
	int fd;

	memset(h, 0, sizeof(*h));
	if (vm_path(m, folder, LOCK_FILE, path, NULL))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
		read_holder(fd, h);
	close(fd);
}

int holder_become(int fd, pid_t pid, const char *what)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%d %s\n", (int)pid, what);

	/* The rest of a longer text is cut off last: a reader never finds half a number. */
	if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n))
		return -errno;
	return 0;
}

int holder_refuse(const char *folder, const struct holder *h, struct err *e)
{
	if (!strcmp(h->what, HOLD_RUN))
		return err_set(e, -EBUSY, "%s is running; stop it first: baton stop %s", folder,
			       folder);
	return err_set(e, -EBUSY, "%s is busy: process %d does \"%s\"; try again when it is done",
		       folder, (int)h->pid, h->what);
}

int holder_take(const struct manager *m, const char *folder, const char *what, int *fd,
		struct err *e)
{
	char path[PATH_SIZE];
	struct holder h;
	int rc;

	holder_find(m, folder, &h);
	if (h.pid)
		return holder_refuse(folder, &h, e);
	if (vm_path(m, folder, LOCK_FILE, path, e))
		return e->code;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	/* Waits at most for those who just look: others need the global lock that we have. */
	rc = flock(*fd, LOCK_EX) ? -errno : holder_become(*fd, getpid(), what);
	if (!rc)
		return 0;
	close(*fd);
	return err_set(e, rc, "%s: %s", path, strerror(-rc));
}
