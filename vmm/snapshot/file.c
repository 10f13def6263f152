/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and reads the files of saved states. */
#include "vmm/snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

int state_file_create(struct state_file *f, const char *path, int given, struct err *e)
{
	*f = (struct state_file){.fd = given, .path = strdup(path)};
	if (!f->path || (given < 0 && asprintf(&f->temporary, "%s.part", path) < 0)) {
		f->temporary = NULL;
		state_file_close(f);
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (given >= 0)
		return 0;
	f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (f->fd < 0) {
		int code = err_set(e, -errno, "%s: %s", f->temporary, strerror(errno));

		state_file_close(f);
		return code;
	}
	return 0;
}

/* A pipe has no storage. */
static int settle(const struct state_file *f)
{
	if (fsync(f->fd) && errno != EINVAL)
		return -errno;
	return f->temporary && rename(f->temporary, f->path) ? -errno : 0;
}

int state_file_commit(struct state_file *f, struct err *e)
{
	int rc = settle(f);

	if (rc) {
		err_set(e, rc, "%s: %s", f->path, strerror(-rc));
	} else if (f->temporary) {
		free(f->temporary);
		f->temporary = NULL;
		rc = file_sync_parent(f->path, e);
	}
	state_file_close(f);
	return rc;
}

void state_file_close(struct state_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->temporary)
		unlink(f->temporary);
	free(f->temporary);
	free(f->path);
	*f = (struct state_file){.fd = -1};
}

int state_file_open(struct state_file *f, const char *path, struct err *e)
{
	*f = (struct state_file){.fd = open(path, O_RDONLY | O_CLOEXEC), .path = strdup(path)};
	if (f->fd >= 0 && f->path)
		return 0;
	err_set(e, f->path ? -errno : -ENOMEM, "%s: %s", path,
		f->path ? strerror(errno) : "out of memory");
	state_file_close(f);
	return e->code;
}

int state_file_write(void *opaque, const void *data, size_t len, struct err *e)
{
	const struct state_file *f = opaque;
	const char *p = data;

	while (len) {
		ssize_t n = write(f->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "%s: %s", f->path, strerror(errno));
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int state_file_read(void *opaque, void *buf, size_t len, size_t *got, struct err *e)
{
	const struct state_file *f = opaque;

	*got = 0;
	while (*got < len) {
		ssize_t n = read(f->fd, (char *)buf + *got, len - *got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "%s: %s", f->path, strerror(errno));
		if (!n)
			break;
		*got += (size_t)n;
	}
	return 0;
}
