/* SPDX-License-Identifier: Apache-2.0 */
/* What the options that describe a machine amount to; `run` and `create` share them. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "vmm/spec.h"

struct run_context {
	struct spec spec;
	uint64_t new_disks[SPEC_MAX_DISKS]; /* bytes of disks that are to be made, else 0 */
	bool print_spec, list_devices;
};

void run_context_init(void *context);
void run_context_fini(void *context);

/* For contexts that begin with a run_context. */
extern const struct cli_option run_options[];

/* Prints the device models; returns only on an error. */
int list_devices(struct err *e);

#endif
