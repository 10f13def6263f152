/* SPDX-License-Identifier: Apache-2.0 */
/* baton snapshot take, list, info, restore, delete, rename. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "manager/snapshot.h"

/* ---- take ----------------------------------------------------------------------------------- */

struct take_context {
	const char *description;
	bool disk_only;
};

static int set_description(void *context, const char *value, struct err *e)
{
	(void)e;
	((struct take_context *)context)->description = value;
	return 0;
}

static int take(void *context, char **operands, struct err *e)
{
	const struct take_context *c = context;
	struct cli_progress bar = {0};
	const struct snapshot_options o = {c->description, c->disk_only, cli_progress, &bar};
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = snapshot_take(m, operands[0], operands[1], &o, e);
	cli_progress_end(&bar);
	manager_close(m);
	return rc;
}

static const struct cli_option take_options[] = {
	{"description", "TEXT", "what it is good for", set_description},
	CLI_FLAG("disk-only", "without the memory of a running machine", struct take_context,
		 disk_only),
	CLI_END,
};

static const struct cli_verb take_verb = {
	.name = "snapshot take",
	.operands = "NAME SNAPSHOT",
	.help = "keep what a machine is now: disks, and memory if it runs",
	.example = "baton snapshot take web before-upgrade --description \"Debian 12\"",
	.min = 2,
	.max = 2,
	.options = take_options,
	.context_size = sizeof(struct take_context),
	.run = take,
};

/* ---- list and info -------------------------------------------------------------------------- */

struct look_context {
	bool json;
};

static const struct cli_option json_options[] = {
	CLI_FLAG("json", "print JSON", struct look_context, json),
	CLI_END,
};

static json_t *to_json(const struct snapshot_tree *t, const struct snapshot *s)
{
	return json_pack("{s:s, s:s?, s:s, s:I, s:b, s:b}", "name", s->name, "parent",
			 *s->parent ? s->parent : NULL, "description", s->description, "time",
			 (json_int_t)s->time, "memory", *s->memory != '\0', "current",
			 !strcmp(t->current, s->name));
}

static void print_array(const struct snapshot_tree *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(list, to_json(t, &t->list[i]));
	cli_print_json(list);
	json_decref(list);
}

static unsigned depth_of(const struct snapshot_tree *t, const struct snapshot *s)
{
	unsigned depth = 0;

	while (s && *s->parent) {
		s = snapshot_find(t, s->parent, NULL);
		depth++;
	}
	return depth;
}

static void print_line(const struct snapshot_tree *t, const struct snapshot *s, unsigned depth)
{
	char when[32];

	cli_time(s->time, when);
	printf("%c %*s%-*s  %s  %-6s  ", strcmp(t->current, s->name) ? ' ' : '*', (int)(2 * depth),
	       "", depth < 10 ? (int)(24 - 2 * depth) : 4, s->name, when,
	       *s->memory ? "memory" : "disks");
	cli_put(s->description);
	putchar('\n');
}

/* Children under their parents; a list of snapshots is short enough for the simple way. */
static void print_children(const struct snapshot_tree *t, const char *parent)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct snapshot *s = &t->list[i];

		if (strcmp(s->parent, parent))
			continue;
		print_line(t, s, depth_of(t, s));
		print_children(t, s->name);
	}
}

static int with_tree(const char *vm, struct snapshot_tree *t, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = snapshot_list(m, vm, t, e);
	manager_close(m);
	return rc;
}

static int list(void *context, char **operands, struct err *e)
{
	const struct look_context *c = context;
	struct snapshot_tree t;
	int rc = with_tree(operands[0], &t, e);

	if (rc)
		return rc;
	if (c->json)
		print_array(&t);
	else
		print_children(&t, "");
	snapshot_tree_free(&t);
	return CLI_OK;
}

static const struct cli_verb list_verb = {
	.name = "snapshot list",
	.operands = "NAME",
	.help = "show a machine's snapshots as a tree, * marks the current one",
	.example = "baton snapshot list web",
	.min = 1,
	.max = 1,
	.options = json_options,
	.context_size = sizeof(struct look_context),
	.run = list,
};

static void print_info(const struct snapshot_tree *t, const struct snapshot *s)
{
	char when[32];

	cli_time(s->time, when);
	printf("%-12s %s%s\n", "name", s->name, strcmp(t->current, s->name) ? "" : " (current)");
	cli_put_lines("parent", *s->parent ? s->parent : "-");
	cli_put_lines("taken", when);
	cli_put_lines("memory", *s->memory ? "yes" : "no");
	cli_put_lines("description", s->description);
	for (unsigned i = 0; i < s->ndisks; i++)
		if (s->disk[i].path) {
			printf("%-12s ", i ? "" : "disks");
			cli_put(s->disk[i].path);
			printf(" (%s)\n", s->disk[i].format);
		}
}

static void print_object(const struct snapshot_tree *t, const struct snapshot *s)
{
	json_t *o = to_json(t, s), *disks = json_array();

	for (unsigned i = 0; i < s->ndisks; i++)
		if (s->disk[i].path)
			json_array_append_new(disks,
					      json_pack("{s:s, s:s}", "path", s->disk[i].path,
							"format", s->disk[i].format));
	json_object_set_new(o, "disks", disks);
	json_object_set(o, "definition", s->definition);
	cli_print_json(o);
	json_decref(o);
}

static int info(void *context, char **operands, struct err *e)
{
	const struct look_context *c = context;
	const struct snapshot *s;
	struct snapshot_tree t;

	if (with_tree(operands[0], &t, e))
		return e->code;
	s = snapshot_find(&t, operands[1], e);
	if (s && c->json)
		print_object(&t, s);
	else if (s)
		print_info(&t, s);
	snapshot_tree_free(&t);
	return s ? CLI_OK : e->code;
}

static const struct cli_verb info_verb = {
	.name = "snapshot info",
	.operands = "NAME SNAPSHOT",
	.help = "tell what a snapshot holds",
	.example = "baton snapshot info web before-upgrade",
	.min = 2,
	.max = 2,
	.options = json_options,
	.context_size = sizeof(struct look_context),
	.run = info,
};

/* ---- restore, delete, rename ---------------------------------------------------------------- */

static int restore(void *context, char **operands, struct err *e)
{
	bool memory = false;
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = snapshot_restore(m, operands[0], operands[1], &memory, e);
	if (!rc && memory)
		rc = cli_start_vm(m, operands[0], e);
	manager_close(m);
	return rc;
}

static const struct cli_verb restore_verb = {
	.name = "snapshot restore",
	.operands = "NAME SNAPSHOT",
	.help = "make a machine what it was; what it is now is lost, unless a snapshot holds it",
	.example = "baton snapshot restore web before-upgrade",
	.min = 2,
	.max = 2,
	.run = restore,
};

static int delete (void *context, char **operands, struct err *e)
{
	struct cli_progress bar = {0};
	const struct snapshot_options o = {.progress = cli_progress, .opaque = &bar};
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = snapshot_delete(m, operands[0], operands[1], &o, e);
	cli_progress_end(&bar);
	manager_close(m);
	return rc;
}

static const struct cli_verb delete_verb = {
	.name = "snapshot delete",
	.operands = "NAME SNAPSHOT",
	.help = "forget a snapshot; the machine and its other snapshots stay as they are",
	.example = "baton snapshot delete web before-upgrade",
	.min = 2,
	.max = 2,
	.run = delete,
};

static int rename_snapshot(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)context;
	if (rc)
		return rc;
	rc = snapshot_rename(m, operands[0], operands[1], operands[2], e);
	manager_close(m);
	return rc;
}

static const struct cli_verb rename_verb = {
	.name = "snapshot rename",
	.operands = "NAME SNAPSHOT NEW",
	.help = "give a snapshot another name",
	.example = "baton snapshot rename web before-upgrade debian-12",
	.min = 3,
	.max = 3,
	.run = rename_snapshot,
};

static const struct cli_verb *const verbs[] = {
	&take_verb, &list_verb, &info_verb, &restore_verb, &delete_verb, &rename_verb, NULL,
};

const struct cli_verb cli_snapshot = {
	.name = "snapshot",
	.help = "keep what a machine is, and go back to it",
	.sub = verbs,
};
