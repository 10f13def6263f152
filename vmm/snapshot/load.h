/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a machine that was just created, and has not run, from a saved state. */
#ifndef VMM_SNAPSHOT_LOAD_H
#define VMM_SNAPSHOT_LOAD_H

#include <jansson.h>

#include "vmm/machine.h"
#include "vmm/state/stream.h"

/*
 * The machine must be what the state's description says. Every object needs its record exactly
 * once. After an error the machine can only be destroyed.
 */
int machine_load(struct machine *m, state_read_fn *read, void *opaque, struct err *e);

/* The description of any saved state, as JSON: an object with the objects "machine" and "about". */
int load_description(struct state_reader *r, json_t **out, struct err *e);

#endif
