/* SPDX-License-Identifier: Apache-2.0 */
/* Buttons of running VMs: baton stop, pause, resume, reset. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "manager/vm.h"

#define STOP_TIMEOUT_S 60

struct stop_context {
	bool force, has_timeout;
	unsigned timeout; /* seconds */
};

static int set_timeout(void *context, const char *value, struct err *e)
{
	struct stop_context *c = context;
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 86400)
		return err_set(e, -EINVAL, "\"%s\" is not a number of seconds up to 86400", value);
	c->timeout = (unsigned)n;
	c->has_timeout = true;
	return 0;
}

/* Asks first, unless it shall end at once; whoever then still runs is ended if that is wanted. */
static int stop_vm(struct manager *m, void *opaque, const char *name, struct err *e)
{
	const struct stop_context *c = opaque;
	int rc = -ETIMEDOUT;

	if (!c->force || c->has_timeout)
		rc = vm_stop(m, name, c->has_timeout ? c->timeout : STOP_TIMEOUT_S, e);
	if ((rc == -ETIMEDOUT || rc == -EBUSY) &&
	    (c->force || cli_ask("%s does not end by itself. End it now?", name)))
		rc = vm_kill(m, name, e);
	return rc;
}

static int stop(void *context, char **operands, struct err *e)
{
	return cli_for_each(operands, stop_vm, context, e);
}

static const struct cli_option stop_options[] = {
	{"timeout", "SECONDS", "how long to wait for the guest (60)", set_timeout},
	CLI_FLAG("force", "end it at once, or after --timeout if both are given",
		 struct stop_context, force),
	CLI_END,
};

const struct cli_verb cli_stop = {
	.name = "stop",
	.operands = "NAME...",
	.help = "press the power button and wait until the guest is off",
	.example = "baton stop web --timeout 30 --force",
	.min = 1,
	.max = CLI_MANY,
	.options = stop_options,
	.context_size = sizeof(struct stop_context),
	.run = stop,
};

/* ---- one call each -------------------------------------------------------------------------- */

static int pause_one(struct manager *m, void *opaque, const char *name, struct err *e)
{
	(void)opaque;
	return vm_pause(m, name, e);
}

static int pause_vms(void *context, char **operands, struct err *e)
{
	return cli_for_each(operands, pause_one, context, e);
}

static int resume_one(struct manager *m, void *opaque, const char *name, struct err *e)
{
	(void)opaque;
	return vm_resume(m, name, e);
}

static int resume_vms(void *context, char **operands, struct err *e)
{
	return cli_for_each(operands, resume_one, context, e);
}

static int reset_one(struct manager *m, void *opaque, const char *name, struct err *e)
{
	(void)opaque;
	return vm_reset(m, name, e);
}

static int reset_vms(void *context, char **operands, struct err *e)
{
	return cli_for_each(operands, reset_one, context, e);
}

const struct cli_verb cli_pause = {
	.name = "pause",
	.operands = "NAME...",
	.help = "stop a virtual machine's processors and clock",
	.example = "baton pause web",
	.min = 1,
	.max = CLI_MANY,
	.run = pause_vms,
};

const struct cli_verb cli_resume = {
	.name = "resume",
	.operands = "NAME...",
	.help = "let a paused virtual machine go on",
	.example = "baton resume web",
	.min = 1,
	.max = CLI_MANY,
	.run = resume_vms,
};

const struct cli_verb cli_reset = {
	.name = "reset",
	.operands = "NAME...",
	.help = "restart the guest at once, as a reset button does",
	.example = "baton reset web",
	.min = 1,
	.max = CLI_MANY,
	.run = reset_vms,
};
