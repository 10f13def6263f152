/* SPDX-License-Identifier: Apache-2.0 */
/* The list of verbs, and how words on a command line name one. */
#include <string.h>

#include "cli/cli.h"

const struct cli_verb *const cli_verbs[] = {
#define SECTION(title)
#define VERB(name) &cli_##name,
#include "cli/verbs.def"
#undef VERB
#undef SECTION
	NULL,
};

/* The last word of a name: "take" of "snapshot take". */
static const char *last_word(const char *name)
{
	const char *space = strrchr(name, ' ');

	return space ? space + 1 : name;
}

static const struct cli_verb *find_in(const struct cli_verb *const *list, const char *word)
{
	for (; *list; list++)
		if (!strcmp(last_word((*list)->name), word))
			return *list;
	return NULL;
}

const struct cli_verb *cli_find(char **words, int n, int *used)
{
	const struct cli_verb *v = n > 0 ? find_in(cli_verbs, words[0]) : NULL, *sub = NULL;

	*used = v ? 1 : 0;
	if (v && v->sub && n > 1)
		sub = find_in(v->sub, words[1]);
	if (!sub)
		return v;
	*used = 2;
	return sub;
}
