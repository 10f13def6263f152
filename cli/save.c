/* SPDX-License-Identifier: Apache-2.0 */
/* baton save. */
#include "cli/cli.h"
#include "manager/vm.h"

static int save(void *context, char **operands, struct err *e)
{
	struct cli_progress bar = {0};
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = vm_save(m, operands[0], cli_progress, &bar, e);
	cli_progress_end(&bar);
	manager_close(m);
	return rc;
}

const struct cli_verb cli_save = {
	.name = "save",
	.operands = "NAME",
	.help = "write a running machine to the disk and end it; `baton start` goes on from there",
	.example = "baton save web && baton start web",
	.min = 1,
	.max = 1,
	.run = save,
};
