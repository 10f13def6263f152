/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter lists: see sg.h. */
#include "vmm/device/sg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sg_clear(struct sg *s)
{
	s->n = 0;
	s->len = 0;
}

void sg_free(struct sg *s)
{
	free(s->iov);
	free(s->piece);
	*s = (struct sg){0};
}

static int grow(struct sg *s)
{
	unsigned cap = s->cap ? 2 * s->cap : 16;
	void *iov, *piece;

	if (s->n < s->cap)
		return 0;
	if (s->n == SG_MAX)
		return -E2BIG;
	iov = realloc(s->iov, cap * sizeof(*s->iov));
	if (!iov)
		return -ENOMEM;
	s->iov = iov;
	piece = realloc(s->piece, cap * sizeof(*s->piece));
	if (!piece)
		return -ENOMEM;
	s->piece = piece;
	s->cap = cap;
	return 0;
}

int sg_add(struct sg *s, const struct guest_memory *m, gpa_t gpa, uint64_t len, bool write)
{
	uint8_t *host = mem_ptr(m, gpa, len, write);
	struct sg_piece *last = s->n ? &s->piece[s->n - 1] : NULL;
	int rc;

	if (!len)
		return 0;
	if (!host)
		return -EFAULT;
	if (last && last->gpa + last->len == gpa && last->host + last->len == host) {
		last->len += len;
	} else {
		rc = grow(s);
		if (rc)
			return rc;
		s->piece[s->n++] = (struct sg_piece){gpa, host, len};
	}
	s->len += len;
	return 0;
}

void sg_trim(struct sg *s, uint64_t len)
{
	while (s->len > len) {
		struct sg_piece *last = &s->piece[s->n - 1];
		uint64_t cut = s->len - len < last->len ? s->len - len : last->len;

		last->len -= cut;
		s->len -= cut;
		s->n -= !last->len;
	}
}

struct iovec *sg_iov(struct sg *s)
{
	for (unsigned i = 0; i < s->n; i++)
		s->iov[i] = (struct iovec){s->piece[i].host, s->piece[i].len};
	return s->iov;
}

/* How much of a copy of `len` bytes goes to this piece, from `off` in it on. */
static uint64_t part(const struct sg_piece *p, uint64_t off, uint64_t len)
{
	return len < p->len - off ? len : p->len - off;
}

uint64_t sg_put(struct sg *s, struct guest_memory *m, uint64_t off, const void *buf, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < s->n && done < len; i++) {
		const struct sg_piece *p = &s->piece[i];

		if (off >= p->len) {
			off -= p->len;
			continue;
		}
		uint64_t n = part(p, off, len - done);

		memcpy(p->host + off, (const uint8_t *)buf + done, n);
		mem_written(m, p->gpa + off, n);
		done += n;
		off = 0;
	}
	return done;
}

uint64_t sg_get(const struct sg *s, uint64_t off, void *buf, uint64_t len)
{
	uint64_t done = 0;

	for (unsigned i = 0; i < s->n && done < len; i++) {
		const struct sg_piece *p = &s->piece[i];

		if (off >= p->len) {
			off -= p->len;
			continue;
		}
		uint64_t n = part(p, off, len - done);

		memcpy((uint8_t *)buf + done, p->host + off, n);
		done += n;
		off = 0;
	}
	return done;
}

void sg_written(const struct sg *s, struct guest_memory *m)
{
	for (unsigned i = 0; i < s->n; i++)
		mem_written(m, s->piece[i].gpa, s->piece[i].len);
}
