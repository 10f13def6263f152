/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: a grid of cells, and the control sequences that programs write. */
#include "kernel/drivers/screen.h"
#include "kernel/lib/lib.h"

#define MAX_PARAMS 16
#define NORMAL     0x07

enum state {
	GROUND,
	ESCAPE,
	CSI,
	CHARSET, /* ESC ( x */
	UTF8,
};

static struct {
	const struct screen *s;
	struct cell cell[SCREEN_MAX_ROWS][SCREEN_MAX_COLS];
	unsigned row, col, top, bottom; /* scrolling region [top, bottom] */
	unsigned saved_row, saved_col;
	uint8_t colour;
	bool bold, reverse, graphics, hidden_cursor, wrap_pending, question;
	enum state state;
	unsigned param[MAX_PARAMS], nparams;
	uint32_t code; /* UTF-8 being collected */
	unsigned more;
} vt;

static void set(unsigned row, unsigned col, struct cell c)
{
	if (vt.cell[row][col].ch == c.ch && vt.cell[row][col].colour == c.colour)
		return;
	vt.cell[row][col] = c;
	vt.s->draw(row, col, c);
}

static uint8_t current_colour(void)
{
	uint8_t c = vt.colour | (vt.bold ? 8 : 0);

	return vt.reverse ? (uint8_t)((c & 7) << 4 | (c >> 4 & 7) | (c & 8)) : c;
}

static struct cell blank(void)
{
	return (struct cell){' ', (uint8_t)(vt.colour & 0x70) | 7};
}

static void clear(unsigned row, unsigned from, unsigned to)
{
	for (unsigned col = from; col < to; col++)
		set(row, col, blank());
}

/* Rows [from, to] move by n: up if positive. */
static void scroll(unsigned from, unsigned to, int n)
{
	unsigned count = to - from + 1, by = (unsigned)(n < 0 ? -n : n);

	by = MIN(by, count);
	for (unsigned i = 0; i < count - by; i++) {
		unsigned dst = n > 0 ? from + i : to - i, src = n > 0 ? dst + by : dst - by;

		for (unsigned col = 0; col < vt.s->cols; col++)
			set(dst, col, vt.cell[src][col]);
	}
	for (unsigned i = 0; i < by; i++)
		clear(n > 0 ? to - i : from + i, 0, vt.s->cols);
}

static void line_feed(void)
{
	if (vt.row == vt.bottom)
		scroll(vt.top, vt.bottom, 1);
	else if (vt.row + 1 < vt.s->rows)
		vt.row++;
}

static void put_char(uint8_t ch)
{
	if (vt.wrap_pending) {
		vt.col = 0;
		line_feed();
	}
	set(vt.row, vt.col, (struct cell){ch, current_colour()});
	vt.wrap_pending = vt.col + 1 == vt.s->cols;
	vt.col += !vt.wrap_pending;
}

/* ---- characters ------------------------------------------------------------------------------ */

/* What has a place in code page 437: the drawing characters of the screen programs. */
static const struct {
	uint32_t code;
	uint8_t vga, vt100; /* vt100: the letter in the line drawing set */
} drawing[] = {
	{0x2500, 0xc4, 'q'}, {0x2502, 0xb3, 'x'}, {0x250c, 0xda, 'l'}, {0x2510, 0xbf, 'k'},
	{0x2514, 0xc0, 'm'}, {0x2518, 0xd9, 'j'}, {0x251c, 0xc3, 't'}, {0x2524, 0xb4, 'u'},
	{0x252c, 0xc2, 'w'}, {0x2534, 0xc1, 'v'}, {0x253c, 0xc5, 'n'}, {0x2592, 0xb1, 'a'},
	{0x2588, 0xdb, '0'}, {0x2191, 0x18, 0},   {0x2193, 0x19, 0},   {0x2190, 0x1b, 0},
	{0x2192, 0x1a, 0},   {0x25c6, 0x04, '`'}, {0xb7, 0xfa, '~'},
};

static uint8_t to_vga(uint32_t code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drawing); i++) {
		if (drawing[i].code == code)
			return drawing[i].vga;
	}
	return code < 128 ? (uint8_t)code : '?';
}

static uint8_t line_drawing(uint8_t c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drawing); i++) {
		if (drawing[i].vt100 == c && c)
			return drawing[i].vga;
	}
	return c;
}

/* ---- control sequences ----------------------------------------------------------------------- */

static unsigned param(unsigned i, unsigned without)
{
	return i < vt.nparams && vt.param[i] ? vt.param[i] : without;
}

static void move_to(int row, int col)
{
	vt.row = (unsigned)MAX(0, MIN(row, (int)vt.s->rows - 1));
	vt.col = (unsigned)MAX(0, MIN(col, (int)vt.s->cols - 1));
	vt.wrap_pending = false;
}

static void erase_display(unsigned how)
{
	unsigned from = how == 0 ? vt.row + 1 : 0, to = how == 1 ? vt.row : vt.s->rows;

	if (how == 0)
		clear(vt.row, vt.col, vt.s->cols);
	if (how == 1)
		clear(vt.row, 0, vt.col + 1);
	for (unsigned row = from; row < to; row++)
		clear(row, 0, vt.s->cols);
}

static void erase_line(unsigned how)
{
	clear(vt.row, how == 0 ? vt.col : 0, how == 1 ? vt.col + 1 : vt.s->cols);
}

/* ANSI's order of colours is red, green, blue in bits 0, 1, 2; VGA's the other way round. */
static uint8_t vga_colour(unsigned ansi)
{
	return (uint8_t)((ansi & 1) << 2 | (ansi & 2) | (ansi & 4) >> 2);
}

static void rendition(unsigned p)
{
	if (p == 0) {
		vt.colour = NORMAL;
		vt.bold = vt.reverse = false;
	} else if (p == 1) {
		vt.bold = true;
	} else if (p == 22) {
		vt.bold = false;
	} else if (p == 7 || p == 27) {
		vt.reverse = p == 7;
	} else if (p >= 30 && p <= 37) {
		vt.colour = (vt.colour & 0x70) | vga_colour(p - 30);
	} else if (p == 39) {
		vt.colour = (vt.colour & 0x70) | 7;
	} else if (p >= 40 && p <= 47) {
		vt.colour = (uint8_t)((vt.colour & 7) | vga_colour(p - 40) << 4);
	} else if (p == 49) {
		vt.colour &= 7;
	} else if (p == 10 || p == 11) {
		vt.graphics = p == 11;
	}
}

static void shift_chars(int by)
{
	unsigned n = MIN((unsigned)(by < 0 ? -by : by), vt.s->cols - vt.col);

	if (by < 0) { /* delete */
		for (unsigned col = vt.col; col + n < vt.s->cols; col++)
			set(vt.row, col, vt.cell[vt.row][col + n]);
		clear(vt.row, vt.s->cols - n, vt.s->cols);
	} else {
		for (unsigned col = vt.s->cols - 1; col >= vt.col + n; col--)
			set(vt.row, col, vt.cell[vt.row][col - n]);
		clear(vt.row, vt.col, vt.col + n);
	}
}

static void set_region(void)
{
	unsigned top = param(0, 1), bottom = param(1, vt.s->rows);

	if (top >= bottom || bottom > vt.s->rows)
		return;
	vt.top = top - 1;
	vt.bottom = bottom - 1;
	move_to(0, 0);
}

/* The sequences: final character, and what it does with n (the first parameter, 1 without). */
static void move_by(int rows, int cols)
{
	move_to((int)vt.row + rows, (int)vt.col + cols);
}

static void csi_up(int n)
{
	move_by(-n, 0);
}
static void csi_down(int n)
{
	move_by(n, 0);
}
static void csi_right(int n)
{
	move_by(0, n);
}
static void csi_left(int n)
{
	move_by(0, -n);
}
static void csi_next_line(int n)
{
	move_to((int)vt.row + n, 0);
}
static void csi_previous_line(int n)
{
	move_to((int)vt.row - n, 0);
}
static void csi_column(int n)
{
	move_to((int)vt.row, n - 1);
}
static void csi_row(int n)
{
	move_to(n - 1, (int)vt.col);
}
static void csi_position(int n)
{
	move_to(n - 1, (int)param(1, 1) - 1);
}
static void csi_erase_display(int n)
{
	(void)n, erase_display(param(0, 0));
}
static void csi_erase_line(int n)
{
	(void)n, erase_line(param(0, 0));
}
static void csi_insert_lines(int n)
{
	scroll(vt.row, MAX(vt.bottom, vt.row), -n);
}
static void csi_delete_lines(int n)
{
	scroll(vt.row, MAX(vt.bottom, vt.row), n);
}
static void csi_scroll_up(int n)
{
	scroll(vt.top, vt.bottom, n);
}
static void csi_scroll_down(int n)
{
	scroll(vt.top, vt.bottom, -n);
}
static void csi_delete_chars(int n)
{
	shift_chars(-n);
}
static void csi_insert_chars(int n)
{
	shift_chars(n);
}
static void csi_erase_chars(int n)
{
	clear(vt.row, vt.col, MIN(vt.col + (unsigned)n, vt.s->cols));
}
static void csi_region(int n)
{
	(void)n, set_region();
}

static void csi_save(int n)
{
	(void)n;
	vt.saved_row = vt.row;
	vt.saved_col = vt.col;
}

static void csi_restore(int n)
{
	(void)n;
	move_to((int)vt.saved_row, (int)vt.saved_col);
}

static void csi_rendition(int n)
{
	(void)n;
	for (unsigned i = 0; i < MAX(vt.nparams, 1u); i++)
		rendition(param(i, 0));
}

static void show_cursor(bool on)
{
	if (vt.question && param(0, 0) == 25)
		vt.hidden_cursor = !on;
}

static void csi_mode_on(int n)
{
	(void)n, show_cursor(true);
}
static void csi_mode_off(int n)
{
	(void)n, show_cursor(false);
}

static void (*const sequences[128])(int n) = {
	['A'] = csi_up,           ['B'] = csi_down,         ['C'] = csi_right,
	['D'] = csi_left,         ['E'] = csi_next_line,    ['F'] = csi_previous_line,
	['G'] = csi_column,       ['H'] = csi_position,     ['J'] = csi_erase_display,
	['K'] = csi_erase_line,   ['L'] = csi_insert_lines, ['M'] = csi_delete_lines,
	['P'] = csi_delete_chars, ['S'] = csi_scroll_up,    ['T'] = csi_scroll_down,
	['X'] = csi_erase_chars,  ['@'] = csi_insert_chars, ['`'] = csi_column,
	['a'] = csi_right,        ['d'] = csi_row,          ['e'] = csi_down,
	['f'] = csi_position,     ['h'] = csi_mode_on,      ['l'] = csi_mode_off,
	['m'] = csi_rendition,    ['r'] = csi_region,       ['s'] = csi_save,
	['u'] = csi_restore,
};

static void control_sequence(char c)
{
	if ((uint8_t)c < ARRAY_SIZE(sequences) && sequences[(uint8_t)c])
		sequences[(uint8_t)c]((int)param(0, 1));
}

static void escape(char c)
{
	vt.state = GROUND;
	switch (c) {
	case '[':
		vt.state = CSI;
		vt.nparams = 0;
		vt.question = false;
		memset(vt.param, 0, sizeof(vt.param));
		break;
	case '(':
	case ')':
		vt.state = CHARSET;
		break;
	case 'D':
		line_feed();
		break;
	case 'E':
		vt.col = 0;
		line_feed();
		break;
	case 'M':
		if (vt.row == vt.top)
			scroll(vt.top, vt.bottom, -1);
		else if (vt.row)
			vt.row--;
		break;
	case '7':
		csi_save(0);
		break;
	case '8':
		csi_restore(0);
		break;
	case 'c':
		rendition(0);
		move_to(0, 0);
		erase_display(2);
		break;
	}
}

static void csi(char c)
{
	if (c == '?') {
		vt.question = true;
	} else if (c >= '0' && c <= '9') {
		vt.nparams = MAX(vt.nparams, 1u);
		vt.param[vt.nparams - 1] =
			MIN(vt.param[vt.nparams - 1] * 10 + (unsigned)(c - '0'), 9999u);
	} else if (c == ';') {
		vt.nparams = MIN(MAX(vt.nparams, 1u) + 1, (unsigned)MAX_PARAMS);
	} else if (c >= 0x40) {
		vt.state = GROUND;
		control_sequence(c);
	}
}

static void ground(uint8_t c)
{
	switch (c) {
	case '\n':
		line_feed();
		return;
	case '\r':
		vt.col = 0;
		vt.wrap_pending = false;
		return;
	case '\b':
		vt.col -= vt.col > 0;
		vt.wrap_pending = false;
		return;
	case '\t':
		move_to((int)vt.row, (int)(vt.col | 7) + 1);
		return;
	case 0x1b:
		vt.state = ESCAPE;
		return;
	case 0x0e:
		vt.graphics = true;
		return;
	case 0x0f:
		vt.graphics = false;
		return;
	}
	if (c >= 0xc0) {
		vt.state = UTF8;
		vt.more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		vt.code = c & (0x3fu >> vt.more);
	} else if (c >= 0x20) {
		put_char(vt.graphics ? line_drawing(c) : c < 0x80 ? c : '?');
	}
}

static void utf8(uint8_t c)
{
	if ((c & 0xc0) != 0x80) {
		vt.state = GROUND;
		ground(c);
		return;
	}
	vt.code = vt.code << 6 | (c & 0x3f);
	if (--vt.more)
		return;
	vt.state = GROUND;
	put_char(to_vga(vt.code));
}

static void put_byte(char c)
{
	switch (vt.state) {
	case GROUND:
		ground((uint8_t)c);
		break;
	case ESCAPE:
		escape(c);
		break;
	case CSI:
		csi(c);
		break;
	case CHARSET:
		vt.graphics = c == '0';
		vt.state = GROUND;
		break;
	case UTF8:
		utf8((uint8_t)c);
		break;
	}
}

void vt_open(const struct screen *s)
{
	vt.colour = NORMAL;
	vt.bottom = s->rows - 1;
	vt.s = s;
	for (unsigned row = 0; row < s->rows; row++)
		clear(row, 0, s->cols);
}

void vt_put(const char *s, size_t n)
{
	if (!vt.s)
		return;
	while (n--)
		put_byte(*s++);
	vt.s->cursor(vt.row, vt.col, !vt.hidden_cursor);
}

size_t vt_dump(char *to, size_t size)
{
	size_t n = 0;

	for (unsigned row = 0; vt.s && row < vt.s->rows; row++) {
		for (unsigned col = 0; col < vt.s->cols && n + 2 < size; col++) {
			uint8_t ch = vt.cell[row][col].ch;

			to[n++] = ch >= 0x20 && ch < 0x7f ? (char)ch : ch >= 0x7f ? '#' : ' ';
		}
		to[n++] = '\n';
	}
	return n;
}
