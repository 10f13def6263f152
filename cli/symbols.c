/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of System.map, and look-ups in it. */
#include "cli/symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct symbols *s, uint64_t addr, const char *name)
{
	if ((s->n & (s->n - 1)) == 0) { /* a power of two: full */
		struct symbol *more =
			realloc(s->list, (s->n ? 2 * s->n : 1) * sizeof(struct symbol));

		if (!more)
			return -ENOMEM;
		s->list = more;
	}
	s->list[s->n].addr = addr;
	s->list[s->n].name = strdup(name);
	return s->list[s->n++].name ? 0 : -ENOMEM;
}

/* Types t, T, w and W are code. */
static int add_line(struct symbols *s, const char *line)
{
	unsigned long long addr;
	char type, name[256];

	if (sscanf(line, "%llx %c %255s", &addr, &type, name) != 3)
		return -EINVAL;
	return strchr("tTwW", type) ? add(s, addr, name) : 0;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static int read_lines(struct symbols *s, FILE *f, const char *path, struct err *e)
{
	char line[512];
	int rc = 0;

	for (unsigned n = 1; !rc && fgets(line, sizeof(line), f); n++) {
		rc = add_line(s, line);
		if (rc)
			err_set(e, rc, "%s, line %u: %s", path, n,
				rc == -EINVAL ? "not of the form \"ADDRESS TYPE NAME\""
					      : "out of memory");
	}
	if (!rc && !s->n)
		rc = err_set(e, -EINVAL,
			     "%s: no symbol of code is in it (Debian's System.map is empty: "
			     "/proc/kallsyms of the guest has them)",
			     path);
	return rc;
}

int symbols_load(struct symbols *s, const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");
	int rc;

	*s = (struct symbols){0};
	if (!f)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	rc = read_lines(s, f, path, e);
	fclose(f);
	if (rc)
		symbols_free(s);
	else
		qsort(s->list, s->n, sizeof(*s->list), by_address);
	return rc;
}

void symbols_free(struct symbols *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->list[i].name);
	free(s->list);
	*s = (struct symbols){0};
}

const struct symbol *symbols_at(const struct symbols *s, uint64_t addr)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->list[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &s->list[lo - 1] : NULL;
}

const struct symbol *symbols_named(const struct symbols *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->list[i].name, name))
			return &s->list[i];
	return NULL;
}
