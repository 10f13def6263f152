/* SPDX-License-Identifier: Apache-2.0 */
/* The ZRLE encoding (RFC 6143 section 7.7.6): tiles of few colours, and zlib behind it. */
#include <string.h>

#include "vmm/backend/vnc/internal.h"

#define PALETTE_MAX 16

struct tile {
	const struct vnc_format *format;
	uint32_t pixel[DISPLAY_TILE * DISPLAY_TILE]; /* 0x00RRGGBB */
	unsigned w, h;
	uint32_t palette[PALETTE_MAX];
	unsigned colours; /* PALETTE_MAX + 1: more */
};

static unsigned colour_index(const struct tile *t, uint32_t c)
{
	unsigned i = 0;

	while (i < t->colours && t->palette[i] != c)
		i++;
	return i;
}

static void count_colours(struct tile *t)
{
	uint32_t last = t->pixel[0];

	t->palette[0] = last;
	t->colours = 1;
	for (unsigned n = 1; n < t->w * t->h; n++) {
		unsigned i;

		if (t->pixel[n] == last)
			continue;
		last = t->pixel[n];
		i = colour_index(t, last);
		if (i < t->colours)
			continue;
		if (t->colours == PALETTE_MAX) {
			t->colours++;
			return;
		}
		t->palette[t->colours++] = last;
	}
}

static void put_pixels(struct vnc_bytes *b, const struct tile *t, const uint32_t *p, unsigned n)
{
	unsigned first, bytes = vnc_cpixel(t->format, &first);
	uint8_t *to = vnc_room(b, (size_t)n * bytes);

	for (unsigned i = 0; to && i < n; i++)
		to = vnc_store(t->format, vnc_pixel(t->format, p[i]), first, bytes, to);
}

/* Indices of 1, 2 or 4 bits, each row padded to a byte. */
static void put_packed(struct vnc_bytes *b, const struct tile *t)
{
	unsigned bits = t->colours == 2 ? 1 : t->colours <= 4 ? 2 : 4;

	for (unsigned y = 0; y < t->h; y++) {
		uint8_t *to = vnc_room(b, (t->w * bits + 7) / 8);

		if (!to)
			return;
		memset(to, 0, (t->w * bits + 7) / 8);
		for (unsigned x = 0; x < t->w; x++) {
			unsigned i = colour_index(t, t->pixel[y * t->w + x]);

			to[x * bits / 8] |= (uint8_t)(i << (8 - bits - x * bits % 8));
		}
	}
}

static void put_tile(struct vnc_bytes *b, struct tile *t)
{
	count_colours(t);
	if (t->colours > PALETTE_MAX) {
		vnc_put8(b, 0);
		put_pixels(b, t, t->pixel, t->w * t->h);
		return;
	}
	vnc_put8(b, t->colours);
	put_pixels(b, t, t->palette, t->colours);
	if (t->colours > 1)
		put_packed(b, t);
}

static void cut(struct tile *t, const struct surface *s, unsigned x, unsigned y)
{
	for (unsigned row = 0; row < t->h; row++)
		for (unsigned i = 0; i < t->w; i++)
			t->pixel[row * t->w + i] =
				s->pixels[(size_t)(y + row) * s->width + x + i] & 0xffffff;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Length and compressed bytes behind what is in `out`. */
static bool put_compressed(struct vnc_client *c)
{
	z_stream *z = &c->deflate;
	size_t at = c->out.len, room = deflateBound(z, c->zrle_plain.len) + 64;
	uint8_t *to = vnc_room(&c->out, 4 + room);

	if (!to || c->zrle_plain.failed)
		return false;
	z->next_in = c->zrle_plain.data;
	z->avail_in = (uInt)c->zrle_plain.len;
	z->next_out = to + 4;
	z->avail_out = (uInt)room;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in)
		return false;
	room -= z->avail_out;
	c->out.len = at;
	vnc_put32(&c->out, (uint32_t)room);
	c->out.len += room;
	return true;
}

bool vnc_zrle_rect(struct vnc_client *c, unsigned x, unsigned y, unsigned w, unsigned h)
{
	struct tile t = {.format = &c->format};

	if (!c->has_deflate) {
		if (deflateInit(&c->deflate, Z_BEST_SPEED) != Z_OK)
			return false;
		c->has_deflate = true;
	}
	c->zrle_plain.len = 0;
	for (unsigned ty = 0; ty < h; ty += DISPLAY_TILE)
		for (unsigned tx = 0; tx < w; tx += DISPLAY_TILE) {
			t.w = least(DISPLAY_TILE, w - tx);
			t.h = least(DISPLAY_TILE, h - ty);
			cut(&t, &c->server->surface, x + tx, y + ty);
			put_tile(&c->zrle_plain, &t);
		}
	return put_compressed(c);
}
