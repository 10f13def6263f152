/* SPDX-License-Identifier: Apache-2.0 */
/* baton clone. */
#include "cli/cli.h"
#include "manager/vm.h"

struct clone_context {
	bool linked;
};

static int clone_vm(void *context, char **operands, struct err *e)
{
	struct cli_progress progress = {0};
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = vm_clone(m, operands[0], operands[1], ((struct clone_context *)context)->linked,
		      cli_progress, &progress, e);
	cli_progress_end(&progress);
	manager_close(m);
	return rc;
}

static const struct cli_option options[] = {
	CLI_FLAG("linked", "share the present disks as a base that neither changes",
		 struct clone_context, linked),
	CLI_END,
};

const struct cli_verb cli_clone = {
	.name = "clone",
	.operands = "NAME NEW-NAME",
	.help = "make a virtual machine like one that does not run",
	.example = "baton clone web web2 --linked",
	.options = options,
	.context_size = sizeof(struct clone_context),
	.min = 2,
	.max = 2,
	.run = clone_vm,
};
