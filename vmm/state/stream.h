/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved machine as a stream of checked, compressed sections; see docs/state.md for the bytes.
 *
 *   header, description, then records and memory chunks in any order, end
 *
 * Where the bytes go to or come from is the caller's: two functions, so that the same stream lies
 * in a file or crosses a network. A reader takes the input for hostile: it allocates at most
 * what a section may hold, checks each section's checksum before anybody sees its content,
 * and names what is wrong.
 */
#ifndef VMM_STATE_STREAM_H
#define VMM_STATE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STATE_VERSION 1 /* of the stream; each record has a version of its own */

#define STATE_CHUNK           (1u << 20)  /* bytes of memory in one section, at most */
#define STATE_MAX_RECORD      (64u << 20) /* bytes of one record, at most */
#define STATE_MAX_DESCRIPTION (256u << 10)

/* Memory is named by its slot in the description, because device memory moves. */
#define STATE_MEMORY_AT(slot, offset) ((uint64_t)(slot) << 48 | (offset))
#define STATE_MEMORY_SLOT(where)      ((where) >> 48)
#define STATE_MEMORY_OFFSET(where)    ((where)&0xffffffffffffull)

enum state_section_type {
	STATE_DESCRIPTION = 1, /* JSON text: the machine this state fits; `where` is 0 */
	STATE_RECORD = 2,      /* one object as state_save() writes it; `where`: its instance */
	STATE_MEMORY = 3,      /* part of guest memory; `where`: STATE_MEMORY_AT */
	STATE_END = 4,         /* empty; nothing follows */
};

struct state_section {
	enum state_section_type type;
	uint32_t len;   /* of the content, uncompressed, in bytes */
	uint64_t where; /* as the type says */
};

/* ---- writing -------------------------------------------------------------------------------- */

/* Writes all `len` bytes or says why not. */
typedef int state_write_fn(void *opaque, const void *data, size_t len, struct err *e);

struct state_writer;

/* Writes the stream's header. */
int state_writer_open(struct state_writer **out, state_write_fn *write, void *opaque,
		      struct err *e);
int state_put(struct state_writer *w, enum state_section_type type, uint64_t where,
	      const void *data, size_t len, struct err *e);
void state_writer_close(struct state_writer *w); /* NULL is allowed */

/* ---- reading -------------------------------------------------------------------------------- */

/* Reads exactly `len` bytes; *got < len only at the end of the input. */
typedef int state_read_fn(void *opaque, void *buf, size_t len, size_t *got, struct err *e);

struct state_reader;

/* Checks the stream's header: -EINVAL when it is none, -ENOTSUP for a version not known here. */
int state_reader_open(struct state_reader **out, state_read_fn *read, void *opaque, struct err *e);
/*
 * The next section's head; its content must be taken or skipped before the next call. The first
 * section is the description.
 */
int state_next(struct state_reader *r, struct state_section *s, struct err *e);
/* Puts the content (s->len bytes) into `buf`; nobody must use it when this fails. */
int state_take(struct state_reader *r, void *buf, struct err *e);
int state_skip(struct state_reader *r, struct err *e); /* checks the checksum all the same */
void state_reader_close(struct state_reader *r);       /* NULL is allowed */

#endif
