/* SPDX-License-Identifier: Apache-2.0 */
/* baton start. */
#include <errno.h>

#include "cli/cli.h"
#include "manager/vm.h"

struct start_context {
	bool headless, console, discard;
};

static int start(void *context, char **operands, struct err *e)
{
	const struct start_context *c = context;
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	if (c->discard)
		rc = vm_discard_saved(m, operands[0], e);
	if (!rc || rc == -ENOENT)
		rc = vm_start(m, operands[0], e);
	manager_close(m);
	return rc || !c->console ? rc : cli_join_console(operands[0], e);
}

static const struct cli_option options[] = {
	CLI_FLAG("console", "join this terminal to its serial port", struct start_context, console),
	CLI_FLAG("discard-saved", "boot anew, even if the machine was saved", struct start_context,
		 discard),
	CLI_FLAG("headless", "join nothing (the default)", struct start_context, headless),
	CLI_END,
};

const struct cli_verb cli_start = {
	.name = "start",
	.operands = "NAME",
	.help = "start a virtual machine in the background, or go on from where it was saved",
	.example = "baton start web --console",
	.min = 1,
	.max = 1,
	.options = options,
	.context_size = sizeof(struct start_context),
	.run = start,
};
