/* SPDX-License-Identifier: Apache-2.0 */
/* Surfaces, and the text of a screen. */
#include "vmm/backend/display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 256

void surface_free(struct surface *s)
{
	free(s->pixels);
	free(s->dirty);
	memset(s, 0, sizeof(*s));
}

static int resize(struct surface *s, unsigned width, unsigned height)
{
	struct surface n = {
		.width = width,
		.height = height,
		.tiles_x = (width + DISPLAY_TILE - 1) / DISPLAY_TILE,
		.tiles_y = (height + DISPLAY_TILE - 1) / DISPLAY_TILE,
	};

	n.pixels = calloc((size_t)width * height, sizeof(uint32_t));
	n.dirty = malloc((size_t)n.tiles_x * n.tiles_y);
	if (!n.pixels || !n.dirty) {
		surface_free(&n);
		return -ENOMEM;
	}
	memset(n.dirty, 1, (size_t)n.tiles_x * n.tiles_y);
	surface_free(s);
	*s = n;
	return 0;
}

/* Without an adapter the picture is what a screen without a signal is. */
static void get_size(const struct display *d, unsigned *width, unsigned *height)
{
	*width = 640;
	*height = 480;
	if (d->draw)
		d->size(d->adapter, width, height);
}

int display_look(const struct display *d, struct surface *s)
{
	unsigned width, height;
	int rc = 0;

	get_size(d, &width, &height);
	if (width != s->width || height != s->height)
		rc = resize(s, width, height);
	if (!rc && d->draw)
		d->draw(d->adapter, s);
	return rc;
}

void surface_row(struct surface *s, unsigned y, const uint32_t *pixels)
{
	uint32_t *to = s->pixels + (size_t)y * s->width;
	uint8_t *dirty = s->dirty + (size_t)(y / DISPLAY_TILE) * s->tiles_x;

	for (unsigned x = 0; x < s->width; x += DISPLAY_TILE, dirty++) {
		unsigned n = s->width - x < DISPLAY_TILE ? s->width - x : DISPLAY_TILE;

		if (!memcmp(to + x, pixels + x, n * sizeof(*to)))
			continue;
		memcpy(to + x, pixels + x, n * sizeof(*to));
		*dirty = 1;
	}
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Unicode of the characters 0x80 to 0xff of code page 437. */
static const uint16_t cp437[128] = {
	0xc7,   0xfc,   0xe9,   0xe2,   0xe4,   0xe0,   0xe5,   0xe7,   0xea,   0xeb,   0xe8,
	0xef,   0xee,   0xec,   0xc4,   0xc5,   0xc9,   0xe6,   0xc6,   0xf4,   0xf6,   0xf2,
	0xfb,   0xf9,   0xff,   0xd6,   0xdc,   0xa2,   0xa3,   0xa5,   0x20a7, 0x192,  0xe1,
	0xed,   0xf3,   0xfa,   0xf1,   0xd1,   0xaa,   0xba,   0xbf,   0x2310, 0xac,   0xbd,
	0xbc,   0xa1,   0xab,   0xbb,   0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562,
	0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
	0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560,
	0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
	0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x3b1,  0xdf,   0x393,
	0x3c0,  0x3a3,  0x3c3,  0xb5,   0x3c4,  0x3a6,  0x398,  0x3a9,  0x3b4,  0x221e, 0x3c6,
	0x3b5,  0x2229, 0x2261, 0xb1,   0x2265, 0x2264, 0x2320, 0x2321, 0xf7,   0x2248, 0xb0,
	0x2219, 0xb7,   0x221a, 0x207f, 0xb2,   0x25a0, 0xa0,
};

/* Arrows and other signs below 0x20 are rare on screens and shown as dots. */
static unsigned put_utf8(char *to, uint8_t cell)
{
	unsigned c = cell < 0x80 ? cell : cp437[cell - 0x80];

	if (!c || c == 0xa0)
		c = ' ';
	if (c < 0x20 || c == 0x7f)
		c = '.';
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static char *put_row(char *to, const uint8_t *cells, unsigned columns)
{
	while (columns && (cells[columns - 1] == ' ' || !cells[columns - 1]))
		columns--;
	for (unsigned i = 0; i < columns; i++)
		to += put_utf8(to, cells[i]);
	*to++ = '\n';
	return to;
}

char *display_read_text(const struct display *d)
{
	struct display_text t = {.cells = malloc(TEXT_MAX * TEXT_MAX)};
	char *out = NULL, *to;

	if (t.cells && d->draw && d->text(d->adapter, &t))
		out = malloc((size_t)t.rows * (3 * t.columns + 1) + 1);
	to = out;
	for (unsigned y = 0; out && y < t.rows; y++)
		to = put_row(to, t.cells + (size_t)y * t.columns, t.columns);
	if (out)
		*to = '\0';
	free(t.cells);
	return out;
}
