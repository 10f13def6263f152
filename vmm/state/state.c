/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of saved objects. Layout, all little-endian:
 *   u16 name length, name, u16 version, u32 payload length, then per field
 *   u16 tag, u16 element size, u32 count, elements.
 */
#include "vmm/state/state.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

static int put(struct state_buf *b, const void *data, size_t len)
{
	if (b->cap - b->len < len) {
		size_t cap = (b->cap + len) * 2;
		uint8_t *p = realloc(b->data, cap);

		if (!p)
			return -ENOMEM;
		b->data = p;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

static int put16(struct state_buf *b, uint16_t v)
{
	v = htole16(v);
	return put(b, &v, sizeof(v));
}

static int put32(struct state_buf *b, uint32_t v)
{
	v = htole32(v);
	return put(b, &v, sizeof(v));
}

/* The host is little-endian (x86), so elements are copied as they are. */
static int put_field(struct state_buf *b, const struct state_field *f, const void *obj)
{
	if (put16(b, f->tag) || put16(b, f->size) || put32(b, f->count))
		return -ENOMEM;
	return put(b, (const uint8_t *)obj + f->offset, (size_t)f->size * f->count);
}

static uint32_t payload_size(const struct state_desc *d)
{
	uint32_t size = 0;

	for (const struct state_field *f = d->fields; f->tag; f++)
		size += 8 + (uint32_t)f->size * f->count;
	return size;
}

size_t state_size(const struct state_desc *d)
{
	return 2 + strlen(d->name) + 2 + 4 + payload_size(d);
}

int state_save(const struct state_desc *d, const void *obj, struct state_buf *out)
{
	uint16_t namelen = (uint16_t)strlen(d->name);
	uint32_t payload = payload_size(d);

	if (put16(out, namelen) || put(out, d->name, namelen) || put16(out, d->version) ||
	    put32(out, payload))
		return -ENOMEM;
	for (const struct state_field *f = d->fields; f->tag; f++)
		if (put_field(out, f, obj))
			return -ENOMEM;
	return 0;
}

struct reader {
	const uint8_t *data;
	size_t len, pos;
	uint16_t version; /* of the record */
};

static bool get(struct reader *r, void *out, size_t n)
{
	if (!range_ok(r->pos, n, r->len))
		return false;
	memcpy(out, r->data + r->pos, n);
	r->pos += n;
	return true;
}

static const struct state_field *find_field(const struct state_desc *d, uint16_t tag)
{
	for (const struct state_field *f = d->fields; f->tag; f++)
		if (f->tag == tag)
			return f;
	return NULL;
}

static bool get_name(struct reader *r, char name[STATE_MAX_NAME])
{
	uint16_t len;

	memset(name, 0, STATE_MAX_NAME);
	return get(r, &len, 2) && len < STATE_MAX_NAME && get(r, name, len);
}

int state_record_name(const uint8_t *data, size_t len, char name[STATE_MAX_NAME], struct err *e)
{
	struct reader r = {.data = data, .len = len};

	if (!get_name(&r, name) || !*name || strlen(name) + 2 != r.pos)
		return err_set(e, -EINVAL, "a record without a name");
	return 0;
}

static int load_header(const struct state_desc *d, struct reader *r, struct err *e)
{
	char name[STATE_MAX_NAME];
	uint16_t version;
	uint32_t payload;

	if (!get_name(r, name) || !get(r, &version, 2) || !get(r, &payload, 4))
		return err_set(e, -EINVAL, "%s: the record's header is damaged", d->name);
	if (strcmp(name, d->name))
		return err_set(e, -EINVAL, "%s: found a record of \"%s\" instead", d->name, name);
	if (!version || version > d->version)
		return err_set(e, -EINVAL, "%s: version %u, this program knows up to %u", d->name,
			       version, d->version);
	if (!range_ok(r->pos, payload, r->len))
		return err_set(e, -EINVAL, "%s: the record is cut short", d->name);
	r->len = r->pos + payload;
	r->version = version;
	return 0;
}

static int load_field(const struct state_desc *d, struct reader *r, uint8_t *scratch,
		      const struct state_field **out, struct err *e)
{
	const struct state_field *f;
	uint16_t tag, size;
	uint32_t count;

	if (!get(r, &tag, 2) || !get(r, &size, 2) || !get(r, &count, 4))
		return err_set(e, -EINVAL, "%s: a field is cut short", d->name);
	f = find_field(d, tag);
	if (!f)
		return err_set(e, -EINVAL, "%s: unknown field %u", d->name, tag);
	if (size != f->size || count != f->count ||
	    !get(r, scratch + f->offset, (size_t)size * count))
		return err_set(e, -EINVAL, "%s.%s: wrong length", d->name, f->name);
	*out = f;
	return 0;
}

static int load_fields(const struct state_desc *d, struct reader *r, uint8_t *scratch,
		       uint8_t *seen, struct err *e)
{
	while (r->pos < r->len) {
		const struct state_field *f = d->fields;

		if (load_field(d, r, scratch, &f, e))
			return e ? e->code : -EINVAL;
		if (seen[f - d->fields]++)
			return err_set(e, -EINVAL, "%s.%s: there twice", d->name, f->name);
	}
	for (const struct state_field *f = d->fields; f->tag; f++)
		if (!seen[f - d->fields] && f->since <= r->version)
			return err_set(e, -EINVAL, "%s.%s: missing", d->name, f->name);
	return 0;
}

static size_t field_count(const struct state_desc *d)
{
	size_t n = 0;

	while (d->fields[n].tag)
		n++;
	return n;
}

int state_load(const struct state_desc *d, void *obj, const uint8_t *data, size_t len, size_t *used,
	       struct err *e)
{
	struct reader r = {.data = data, .len = len};
	uint8_t *scratch = calloc(1, d->size + field_count(d));
	int rc;

	if (!scratch)
		return err_set(e, -ENOMEM, "%s: out of memory", d->name);
	memcpy(scratch, obj, d->size);
	rc = load_header(d, &r, e);
	if (!rc)
		rc = load_fields(d, &r, scratch, scratch + d->size, e);
	if (!rc) {
		memcpy(obj, scratch, d->size);
		*used = r.pos;
	}
	free(scratch);
	return rc;
}
