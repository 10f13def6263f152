/* SPDX-License-Identifier: Apache-2.0 */
/* Whole, synchronous transfers for headers and tables. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/backend/image/image.h"

int bytes_read(int fd, void *buf, uint64_t len, uint64_t offset)
{
	uint8_t *to = buf;

	while (len) {
		ssize_t got = pread(fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EIO;
		to += got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

int bytes_write(int fd, const void *buf, uint64_t len, uint64_t offset)
{
	const uint8_t *from = buf;

	while (len) {
		ssize_t got = pwrite(fd, from, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EIO;
		from += got;
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	return 0;
}

int file_length(int fd, uint64_t *size, struct err *e)
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
	return 0;
}

bool bytes_zero(const void *buf, uint64_t len)
{
	const uint8_t *p = buf;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}
