/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `baton` command: a table of verbs, each with a table of options. Parsing, help texts and
 * messages about unknown options come from the tables.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

#include "base/err.h"

#define CLI_OK    0
#define CLI_ERROR 1

struct cli_option {
	const char *name;     /* without dashes; NULL ends a table */
	const char *argument; /* as the help shows it; NULL: the option takes none */
	const char *help;
	/* `value` is NULL for an option without argument. */
	int (*set)(void *context, const char *value, struct err *e);
};

struct cli_verb {
	const char *name;                 /* NULL ends the table */
	const char *operands;             /* as the help shows them: "NAME"; "" if none */
	const char *help;                 /* one line */
	int min, max;                     /* how many operands */
	const struct cli_option *options; /* NULL: only --help */
	size_t context_size;              /* of what the options set; zeroed, then given to init */
	void (*init)(void *context);      /* NULL: zeros will do */
	/* The exit status, or a negative errno and *e, which is then printed. */
	int (*run)(void *context, char **operands, struct err *e);
	void (*fini)(void *context); /* NULL: nothing to free */
};

extern const struct cli_verb cli_run, cli_ps, cli_stop, cli_pause, cli_resume, cli_reset,
	cli_console, cli_stats, cli_check, cli_screenshot;

/* Parses argv[1..] for the verb and runs it; returns the exit status of the program. */
int cli_execute(const struct cli_verb *v, int argc, char **argv);

#endif
