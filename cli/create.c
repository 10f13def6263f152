/* SPDX-License-Identifier: Apache-2.0 */
/* baton create and baton delete. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "manager/vm.h"

/* ---- create --------------------------------------------------------------------------------- */

static int create(void *context, char **operands, struct err *e)
{
	struct define_context *c = context;
	struct definition d;
	struct manager *m;
	int rc;

	if (c->run.list_devices)
		return list_devices(e);
	rc = define_give(c, &d, e);
	if (!rc)
		rc = manager_open(&m, e);
	if (!rc) {
		rc = vm_create(m, operands[0], &d, c->run.new_disks, e);
		manager_close(m);
	}
	definition_free(&d);
	return rc;
}

const struct cli_verb cli_create = {
	.name = "create",
	.operands = "NAME",
	.help = "define a virtual machine that is kept",
	.example = "baton create web --memory 2G --cpus 2 --disk size=20G --net user",
	.min = 1,
	.max = 1,
	.options = define_options,
	.shared = {run_options},
	.context_size = sizeof(struct define_context),
	.init = run_context_init,
	.run = create,
	.fini = define_fini,
};

/* ---- delete --------------------------------------------------------------------------------- */

struct delete_context {
	bool disks;
};

static void print_kept(void *opaque, const char *path)
{
	(void)opaque;
	printf("kept %s\n", path);
}

static int delete_one(struct manager *m, void *opaque, const char *name, struct err *e)
{
	const struct delete_context *c = opaque;

	return vm_delete(m, name, c->disks, print_kept, NULL, e);
}

static int delete_vms(void *context, char **operands, struct err *e)
{
	return cli_for_each(operands, delete_one, context, e);
}

static const struct cli_option delete_options[] = {
	CLI_FLAG("disks", "its disks, too: those that `baton create` made in its folder",
		 struct delete_context, disks),
	CLI_END,
};

const struct cli_verb cli_delete = {
	.name = "delete",
	.operands = "NAME...",
	.help = "remove virtual machines that do not run",
	.example = "baton delete web --disks",
	.min = 1,
	.max = CLI_MANY,
	.options = delete_options,
	.context_size = sizeof(struct delete_context),
	.run = delete_vms,
};
