/* SPDX-License-Identifier: Apache-2.0 */
/* baton start. */
#include <errno.h>

#include "cli/cli.h"
#include "manager/vm.h"

struct start_context {
	bool headless, console, discard;
};

static int start_one(struct manager *m, void *opaque, const char *name, struct err *e)
{
	const struct start_context *c = opaque;
	int rc = c->discard ? vm_discard_saved(m, name, e) : 0;

	return rc && rc != -ENOENT ? rc : cli_start_vm(m, name, e);
}

static int start(void *context, char **operands, struct err *e)
{
	const struct start_context *c = context;
	int rc;

	if (c->console && operands[1])
		return err_set(e, -EINVAL, "--console goes with one virtual machine");
	rc = cli_for_each(operands, start_one, context, e);
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
	.operands = "NAME...",
	.help = "start virtual machines in the background, or go on where they were saved",
	.example = "baton start web --console",
	.min = 1,
	.max = CLI_MANY,
	.options = options,
	.context_size = sizeof(struct start_context),
	.run = start,
};
