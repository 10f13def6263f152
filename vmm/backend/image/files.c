/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/image/files.h"

#include <fcntl.h>
#include <unistd.h>

static bool is_wanted(int fd, const struct stat *file, int mode)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & (O_ACCMODE | O_DIRECT)) == mode && !fstat(fd, &st) &&
	       st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static int take(struct image_files *f, const struct stat *file, int mode)
{
	for (unsigned i = 0; f && i < f->n; i++) {
		int fd = f->fd[i];

		if (!is_wanted(fd, file, mode))
			continue;
		f->fd[i] = f->fd[--f->n];
		return fd;
	}
	return -1;
}

int image_files_take(struct image_files *f, const struct stat *file, bool direct)
{
	return take(f, file, O_RDWR | (direct ? O_DIRECT : 0));
}

int image_files_take_claim(struct image_files *f, const struct stat *file)
{
	return take(f, file, O_RDONLY);
}

void image_files_close(struct image_files *f)
{
	while (f->n)
		close(f->fd[--f->n]);
}
