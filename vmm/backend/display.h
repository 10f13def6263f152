/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest shows: between a graphics adapter and those who look at it (VNC server,
 * screenshots). The adapter draws when somebody asks and otherwise does nothing; each viewer keeps
 * its own surface, in which the adapter marks the tiles that changed since the viewer's last look.
 *
 * The adapter's functions are called with the machine lock held.
 */
#ifndef VMM_BACKEND_DISPLAY_H
#define VMM_BACKEND_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISPLAY_TILE 64   /* pixels, both ways */
#define DISPLAY_MAX  4096 /* widest and highest picture */

/* One picture: pixels are 0xXXRRGGBB, X is undefined. Zeroed memory is an empty surface. */
struct surface {
	uint32_t *pixels; /* width * height */
	unsigned width, height;
	uint8_t *dirty; /* one byte a tile, row by row */
	unsigned tiles_x, tiles_y;
};

/* The characters of a text mode: rows * columns cells, code page 437. */
struct display_text {
	unsigned columns, rows;
	uint8_t *cells;
};

struct display {
	/* Set by the adapter; draw NULL: there is none, the picture is black. */
	void (*size)(void *adapter, unsigned *width, unsigned *height); /* 1..DISPLAY_MAX */
	/* The surface has the size that size() told. surface_row() is the way to store pixels. */
	void (*draw)(void *adapter, struct surface *s);
	/* False: graphics. `cells` has room for 256 * 256. */
	bool (*text)(void *adapter, struct display_text *out);
	void *adapter;
};

/* Brings the surface up to date; after a change of size all tiles are dirty. -ENOMEM only. */
int display_look(const struct display *d, struct surface *s);

/* The screen's characters as UTF-8, a line a row without trailing blanks; malloc'd. NULL: graphics
 * (or no memory). */
char *display_read_text(const struct display *d);

void surface_free(struct surface *s);
/* Stores row `y` and marks the tiles in which it differs. `pixels` holds `width` of them. */
void surface_row(struct surface *s, unsigned y, const uint32_t *pixels);

#endif
