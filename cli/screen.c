/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs for a VM's screen: screenshot. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

struct screen_context {
	bool text;
};

/* ---- screenshot ----------------------------------------------------------------------------- */

static int print_text(const char *name, struct err *e)
{
	json_t *result = NULL;

	if (cli_call(name, "screen_text", NULL, &result, e))
		return e->code;
	fputs(json_string_value(json_object_get(result, "text")), stdout);
	json_decref(result);
	return CLI_OK;
}

/* The VM writes the file, and its current folder may be another one. */
static int save_picture(const char *name, const char *file, struct err *e)
{
	char path[PATH_MAX], cwd[PATH_MAX];

	if (!getcwd(cwd, sizeof(cwd)))
		return err_set(e, -errno, "the current folder: %s", strerror(errno));
	if (*file == '/')
		*cwd = '\0';
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", cwd, *cwd ? "/" : "", file) >=
	    sizeof(path))
		return err_set(e, -ENAMETOOLONG, "%s: too long", file);
	return cli_call(name, "screenshot", json_pack("{s:s}", "path", path), NULL, e);
}

static int screenshot(void *context, char **operands, struct err *e)
{
	bool text = ((struct screen_context *)context)->text;

	if (text == (operands[1] != NULL))
		return err_set(e, -EINVAL,
			       text ? "--text prints to the terminal; leave the file out"
				    : "the name of the PNG file is missing");
	return text ? print_text(operands[0], e) : save_picture(operands[0], operands[1], e);
}

static const struct cli_option screenshot_options[] = {
	CLI_FLAG("text", "print the characters of a text mode instead", struct screen_context,
		 text),
	CLI_END,
};

const struct cli_verb cli_screenshot = {
	.name = "screenshot",
	.operands = "NAME [FILE.png]",
	.help = "save what a virtual machine's screen shows",
	.example = "baton screenshot web screen.png",
	.min = 1,
	.max = 2,
	.options = screenshot_options,
	.context_size = sizeof(struct screen_context),
	.run = screenshot,
};
