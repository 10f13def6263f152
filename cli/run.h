/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of `baton run` amount to. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "vmm/spec.h"

struct run_context {
	struct spec spec;
	bool print_spec, list_devices;
};

extern const struct cli_option run_options[];

#endif
