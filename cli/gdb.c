/* SPDX-License-Identifier: Apache-2.0 */
/* baton gdb: opens the debugger's stub of a running VM, and starts gdb on it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "manager/manager.h"

struct gdb_context {
	const char *listen;
	bool print;
};

static int set_listen(void *context, const char *value, struct err *e)
{
	(void)e;
	((struct gdb_context *)context)->listen = value;
	return 0;
}

/* Without --listen: a socket beside the control socket. */
static int default_listen(const char *name, char *text, size_t size, struct err *e)
{
	struct manager *m;
	struct vm_info vm;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = manager_find(m, name, &vm, e);
	manager_close(m);
	if (rc)
		return rc;
	vm.control[strlen(vm.control) - strlen(".sock")] = '\0';
	snprintf(text, size, "unix:%s.gdb", vm.control);
	return 0;
}

/* *where: malloc'd, as the stub tells it: it may have been open before. */
static int open_stub(const char *name, const char *listen, char **where, struct err *e)
{
	json_t *result;
	const char *text;

	if (cli_call(name, "gdb", json_pack("{s:s}", "listen", listen), &result, e))
		return e->code;
	text = json_string_value(json_object_get(result, "listen"));
	*where = text ? strdup(text) : NULL;
	json_decref(result);
	return *where ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* Turns into gdb. */
static int start_gdb(const char *where, const char *program, struct err *e)
{
	char target[160];

	if (strncmp(where, "unix:", 5))
		snprintf(target, sizeof(target), "target remote localhost:%s", where);
	else
		snprintf(target, sizeof(target), "target remote %s", where + 5);
	execlp("gdb", "gdb", "-q", "-ex", target, program, (char *)NULL);
	return err_set(e, -errno, "gdb: %s; the stub listens at %s", strerror(errno), where);
}

static int run(void *context, char **operands, struct err *e)
{
	const struct gdb_context *c = context;
	char text[160], *where;
	int rc = 0;

	if (!c->listen)
		rc = default_listen(operands[0], text, sizeof(text), e);
	if (!rc)
		rc = open_stub(operands[0], c->listen ? c->listen : text, &where, e);
	if (rc)
		return rc;
	if (c->print)
		puts(where);
	else
		rc = start_gdb(where, operands[1], e);
	free(where);
	return rc;
}

static const struct cli_option options[] = {
	{"listen", "PORT|unix:PATH", "where the stub is to listen (a socket of its own)",
	 set_listen, 0, 0},
	CLI_FLAG("print", "tell where it listens instead of starting gdb", struct gdb_context,
		 print),
	CLI_END,
};

const struct cli_verb cli_gdb = {
	.name = "gdb",
	.operands = "NAME [PROGRAM]",
	.help = "debug the guest of a running virtual machine with gdb",
	.min = 1,
	.max = 2,
	.options = options,
	.example = "baton gdb web vmlinux",
	.context_size = sizeof(struct gdb_context),
	.run = run,
};
