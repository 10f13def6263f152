/* SPDX-License-Identifier: Apache-2.0 */
/* A file that a guest is started from: read piece by piece, each piece checked against its end. */
#ifndef VMM_BOOT_IMAGE_H
#define VMM_BOOT_IMAGE_H

#include "base/err.h"
#include "vmm/memory.h"

struct boot_image {
	const char *path;    /* for messages; not owned */
	int fd;              /* -1: the content is at `data` */
	const uint8_t *data; /* not owned */
	uint64_t size;
};

/*
 * The files of a machine, opened once: each of its starts has the same ones, whatever their names
 * lead to by then, and wants no right to open anything (vmm/sandbox/sandbox.h).
 */
#define BOOT_MAX_FILES 20 /* kernel, initrd, firmware, and modules */

struct boot_files {
	struct {
		char *path;
		int fd;
	} file[BOOT_MAX_FILES];
	unsigned n;
};

/* One more of them. What cannot be opened is told when it is wanted: by image_open(). */
void boot_files_add(struct boot_files *f, const char *path, size_t len);
void boot_files_close(struct boot_files *f);

/* Opens a regular file; one of `held` (may be NULL) is not opened again. */
int image_open(struct boot_image *i, const struct boot_files *held, const char *path,
	       struct err *e);
void image_close(struct boot_image *i);

/* Reads exactly `len` bytes; `what` names the piece in "truncated" messages. */
int image_read(const struct boot_image *i, uint64_t off, void *buf, uint64_t len, const char *what,
	       struct err *e);

/* The same into guest RAM or ROM; also refuses what does not fit there. */
int image_load(const struct boot_image *i, uint64_t off, struct guest_memory *m, gpa_t gpa,
	       uint64_t len, const char *what, struct err *e);

#endif
