/* SPDX-License-Identifier: Apache-2.0 */
/* A cache of tables, found by index in constant time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/image/qcow2.h"

int tables_init(struct tables *t, uint64_t entries, unsigned limit)
{
	*t = (struct tables){.limit = limit};
	return tables_grow(t, entries);
}

int tables_grow(struct tables *t, uint64_t entries)
{
	uint32_t *where = realloc(t->where, (entries + 1) * sizeof(*where));

	if (!where)
		return -ENOMEM;
	memset(where + t->entries, 0, (entries + 1 - t->entries) * sizeof(*where));
	t->where = where;
	t->entries = entries;
	return 0;
}

void tables_free(struct tables *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		free(t->table[i]->data);
		free(t->table[i]);
	}
	free(t->table);
	free(t->where);
	*t = (struct tables){0};
}

struct table *tables_find(struct tables *t, uint64_t index)
{
	struct table *found;

	if (index >= t->entries || !t->where[index])
		return NULL;
	found = t->table[t->where[index] - 1];
	found->used = ++t->clock;
	return found;
}

void tables_drop(struct tables *t, struct table *old)
{
	uint32_t at = t->where[old->index];
	struct table *last = t->table[t->n - 1];

	t->table[at - 1] = last;
	t->where[last->index] = at;
	t->where[old->index] = 0;
	t->n--;
	free(old->data);
	free(old);
}

static void drop_oldest(struct tables *t)
{
	struct table *oldest = NULL;

	for (unsigned i = 0; i < t->n; i++)
		if (!t->table[i]->dirty && (!oldest || t->table[i]->used < oldest->used))
			oldest = t->table[i];
	if (oldest)
		tables_drop(t, oldest);
}

static bool make_room(struct tables *t)
{
	unsigned room = t->room ? 2 * t->room : 16;
	struct table **bigger;

	if (t->n < t->room)
		return true;
	bigger = realloc(t->table, room * sizeof(*bigger));
	if (!bigger)
		return false;
	t->table = bigger;
	t->room = room;
	return true;
}

struct table *tables_add(struct tables *t, uint64_t index, uint64_t size)
{
	struct table *new;

	if (t->n >= t->limit)
		drop_oldest(t);
	new = calloc(1, sizeof(*new));
	if (new)
		new->data = calloc(1, size);
	if (!new || !new->data || !make_room(t)) {
		if (new)
			free(new->data);
		free(new);
		return NULL;
	}
	new->index = index;
	new->used = ++t->clock;
	t->table[t->n++] = new;
	t->where[index] = t->n;
	return new;
}
