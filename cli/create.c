/* SPDX-License-Identifier: Apache-2.0 */
/* baton create and baton delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "manager/vm.h"

/* ---- create --------------------------------------------------------------------------------- */

struct create_context {
	struct run_context run; /* first: the shared options fill it */
	char *title, *description;
	bool autostart;
};

static int set_copy(char **field, const char *value, struct err *e)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int set_title(void *context, const char *value, struct err *e)
{
	return set_copy(&((struct create_context *)context)->title, value, e);
}

static int set_description(void *context, const char *value, struct err *e)
{
	return set_copy(&((struct create_context *)context)->description, value, e);
}

static void fini(void *context)
{
	struct create_context *c = context;

	free(c->title);
	free(c->description);
	run_context_fini(&c->run);
}

/* Moves what the options gave into the definition; paths are those of the current folder. */
static int fill_definition(struct create_context *c, struct definition *d, struct err *e)
{
	char *cwd = getcwd(NULL, 0);
	int rc;

	if (!cwd)
		return err_set(e, -errno, "the current folder: %s", strerror(errno));
	*d = (struct definition){c->run.spec, c->title, c->description, c->autostart};
	memset(&c->run.spec, 0, sizeof(c->run.spec));
	c->title = c->description = NULL;
	free(d->machine.name); /* of a --spec file */
	d->machine.name = NULL;
	rc = spec_rebase(&d->machine, cwd, e);
	free(cwd);
	return rc;
}

static int create(void *context, char **operands, struct err *e)
{
	struct create_context *c = context;
	struct definition d;
	struct manager *m;
	int rc;

	if (c->run.list_devices)
		return list_devices(e);
	rc = fill_definition(c, &d, e);
	if (!rc)
		rc = manager_check_files(&d.machine, e);
	if (!rc)
		rc = manager_open(&m, e);
	if (!rc) {
		rc = vm_create(m, operands[0], &d, c->run.new_disks, e);
		manager_close(m);
	}
	definition_free(&d);
	return rc;
}

static const struct cli_option create_options[] = {
	{"title", "TEXT", "one line about it, for lists", set_title},
	{"description", "TEXT", "more about it", set_description},
	CLI_FLAG("autostart", "start it with the host (`baton autostart-all`)",
		 struct create_context, autostart),
	CLI_END,
};

const struct cli_verb cli_create = {
	.name = "create",
	.operands = "NAME",
	.help = "define a virtual machine that is kept",
	.example = "baton create web --memory 2G --cpus 2 --disk size=20G --net user",
	.min = 1,
	.max = 1,
	.options = create_options,
	.shared = run_options,
	.context_size = sizeof(struct create_context),
	.init = run_context_init,
	.run = create,
	.fini = fini,
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

static int delete_vm(void *context, char **operands, struct err *e)
{
	const struct delete_context *c = context;
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = vm_delete(m, operands[0], c->disks, print_kept, NULL, e);
	manager_close(m);
	return rc;
}

static const struct cli_option delete_options[] = {
	CLI_FLAG("disks", "its disks, too: those that `baton create` made in its folder",
		 struct delete_context, disks),
	CLI_END,
};

const struct cli_verb cli_delete = {
	.name = "delete",
	.operands = "NAME",
	.help = "remove a virtual machine that does not run",
	.example = "baton delete web --disks",
	.min = 1,
	.max = 1,
	.options = delete_options,
	.context_size = sizeof(struct delete_context),
	.run = delete_vm,
};
