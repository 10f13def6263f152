/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may come next on a command line, for the shell: verbs, options, names of VMs and snapshots,
 * from the tables that the help is made from. Where nothing is printed the shell offers files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "manager/snapshot.h"
#include "manager/vm.h"

#define MAX_WORDS 256

static void offer(const char *word, const char *begun)
{
	if (!strncmp(word, begun, strlen(begun)))
		puts(word);
}

/* ---- verbs and options ---------------------------------------------------------------------- */

static void offer_verbs(const struct cli_verb *const *list, const char *begun)
{
	for (; *list; list++) {
		const char *space = strrchr((*list)->name, ' ');

		offer(space ? space + 1 : (*list)->name, begun);
	}
}

static void offer_options(const struct cli_option *o, const char *begun)
{
	char text[80];

	for (; o && o->name; o++) {
		snprintf(text, sizeof(text), "--%s", o->name);
		offer(text, begun);
	}
}

static void offer_all_options(const struct cli_verb *v, const char *begun)
{
	offer_options(v->options, begun);
	for (unsigned i = 0; i < sizeof(v->shared) / sizeof(v->shared[0]); i++)
		offer_options(v->shared[i], begun);
	offer("--help", begun);
}

static bool takes_value(const struct cli_option *o, const char *word)
{
	for (; o && o->name; o++)
		if (!strcmp(o->name, word + 2))
			return o->argument;
	return false;
}

static bool wants_value(const struct cli_verb *v, const char *word)
{
	if (strncmp(word, "--", 2))
		return false;
	return takes_value(v->options, word) || takes_value(v->shared[0], word) ||
	       takes_value(v->shared[1], word);
}

/* ---- operands ------------------------------------------------------------------------------- */

static void offer_vms(struct manager *m, const char *begun)
{
	struct vm_status *list;
	struct err e;
	size_t n;

	if (vm_list(m, &list, &n, &e))
		return;
	for (size_t i = 0; i < n; i++)
		offer(list[i].name, begun);
	free(list);
}

/* The n-th word of what the help calls the operands, without brackets; past a list its last. */
static void operand_kind(const char *operands, unsigned n, char out[32])
{
	const char *p = operands;

	while (n-- && strchr(p, ' '))
		p = strchr(p, ' ') + 1;
	while (*p == '[')
		p++;
	snprintf(out, 32, "%.*s", (int)strcspn(p, " ]."), p);
}

static void offer_snapshots(struct manager *m, const char *vm, const char *begun)
{
	struct snapshot_tree t;
	struct err e;

	if (!vm || snapshot_list(m, vm, &t, &e))
		return;
	for (size_t i = 0; i < t.n; i++)
		offer(t.list[i].name, begun);
	snapshot_tree_free(&t);
}

static void offer_operand(const struct cli_verb *v, char **words, int n, const char *begun)
{
	const char *first = NULL;
	unsigned before = 0;
	struct manager *m;
	struct err e;
	char kind[32];

	for (int i = 0; i < n; i++) {
		if (wants_value(v, words[i]))
			i++;
		else if (*words[i] != '-' && !before++)
			first = words[i];
	}
	if ((int)before >= v->max)
		return;
	operand_kind(v->operands, before, kind);
	if (manager_open(&m, &e))
		return;
	if (!strcmp(kind, "NAME"))
		offer_vms(m, begun);
	else if (!strcmp(kind, "SNAPSHOT"))
		offer_snapshots(m, first, begun);
	manager_close(m);
}

/* ---- the line ------------------------------------------------------------------------------- */

/* Words of the line behind "baton"; the last is the one that is being typed, perhaps empty. */
static int split(char *line, char **words)
{
	int n = 0;
	char *word;

	while ((word = strsep(&line, " \t")))
		if (n < MAX_WORDS && (*word || !line))
			words[n++] = word;
	memmove(words, words + 1, (size_t)(n ? n - 1 : 0) * sizeof(*words));
	return n - 1;
}

int cli_complete(char *line)
{
	char *words[MAX_WORDS];
	int n = split(line, words), used;
	const struct cli_verb *v;
	const char *begun;

	if (n < 1)
		return CLI_OK;
	begun = words[n - 1];
	v = cli_find(words, n - 1, &used);
	if (!v && n == 1)
		offer_verbs(cli_verbs, begun);
	else if (v && v->sub)
		offer_verbs(v->sub, begun);
	else if (v && n - 1 > used && wants_value(v, words[n - 2]))
		return CLI_OK;
	else if (v && *begun == '-')
		offer_all_options(v, begun);
	else if (v)
		offer_operand(v, words + used, n - 1 - used, begun);
	return CLI_OK;
}
