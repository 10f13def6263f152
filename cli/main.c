/* SPDX-License-Identifier: Apache-2.0 */
/* baton: finds the verb and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct help_line {
	const char *section;         /* or NULL */
	const struct cli_verb *verb; /* otherwise */
} help_lines[] = {
#define SECTION(title) {title, NULL},
#define VERB(name)     {NULL, &cli_##name},
#include "cli/verbs.def"
#undef VERB
#undef SECTION
};

static int print_help(void)
{
	printf("Usage: baton VERB [OPTION]... [NAME]\n"
	       "Runs virtual machines.\n");
	for (size_t i = 0; i < sizeof(help_lines) / sizeof(help_lines[0]); i++) {
		const struct help_line *l = &help_lines[i];

		if (l->section)
			printf("\n%s:\n", l->section);
		else
			printf("  %-13s  %s\n", l->verb->name, l->verb->help);
	}
	printf("\n`baton VERB --help` tells more, and so do the manual pages: baton(1), "
	       "baton-run(1),\n"
	       "baton-snapshot(1), baton-disk(1), baton-net(1).\n");
	return CLI_OK;
}

static int print_group(const struct cli_verb *v)
{
	printf("Usage: baton %s VERB [OPTION]... [NAME]...\n%s\n\n", v->name, v->help);
	for (const struct cli_verb *const *sub = v->sub; *sub; sub++)
		printf("  %-20s %s\n", (*sub)->name, (*sub)->help);
	printf("\n`baton %s VERB --help` tells more.\n", v->name);
	return CLI_OK;
}

static bool asks_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

/* A group without one of its verbs. */
static int stay_in_group(const struct cli_verb *v, int argc, char **argv)
{
	if (argc > 2 && asks_help(argv[2]))
		return print_group(v);
	if (argc > 2)
		fprintf(stderr, "baton: there is no verb \"%s %s\"; see `baton %s --help`\n",
			v->name, argv[2], v->name);
	else
		fprintf(stderr, "baton: %s needs a verb; see `baton %s --help`\n", v->name,
			v->name);
	return CLI_ERROR;
}

/* `baton help VERB` is `baton VERB --help`. */
static int help_of(int argc, char **argv)
{
	char *words[] = {argv[0], "--help", NULL};
	const struct cli_verb *v;
	int used;

	v = cli_find(argv + 2, argc - 2, &used);
	if (!v && argc > 2) {
		fprintf(stderr, "baton: there is no verb \"%s\"; see `baton --help`\n", argv[2]);
		return CLI_ERROR;
	}
	if (!v)
		return print_help();
	return v->sub ? print_group(v) : cli_execute(v, 2, words);
}

static int dispatch(int argc, char **argv)
{
	const struct cli_verb *v;
	int used;

	if (argc < 2) {
		fprintf(stderr, "baton: a verb is missing; see `baton --help`\n");
		return CLI_ERROR;
	}
	if (asks_help(argv[1]))
		return help_of(argc, argv);
	if (!strcmp(argv[1], "--version")) {
		printf("baton " BATON_VERSION "\n");
		return CLI_OK;
	}
	if (!strcmp(argv[1], "__complete") && argc == 3)
		return cli_complete(argv[2]);
	v = cli_find(argv + 1, argc - 1, &used);
	if (v && !v->sub)
		return cli_execute(v, argc - used, argv + used);
	if (v)
		return stay_in_group(v, argc, argv);
	fprintf(stderr, "baton: there is no verb \"%s\"; see `baton --help`\n", argv[1]);
	return CLI_ERROR;
}

/* Who starts us without them would find what we print in the first files that we open. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What is not printed is not done. */
static int finish_output(int status)
{
	bool failed = ferror(stdout);

	if (!fflush(stdout) && !failed)
		return status;
	fprintf(stderr, "baton: standard output cannot be written: %s\n", strerror(errno));
	return status ? status : CLI_ERROR;
}

int main(int argc, char **argv)
{
	open_standard_files();
	return finish_output(dispatch(argc, argv));
}
