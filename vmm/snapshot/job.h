/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an image to a file behind a machine that runs on.
 *
 * A child process does it: fork() gives it the guest's memory as it was at that instant, and the
 * kernel copies a page only when machine or device writes to it afterwards, whatever the engine.
 * The machine stands still for as long as fork() copies page tables. What it costs meanwhile is at
 * most one more copy of the guest's memory, if the guest writes all of it before the child is done.
 */
#ifndef VMM_SNAPSHOT_JOB_H
#define VMM_SNAPSHOT_JOB_H

#include "vmm/snapshot/file.h"
#include "vmm/snapshot/save.h"

struct job;

/* Both run on the main thread with the machine lock held. */
struct job_ops {
	void (*progress)(void *opaque, uint64_t done, uint64_t total);
	/* The file is there, or e->code says why not. The job is gone when this is called. */
	void (*done)(void *opaque, const struct err *e);
};

/*
 * The machine is held. The image stays the caller's, which may free it at once; the file, made by
 * state_file_create(), is the job's if 0 is returned.
 */
int job_start(struct job **out, struct loop *loop, const struct image *i, struct state_file *file,
	      const struct job_ops *ops, void *opaque, struct err *e);
/* Ends the child and removes what it has written; done() is not called. */
void job_cancel(struct job *j);

#endif
