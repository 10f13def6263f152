/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of a machine that has a state table, as one list: the clock, each processor, each device,
 * and PIC, I/O APIC and PIT, whoever has these. What the list points to is filled by
 * objects_gather() from the machine, or by a loader, and taken over by objects_apply().
 */
#ifndef VMM_SNAPSHOT_OBJECTS_H
#define VMM_SNAPSHOT_OBJECTS_H

#include "vmm/device/chips.h"
#include "vmm/machine.h"
#include "x86/state.h"

struct clock_state {
	uint64_t now; /* VM time, ns */
	int64_t kvmclock_offset;
};

extern const struct state_desc clock_state_desc;

struct object {
	const struct state_desc *desc;
	uint32_t instance;
	void *hw;
	bool loaded; /* for the loader: its record was there */
};

struct objects {
	struct object *list;
	unsigned n;
	struct clock_state clock;
	struct engine_chips chips;
	struct x86_cpu_state *cpu; /* one a vCPU */
};

/* Lists the objects of a machine that is held; all I/O in flight is finished first. */
int objects_list(struct machine *m, struct objects *o, struct err *e);
/* Reads clock, chips and processors; devices are read where they are. */
int objects_gather(struct machine *m, struct objects *o, struct err *e);
/*
 * Gives clock, chips and processors to the machine and lets the devices check and take over what
 * was loaded. The machine has not run yet. On an error it must not.
 */
int objects_apply(struct machine *m, const struct objects *o, struct err *e);
void objects_free(struct objects *o);

/* The table that records of this name are written by, NULL if there is none. */
const struct state_desc *state_desc_find(const char *name);

#endif
