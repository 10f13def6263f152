/* SPDX-License-Identifier: Apache-2.0 */
/* baton cdrom: discs in the drives of a running virtual machine. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct cdrom_context {
	json_int_t drive;
	bool force;
};

static int set_drive(void *context, const char *value, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 15)
		return err_set(e, -EINVAL, "\"%s\" is not the number of a drive, from 0", value);
	((struct cdrom_context *)context)->drive = (json_int_t)n;
	return 0;
}

static int list_drives(const char *name, struct err *e)
{
	json_t *result = NULL, *drive;
	size_t i;

	if (cli_call(name, "cdroms", NULL, &result, e))
		return e->code;
	json_array_foreach(json_object_get(result, "drives"), i, drive)
	{
		const char *path = json_string_value(json_object_get(drive, "path"));

		printf("%zu  %s\n", i, path ? path : "(empty)");
	}
	json_decref(result);
	return CLI_OK;
}

/* The VM opens the file, and its current folder may be another one. */
static int insert(const struct cdrom_context *c, const char *name, const char *file, struct err *e)
{
	char *path = realpath(file, NULL);
	json_t *params;

	if (!path)
		return err_set(e, -errno, "%s: %s", file, strerror(errno));
	params = json_pack("{s:s, s:I, s:b}", "path", path, "drive", c->drive, "force", c->force);
	free(path);
	if (!params)
		return err_set(e, -EINVAL, "%s: a name that is not UTF-8 cannot be used", file);
	return cli_call(name, "cdrom_insert", params, NULL, e);
}

static int run(void *context, char **operands, struct err *e)
{
	const struct cdrom_context *c = context;
	const char *name = operands[0], *action = operands[1], *file = action ? operands[2] : NULL;

	if (!action)
		return list_drives(name, e);
	if (!strcmp(action, "insert") && file)
		return insert(c, name, file, e);
	if (!strcmp(action, "eject") && !file)
		return cli_call(name, "cdrom_eject",
				json_pack("{s:I, s:b}", "drive", c->drive, "force", c->force), NULL,
				e);
	return err_set(e, -EINVAL, "what to do is \"insert FILE\" or \"eject\"");
}

static const struct cli_option options[] = {
	{.name = "drive", .argument = "N", .help = "which drive, from 0 (0)", .set = set_drive},
	CLI_FLAG("force", "even if the guest has locked the tray", struct cdrom_context, force),
	CLI_END,
};

const struct cli_verb cli_cdrom = {
	.name = "cdrom",
	.operands = "NAME [insert FILE|eject]",
	.help = "change the disc of a running virtual machine; lists the drives",
	.example = "baton cdrom web insert debian.iso\n"
		   "baton cdrom web eject",
	.min = 1,
	.max = 3,
	.options = options,
	.context_size = sizeof(struct cdrom_context),
	.run = run,
};
