/* SPDX-License-Identifier: Apache-2.0 */
/* Looks through a long text. */
#include <curses.h>
#include <stdlib.h>
#include <string.h>

#include "cli/manage/manage.h"

struct pager {
	const char *text;
	const char **line; /* of the screen: those of the text may be longer */
	int n, top, columns;
};

static int width(char c, int x)
{
	return c == '\r' ? 0 : c == '\t' ? 8 - x % 8 : 1;
}

/* The end of what fits into a line of the screen, at least one character. */
static const char *line_end(const char *s)
{
	const char *start = s;

	for (int x = 0; *s && *s != '\n'; s++) {
		x += width(*s, x);
		if (x > COLS && s > start)
			break;
	}
	return s;
}

static const char *next_line(const char *s)
{
	s = line_end(s);
	return s + (*s == '\n');
}

static bool split(struct pager *p)
{
	const char *at;

	p->columns = COLS;
	p->n = 0;
	for (at = p->text; *at; at = next_line(at))
		p->n++;
	free(p->line);
	p->line = calloc((size_t)p->n + 1, sizeof(*p->line));
	at = p->text;
	for (int i = 0; p->line && i < p->n; i++, at = next_line(at))
		p->line[i] = at;
	return p->line;
}

/* What guests and programs wrote: nothing of it may reach the terminal as a control sequence. */
static void draw_line(int y, const char *s)
{
	const char *end = line_end(s);

	move(y, 0);
	for (int x = 0; s < end; s++) {
		for (int i = width(*s, x); i > 0 && x < COLS; i--, x++)
			addch((chtype)(*s >= ' ' && *s < 127 ? *s : *s == '\t' ? ' ' : '?'));
	}
}

static void draw(const struct pager *p, const char *title)
{
	erase();
	view_bar(0, title, "");
	for (int i = 0; i < LINES - 2 && p->top + i < p->n; i++)
		draw_line(1 + i, p->line[p->top + i]);
	if (!p->n)
		view_text(1, 0, "(nothing yet)");
	view_bar(LINES - 1, "Up Down PgUp PgDn Home End move   Q back", "");
	refresh();
}

/* How far a key moves; 0 if it does not. */
static int step(int key, int page, int all)
{
	static const struct {
		int key, lines, pages, ends;
	} moves[] = {
		{KEY_UP, -1, 0, 0},   {KEY_DOWN, 1, 0, 0}, {KEY_PPAGE, 0, -1, 0},
		{KEY_NPAGE, 0, 1, 0}, {' ', 0, 1, 0},      {KEY_HOME, 0, 0, -1},
		{KEY_END, 0, 0, 1},
	};

	for (unsigned i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		if (moves[i].key == key)
			return moves[i].lines + moves[i].pages * page + moves[i].ends * all;
	}
	return 0;
}

void pager_show(const char *title, const char *text)
{
	struct pager p = {.text = text};
	int key = 0;

	while (key != 'q' && key != 'Q' && key != 27) {
		bool same = p.columns == COLS;
		int page = LINES - 2, last;

		if (!same && !split(&p))
			break;
		last = p.n > page ? p.n - page : 0;
		p.top = same ? p.top + step(key, page, p.n) : last;
		p.top = p.top > last ? last : p.top < 0 ? 0 : p.top;
		draw(&p, title);
		key = terminal_key(-1);
	}
	free(p.line);
}
