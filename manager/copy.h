/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of disk images as files: shared blocks where the file system can, holes stay holes. */
#ifndef MANAGER_COPY_H
#define MANAGER_COPY_H

#include <stdint.h>

#include "base/err.h"
#include "manager/control_client.h"

/* How far a copy of several files is. */
struct copy_progress {
	control_progress_fn *fn; /* may be NULL */
	void *opaque;
	uint64_t done, total; /* bytes that take space */
};

/* Bytes of `path` that take space: what copy_file() adds to done. */
uint64_t copy_size(const char *path);

/*
 * Makes `to`, which must not exist, as large as `from` and with its content, and brings it to the
 * disk. On an error nothing is left.
 */
int copy_file(const char *from, const char *to, struct copy_progress *p, struct err *e);

#endif
