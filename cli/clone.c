/* SPDX-License-Identifier: Apache-2.0 */
/* baton clone. */
#include "cli/cli.h"
#include "manager/vm.h"

static int clone_vm(void *context, char **operands, struct err *e)
{
	struct cli_progress progress = {0};
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = vm_clone(m, operands[0], operands[1], cli_progress, &progress, e);
	cli_progress_end(&progress);
	manager_close(m);
	return rc;
}

const struct cli_verb cli_clone = {
	.name = "clone",
	.operands = "NAME NEW-NAME",
	.help = "make a virtual machine like one that does not run",
	.example = "baton clone web web2",
	.min = 2,
	.max = 2,
	.run = clone_vm,
};
