/* SPDX-License-Identifier: Apache-2.0 */
/* baton gdb: opens the debugger's stub of a running VM, and starts gdb on it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "manager/vm.h"

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

static int open_stub(const char *name, const char *listen, char **where, struct err *e)
{
	struct manager *m;
	int rc = manager_open(&m, e);

	if (rc)
		return rc;
	rc = vm_gdb(m, name, listen, where, e);
	manager_close(m);
	return rc;
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
	char *where;
	int rc = open_stub(operands[0], c->listen, &where, e);

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
