/* SPDX-License-Identifier: Apache-2.0 */
/* baton: finds the verb and hands over. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct cli_verb *const verbs[] = {
#define VERB(name) &cli_##name,
#include "cli/verbs.def"
#undef VERB
};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static int print_help(void)
{
	printf("Usage: baton VERB [OPTION]... [NAME]\n"
	       "Runs virtual machines.\n\n");
	for (size_t i = 0; i < NVERBS; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->help);
	printf("\n`baton VERB --help` tells more; so do the manual pages baton(1) and "
	       "baton-run(1).\n");
	return CLI_OK;
}

static int unknown_verb(const char *name)
{
	fprintf(stderr, "baton: there is no verb \"%s\"; see `baton --help`\n", name);
	return CLI_ERROR;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "baton: a verb is missing; see `baton --help`\n");
		return CLI_ERROR;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return print_help();
	if (!strcmp(argv[1], "--version")) {
		printf("baton " BATON_VERSION "\n");
		return CLI_OK;
	}
	for (size_t i = 0; i < NVERBS; i++)
		if (!strcmp(verbs[i]->name, argv[1]))
			return cli_execute(verbs[i], argc - 1, argv + 1);
	return unknown_verb(argv[1]);
}
