/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a saved state with the tables that it was written by, and tells what is in it. */
#include "vmm/snapshot/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/file.h"
#include "vmm/snapshot/load.h"
#include "vmm/snapshot/objects.h"

#define BYTES_AS_LIST 16 /* a longer string of bytes is one text */

/* ---- fields --------------------------------------------------------------------------------- */

static json_t *value(const uint8_t *p, unsigned size)
{
	char text[24];
	uint64_t v = 0;

	memcpy(&v, p, size);
	if (size < 8)
		return json_integer((json_int_t)v);
	snprintf(text, sizeof(text), "%#llx", (unsigned long long)v);
	return json_string(text);
}

static json_t *bytes(const uint8_t *p, size_t n)
{
	char *text = malloc(2 * n + 1);
	json_t *o;

	for (size_t i = 0; text && i < n; i++)
		sprintf(text + 2 * i, "%02x", p[i]);
	o = text ? json_string(text) : NULL;
	free(text);
	return o;
}

static json_t *field(const struct state_field *f, const uint8_t *object)
{
	const uint8_t *p = object + f->offset;
	json_t *list;

	if (f->count == 1)
		return value(p, f->size);
	if (f->size == 1 && f->count > BYTES_AS_LIST)
		return bytes(p, f->count);
	list = json_array();
	for (uint32_t i = 0; i < f->count; i++)
		json_array_append_new(list, value(p + (size_t)i * f->size, f->size));
	return list;
}

static json_t *fields(const struct state_desc *d, const uint8_t *object)
{
	json_t *o = json_object();

	for (const struct state_field *f = d->fields; f->tag; f++)
		json_object_set_new(o, f->name, field(f, object));
	return o;
}

/* ---- records -------------------------------------------------------------------------------- */

static int add_known(const struct state_desc *d, const uint8_t *data, size_t len, json_t *record,
		     struct err *e)
{
	uint8_t *object = calloc(1, d->size);
	size_t used;
	int rc;

	if (!object)
		return err_set(e, -ENOMEM, "out of memory");
	rc = state_load(d, object, data, len, &used, e);
	if (!rc)
		json_object_set_new(record, "fields", fields(d, object));
	free(object);
	return rc;
}

/* A record that this program does not know is listed without its fields. */
static int add_record(json_t *list, const struct state_section *s, const uint8_t *data,
		      struct err *e)
{
	char name[STATE_MAX_NAME];
	const struct state_desc *d;
	json_t *record;

	if (state_record_name(data, s->len, name, e))
		return e->code;
	record = json_pack("{s:s, s:I, s:i}", "name", name, "instance", (json_int_t)s->where,
			   "bytes", (int)s->len);
	if (!record)
		return err_set(e, -EINVAL, "a record's name is not UTF-8");
	json_array_append_new(list, record);
	d = state_desc_find(name);
	return d ? add_known(d, data, s->len, record, e) : 0;
}

static int read_record(struct state_reader *r, const struct state_section *s, json_t *list,
		       struct err *e)
{
	uint8_t *data = malloc(s->len);
	int rc = data ? state_take(r, data, e) : err_set(e, -ENOMEM, "out of memory");

	if (!rc)
		rc = add_record(list, s, data, e);
	free(data);
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int read_sections(struct state_reader *r, json_t *list, uint64_t *memory, struct err *e)
{
	struct state_section s;
	int rc;

	do {
		rc = state_next(r, &s, e);
		if (!rc && s.type == STATE_RECORD)
			rc = read_record(r, &s, list, e);
		else if (!rc)
			rc = state_skip(r, e);
		if (!rc && s.type == STATE_MEMORY)
			*memory += s.len;
	} while (!rc && s.type != STATE_END);
	return rc;
}

int inspect_state(state_read_fn *read, void *opaque, json_t **out, struct err *e)
{
	struct state_reader *r = NULL;
	json_t *list = json_array(), *o = NULL;
	uint64_t memory = 0;
	int rc = state_reader_open(&r, read, opaque, e);

	if (!rc)
		rc = load_description(r, &o, e);
	if (!rc)
		rc = read_sections(r, list, &memory, e);
	state_reader_close(r);
	if (rc) {
		json_decref(list);
		json_decref(o);
		return rc;
	}
	json_object_set_new(o, "memory_stored", json_integer((json_int_t)memory));
	json_object_set_new(o, "records", list);
	*out = o;
	return 0;
}

int inspect_file(const char *path, json_t **out, struct err *e)
{
	struct state_file f;
	int rc = state_file_open(&f, path, e);

	if (rc)
		return rc;
	rc = inspect_state(state_file_read, &f, out, e);
	state_file_close(&f);
	return rc ? err_prefix(e, "%s", path) : 0;
}
