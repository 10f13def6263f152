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
	struct cell cell[SCREEN_MAX_ROWS * SCREEN_MAX_COLS]; /* row after row */
	unsigned row, col, top, bottom;                      /* scrolling region [top, bottom] */
	unsigned saved_row, saved_col;
	uint8_t colour;
	bool bold, reverse, graphics, hidden_cursor, wrap_pending, question;
	enum state state;
	unsigned param[MAX_PARAMS], nparams;
	uint32_t code; /* UTF-8 being collected */
	unsigned more;
} vt;

static unsigned place(unsigned row, unsigned col)
{
	return row * vt.s->cols + col;
}

static void set(unsigned at, struct cell c)
{
	if (vt.cell[at].ch == c.ch && vt.cell[at].colour == c.colour)
		return;
	vt.cell[at] = c;
	vt.s->draw(at / vt.s->cols, at % vt.s->cols, c);
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

static void clear(unsigned from, unsigned to)
{
	while (from < to)
		set(from++, blank());
}

/* Cells [from, to) move by n, to the end if positive; what gets free is blank. */
static void shift(unsigned from, unsigned to, int n)
{
	unsigned by = MIN((unsigned)(n < 0 ? -n : n), to - from);

	if (n < 0) {
		for (unsigned at = from; at + by < to; at++)
			set(at, vt.cell[at + by]);
		clear(to - by, to);
	} else {
		for (unsigned at = to; at-- > from + by;)
			set(at, vt.cell[at - by]);
		clear(from, from + by);
	}
}

/* Rows [from, to] move by n: up if positive. */
static void scroll(unsigned from, unsigned to, int n)
{
	shift(place(from, 0), place(to + 1, 0), -n * (int)vt.s->cols);
}

static void line_feed(int n)
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
		line_feed(1);
	}
	set(place(vt.row, vt.col), (struct cell){ch, current_colour()});
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

static uint8_t to_vga(uint32_t code, bool vt100)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drawing); i++) {
		if ((vt100 ? drawing[i].vt100 : drawing[i].code) == code)
			return drawing[i].vga;
	}
	return code < 128 ? (uint8_t)code : '?';
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

/* ANSI's order of colours is red, green, blue in bits 0, 1, 2; VGA's the other way round. */
static uint8_t vga_colour(unsigned ansi)
{
	return (uint8_t)((ansi & 1) << 2 | (ansi & 2) | (ansi & 4) >> 2);
}

static void rendition(unsigned p)
{
	if (!p) {
		vt.colour = NORMAL;
		vt.bold = vt.reverse = false;
	}
	vt.bold = (vt.bold || p == 1) && p != 22;
	vt.reverse = (vt.reverse || p == 7) && p != 27;
	vt.graphics = (vt.graphics || p == 11) && p != 10;
	if (p >= 30 && p <= 39)
		vt.colour = (vt.colour & 0x70) | vga_colour(p == 39 ? 7 : p - 30);
	if (p >= 40 && p <= 49)
		vt.colour = (uint8_t)((vt.colour & 7) | vga_colour(p == 49 ? 0 : p - 40) << 4);
}

/* ---- the sequences, each with its first parameter (1 without), or that negative ---------------
 */

static void move_rows(int n)
{
	move_to((int)vt.row + n, (int)vt.col);
}

static void move_columns(int n)
{
	move_to((int)vt.row, (int)vt.col + n);
}

static void to_column(int n)
{
	move_to((int)vt.row, n - 1);
}

static void to_row(int n)
{
	move_to(n - 1, (int)vt.col);
}

static void to_position(int n)
{
	move_to(n - 1, (int)param(1, 1) - 1);
}

/* Of cells [from, to) those behind the cursor, before it, or all: 0, 1, 2. */
static void erase(unsigned from, unsigned to)
{
	unsigned how = param(0, 0), at = place(vt.row, vt.col);

	clear(how == 0 ? at : from, how == 1 ? at + 1 : to);
}

static void erase_line(int n)
{
	erase(place(vt.row, 0), place(vt.row + 1, 0));
}

static void erase_display(int n)
{
	erase(0, place(vt.s->rows, 0));
}

static void scroll_region(int n)
{
	scroll(vt.top, vt.bottom, n);
}

static void scroll_rest(int n)
{
	scroll(vt.row, MAX(vt.bottom, vt.row), n);
}

static void erase_chars(int n)
{
	clear(place(vt.row, vt.col), place(vt.row, MIN(vt.col + (unsigned)n, vt.s->cols)));
}

static void shift_chars(int n)
{
	shift(place(vt.row, vt.col), place(vt.row + 1, 0), n);
}

static void set_region(int n)
{
	unsigned bottom = param(1, vt.s->rows);

	if ((unsigned)n >= bottom || bottom > vt.s->rows)
		return;
	vt.top = (unsigned)n - 1;
	vt.bottom = bottom - 1;
	move_to(0, 0);
}

static void save_position(int n)
{
	vt.saved_row = vt.row;
	vt.saved_col = vt.col;
}

static void restore_position(int n)
{
	move_to((int)vt.saved_row, (int)vt.saved_col);
}

static void renditions(int n)
{
	for (unsigned i = 0; i < MAX(vt.nparams, 1u); i++)
		rendition(param(i, 0));
}

/* Of the modes only "?25": the cursor. */
static void show_cursor(int n)
{
	if (vt.question && param(0, 0) == 25)
		vt.hidden_cursor = n < 0;
}

struct action {
	void (*fn)(int n);
	int sign;
};

static const struct action sequences[128] = {
	['A'] = {move_rows, -1},    ['B'] = {move_rows, 1},        ['C'] = {move_columns, 1},
	['D'] = {move_columns, -1}, ['G'] = {to_column, 1},        ['H'] = {to_position, 1},
	['J'] = {erase_display, 1}, ['K'] = {erase_line, 1},       ['L'] = {scroll_rest, -1},
	['M'] = {scroll_rest, 1},   ['P'] = {shift_chars, -1},     ['@'] = {shift_chars, 1},
	['S'] = {scroll_region, 1}, ['T'] = {scroll_region, -1},   ['X'] = {erase_chars, 1},
	['`'] = {to_column, 1},     ['a'] = {move_columns, 1},     ['d'] = {to_row, 1},
	['e'] = {move_rows, 1},     ['f'] = {to_position, 1},      ['h'] = {show_cursor, 1},
	['l'] = {show_cursor, -1},  ['m'] = {renditions, 1},       ['r'] = {set_region, 1},
	['s'] = {save_position, 1}, ['u'] = {restore_position, 1},
};

static void control_sequence(uint8_t c)
{
	if (c < ARRAY_SIZE(sequences) && sequences[c].fn)
		sequences[c].fn((int)param(0, 1) * sequences[c].sign);
}

static void begin_sequence(int n)
{
	vt.state = CSI;
	vt.nparams = 0;
	vt.question = false;
	memset(vt.param, 0, sizeof(vt.param));
}

static void begin_charset(int n)
{
	vt.state = CHARSET;
}

static void begin_escape(int n)
{
	vt.state = ESCAPE;
}

static void shift_charset(int n)
{
	vt.graphics = n;
}

static void tabulate(int n)
{
	move_to((int)vt.row, (int)(vt.col | 7) + 1);
}

static void next_line(int n)
{
	vt.col = 0;
	line_feed(1);
}

static void reverse_line_feed(int n)
{
	if (vt.row == vt.top)
		scroll_region(-1);
	else
		move_rows(-1);
}

/* As at the start. */
static void reset(int n)
{
	rendition(0);
	vt.top = 0;
	vt.bottom = vt.s->rows - 1;
	move_to(0, 0);
	clear(0, place(vt.s->rows, 0));
}

static void escape(uint8_t c)
{
	static const struct {
		char final;
		void (*fn)(int n);
	} escapes[] = {{'[', begin_sequence}, {'(', begin_charset},    {')', begin_charset},
		       {'D', line_feed},      {'E', next_line},        {'M', reverse_line_feed},
		       {'7', save_position},  {'8', restore_position}, {'c', reset}};

	vt.state = GROUND;
	for (unsigned i = 0; i < ARRAY_SIZE(escapes); i++) {
		if (escapes[i].final == c)
			escapes[i].fn(1);
	}
}

static void csi(uint8_t c)
{
	if (c == '?') {
		vt.question = true;
	} else if (c >= '0' && c <= '9') {
		vt.nparams = MAX(vt.nparams, 1u);
		vt.param[vt.nparams - 1] =
			MIN(vt.param[vt.nparams - 1] * 10 + (unsigned)c - '0', 9999u);
	} else if (c == ';') {
		vt.nparams = MIN(MAX(vt.nparams, 1u) + 1, (unsigned)MAX_PARAMS);
	} else if (c >= 0x40) {
		vt.state = GROUND;
		control_sequence(c);
	}
}

static void ground(uint8_t c)
{
	static const struct action controls[32] = {
		['\n'] = {line_feed, 1},     ['\r'] = {to_column, 1},
		['\b'] = {move_columns, -1}, ['\t'] = {tabulate, 1},
		[0x0e] = {shift_charset, 1}, [0x0f] = {shift_charset, 0},
		[0x1b] = {begin_escape, 1},
	};

	if (c < ARRAY_SIZE(controls) && controls[c].fn) {
		controls[c].fn(controls[c].sign);
	} else if (c >= 0xc0) {
		vt.state = UTF8;
		vt.more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		vt.code = c & (0x3fu >> vt.more);
	} else if (c >= 0x20) {
		put_char(to_vga(c, vt.graphics));
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
	put_char(to_vga(vt.code, false));
}

static void charset(uint8_t c)
{
	vt.graphics = c == '0';
	vt.state = GROUND;
}

void vt_open(const struct screen *s)
{
	vt.s = s;
	reset(1);
}

void vt_put(const char *s, size_t n)
{
	static void (*const states[])(uint8_t c) = {
		[GROUND] = ground,   [ESCAPE] = escape, [CSI] = csi,
		[CHARSET] = charset, [UTF8] = utf8,
	};

	if (!vt.s)
		return;
	while (n--)
		states[vt.state]((uint8_t)*s++);
	vt.s->cursor(vt.row, vt.col, !vt.hidden_cursor);
}
