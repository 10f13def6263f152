/* SPDX-License-Identifier: Apache-2.0 */
/* A small real machine with many devices, that never runs, for saving and loading. */
#ifndef TESTS_UNIT_STATE_MACHINE_H
#define TESTS_UNIT_STATE_MACHINE_H

#include "tests/unit/state/memory_stream.h"
#include "vmm/machine.h"

struct small_machine {
	char kernel[32]; /* a temporary file */
	struct spec spec;
	struct machine *machine;
};

/* `devices`: the description's list, JSON without the brackets. Fails the test on an error. */
void small_create(struct small_machine *s, unsigned cpus, const char *devices);
void small_destroy(struct small_machine *s);
/* Saves the whole machine. */
void small_save(const struct small_machine *s, struct memory_stream *out);

#endif
