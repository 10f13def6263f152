/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files and folders: read with a limit, replaced so that a crash leaves old or new. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Reads all of `path` ("-": standard input) into malloc'd memory with a NUL behind it, which is not
 * counted in *len. -EFBIG past `max` bytes.
 */
int file_read(const char *path, size_t max, char **data, size_t *len, struct err *e);

/*
 * Writes PATH.new, brings it to the disk and renames it: whoever reads, also after a crash, finds
 * the old content or the new. Mode 0600.
 */
int file_replace(const char *path, const void *data, size_t len, struct err *e);

/* Brings a folder's entries (names that came, went, changed) to the disk. */
int file_sync_folder(const char *path, struct err *e);
/* The folder that `path` lies in. */
int file_sync_parent(const char *path, struct err *e);

/* mkdir -p, for the owner only. */
int file_make_folders(const char *path, struct err *e);

/* rm -r: follows no symbolic link, and is content when nothing is there. */
int file_remove_tree(const char *path, struct err *e);

/* The number behind `key` in a file of "key number" lines, such as those of /proc; 0: none. */
uint64_t file_number(const char *path, const char *key);

#endif
