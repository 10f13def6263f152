/* SPDX-License-Identifier: Apache-2.0 */
/* From the options of create and modify to a definition, and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"

static int set_copy(char **field, const char *value, struct err *e)
{
	char *copy = *value ? strdup(value) : NULL;

	if (*value && !copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

static int set_title(void *context, const char *value, struct err *e)
{
	return set_copy(&((struct define_context *)context)->title, value, e);
}

static int set_description(void *context, const char *value, struct err *e)
{
	return set_copy(&((struct define_context *)context)->description, value, e);
}

const struct cli_option define_options[] = {
	{"title", "TEXT", "one line about it, for lists", set_title},
	{"description", "TEXT", "more about it", set_description},
	CLI_FLAG("autostart", "start it with the host (`baton autostart-all`)",
		 struct define_context, autostart),
	CLI_END,
};

void define_fini(void *context)
{
	struct define_context *c = context;

	free(c->title);
	free(c->description);
	run_context_fini(&c->run);
}

void define_take(struct define_context *c, struct definition *d)
{
	define_fini(c);
	c->run.spec = d->machine;
	c->title = d->title;
	c->description = d->description;
	c->autostart = d->autostart;
	memset(d, 0, sizeof(*d));
}

int define_give(struct define_context *c, struct definition *d, struct err *e)
{
	*d = (struct definition){c->run.spec, c->title, c->description, c->autostart};
	memset(&c->run.spec, 0, sizeof(c->run.spec));
	c->title = c->description = NULL;
	free(d->machine.name); /* of a --spec file */
	d->machine.name = NULL;
	if (run_make_absolute(&d->machine, e))
		return e->code;
	return manager_check_files(&d->machine, e);
}
