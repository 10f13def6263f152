/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_FDS 16 /* folders that are open at once while a tree is removed */

/* ---- reading -------------------------------------------------------------------------------- */

static int read_all(int fd, size_t max, char *buf, size_t *len, const char *path, struct err *e)
{
	ssize_t n = 0;

	*len = 0;
	while (*len <= max && (n = read(fd, buf + *len, max + 1 - *len)) > 0)
		*len += (size_t)n;
	if (n < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (*len > max)
		return err_set(e, -EFBIG, "%s: larger than %zu KiB", path, max / 1024);
	buf[*len] = '\0';
	return 0;
}

int file_read(const char *path, size_t max, char **data, size_t *len, struct err *e)
{
	bool standard = !strcmp(path, "-");
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	*data = malloc(max + 1);
	rc = *data ? read_all(fd, max, *data, len, standard ? "standard input" : path, e)
		   : err_set(e, -ENOMEM, "%s: out of memory", path);
	if (!standard)
		close(fd);
	if (rc) {
		free(*data);
		*data = NULL;
	}
	return rc;
}

/* ---- replacing ------------------------------------------------------------------------------ */

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

static int write_new(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, data, len);
	close(fd);
	return rc;
}

int file_replace(const char *path, const void *data, size_t len, struct err *e)
{
	char *new;
	int rc;

	if (asprintf(&new, "%s.new", path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	rc = write_new(new, data, len);
	if (!rc && rename(new, path))
		rc = -errno;
	if (rc)
		unlink(new);
	free(new);
	if (rc)
		return err_set(e, rc, "%s: %s", path, strerror(-rc));
	return file_sync_parent(path, e);
}

int file_sync_folder(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	/* A file system that cannot sync folders says EINVAL: then there is nothing to be done. */
	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

int file_sync_parent(const char *path, struct err *e)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	int rc;

	if (!folder)
		return err_set(e, -ENOMEM, "out of memory");
	if (slash)
		slash[slash == folder] = '\0';
	rc = file_sync_folder(slash ? folder : ".", e);
	free(folder);
	return rc;
}

/* ---- folders -------------------------------------------------------------------------------- */

static int make_each(char *path, struct err *e)
{
	for (char *slash = path + 1; slash; *slash++ = '/') {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return err_set(e, -errno, "%s: %s", path, strerror(errno));
		if (!slash)
			break;
	}
	return 0;
}

int file_make_folders(const char *path, struct err *e)
{
	char *copy = strdup(path);
	int rc = copy ? make_each(copy, e) : err_set(e, -ENOMEM, "out of memory");

	free(copy);
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path) && errno != ENOENT ? -1 : 0;
}

int file_remove_tree(const char *path, struct err *e)
{
	if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

uint64_t file_number(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	unsigned long long v = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), " %llu", &v) == 1)
			break;
	}
	if (f)
		fclose(f);
	return v;
}
