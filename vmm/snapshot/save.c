/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a machine's image and writes it as a stream: description, records, memory, end. */
#include "vmm/snapshot/save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/describe.h"
#include "vmm/snapshot/objects.h"

/* ---- taking --------------------------------------------------------------------------------- */

static int take_records(struct image *i, const struct objects *o, struct err *e)
{
	i->index = calloc(o->n, sizeof(*i->index));
	if (!i->index)
		return err_set(e, -ENOMEM, "saving: out of memory");
	for (unsigned n = 0; n < o->n; n++) {
		const struct object *x = &o->list[n];

		if (state_save(x->desc, x->hw, &i->record))
			return err_set(e, -ENOMEM, "saving: out of memory");
		i->index[n] = (struct image_record){x->instance, state_size(x->desc)};
		i->nrecords++;
	}
	return 0;
}

static int take_description(struct image *i, const struct machine *m, struct err *e)
{
	json_t *d = machine_describe(m);

	i->description = d ? json_dumps(d, JSON_COMPACT) : NULL;
	json_decref(d);
	return i->description ? 0 : err_set(e, -ENOMEM, "saving: out of memory");
}

int image_take(struct machine *m, struct image *i, bool with_memory, struct err *e)
{
	struct objects o;
	int rc;

	memset(i, 0, sizeof(*i));
	i->mem = with_memory ? &m->mem : NULL;
	if (objects_list(m, &o, e))
		return e->code;
	rc = objects_gather(m, &o, e);
	if (!rc)
		rc = take_records(i, &o, e);
	if (!rc)
		rc = take_description(i, m, e);
	objects_free(&o);
	return rc;
}

void image_free(struct image *i)
{
	free(i->description);
	free(i->record.data);
	free(i->index);
	memset(i, 0, sizeof(*i));
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

struct progress {
	image_progress_fn *fn;
	void *opaque;
	uint64_t done, total;
};

static void add_progress(struct progress *p, uint64_t len)
{
	p->done += len;
	if (p->fn)
		p->fn(p->opaque, p->done, p->total);
}

/* Chunks of zeros are left out: that is what memory holds before it is loaded. */
static int write_slot(struct state_writer *w, const struct guest_memory *m, unsigned slot,
		      struct progress *p, struct err *e)
{
	const struct mem_slot *s = &m->slot[slot];

	for (uint64_t at = 0; at < s->size;) {
		size_t len = s->size - at < STATE_CHUNK ? s->size - at : STATE_CHUNK;

		if (!is_zero(s->host + at, len) &&
		    state_put(w, STATE_MEMORY, STATE_MEMORY_AT(slot, at), s->host + at, len, e))
			return e->code;
		at += len;
		add_progress(p, len);
	}
	return 0;
}

static int write_memory(struct state_writer *w, const struct guest_memory *m, struct progress *p,
			struct err *e)
{
	for (unsigned i = 0; i < m->nslots; i++)
		p->total += m->slot[i].size;
	for (unsigned i = 0; i < m->nslots; i++)
		if (write_slot(w, m, i, p, e))
			return e->code;
	return 0;
}

static int write_records(struct state_writer *w, const struct image *i, struct err *e)
{
	size_t at = 0;

	for (unsigned n = 0; n < i->nrecords; n++) {
		const struct image_record *r = &i->index[n];

		if (state_put(w, STATE_RECORD, r->instance, i->record.data + at, r->len, e))
			return e->code;
		at += r->len;
	}
	return 0;
}

int image_write(const struct image *i, state_write_fn *write, void *opaque,
		image_progress_fn *progress, void *progress_opaque, struct err *e)
{
	struct progress p = {.fn = progress, .opaque = progress_opaque};
	struct state_writer *w = NULL;
	int rc = state_writer_open(&w, write, opaque, e);

	if (!rc)
		rc = state_put(w, STATE_DESCRIPTION, 0, i->description, strlen(i->description), e);
	if (!rc)
		rc = write_records(w, i, e);
	if (!rc && i->mem)
		rc = write_memory(w, i->mem, &p, e);
	if (!rc)
		rc = state_put(w, STATE_END, 0, NULL, 0, e);
	state_writer_close(w);
	return rc;
}
