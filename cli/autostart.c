/* SPDX-License-Identifier: Apache-2.0 */
/* baton autostart and autostart-all: which VMs start with the host. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "manager/vm.h"

struct autostart_context {
	bool off;
};

static int set_autostart(struct manager *m, const char *name, bool on, struct err *e)
{
	static const uint64_t no_disks[SPEC_MAX_DISKS];
	struct definition d;
	char resolved[64];
	int rc;

	definition_init(&d);
	rc = vm_begin(m, name, resolved, &d, e);
	if (!rc) {
		d.autostart = on;
		rc = vm_commit(m, resolved, &d, no_disks, e);
	}
	definition_free(&d);
	return rc;
}

static int autostart(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = set_autostart(m, operands[0], !((struct autostart_context *)context)->off, e);
	manager_close(m);
	return rc;
}

static const struct cli_option autostart_options[] = {
	CLI_FLAG("off", "do not start it with the host any more", struct autostart_context, off),
	CLI_END,
};

const struct cli_verb cli_autostart = {
	.name = "autostart",
	.operands = "NAME",
	.help = "mark a virtual machine for the start of the host",
	.example = "baton autostart web",
	.min = 1,
	.max = 1,
	.options = autostart_options,
	.context_size = sizeof(struct autostart_context),
	.run = autostart,
};

/* ---- autostart-all -------------------------------------------------------------------------- */

/* One that does not start is told of and does not keep the others from starting. */
static unsigned start_each(struct manager *m, const struct vm_status *list, size_t n)
{
	unsigned failed = 0;
	struct err e;

	for (size_t i = 0; i < n; i++) {
		if (!list[i].autostart || list[i].pid || !vm_start(m, list[i].name, &e))
			continue;
		fprintf(stderr, "baton: %s\n", e.text);
		failed++;
	}
	return failed;
}

static int start_all(struct manager *m, struct err *e)
{
	struct vm_status *list;
	unsigned failed;
	size_t n;
	int rc = vm_list(m, &list, &n, e);

	if (rc)
		return rc;
	failed = start_each(m, list, n);
	free(list);
	if (failed)
		return err_set(e, -ECHILD, "%u of the virtual machines did not start", failed);
	return CLI_OK;
}

static int autostart_all(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context, (void)operands;
	if (rc)
		return rc;
	rc = start_all(m, e);
	manager_close(m);
	return rc;
}

const struct cli_verb cli_autostart_all = {
	.name = "autostart-all",
	.operands = "",
	.help = "start those that are marked, for the start of the host",
	.example = "baton autostart-all",
	.run = autostart_all,
};
