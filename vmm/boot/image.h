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

/* Opens a regular file. */
int image_open(struct boot_image *i, const char *path, struct err *e);
void image_close(struct boot_image *i);

/* Reads exactly `len` bytes; `what` names the piece in "truncated" messages. */
int image_read(const struct boot_image *i, uint64_t off, void *buf, uint64_t len, const char *what,
	       struct err *e);

/* The same into guest RAM or ROM; also refuses what does not fit there. */
int image_load(const struct boot_image *i, uint64_t off, struct guest_memory *m, gpa_t gpa,
	       uint64_t len, const char *what, struct err *e);

#endif
