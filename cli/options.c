/* SPDX-License-Identifier: Apache-2.0 */
/* Options and operands of a verb, by its table; the help that is made from it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define MAX_OPTIONS 80
#define HELP_COLUMN 26
#define HELP_WIDTH  96
#define NSHARED     (sizeof(((struct cli_verb *)0)->shared) / sizeof(struct cli_option *))

/* Prints text from column `at` on, in lines of HELP_WIDTH whose continuations begin at `indent`. */
static void print_wrapped(const char *text, int at, int indent)
{
	const char *gap = "";

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (*gap && at + 1 + word > HELP_WIDTH) {
			printf("\n%*s", indent, "");
			at = indent;
			gap = "";
		}
		at += printf("%s%.*s", gap, word, text);
		gap = " ";
		text += word + (int)strspn(text + word, " ");
	}
	putchar('\n');
}

static void print_option(const struct cli_option *o)
{
	int n = o->letter ? printf("  -%c, --%s", o->letter, o->name) : printf("  --%s", o->name);

	n += printf("%s%s", o->argument ? " " : "", o->argument ? o->argument : "");
	if (n >= HELP_COLUMN)
		n = printf("\n") - 1;
	printf("%*s", HELP_COLUMN - n, "");
	print_wrapped(o->help, HELP_COLUMN, HELP_COLUMN);
}

static const struct cli_option help_option[] = {
	{.name = "help", .letter = 'h', .help = "print this text"},
	CLI_END,
};

static void print_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		print_option(o);
}

static void print_help(const struct cli_verb *v)
{
	printf("Usage: baton %s [OPTION]...%s%s\n%s\n\n", v->name, *v->operands ? " " : "",
	       v->operands, v->help);
	if (v->details) {
		print_wrapped(v->details, 0, 0);
		putchar('\n');
	}
	print_options(v->options);
	for (unsigned i = 0; i < NSHARED; i++)
		print_options(v->shared[i]);
	print_options(help_option);
	if (v->example)
		printf("\nExample:\n");
	for (const char *line = v->example; line && *line;
	     line += strcspn(line, "\n"), line += *line == '\n')
		printf("  %.*s\n", (int)strcspn(line, "\n"), line);
}

/* The options of both tables in one list, and getopt's form of it: option i has the value i + 1. */
struct table {
	const struct cli_option *option[MAX_OPTIONS];
	struct option getopt[MAX_OPTIONS + 2];
	char letters[2 * MAX_OPTIONS +
		     3]; /* getopt's list; only options without argument have one */
	int n;
};

static void add_options(struct table *t, const struct cli_option *o)
{
	for (; o && o->name && t->n < MAX_OPTIONS; o++) {
		t->option[t->n] = o;
		t->getopt[t->n] = (struct option){
			o->name, o->argument ? required_argument : no_argument, NULL, t->n + 1};
		if (o->letter)
			strncat(t->letters, &o->letter, 1);
		t->n++;
	}
}

static void fill_table(struct table *t, const struct cli_verb *v)
{
	t->n = 0;
	/* The leading ":" tells a missing value from an unknown option. */
	strcpy(t->letters, ":h");
	add_options(t, v->options);
	for (unsigned i = 0; i < NSHARED; i++)
		add_options(t, v->shared[i]);
	t->getopt[t->n] = (struct option){"help", no_argument, NULL, 'h' << 8};
	t->getopt[t->n + 1] = (struct option){NULL, 0, NULL, 0};
}

/* What getopt found: the number of an option or its letter, which is larger. */
static const struct cli_option *find_option(const struct table *t, int c)
{
	for (int i = 0; i < t->n && c > MAX_OPTIONS; i++)
		if (t->option[i]->letter == c)
			return t->option[i];
	return t->option[c - 1];
}

static int bad_option(const struct cli_verb *v, int c, char **argv, struct err *e)
{
	const char *text = argv[optind - 1];

	if (c == ':')
		return err_set(e, -EINVAL, "option %s needs a value; see `baton %s --help`", text,
			       v->name);
	if (optopt && optopt < 256)
		return err_set(e, -EINVAL, "unknown option -%c; see `baton %s --help`", optopt,
			       v->name);
	return err_set(e, -EINVAL, "unknown option %s; see `baton %s --help`", text, v->name);
}

static int apply(const struct cli_option *o, void *context, const char *value, struct err *e)
{
	if (!o->set)
		*(bool *)((char *)context + o->flag) = true;
	else if (o->set(context, value, e))
		return err_prefix(e, "--%s", o->name);
	return 0;
}

/*
 * Goes through the options, which move in front of the operands, and applies them unless `context`
 * is NULL. 0, a negative errno, or 1 when the help was printed.
 */
static int parse(const struct cli_verb *v, int argc, char **argv, void *context, struct err *e)
{
	struct table t;
	int c;

	fill_table(&t, v);
	opterr = 0;
	optind = 0; /* glibc: from the start */
	while ((c = getopt_long(argc, argv, t.letters, t.getopt, NULL)) != -1) {
		if (c == 'h' || c == 'h' << 8) {
			print_help(v);
			return 1;
		}
		if (c == '?' || c == ':')
			return bad_option(v, c, argv, e);
		if (context && apply(find_option(&t, c), context, optarg, e))
			return e->code;
	}
	return 0;
}

/* After parse(): options stand in front of the operands, the first of which is argv[optind]. */
static int check_operands(const struct cli_verb *v, int argc, char **argv, struct err *e)
{
	char **operands = argv + optind;
	int n = argc - optind;

	if (n < v->min)
		return err_set(e, -EINVAL, "%s needs %s; see `baton %s --help`", v->name,
			       v->operands, v->name);
	if (n > v->max)
		return err_set(e, -EINVAL, "unexpected \"%s\"; see `baton %s --help`",
			       operands[v->max], v->name);
	if (v->wants_option && optind == 1)
		return err_set(e, -EINVAL, "%s needs an option; see `baton %s --help`", v->name,
			       v->name);
	return 0;
}

static int run_verb(const struct cli_verb *v, int argc, char **argv, void *context, struct err *e)
{
	int rc = parse(v, argc, argv, NULL, e);

	if (!rc)
		rc = check_operands(v, argc, argv, e);
	if (!rc && v->prepare)
		rc = v->prepare(context, argv + optind, e);
	if (!rc)
		rc = parse(v, argc, argv, context, e);
	if (rc)
		return rc > 0 ? CLI_OK : rc;
	return v->run(context, argv + optind, e);
}

int cli_execute(const struct cli_verb *v, int argc, char **argv)
{
	void *context = calloc(1, v->context_size + 1);
	struct err e = {0};
	int rc;

	if (!context)
		return CLI_ERROR;
	if (v->init)
		v->init(context);
	rc = run_verb(v, argc, argv, context, &e);
	if (v->fini)
		v->fini(context);
	free(context);
	if (rc < 0) {
		fprintf(stderr, "baton: %s\n", e.text);
		rc = CLI_ERROR;
	}
	return rc;
}
