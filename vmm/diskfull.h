/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's disk is full: the machine pauses with the writes that found no space, so that the
 * guest sees no error and loses nothing. It goes on when they succeed; they are tried again every
 * few seconds and when the user resumes the machine.
 */
#ifndef VMM_DISKFULL_H
#define VMM_DISKFULL_H

#include "vmm/machine.h"

/* For disk.full, with the machine as `opaque`. Any thread. */
void machine_disk_full(void *opaque);
/* Tries again now. Main thread. */
void machine_disk_retry(struct machine *m);
/* "no space on PATH" while the machine pauses for that, else NULL. */
const char *machine_disk_problem(const struct machine *m);
/* Before the drives are closed. */
void machine_disk_full_end(struct machine *m);

#endif
