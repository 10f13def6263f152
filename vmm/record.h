/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a VM's last run, for those who look when its process is gone. Who starts the
 * process writes that it runs; the process itself writes how it ended. A record that says "running"
 * while nobody runs is that of a process that was killed.
 *
 *   { "state": "shut off", "reason": "shutdown", "exit_status": 0, "since": 1764176400, "id": 3 }
 */
#ifndef VMM_RECORD_H
#define VMM_RECORD_H

#include <stdint.h>

#include "base/err.h"

struct record {
	char state[16];   /* "running", "shut off", "saved", "crashed" */
	char reason[64];  /* a few words: "booted", "shutdown", "destroyed", "triple fault" ... */
	int exit_status;  /* baton-vmm's; -1 while there is none */
	int64_t since;    /* seconds since 1970, UTC */
	unsigned long id; /* of the run: small, growing, unique until the host restarts */
};

/* -ENOENT without a sentence's worth of trouble when there is none yet. */
int record_read(const char *path, struct record *r, struct err *e);
/* Sets `since` to now and writes. */
int record_write(const char *path, struct record *r, struct err *e);

/* At the end of a run: state and reason (NULL: told by the status), the run's id is kept. */
int record_end(const char *path, int status, const char *reason, struct err *e);

#endif
