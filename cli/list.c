/* SPDX-License-Identifier: Apache-2.0 */
/* baton list and baton info: VMs and the states they are in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "cli/cli.h"
#include "manager/snapshot.h"
#include "manager/vm.h"

struct list_context {
	bool all, json;
};

/* What both verbs print of a VM for machines. */
static json_t *to_json(const struct vm_status *v)
{
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:I, s:I}", "name", v->name,
			  "uuid", v->uuid, "state", vm_state_name(v->state), "reason", v->reason,
			  "since", (json_int_t)v->since, "exit_status", (json_int_t)v->exit_status,
			  "persistent", v->persistent, "autostart", v->autostart, "cpus",
			  (json_int_t)v->cpus, "memory", (json_int_t)v->memory);

	json_object_set_new(o, "title", json_string(v->title));
	json_object_set_new(o, "id", v->pid ? json_integer((json_int_t)v->id) : json_null());
	json_object_set_new(o, "pid", v->pid ? json_integer(v->pid) : json_null());
	if (*v->busy)
		json_object_set_new(o, "busy", json_string(v->busy));
	if (*v->problem)
		json_object_set_new(o, "problem", json_string(v->problem));
	return o;
}

/* ---- list ----------------------------------------------------------------------------------- */

static void print_table(const struct vm_status *list, size_t n)
{
	int width = 4;

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(list[i].name) > width)
			width = (int)strlen(list[i].name);
	printf("%-*s  %-9s %-14s %4s %10s  %s\n", width, "NAME", "STATE", "REASON", "CPUS",
	       "MEMORY", "TITLE");
	for (size_t i = 0; i < n; i++) {
		const struct vm_status *v = &list[i];

		printf("%-*s  %-9s %-14s %4u %6llu MiB  ", width, v->name, vm_state_name(v->state),
		       *v->busy ? v->busy : v->reason, v->cpus,
		       (unsigned long long)(v->memory / MIB));
		cli_put(*v->problem ? "(damaged: see `baton info`)" : v->title);
		putchar('\n');
	}
}

static void print_array(const struct vm_status *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, to_json(&list[i]));
	cli_print_json(array);
	json_decref(array);
}

/* Without --all only what runs; the others move out of the way. */
static size_t select_running(struct vm_status *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].pid)
			list[kept++] = list[i];
	return kept;
}

static int list_vms(void *context, char **operands, struct err *e)
{
	const struct list_context *c = context;
	struct vm_status *list;
	struct manager *m;
	size_t n;
	int rc = manager_open(&m, e);

	(void)operands;
	if (rc)
		return rc;
	rc = vm_list(m, &list, &n, e);
	manager_close(m);
	if (rc)
		return rc;
	if (!c->all)
		n = select_running(list, n);
	if (c->json)
		print_array(list, n);
	else
		print_table(list, n);
	free(list);
	return CLI_OK;
}

static const struct cli_option list_options[] = {
	CLI_FLAG("all", "those that do not run, too", struct list_context, all),
	CLI_FLAG("json", "print JSON", struct list_context, json),
	CLI_END,
};

const struct cli_verb cli_list = {
	.name = "list",
	.operands = "",
	.help = "list virtual machines and their states",
	.example = "baton list --all",
	.options = list_options,
	.context_size = sizeof(struct list_context),
	.run = list_vms,
};

/* ---- info ----------------------------------------------------------------------------------- */

static void print_state(const struct vm_status *v)
{
	char since[32];

	cli_time(v->since, since);
	printf("%-12s %s", "state", vm_state_name(v->state));
	if (*v->reason)
		printf(" (%s)", v->reason);
	printf(v->since ? ", since %s\n" : "\n", since);
	if (v->pid)
		printf("%-12s %lu\n%-12s %d\n", "id", v->id, "process", (int)v->pid);
	else if (v->exit_status >= 0)
		printf("%-12s %d\n", "exit status", v->exit_status);
	cli_put_lines("busy", v->busy);
}

static void print_disk(const char *key, const struct spec_disk *d)
{
	printf("%-12s ", key);
	cli_put(d->path ? d->path : "(empty)");
	puts(d->cdrom ? " (CD-ROM)" : d->readonly ? " (read-only)" : "");
}

static void print_machine(const struct definition *d)
{
	const struct spec *s = &d->machine;

	cli_put_lines("description", d->description ? d->description : "");
	for (unsigned i = 0; i < s->ndisks; i++)
		print_disk(i ? "" : "disks", &s->disks[i]);
	for (unsigned i = 0; i < s->nnets; i++) {
		const uint8_t *a = s->nets[i].mac;

		printf("%-12s %s%s%s %02x:%02x:%02x:%02x:%02x:%02x\n", i ? "" : "networks",
		       s->nets[i].type, s->nets[i].name ? "=" : "",
		       s->nets[i].name ? s->nets[i].name : "", a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

static void print_text(const struct vm_status *v, const struct definition *d, const char *folder)
{
	cli_put_lines("name", v->name);
	cli_put_lines("uuid", v->uuid);
	cli_put_lines("title", v->title);
	print_state(v);
	cli_put_lines("kept", v->persistent ? "yes" : "no: it is gone when it ends");
	cli_put_lines("autostart", v->autostart ? "yes" : "no");
	printf("%-12s %u\n%-12s %llu MiB\n", "processors", v->cpus, "memory",
	       (unsigned long long)(v->memory / MIB));
	print_machine(d);
	cli_put_lines("folder", folder);
	cli_put_lines("problem", v->problem);
}

static void print_object(const struct vm_status *v, const struct definition *d, const char *folder)
{
	json_t *o = to_json(v);

	json_object_set_new(o, "folder", json_string(folder));
	json_object_set_new(o, "description", json_string(d->description ? d->description : ""));
	if (v->persistent && !*v->problem)
		json_object_set_new(o, "definition", definition_to_json(d));
	cli_print_json(o);
	json_decref(o);
}

/* Snapshots that cannot be read do not hide the rest. */
static void print_snapshots(struct manager *m, const struct vm_status *v)
{
	struct snapshot_tree t = {0};
	struct err e;

	if (!v->persistent)
		return;
	if (snapshot_list(m, v->name, &t, &e))
		cli_put_lines("problem", e.text);
	else if (t.n)
		printf("%-12s %zu, the current one is %s\n", "snapshots", t.n,
		       *t.current ? t.current : "none");
	snapshot_tree_free(&t);
}

static int show(struct manager *m, const struct list_context *c, const char *name, struct err *e)
{
	struct definition d;
	struct vm_status v;
	char folder[512];
	int rc = 0;

	if (vm_look(m, name, &v, e) || vm_file(m, v.name, "", folder, e))
		return e->code;
	definition_init(&d);
	if (v.persistent && !*v.problem)
		rc = vm_load(m, v.name, &d, e);
	if (!rc && c->json)
		print_object(&v, &d, folder);
	else if (!rc)
		print_text(&v, &d, folder);
	if (!rc && !c->json)
		print_snapshots(m, &v);
	definition_free(&d);
	return rc;
}

static int info(void *context, char **operands, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = show(m, context, operands[0], e);
	manager_close(m);
	return rc;
}

static const struct cli_option info_options[] = {
	CLI_FLAG("json", "print JSON", struct list_context, json),
	CLI_END,
};

const struct cli_verb cli_info = {
	.name = "info",
	.operands = "NAME",
	.help = "tell what a virtual machine is and how it is",
	.example = "baton info web",
	.min = 1,
	.max = 1,
	.options = info_options,
	.context_size = sizeof(struct list_context),
	.run = info,
};
