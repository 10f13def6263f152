/* SPDX-License-Identifier: Apache-2.0 */
/* Framebuffer updates: which rectangles a client gets, and how. (RFC 6143 section 7.6.1.) */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/backend/vnc/internal.h"

struct rect {
	unsigned x, y, w, h;
};

int vnc_client_resize(struct vnc_client *c)
{
	const struct surface *s = &c->server->surface;
	size_t n = (size_t)s->tiles_x * s->tiles_y;
	uint8_t *dirty = realloc(c->dirty, n ? n : 1);

	if (!dirty)
		return -ENOMEM;
	c->dirty = dirty;
	memset(dirty, 1, n);
	if (c->is_set_up && (!c->desktop_size || (c->width == s->width && c->height == s->height)))
		return 0;
	c->tell_size = c->is_set_up;
	c->width = s->width;
	c->height = s->height;
	return 0;
}

/* The next run of dirty tiles in a row of tiles, from *tile on; marks it clean. A client that
 * cannot change its size gets what fits. */
static bool next_rect(struct vnc_client *c, unsigned *tile, struct rect *r)
{
	const struct surface *s = &c->server->surface;
	unsigned width = c->width < s->width ? c->width : s->width;
	unsigned height = c->height < s->height ? c->height : s->height;
	unsigned n = s->tiles_x * s->tiles_y, i = *tile, end;

	while (i < n && (!c->dirty[i] || i % s->tiles_x * DISPLAY_TILE >= width ||
			 i / s->tiles_x * DISPLAY_TILE >= height))
		i++;
	if (i == n)
		return false;
	r->x = i % s->tiles_x * DISPLAY_TILE;
	r->y = i / s->tiles_x * DISPLAY_TILE;
	for (end = i; end < n && end / s->tiles_x == i / s->tiles_x && c->dirty[end]; end++)
		c->dirty[end] = 0;
	r->w = (end - i) * DISPLAY_TILE;
	r->h = DISPLAY_TILE;
	if (r->w > width - r->x)
		r->w = width - r->x;
	if (r->h > height - r->y)
		r->h = height - r->y;
	*tile = end;
	return true;
}

static void put_header(struct vnc_client *c, const struct rect *r, int encoding)
{
	vnc_put16(&c->out, r->x);
	vnc_put16(&c->out, r->y);
	vnc_put16(&c->out, r->w);
	vnc_put16(&c->out, r->h);
	vnc_put32(&c->out, (uint32_t)encoding);
}

static void put_raw(struct vnc_client *c, const struct rect *r)
{
	const struct surface *s = &c->server->surface;
	const struct vnc_format *f = &c->format;
	bool native = vnc_format_is_native(f);

	for (unsigned y = r->y; y < r->y + r->h; y++) {
		const uint32_t *p = s->pixels + (size_t)y * s->width + r->x;
		uint8_t *to = vnc_room(&c->out, (size_t)r->w * f->bits / 8);

		if (to && native)
			memcpy(to, p, (size_t)r->w * 4);
		for (unsigned x = 0; to && !native && x < r->w; x++)
			to = vnc_store(f, vnc_pixel(f, p[x]), 0, f->bits / 8, to);
	}
}

static void put_rect(struct vnc_client *c, const struct rect *r)
{
	put_header(c, r, c->zrle ? ENC_ZRLE : ENC_RAW);
	if (!c->zrle)
		put_raw(c, r);
	else if (!vnc_zrle_rect(c, r->x, r->y, r->w, r->h))
		c->out.failed = true;
}

/* What is not a picture: the size, that physical keys are understood, how the pointer works. */
static unsigned put_news(struct vnc_client *c)
{
	bool absolute = c->server->is_absolute;
	unsigned n = 0;

	if (c->tell_size) {
		put_header(c, &(struct rect){0, 0, c->width, c->height}, ENC_DESKTOP_SIZE);
		c->tell_size = false;
		n++;
	}
	if (c->tell_keys) {
		put_header(c, &(struct rect){0}, ENC_EXTENDED_KEY);
		c->tell_keys = false;
		n++;
	}
	if (c->pointer_type && c->told_absolute != (int)absolute) {
		put_header(c, &(struct rect){.x = absolute}, ENC_POINTER_TYPE);
		c->told_absolute = absolute;
		n++;
	}
	return n;
}

/* The number of rectangles is known at the end and put in front then. */
void vnc_client_update(struct vnc_client *c)
{
	size_t start = c->out.len;
	unsigned n, tile = 0;
	struct rect r;

	if (!c->wants_update || c->out.len)
		return;
	vnc_put32(&c->out, 0); /* message type, padding, rectangles */
	n = put_news(c);
	for (; next_rect(c, &tile, &r); n++)
		put_rect(c, &r);
	if (!n) {
		c->out.len = start;
		return;
	}
	if (!c->out.failed) {
		c->out.data[start + 2] = (uint8_t)(n >> 8);
		c->out.data[start + 3] = (uint8_t)n;
	}
	c->wants_update = false;
	vnc_client_flush(c);
}
