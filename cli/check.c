/* SPDX-License-Identifier: Apache-2.0 */
/* `baton check`: what this host offers, what to do about it, and which engine is taken. */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "manager/hostcheck.h"

#define CHECK_HARDWARE    0
#define CHECK_NO_HARDWARE 1
#define CHECK_ERROR       2

struct check_context {
	bool json;
};

static const struct cli_option options[] = {
	CLI_FLAG("json", "print JSON", struct check_context, json),
	CLI_END,
};

static const char *const marks[] = {
	[FINDING_GOOD] = "ok",
	[FINDING_NOTE] = "note",
	[FINDING_BAD] = "bad",
};

static void print_text(const struct host_report *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		const struct finding *f = &r->finding[i];

		printf("%-4s %-10s %s%s%s\n", marks[f->kind], f->name, f->text,
		       *f->remedy ? "; remedy: " : "", f->remedy);
	}
	printf("auto takes %s\n", r->advice);
}

static int print_json(const struct host_report *r)
{
	json_t *list = json_array(), *o;
	int rc;

	for (unsigned i = 0; i < r->n; i++) {
		const struct finding *f = &r->finding[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", f->name,
						      "result", marks[f->kind], "text", f->text,
						      "remedy", f->remedy));
	}
	o = json_pack("{s:b, s:s, s:s, s:I, s:o}", "hardware", r->hardware, "engine",
		      r->hardware ? "kvm" : "bt", "why", r->advice, "instructions_per_second",
		      (json_int_t)r->kvm.instr_per_second, "findings", list);
	rc = json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
	return rc;
}

/* Errors are printed here, because 1, their usual exit status, has a meaning of its own. */
static int run(void *context, char **operands, struct err *e)
{
	const struct check_context *c = context;
	struct host_report r;

	(void)operands;
	if (host_check(&r, "", e)) {
		fprintf(stderr, "baton: %s\n", e->text);
		return CHECK_ERROR;
	}
	if (!c->json)
		print_text(&r);
	else if (print_json(&r))
		return CHECK_ERROR;
	return r.hardware ? CHECK_HARDWARE : CHECK_NO_HARDWARE;
}

const struct cli_verb cli_check = {
	.name = "check",
	.operands = "",
	.help = "tell what this host offers to virtual machines",
	.details = "Exit status 0: hardware virtualization, 1: none, 2: an error.",
	.example = "baton check",
	.options = options,
	.context_size = sizeof(struct check_context),
	.run = run,
};
