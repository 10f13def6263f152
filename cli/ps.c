/* SPDX-License-Identifier: Apache-2.0 */
/* baton ps: what the processes of running VMs say about themselves. */
#include <jansson.h>
#include <stdio.h>

#include "base/num.h"
#include "cli/cli.h"
#include "manager/control_client.h"
#include "manager/manager.h"

struct ps_context {
	bool json;
};

static const struct cli_option options[] = {
	CLI_FLAG("json", "print JSON", struct ps_context, json),
	CLI_END,
};

/* A VM that does not answer is shown all the same: it may be starting or ending. */
static int add_vm(void *opaque, const struct vm_info *vm, struct err *e)
{
	json_t *status = NULL;

	(void)e;
	if (control_ask(vm->control, "status", &status, NULL))
		status = json_pack("{s:s}", "state", "unknown");
	json_object_set_new(status, "name", json_string(vm->name));
	json_object_set_new(status, "pid", json_integer(vm->pid));
	return json_array_append_new(opaque, status);
}

static const char *text_of(json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "-";
}

static long long number_of(json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void print_table(json_t *list)
{
	size_t i;
	json_t *vm;

	printf("%-20s %8s  %-8s %-6s %4s %9s %10s\n", "NAME", "PID", "STATE", "ENGINE", "CPUS",
	       "MEMORY", "UPTIME");
	json_array_foreach(list, i, vm)
	{
		printf("%-20s %8lld  %-8s %-6s %4lld %5lld MiB %8lld s\n", text_of(vm, "name"),
		       number_of(vm, "pid"), text_of(vm, "state"), text_of(vm, "engine"),
		       number_of(vm, "cpus"), number_of(vm, "memory") / (long long)MIB,
		       number_of(vm, "uptime_ns") / 1000000000);
	}
}

static int ps(void *context, char **operands, struct err *e)
{
	struct ps_context *c = context;
	json_t *list = json_array();
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)operands;
	if (!rc) {
		rc = manager_each(m, add_vm, list, e);
		manager_close(m);
	}
	if (!rc && c->json)
		cli_print_json(list);
	else if (!rc)
		print_table(list);
	json_decref(list);
	return rc;
}

const struct cli_verb cli_ps = {
	.name = "ps",
	.operands = "",
	.help = "list the running virtual machines",
	.options = options,
	.example = "baton ps --json",
	.context_size = sizeof(struct ps_context),
	.run = ps,
};
