/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the sections of a saved machine, which may be anything at all. */
#include "vmm/state/stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "vmm/state/wire.h"

struct state_reader {
	state_read_fn *read;
	void *opaque;
	ZSTD_DCtx *zstd;
	struct wire_section head; /* of the section whose content was not taken yet */
	bool has_head, started, ended;
	uint8_t *buf; /* stored bytes */
	size_t cap;
};

static const struct {
	const char *name;
	uint32_t max;
} types[] = {
	[STATE_DESCRIPTION] = {"machine description", STATE_MAX_DESCRIPTION},
	[STATE_RECORD] = {"record", STATE_MAX_RECORD},
	[STATE_MEMORY] = {"memory", STATE_CHUNK},
	[STATE_END] = {"end", 0},
};

#define NTYPES (sizeof(types) / sizeof(types[0]))

static int read_all(struct state_reader *r, void *buf, size_t len, struct err *e)
{
	size_t got = 0;
	int rc = r->read(r->opaque, buf, len, &got, e);

	if (!rc && got < len)
		rc = err_set(e, -EINVAL, "the saved state is cut short");
	return rc;
}

static int check_header(struct state_reader *r, struct err *e)
{
	struct wire_header h = {0};
	size_t got = 0;
	int rc = r->read(r->opaque, &h, sizeof(h), &got, e);

	if (rc)
		return rc;
	if (got < sizeof(h) || memcmp(h.magic, WIRE_MAGIC, sizeof(h.magic)))
		return err_set(e, -EINVAL, "not a saved machine");
	if (h.version != STATE_VERSION || h.zero)
		return err_set(e, -ENOTSUP,
			       "a saved state of version %u; this program knows version %u",
			       h.version, STATE_VERSION);
	return 0;
}

int state_reader_open(struct state_reader **out, state_read_fn *read, void *opaque, struct err *e)
{
	struct state_reader *r = calloc(1, sizeof(*r));

	if (r)
		r->zstd = ZSTD_createDCtx();
	if (!r || !r->zstd) {
		free(r);
		return err_set(e, -ENOMEM, "loading: out of memory");
	}
	r->read = read;
	r->opaque = opaque;
	if (check_header(r, e)) {
		state_reader_close(r);
		return e->code;
	}
	*out = r;
	return 0;
}

static int check_section(const struct state_reader *r, struct err *e)
{
	const struct wire_section *h = &r->head;

	if (!h->type || h->type >= NTYPES)
		return err_set(e, -EINVAL, "the saved state has a section of unknown type %u",
			       h->type);
	if (h->len > types[h->type].max || (!h->len && h->type != STATE_END) || h->zero)
		return err_set(e, -EINVAL, "the saved state: a section \"%s\" of %u bytes",
			       types[h->type].name, h->len);
	if (h->stored > ZSTD_compressBound(h->len) || !h->stored != !h->len)
		return err_set(e, -EINVAL, "the saved state: a section \"%s\" stored in %u bytes",
			       types[h->type].name, h->stored);
	if ((h->type == STATE_DESCRIPTION) == r->started)
		return err_set(e, -EINVAL,
			       r->started ? "the saved state has a second machine description"
					  : "the saved state lacks its machine description");
	return 0;
}

int state_next(struct state_reader *r, struct state_section *s, struct err *e)
{
	if (r->has_head && state_skip(r, e))
		return e->code;
	if (r->ended)
		return err_set(e, -EINVAL, "the saved state has ended");
	if (read_all(r, &r->head, sizeof(r->head), e) || check_section(r, e))
		return e->code;
	r->has_head = r->started = true;
	*s = (struct state_section){r->head.type, r->head.len, r->head.where};
	return 0;
}

/* Reads the stored bytes and compares the checksum. */
static int fetch(struct state_reader *r, struct err *e)
{
	r->has_head = false;
	if (r->cap < r->head.stored) {
		free(r->buf);
		r->cap = 0;
		r->buf = malloc(r->head.stored);
		if (!r->buf)
			return err_set(e, -ENOMEM, "loading: out of memory");
		r->cap = r->head.stored;
	}
	if (r->head.stored && read_all(r, r->buf, r->head.stored, e))
		return e->code;
	if (wire_check(&r->head, r->buf) != r->head.check)
		return err_set(e, -EINVAL,
			       "the saved state is damaged: checksum of a section "
			       "\"%s\"",
			       types[r->head.type].name);
	r->ended = r->head.type == STATE_END;
	return 0;
}

int state_take(struct state_reader *r, void *buf, struct err *e)
{
	size_t n;

	if (fetch(r, e))
		return e->code;
	if (!r->head.len)
		return 0;
	n = ZSTD_decompressDCtx(r->zstd, buf, r->head.len, r->buf, r->head.stored);
	if (ZSTD_isError(n) || n != r->head.len)
		return err_set(e, -EINVAL, "the saved state: a section \"%s\" does not decompress",
			       types[r->head.type].name);
	return 0;
}

int state_skip(struct state_reader *r, struct err *e)
{
	return fetch(r, e);
}

void state_reader_close(struct state_reader *r)
{
	if (!r)
		return;
	ZSTD_freeDCtx(r->zstd);
	free(r->buf);
	free(r);
}
