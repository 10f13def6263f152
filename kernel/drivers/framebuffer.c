/* SPDX-License-Identifier: Apache-2.0 */
/* Text on a linear framebuffer of 24 or 32 bits a pixel. */
#include "kernel/boot/bootinfo.h"
#include "kernel/drivers/screen.h"
#include "kernel/lib/lib.h"
#include "kernel/mm/pagetable.h"

#define WIDTH  8
#define HEIGHT 16

static const uint32_t palette[16] = {
	0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
	0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff,
};

static uint8_t *pixels;
static const uint8_t *glyphs; /* 256 of HEIGHT bytes */
static struct screen screen;
static struct cell under_cursor, shown[SCREEN_MAX_ROWS][SCREEN_MAX_COLS];
static unsigned cursor_row, cursor_col;

static void put_pixel(uint8_t *to, uint32_t rgb)
{
	to[0] = (uint8_t)rgb;
	to[1] = (uint8_t)(rgb >> 8);
	to[2] = (uint8_t)(rgb >> 16);
}

static void paint(unsigned row, unsigned col, struct cell c)
{
	unsigned bytes = boot.fb.bpp / 8;

	for (unsigned y = 0; y < HEIGHT; y++) {
		uint8_t bits = glyphs[c.ch * HEIGHT + y];
		uint8_t *to = pixels + (uint64_t)(row * HEIGHT + y) * boot.fb.pitch +
			      (uint64_t)col * WIDTH * bytes;

		for (unsigned x = 0; x < WIDTH; x++, to += bytes)
			put_pixel(to,
				  palette[bits & 0x80 >> x ? c.colour & 15 : c.colour >> 4 & 15]);
	}
}

static void draw(unsigned row, unsigned col, struct cell c)
{
	shown[row][col] = c;
	paint(row, col, c);
}

/* The cursor is its cell with the colours exchanged. */
static void cursor(unsigned row, unsigned col, bool visible)
{
	paint(cursor_row, cursor_col, shown[cursor_row][cursor_col]);
	cursor_row = row;
	cursor_col = col;
	under_cursor = shown[row][col];
	if (visible)
		under_cursor.colour =
			(uint8_t)(under_cursor.colour << 4 | under_cursor.colour >> 4);
	paint(row, col, under_cursor);
}

const struct screen *framebuffer_open(const uint8_t *psf, size_t len)
{
	static const uint8_t psf1[] = {0x36, 0x04};

	if (!boot.fb.addr || (boot.fb.bpp != 24 && boot.fb.bpp != 32) || len < 4 + 256 * HEIGHT ||
	    memcmp(psf, psf1, sizeof(psf1)) || psf[3] != HEIGHT) /* bytes of a glyph */
		return NULL;
	glyphs = psf + 4;
	screen.rows = MIN(boot.fb.height / HEIGHT, (uint32_t)SCREEN_MAX_ROWS);
	screen.cols = MIN(boot.fb.width / WIDTH, (uint32_t)SCREEN_MAX_COLS);
	if (!screen.rows || !screen.cols)
		return NULL;
	pixels = map_device(boot.fb.addr, (size_t)boot.fb.pitch * boot.fb.height);
	screen.draw = draw;
	screen.cursor = cursor;
	return &screen;
}
