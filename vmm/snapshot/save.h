/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine at one instant: its objects in a buffer, its memory where it is. Whoever writes the
 * memory must see it as it was at that instant: the guest is held, or the writer is a child process
 * with its own copy (job.h).
 */
#ifndef VMM_SNAPSHOT_SAVE_H
#define VMM_SNAPSHOT_SAVE_H

#include "vmm/machine.h"
#include "vmm/state/stream.h"

struct image {
	char *description;       /* JSON */
	struct state_buf record; /* all records, one after the other */
	struct image_record {
		uint32_t instance;
		size_t len;
	} * index; /* their instances and lengths */
	unsigned nrecords;
	const struct guest_memory *mem; /* NULL: save without memory, for looking at */
};

/* The machine is held, the lock is held. The image is to be freed also after an error. */
int image_take(struct machine *m, struct image *i, bool with_memory, struct err *e);
void image_free(struct image *i);

/* How much memory has been looked at, of how much, in bytes. */
typedef void image_progress_fn(void *opaque, uint64_t done, uint64_t total);

/* Writes the whole stream. */
int image_write(const struct image *i, state_write_fn *write, void *opaque,
		image_progress_fn *progress, void *progress_opaque, struct err *e);

#endif
