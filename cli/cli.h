/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `baton` command: a table of verbs, each with a table of options. Parsing, help texts and
 * messages about unknown options come from the tables.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct manager;

#define CLI_OK    0
#define CLI_ERROR 1

struct cli_option {
	const char *name;     /* without dashes; NULL ends a table */
	const char *argument; /* as the help shows it; NULL: the option takes none */
	const char *help;
	/* `value` is NULL for an option without argument. NULL: sets the bool at `flag`. */
	int (*set)(void *context, const char *value, struct err *e);
	size_t flag; /* offset in the context */
	char letter; /* short form, or 0 */
};

#define CLI_FLAG(name, help, type, field)                        \
	{                                                        \
		name, NULL, help, NULL, offsetof(type, field), 0 \
	}
#define CLI_END              \
	{                    \
		.name = NULL \
	}

/*
 * A verb, or a group of them: then `sub` lists the verbs, whose names begin with the group's, as in
 * "snapshot take", and only name and help are the group's own.
 */
struct cli_verb {
	const char *name;
	const struct cli_verb *const *sub; /* NULL-ended; NULL: no group */
	const char *operands;              /* as the help shows them: "NAME"; "" if none */
	const char *help;                  /* one line */
	const char *details;               /* more for its own help; NULL: none */
	int min, max;                      /* how many operands */
	bool wants_option;                 /* without any there is nothing to do: an error */
	const struct cli_option *options;  /* NULL: only --help */
	const struct cli_option
		*shared[2];          /* more of them, from tables that verbs share; or NULL */
	const char *example;         /* a command line or more, one a line */
	size_t context_size;         /* of what the options set; zeroed, then given to init */
	void (*init)(void *context); /* NULL: zeros will do */
	/* Before the options are applied, when the command line is known to be well-formed; NULL.
	 */
	int (*prepare)(void *context, char **operands, struct err *e);
	/* The exit status, or a negative errno and *e, which is then printed. */
	int (*run)(void *context, char **operands, struct err *e);
	void (*fini)(void *context); /* NULL: nothing to free */
};

/* The verbs: cli_run for `baton run`, and so on. */
#define SECTION(title)
#define VERB(name) extern const struct cli_verb cli_##name;
#include "cli/verbs.def"
#undef VERB
#undef SECTION

/* All of them in the order of the help; NULL ends the table. */
extern const struct cli_verb *const cli_verbs[];

/*
 * The verb that the words name, or the group when they name no verb of it; NULL: none. *used is how
 * many of the words it took.
 */
const struct cli_verb *cli_find(char **words, int n, int *used);

/* Parses argv[1..] for the verb and runs it; returns the exit status of the program. */
int cli_execute(const struct cli_verb *v, int argc, char **argv);

/* Prints what may follow a command line up to the cursor (cli/baton.bash). Modifies it. */
int cli_complete(char *line);

/* ---- what verbs share (common.c) ------------------------------------------------------------ */

void cli_print_json(const json_t *o);
/* A text that came from anywhere, to standard output, without its control characters. */
void cli_put(const char *text);
/* "key          first line" and so on, the other lines below the first. Nothing for "". */
void cli_put_lines(const char *key, const char *text);
/* "2026-11-26 17:20:00", local time; "-" for 0. */
void cli_time(int64_t since, char out[32]);
/* One call to a running VM; parameters and result as for control_call(), or control_call_fd(). */
int cli_call(const char *name, const char *method, json_t *params, json_t **result, struct err *e);
int cli_call_fd(const char *name, const char *method, json_t *params, int fd, json_t **result,
		struct err *e);
#define CLI_MANY 4096 /* operands, for verbs that take a list of names */

/*
 * Calls `fn` for each name. An error with one of several is told at once and keeps nobody from
 * going on; the last of them is returned.
 */
int cli_for_each(char **names,
		 int (*fn)(struct manager *m, void *opaque, const char *name, struct err *e),
		 void *opaque, struct err *e);
/* Says when a change of the definition takes effect, if that is not at once. */
void cli_say_when(struct manager *m, const char *name);
/* Says so when a VM that is about to start has more memory than the host has left. */
void cli_warn_memory(const char *name, uint64_t memory);
/* vm_start() with that; says so when the VM stands. */
int cli_start_vm(struct manager *m, const char *name, struct err *e);
/* Joins the terminal to a VM's serial port until Ctrl-] or its end. */
int cli_join_console(const char *name, struct err *e);
/* A bar on standard error while something long is done, if that is a terminal. */
struct cli_progress {
	bool shown;
	int64_t last_ms;
};
/* As control_progress_fn; `opaque` is a zeroed struct cli_progress. */
void cli_progress(void *opaque, const char *what, uint64_t done, uint64_t total);
/* Takes the bar away. */
void cli_progress_end(struct cli_progress *p);
/* Asks a person at the terminal; false when there is none or the answer is not yes. */
bool cli_ask(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
