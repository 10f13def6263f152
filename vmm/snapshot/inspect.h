/* SPDX-License-Identifier: Apache-2.0 */
/* A saved state for people and scripts: every field of every record by its name. */
#ifndef VMM_SNAPSHOT_INSPECT_H
#define VMM_SNAPSHOT_INSPECT_H

#include <jansson.h>

#include "vmm/state/stream.h"

/*
 * { "machine": {...}, "about": {...}, "memory_stored": bytes,
 *   "records": [ { "name": "cpu", "instance": 0, "fields": { "rax": "0x1", ... } }, ... ] }
 *
 * Fields of 8 bytes are hexadecimal texts, as JSON's numbers do not hold them; of other sizes
 * numbers; strings of bytes longer than 16 one hexadecimal text. Reads to the end, so that a
 * damaged file is noticed.
 */
int inspect_state(state_read_fn *read, void *opaque, json_t **out, struct err *e);
/* The same from a file. */
int inspect_file(const char *path, json_t **out, struct err *e);

#endif
