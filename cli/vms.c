/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs for running VMs: ps, stop, pause, resume, reset, stats. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "cli/cli.h"
#include "manager/control_client.h"
#include "manager/manager.h"

struct vms_context {
	bool json, force;
	unsigned timeout; /* seconds */
};

static int set_json(void *context, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	((struct vms_context *)context)->json = true;
	return 0;
}

static const struct cli_option json_options[] = {
	{"json", NULL, "print JSON", set_json},
	{NULL, NULL, NULL, NULL},
};

static void print_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
}

static int with_vm(const char *name, struct vm_info *vm, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = manager_find(m, name, vm, e);
	manager_close(m);
	return rc;
}

static int call_vm(const char *name, const char *method, json_t **result, struct err *e)
{
	struct vm_info vm;

	if (with_vm(name, &vm, e))
		return e->code;
	if (control_call(vm.control, method, NULL, result, e))
		return err_prefix(e, "%s", name);
	return 0;
}

/* ---- ps ------------------------------------------------------------------------------------- */

/* A VM that does not answer is shown all the same: it may be starting or ending. */
static int add_vm(void *opaque, const struct vm_info *vm, struct err *e)
{
	json_t *status = NULL;

	(void)e;
	if (control_call(vm->control, "status", NULL, &status, NULL))
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
	struct vms_context *c = context;
	json_t *list = json_array();
	struct manager *m;
	int rc = manager_open(&m, e);

	(void)operands;
	if (!rc) {
		rc = manager_each(m, add_vm, list, e);
		manager_close(m);
	}
	if (!rc && c->json)
		print_json(list);
	else if (!rc)
		print_table(list);
	json_decref(list);
	return rc;
}

const struct cli_verb cli_ps = {
	.name = "ps",
	.operands = "",
	.help = "list the running virtual machines",
	.options = json_options,
	.context_size = sizeof(struct vms_context),
	.run = ps,
};

/* ---- stats ---------------------------------------------------------------------------------- */

static int stats(void *context, char **operands, struct err *e)
{
	struct vms_context *c = context;
	const char *name;
	json_t *result, *value;

	if (call_vm(operands[0], "stats", &result, e))
		return e->code;
	if (c->json) {
		print_json(result);
	} else {
		json_object_foreach(result, name, value)
			printf("%-32s %lld\n", name, (long long)json_integer_value(value));
	}
	json_decref(result);
	return CLI_OK;
}

const struct cli_verb cli_stats = {
	.name = "stats",
	.operands = "NAME",
	.help = "print the counters of a virtual machine",
	.min = 1,
	.max = 1,
	.options = json_options,
	.context_size = sizeof(struct vms_context),
	.run = stats,
};

/* ---- stop ----------------------------------------------------------------------------------- */

#define STOP_TIMEOUT_S 60
#define STOP_POLL_MS   50

static void init_stop(void *context)
{
	((struct vms_context *)context)->timeout = STOP_TIMEOUT_S;
}

static int set_timeout(void *context, const char *value, struct err *e)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 86400)
		return err_set(e, -EINVAL, "\"%s\" is not a number of seconds up to 86400", value);
	((struct vms_context *)context)->timeout = (unsigned)n;
	return 0;
}

static int set_force(void *context, const char *value, struct err *e)
{
	(void)value;
	(void)e;
	((struct vms_context *)context)->force = true;
	return 0;
}

static int wait_gone(struct manager *m, const char *name, unsigned seconds, struct err *e)
{
	const struct timespec poll = {.tv_nsec = STOP_POLL_MS * 1000000};

	for (unsigned ms = 0; manager_alive(m, name); ms += STOP_POLL_MS) {
		if (ms >= seconds * 1000)
			return err_set(e, -ETIMEDOUT,
				       "%s still runs after %u s: the guest may not listen to its "
				       "power button; use --force",
				       name, seconds);
		nanosleep(&poll, NULL);
	}
	return CLI_OK;
}

static int stop(void *context, char **operands, struct err *e)
{
	struct vms_context *c = context;
	struct manager *m;
	int rc = call_vm(operands[0], c->force ? "quit" : "power_button", NULL, e);

	if (rc)
		return rc;
	rc = manager_open(&m, e);
	if (rc)
		return rc;
	rc = wait_gone(m, operands[0], c->timeout, e);
	manager_close(m);
	return rc;
}

static const struct cli_option stop_options[] = {
	{"timeout", "SECONDS", "how long to wait for the guest (60)", set_timeout},
	{"force", NULL, "end it at once, without asking the guest", set_force},
	{NULL, NULL, NULL, NULL},
};

const struct cli_verb cli_stop = {
	.name = "stop",
	.operands = "NAME",
	.help = "press the power button and wait until the guest is off",
	.min = 1,
	.max = 1,
	.options = stop_options,
	.context_size = sizeof(struct vms_context),
	.init = init_stop,
	.run = stop,
};

/* ---- one call each -------------------------------------------------------------------------- */

static int pause_vm(void *context, char **operands, struct err *e)
{
	(void)context;
	return call_vm(operands[0], "pause", NULL, e);
}

static int resume_vm(void *context, char **operands, struct err *e)
{
	(void)context;
	return call_vm(operands[0], "resume", NULL, e);
}

static int reset_vm(void *context, char **operands, struct err *e)
{
	(void)context;
	return call_vm(operands[0], "reset", NULL, e);
}

const struct cli_verb cli_pause = {
	.name = "pause",
	.operands = "NAME",
	.help = "stop a virtual machine's processors and clock",
	.min = 1,
	.max = 1,
	.run = pause_vm,
};

const struct cli_verb cli_resume = {
	.name = "resume",
	.operands = "NAME",
	.help = "let a paused virtual machine go on",
	.min = 1,
	.max = 1,
	.run = resume_vm,
};

const struct cli_verb cli_reset = {
	.name = "reset",
	.operands = "NAME",
	.help = "restart the guest at once, as a reset button does",
	.min = 1,
	.max = 1,
	.run = reset_vm,
};
