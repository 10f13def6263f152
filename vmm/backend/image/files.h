/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that are open for reading and writing already, and claims on block devices, in any order:
 * what came from outside for a process that may not open them itself (vmm/sandbox/sandbox.h). The
 * descriptors are owned here until they are taken.
 */
#ifndef VMM_BACKEND_IMAGE_FILES_H
#define VMM_BACKEND_IMAGE_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#define IMAGE_MAX_FILES 32

struct image_files {
	int fd[IMAGE_MAX_FILES];
	unsigned n;
};

/* That of `file`, with O_DIRECT or without; -1: there is none. `f` may be NULL. */
int image_files_take(struct image_files *f, const struct stat *file, bool direct);
/* The same of a block device's claim: see image_claim(). It is open for reading only. */
int image_files_take_claim(struct image_files *f, const struct stat *file);
void image_files_close(struct image_files *f);

#endif
