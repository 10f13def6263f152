/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states in files. A file appears under its name when it is whole and on stable storage. */
#ifndef VMM_SNAPSHOT_FILE_H
#define VMM_SNAPSHOT_FILE_H

#include <stddef.h>

#include "base/err.h"

struct state_file {
	int fd;
	char *path, *temporary; /* `temporary`: PATH.part, while it is written; else NULL */
};

/*
 * Starts PATH.part; what may be left of an earlier attempt is replaced. With an open file (`given`
 * not -1, which is taken over) `path` is only what messages call it, and its name is others'
 * affair.
 */
int state_file_create(struct state_file *f, const char *path, int given, struct err *e);
/* To storage, and to its name. The file is closed in any case, and removed on an error. */
int state_file_commit(struct state_file *f, struct err *e);
/* Closes the file; one that is being written is removed. */
void state_file_close(struct state_file *f);

int state_file_open(struct state_file *f, const char *path, struct err *e);

/* For struct state_writer and state_reader; `opaque` is the state_file. */
int state_file_write(void *opaque, const void *data, size_t len, struct err *e);
int state_file_read(void *opaque, void *buf, size_t len, size_t *got, struct err *e);

#endif
