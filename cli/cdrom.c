/* SPDX-License-Identifier: Apache-2.0 */
/* baton cdrom: discs in the drives of a virtual machine. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "manager/vm.h"

struct cdrom_context {
	unsigned drive;
	bool force, json;
};

static int set_drive(void *context, const char *value, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 15)
		return err_set(e, -EINVAL, "\"%s\" is not the number of a drive, from 0", value);
	((struct cdrom_context *)context)->drive = (unsigned)n;
	return 0;
}

static int list_drives(struct manager *m, const char *name, bool json, struct err *e)
{
	json_t *list, *path;
	size_t i;

	if (vm_list_discs(m, name, &list, e))
		return e->code;
	if (json)
		cli_print_json(list);
	json_array_foreach(json ? NULL : list, i, path)
		printf("%zu  %s\n", i, json_is_string(path) ? json_string_value(path) : "(empty)");
	json_decref(list);
	return CLI_OK;
}

/* `path` NULL: takes the disc out. */
static int change_disc(struct manager *m, const struct cdrom_context *c, const char *name,
		       const char *path, struct err *e)
{
	bool kept;
	int rc = vm_change_disc(m, name, c->drive, path, c->force, &kept, e);

	if (!rc && kept)
		fprintf(stderr,
			"baton: only the running machine was changed: `baton modify` has given "
			"the definition of %s something else for drive %u, for its next start\n",
			name, c->drive);
	return rc;
}

/* A definition must not depend on the current folder. */
static int insert(struct manager *m, const struct cdrom_context *c, const char *name,
		  const char *file, struct err *e)
{
	char *path = realpath(file, NULL);
	int rc = path ? change_disc(m, c, name, path, e)
		      : err_set(e, -errno, "%s: %s", file, strerror(errno));

	free(path);
	return rc;
}

static int change(struct manager *m, const struct cdrom_context *c, char **operands, struct err *e)
{
	const char *name = operands[0], *action = operands[1], *file = action ? operands[2] : NULL;

	if (!action)
		return list_drives(m, name, c->json, e);
	if (!strcmp(action, "insert") && file)
		return insert(m, c, name, file, e);
	if (!strcmp(action, "eject") && !file)
		return change_disc(m, c, name, NULL, e);
	return err_set(e, -EINVAL, "what to do is \"insert FILE\" or \"eject\"");
}

static int run(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = change(m, context, operands, e);
	manager_close(m);
	return rc;
}

static const struct cli_option options[] = {
	{.name = "drive", .argument = "N", .help = "which drive, from 0 (0)", .set = set_drive},
	CLI_FLAG("json", "list the drives as JSON: their files, null without a disc",
		 struct cdrom_context, json),
	CLI_FLAG("force", "even if the guest has locked the tray", struct cdrom_context, force),
	CLI_END,
};

const struct cli_verb cli_cdrom = {
	.name = "cdrom",
	.operands = "NAME [insert FILE|eject]",
	.help = "change the disc of a virtual machine, also while it runs; lists the drives",
	.example = "baton cdrom web insert debian.iso\n"
		   "baton cdrom web eject",
	.min = 1,
	.max = 3,
	.options = options,
	.context_size = sizeof(struct cdrom_context),
	.run = run,
};
