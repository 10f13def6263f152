/* SPDX-License-Identifier: Apache-2.0 */
/* A saved state in memory, and how a reader reads it. */
#ifndef TESTS_UNIT_STATE_MEMORY_STREAM_H
#define TESTS_UNIT_STATE_MEMORY_STREAM_H

#include <stdlib.h>
#include <string.h>

#include "vmm/state/stream.h"

struct memory_stream {
	uint8_t *data;
	size_t len, pos;
};

static inline int memory_write(void *opaque, const void *data, size_t len, struct err *e)
{
	struct memory_stream *m = opaque;

	(void)e;
	m->data = realloc(m->data, m->len + len);
	memcpy(m->data + m->len, data, len);
	m->len += len;
	return 0;
}

static inline int memory_read(void *opaque, void *buf, size_t len, size_t *got, struct err *e)
{
	struct memory_stream *m = opaque;

	(void)e;
	*got = m->len - m->pos < len ? m->len - m->pos : len;
	memcpy(buf, m->data + m->pos, *got);
	m->pos += *got;
	return 0;
}

#endif
