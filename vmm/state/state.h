/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an object describes what must survive a save: one table of fields, used for both directions,
 * by snapshots, migration and inspection alike. Values are little-endian, each with its tag and
 * length. Tags are for ever: append only. An unknown, missing or doubled tag is an error that names
 * it. docs/state.md has the rules for changes.
 */
#ifndef VMM_STATE_STATE_H
#define VMM_STATE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct state_field {
	uint16_t tag;    /* unique in its table, never reused; 0 ends the table */
	uint16_t size;   /* bytes of one element: 1, 2, 4, 8 */
	uint32_t count;  /* elements; 1 for a scalar */
	uint32_t offset; /* in the saved struct */
	const char *name;
	uint16_t since; /* version of the record that has it first; 0: every one has it */
};

/* A row for a field that came with a later version: older records leave it as reset made it. */
#define ST_SINCE(version, tag, type, field)                                                  \
	{                                                                                    \
		(tag), sizeof(((type *)0)->field), 1, offsetof(type, field), #field, version \
	}
#define ST(tag, type, field)                                                        \
	{                                                                           \
		(tag), sizeof(((type *)0)->field), 1, offsetof(type, field), #field \
	}
#define ST_ARR(tag, type, field)                                                    \
	{                                                                           \
		(tag), sizeof(((type *)0)->field[0]),                               \
			sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]), \
			offsetof(type, field), #field                               \
	}
#define ST_END                   \
	{                        \
		0, 0, 0, 0, NULL \
	}

struct state_desc {
	const char *name; /* e.g. "uart"; with the instance number it is the record's key */
	uint16_t version; /* from 1; raised when a field is added */
	size_t size;      /* sizeof the saved struct */
	const struct state_field *fields;
};

struct state_buf {
	uint8_t *data; /* grown with realloc; the caller frees it */
	size_t len, cap;
};

/* Bytes of a record of this object. */
size_t state_size(const struct state_desc *d);

#define STATE_MAX_NAME 64

/* The name in a record's header, for finding its table; -EINVAL when it is damaged. */
int state_record_name(const uint8_t *data, size_t len, char name[STATE_MAX_NAME], struct err *e);

/* Appends one record. -ENOMEM only. */
int state_save(const struct state_desc *d, const void *obj, struct state_buf *out);

/*
 * Reads one record from [data, data+len) into `obj` (sizeof d->size) and sets *used. On an error
 * `obj` is untouched. The object's owner checks values and re-derives lines and timers afterwards.
 */
int state_load(const struct state_desc *d, void *obj, const uint8_t *data, size_t len, size_t *used,
	       struct err *e);

#endif
