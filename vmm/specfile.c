/* SPDX-License-Identifier: Apache-2.0 */
/* Machine descriptions from files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/spec.h"

#define FILE_MAX (1u << 20)

static int read_all(int fd, char *buf, size_t *len, const char *path, struct err *e)
{
	ssize_t r = 0;

	*len = 0;
	while (*len < FILE_MAX && (r = read(fd, buf + *len, FILE_MAX - *len)) > 0)
		*len += (size_t)r;
	if (*len == FILE_MAX)
		return err_set(e, -EFBIG, "%s: larger than 1 MiB; is it a machine description?",
			       path);
	return r < 0 ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : 0;
}

static int parse_from(int fd, const char *path, struct spec *s, struct err *e)
{
	char *buf = malloc(FILE_MAX);
	size_t len;
	int rc;

	if (!buf)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	rc = read_all(fd, buf, &len, path, e);
	if (!rc && spec_parse(s, buf, len, e))
		rc = err_prefix(e, "%s", path);
	free(buf);
	return rc;
}

int spec_load(const char *path, struct spec *s, struct err *e)
{
	int fd, rc;

	if (!strcmp(path, "-"))
		return parse_from(STDIN_FILENO, "standard input", s, e);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	rc = parse_from(fd, path, s, e);
	close(fd);
	return rc;
}
