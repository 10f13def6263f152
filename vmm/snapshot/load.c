/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a saved state into a machine, piece by piece, trusting none of them. */
#include "vmm/snapshot/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vmm/snapshot/describe.h"
#include "vmm/snapshot/objects.h"

struct load {
	struct machine *machine;
	struct state_reader *reader;
	struct objects objects;
	uint64_t next_memory; /* STATE_MEMORY_AT: chunks come in ascending order */
	bool paused;          /* by its user, when it was saved */
};

/* ---- description ---------------------------------------------------------------------------- */

int load_description(struct state_reader *r, json_t **out, struct err *e)
{
	struct state_section s;
	char *text;
	int rc;

	if (state_next(r, &s, e))
		return e->code;
	text = malloc(s.len);
	if (!text)
		return err_set(e, -ENOMEM, "loading: out of memory");
	rc = state_take(r, text, e);
	*out = rc ? NULL : json_loadb(text, s.len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (!rc && (!json_is_object(json_object_get(*out, "machine")) ||
		    !json_is_object(json_object_get(*out, "about")))) {
		json_decref(*out);
		*out = NULL;
		rc = err_set(e, -EINVAL, "the saved state's description is not understood");
	}
	return rc;
}

static int check_description(struct load *l, struct err *e)
{
	json_t *saved, *here;
	int rc = load_description(l->reader, &saved, e);

	if (rc)
		return rc;
	l->paused = json_is_true(json_object_get(json_object_get(saved, "about"), "paused"));
	here = machine_describe(l->machine);
	rc = here ? description_match(saved, here, e)
		  : err_set(e, -ENOMEM, "loading: out of memory");
	json_decref(here);
	json_decref(saved);
	return rc;
}

/* ---- records -------------------------------------------------------------------------------- */

static struct object *find_object(struct load *l, const char *name, uint64_t instance)
{
	for (unsigned i = 0; i < l->objects.n; i++) {
		struct object *o = &l->objects.list[i];

		if (o->instance == instance && !strcmp(o->desc->name, name))
			return o;
	}
	return NULL;
}

static int load_object(struct load *l, const uint8_t *data, size_t len, uint64_t instance,
		       struct err *e)
{
	char name[STATE_MAX_NAME];
	struct object *o;
	size_t used;

	if (state_record_name(data, len, name, e))
		return e->code;
	o = find_object(l, name, instance);
	if (!o)
		return err_set(e, -EINVAL,
			       "the saved state has a record of \"%s\" %llu, which "
			       "this machine lacks",
			       name, (unsigned long long)instance);
	if (o->loaded)
		return err_set(e, -EINVAL, "the saved state has two records of \"%s\" %llu", name,
			       (unsigned long long)instance);
	if (state_load(o->desc, o->hw, data, len, &used, e))
		return e->code;
	o->loaded = true;
	return used == len ? 0 : err_set(e, -EINVAL, "%s: the record is too long", name);
}

/* No record of this machine is longer than its longest: that bounds the memory. */
static size_t longest_record(const struct objects *o)
{
	size_t max = 0;

	for (unsigned i = 0; i < o->n; i++)
		if (state_size(o->list[i].desc) > max)
			max = state_size(o->list[i].desc);
	return max;
}

static int load_record(struct load *l, const struct state_section *s, struct err *e)
{
	uint8_t *data;
	int rc;

	if (s->len > longest_record(&l->objects))
		return err_set(e, -EINVAL, "the saved state has a record of %u bytes", s->len);
	data = malloc(s->len);
	if (!data)
		return err_set(e, -ENOMEM, "loading: out of memory");
	rc = state_take(l->reader, data, e);
	if (!rc)
		rc = load_object(l, data, s->len, s->where, e);
	free(data);
	return rc;
}

static int check_complete(const struct load *l, struct err *e)
{
	for (unsigned i = 0; i < l->objects.n; i++) {
		const struct object *o = &l->objects.list[i];

		if (!o->loaded)
			return err_set(e, -EINVAL, "the saved state lacks the record of \"%s\" %u",
				       o->desc->name, o->instance);
	}
	return 0;
}

/* ---- memory --------------------------------------------------------------------------------- */

static int load_memory(struct load *l, const struct state_section *s, struct err *e)
{
	const struct guest_memory *m = &l->machine->mem;
	uint64_t slot = STATE_MEMORY_SLOT(s->where), at = STATE_MEMORY_OFFSET(s->where);

	if (slot >= m->nslots || !range_ok(at, s->len, m->slot[slot].size))
		return err_set(
			e, -EINVAL,
			"the saved state has memory at %#llx of slot %llu, where there is none",
			(unsigned long long)at, (unsigned long long)slot);
	if (s->where < l->next_memory)
		return err_set(e, -EINVAL, "the saved state has memory at %#llx of slot %llu twice",
			       (unsigned long long)at, (unsigned long long)slot);
	l->next_memory = s->where + s->len;
	return state_take(l->reader, m->slot[slot].host + at, e);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int load_sections(struct load *l, struct err *e)
{
	struct state_section s;

	do {
		int rc = state_next(l->reader, &s, e);

		if (!rc && s.type == STATE_RECORD)
			rc = load_record(l, &s, e);
		else if (!rc && s.type == STATE_MEMORY)
			rc = load_memory(l, &s, e);
		else if (!rc)
			rc = state_skip(l->reader, e);
		if (rc)
			return rc;
	} while (s.type != STATE_END);
	return check_complete(l, e);
}

int machine_load(struct machine *m, state_read_fn *read, void *opaque, struct err *e)
{
	struct load l = {.machine = m};
	int rc = state_reader_open(&l.reader, read, opaque, e);

	if (!rc)
		rc = check_description(&l, e);
	if (!rc)
		rc = objects_list(m, &l.objects, e);
	if (!rc)
		rc = load_sections(&l, e);
	if (!rc)
		rc = objects_apply(m, &l.objects, e);
	if (!rc && l.paused)
		machine_pause(m);
	objects_free(&l.objects);
	state_reader_close(l.reader);
	return rc;
}
