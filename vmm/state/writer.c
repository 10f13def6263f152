/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the sections of a saved machine. */
#include "vmm/state/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "vmm/state/wire.h"

#define LEVEL 1 /* of zstd: the guest waits for a save */

struct state_writer {
	state_write_fn *write;
	void *opaque;
	ZSTD_CCtx *zstd;
	uint8_t *buf; /* a section's head and its stored bytes */
	size_t cap;
};

int state_writer_open(struct state_writer **out, state_write_fn *write, void *opaque, struct err *e)
{
	struct wire_header h = {.magic = WIRE_MAGIC, .version = STATE_VERSION};
	struct state_writer *w = calloc(1, sizeof(*w));

	_Static_assert(sizeof(WIRE_MAGIC) - 1 == sizeof(h.magic), "no NUL");
	if (w)
		w->zstd = ZSTD_createCCtx();
	if (!w || !w->zstd) {
		free(w);
		return err_set(e, -ENOMEM, "saving: out of memory");
	}
	w->write = write;
	w->opaque = opaque;
	if (write(opaque, &h, sizeof(h), e)) {
		state_writer_close(w);
		return e->code;
	}
	*out = w;
	return 0;
}

static int make_room(struct state_writer *w, size_t len, struct err *e)
{
	size_t need = sizeof(struct wire_section) + ZSTD_compressBound(len);
	uint8_t *p;

	if (w->cap >= need)
		return 0;
	p = realloc(w->buf, need);
	if (!p)
		return err_set(e, -ENOMEM, "saving: out of memory");
	w->buf = p;
	w->cap = need;
	return 0;
}

int state_put(struct state_writer *w, enum state_section_type type, uint64_t where,
	      const void *data, size_t len, struct err *e)
{
	struct wire_section h = {.type = type, .len = (uint32_t)len, .where = where};
	size_t stored = 0;

	if (make_room(w, len, e))
		return e->code;
	if (len)
		stored = ZSTD_compressCCtx(w->zstd, w->buf + sizeof(h), w->cap - sizeof(h), data,
					   len, LEVEL);
	if (ZSTD_isError(stored))
		return err_set(e, -EIO, "saving: zstd: %s", ZSTD_getErrorName(stored));
	h.stored = (uint32_t)stored;
	h.check = wire_check(&h, w->buf + sizeof(h));
	memcpy(w->buf, &h, sizeof(h));
	return w->write(w->opaque, w->buf, sizeof(h) + stored, e);
}

void state_writer_close(struct state_writer *w)
{
	if (!w)
		return;
	ZSTD_freeCCtx(w->zstd);
	free(w->buf);
	free(w);
}
