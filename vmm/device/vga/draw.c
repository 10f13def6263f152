/* SPDX-License-Identifier: Apache-2.0 */
/* From registers and memory to pixels: text, planar, 256-colour and linear modes. */
#include <string.h>

#include "vmm/device/vga/vga.h"

/* One row of pixels, wide enough for every mode; and what all rows of a picture have in common. */
struct picture {
	const struct vga *v;
	const struct vga_hw *h;
	uint32_t palette[256]; /* of the DAC */
	uint32_t attr[16];     /* of the attribute controller, through the DAC */
	uint32_t row[DISPLAY_MAX + 16];
};

/* ---- geometry ------------------------------------------------------------------------------- */

static unsigned crtc16(const struct vga_hw *h, unsigned reg)
{
	return (unsigned)h->crtc[reg] << 8 | h->crtc[reg + 1];
}

static unsigned scan_lines(const struct vga_hw *h)
{
	uint8_t over = h->crtc[CRTC_OVERFLOW];

	return (h->crtc[CRTC_LINES] | (over >> 1 & 1) << 8 | (over >> 6 & 1) << 9) + 1u;
}

static unsigned cell_height(const struct vga_hw *h)
{
	return (h->crtc[CRTC_CELL_HEIGHT] & 0x1f) + 1u;
}

static unsigned doubled(const struct vga_hw *h)
{
	return h->crtc[CRTC_CELL_HEIGHT] >> 7;
}

static unsigned columns(const struct vga_hw *h)
{
	return h->crtc[CRTC_COLUMNS] + 1u;
}

static bool is_graphics(const struct vga_hw *h)
{
	return h->gfx[GFX_MISC] & GFX_MISC_GRAPHICS;
}

/* CGA modes show different memory in the lines of a cell; others repeat the line. */
static bool lines_differ(const struct vga_hw *h)
{
	return (h->crtc[CRTC_MODE] & 3) != 3;
}

static unsigned text_rows(const struct vga_hw *h)
{
	unsigned rows = (scan_lines(h) >> doubled(h)) / cell_height(h);

	return rows ? rows : 1;
}

static unsigned cell_width(const struct vga_hw *h)
{
	return h->seq[SEQ_CLOCKING] & SEQ_DOTS8 ? 8 : 9;
}

static void legacy_size(const struct vga_hw *h, unsigned *width, unsigned *height)
{
	unsigned lines = scan_lines(h) >> doubled(h);

	if (!is_graphics(h)) {
		*width = columns(h) * cell_width(h);
		*height = text_rows(h) * cell_height(h);
		return;
	}
	*width = columns(h) * (h->gfx[GFX_MODE] & GFX_MODE_SHIFT256 ? 4 : 8);
	*height = lines_differ(h) ? lines : lines / cell_height(h);
	if (!*height)
		*height = 1;
}

void vga_size(void *vga, unsigned *width, unsigned *height)
{
	const struct vga *v = vga;

	if (!vga_dispi_on(v)) {
		legacy_size(&v->hw, width, height);
		return;
	}
	*width = v->hw.dispi[DISPI_XRES];
	*height = v->hw.dispi[DISPI_YRES];
}

/* ---- colours -------------------------------------------------------------------------------- */

static void fill_palettes(struct picture *p)
{
	const struct vga_hw *h = p->h;
	unsigned shift = h->dispi[DISPI_ENABLE] & DISPI_DAC8 ? 0 : 2;

	for (unsigned i = 0; i < 256; i++) {
		const uint8_t *c = &h->dac[3 * (i & h->dac_mask)];

		p->palette[i] = (uint32_t)(uint8_t)(c[0] << shift) << 16 |
				(uint32_t)(uint8_t)(c[1] << shift) << 8 | (uint8_t)(c[2] << shift);
		if (shift) /* full intensity is 0xff, not 0xfc */
			p->palette[i] |= p->palette[i] >> 6 & 0x030303;
	}
	for (unsigned i = 0; i < 16; i++) {
		uint8_t select = h->attr[ATTR_SELECT], low = h->attr[i] & 0x3f;

		if (h->attr[ATTR_MODE] & ATTR_MODE_SELECT54)
			low = (uint8_t)((low & 0x0f) | (select & 3) << 4);
		p->attr[i] = p->palette[(select >> 2 & 3) << 6 | low];
	}
}

/* ---- text ----------------------------------------------------------------------------------- */

/* The picture of a character: 32 bytes, every fourth of the memory (plane 2). */
static const uint8_t *glyph(const struct picture *p, uint8_t ch, uint8_t attr)
{
	uint8_t s = p->h->seq[SEQ_FONT];
	unsigned map = attr & 8 ? (s >> 2 & 3) | (s >> 5 & 1) << 2 : (s & 3) | (s >> 4 & 1) << 2;
	unsigned off = (map & 3) * 0x4000 + (map >> 2) * 0x2000 + ch * 32u;

	return p->v->memory + off * 4 + 2;
}

/* Character and attribute of a cell, counted from the start of the display memory. */
static const uint8_t *cell_at(const struct vga *v, unsigned address)
{
	return v->memory + ((address << 1) & 0xffff) * 4;
}

static bool cursor_covers(const struct vga_hw *h, unsigned address, unsigned line)
{
	uint8_t start = h->crtc[CRTC_CURSOR_START], end = h->crtc[CRTC_CURSOR_END] & 0x1f;

	return !(start & 0x20) && address == crtc16(h, CRTC_CURSOR) && line >= (start & 0x1f) &&
	       line <= end;
}

/* Blinking characters and the cursor stand still: nobody wants to be sent a picture for them. */
static uint32_t *draw_cell(const struct picture *p, unsigned address, unsigned line, uint32_t *to)
{
	const struct vga_hw *h = p->h;
	const uint8_t *cell = cell_at(p->v, address);
	uint8_t ch = cell[0], attr = cell[1], bits = glyph(p, ch, attr)[line * 4];
	bool blinks = h->attr[ATTR_MODE] & ATTR_MODE_BLINK;
	uint32_t fg = p->attr[attr & 0xf], bg = p->attr[attr >> 4 & (blinks ? 7 : 0xf)];

	if (cursor_covers(h, address, line))
		bits = 0xff;
	for (unsigned x = 0; x < 8; x++)
		*to++ = bits & 0x80 >> x ? fg : bg;
	if (cell_width(h) == 9) {
		bool line_art = (ch & 0xe0) == 0xc0 && (h->attr[ATTR_MODE] & ATTR_MODE_LINE);

		*to++ = (line_art && (bits & 1)) ||
					(bits == 0xff && cursor_covers(h, address, line))
				? fg
				: bg;
	}
	return to;
}

static void draw_text_row(struct picture *p, unsigned y)
{
	const struct vga_hw *h = p->h;
	unsigned address = crtc16(h, CRTC_START) + y / cell_height(h) * h->crtc[CRTC_PITCH] * 2u;
	uint32_t *to = p->row;

	for (unsigned x = 0; x < columns(h); x++)
		to = draw_cell(p, address + x, y % cell_height(h), to);
}

bool vga_text(void *vga, struct display_text *out)
{
	const struct vga *v = vga;
	const struct vga_hw *h = &v->hw;
	unsigned address = crtc16(h, CRTC_START);

	if (vga_dispi_on(v) || is_graphics(h))
		return false;
	out->columns = columns(h);
	out->rows = text_rows(h) > 256 ? 256 : text_rows(h);
	for (unsigned y = 0; y < out->rows; y++)
		for (unsigned x = 0; x < out->columns; x++)
			out->cells[y * out->columns + x] =
				*cell_at(v, address + y * h->crtc[CRTC_PITCH] * 2u + x);
	return true;
}

/* ---- planes --------------------------------------------------------------------------------- */

/* Where the CRT controller looks for its memory address `ma` in line `scan` of a cell. */
static unsigned plane_offset(const struct vga_hw *h, unsigned ma, unsigned scan)
{
	uint8_t mode = h->crtc[CRTC_MODE];
	unsigned off = ma;

	if (h->crtc[CRTC_UNDERLINE] & CRTC_UNDERLINE_DW)
		off = ma << 2 | (ma >> 14 & 3);
	else if (!(mode & CRTC_MODE_BYTE))
		off = ma << 1 | (ma >> (mode & 0x20 ? 15 : 13) & 1);
	if (!(mode & 1))
		off = (off & ~0x2000u) | (scan & 1) << 13;
	if (!(mode & 2))
		off = (off & ~0x4000u) | (scan >> 1 & 1) << 14;
	return off & 0xffff;
}

/* Eight pixels, one bit of each plane. */
static void planar_pixels(const struct picture *p, const uint8_t *b, uint32_t *to)
{
	uint8_t enabled = p->h->attr[ATTR_PLANES] & 0xf;

	for (unsigned x = 0; x < 8; x++) {
		unsigned s = 7 - x;
		unsigned c = (b[0] >> s & 1) | (b[1] >> s & 1) << 1 | (b[2] >> s & 1) << 2 |
			     (b[3] >> s & 1) << 3;

		to[x] = p->attr[c & enabled];
	}
}

/* Eight pixels of two bits: four of the even planes, then four of the odd ones (CGA). */
static void cga_pixels(const struct picture *p, const uint8_t *b, uint32_t *to)
{
	uint8_t enabled = p->h->attr[ATTR_PLANES] & 0xf;

	for (unsigned x = 0; x < 8; x++) {
		unsigned s = 6 - 2 * (x & 3), odd = x >> 2;

		to[x] = p->attr[((b[odd] >> s & 3) | (b[odd + 2] >> s & 3) << 2) & enabled];
	}
}

static void draw_plane_row(struct picture *p, unsigned ma, unsigned scan, unsigned count)
{
	const struct vga_hw *h = p->h;
	bool wide = h->gfx[GFX_MODE] & GFX_MODE_SHIFT256, cga = h->gfx[GFX_MODE] & GFX_MODE_SHIFT2;
	uint32_t *to = p->row;

	for (unsigned i = 0; i < count; i++) {
		const uint8_t *b = p->v->memory + 4 * plane_offset(h, ma + i, scan);

		if (wide)
			for (unsigned x = 0; x < 4; x++)
				to[x] = p->palette[b[x]];
		else if (cga)
			cga_pixels(p, b, to);
		else
			planar_pixels(p, b, to);
		to += wide ? 4 : 8;
	}
}

static void draw_legacy_row(struct picture *p, unsigned y)
{
	const struct vga_hw *h = p->h;
	unsigned lines = lines_differ(h) ? cell_height(h) : 1;
	unsigned ma = crtc16(h, CRTC_START) + y / lines * h->crtc[CRTC_PITCH] * 2u;

	draw_plane_row(p, ma, y % lines, columns(h));
}

/* ---- linear modes --------------------------------------------------------------------------- */

static uint32_t rgb555(uint16_t c)
{
	uint32_t r = c >> 10 & 0x1f, g = c >> 5 & 0x1f, b = c & 0x1f;

	return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | b << 3 | b >> 2;
}

static uint32_t rgb565(uint16_t c)
{
	uint32_t r = c >> 11, g = c >> 5 & 0x3f, b = c & 0x1f;

	return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | b << 3 | b >> 2;
}

static void convert(struct picture *p, const uint8_t *from, unsigned width, unsigned bpp)
{
	const uint16_t *words = (const uint16_t *)from;

	for (unsigned x = 0; x < width; x++) {
		if (bpp == 8)
			p->row[x] = p->palette[from[x]];
		else if (bpp == 15)
			p->row[x] = rgb555(words[x]);
		else if (bpp == 16)
			p->row[x] = rgb565(words[x]);
		else
			p->row[x] = from[3 * x] | from[3 * x + 1] << 8 |
				    (uint32_t)from[3 * x + 2] << 16;
	}
}

/* The row's first byte; the mode was clamped to the memory, but a load may bring anything. */
static const uint8_t *linear_row(const struct vga *v, unsigned y, unsigned bytes)
{
	const uint16_t *d = v->hw.dispi;
	uint64_t off = ((uint64_t)(d[DISPI_Y] + y) * d[DISPI_VIRT_WIDTH] + d[DISPI_X]) * bytes;

	return off + (uint64_t)d[DISPI_XRES] * bytes <= VGA_MEMORY ? v->memory + off : NULL;
}

static const uint32_t *draw_linear_row(struct picture *p, unsigned y)
{
	const uint16_t *d = p->h->dispi;
	const uint8_t *from = linear_row(p->v, y, (d[DISPI_BPP] + 7u) / 8);

	if (!from)
		return p->row;
	if (d[DISPI_BPP] == 32)
		return (const uint32_t *)from;
	convert(p, from, d[DISPI_XRES], d[DISPI_BPP]);
	return p->row;
}

static void draw_dispi_planes(struct picture *p, unsigned y)
{
	const uint16_t *d = p->h->dispi;
	unsigned ma = ((d[DISPI_Y] + y) * d[DISPI_VIRT_WIDTH] + d[DISPI_X]) / 8;

	for (unsigned i = 0; i < d[DISPI_XRES] / 8u; i++)
		planar_pixels(p, p->v->memory + 4 * ((ma + i) & 0xffff), p->row + 8 * i);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static bool is_blank(const struct vga *v)
{
	return !vga_dispi_on(v) &&
	       (!(v->hw.attr_index & ATTR_INDEX_ON) || (v->hw.seq[SEQ_CLOCKING] & SEQ_SCREEN_OFF));
}

static const uint32_t *draw_row(struct picture *p, unsigned y)
{
	if (is_blank(p->v))
		return p->row;
	if (vga_dispi_on(p->v) && p->h->dispi[DISPI_BPP] > 4)
		return draw_linear_row(p, y);
	if (vga_dispi_on(p->v))
		draw_dispi_planes(p, y);
	else if (is_graphics(p->h))
		draw_legacy_row(p, y);
	else
		draw_text_row(p, y);
	return p->row;
}

void vga_draw(void *vga, struct surface *s)
{
	struct picture p = {.v = vga, .h = &((struct vga *)vga)->hw};

	fill_palettes(&p);
	for (unsigned y = 0; y < s->height; y++)
		surface_row(s, y, draw_row(&p, y));
}
