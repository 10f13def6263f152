/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, and the size of a terminal that is at the far end of a serial line. */
#include <curses.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/metal.h"
#include "cli/manage/manage.h"

#define CTRL_L      12
#define ESCAPE      27
#define SEQUENCE_MS 100 /* within a sequence; a slow line needs 0.1 ms a byte */

/* To the farthest corner; the cursor's place (ECMA-48, 8.3.35) is then the size. */
void terminal_ask_size(void)
{
	static const char ask[] = "\0337\033[999;999H\033[6n\0338";

	fflush(stdout);
	if (write(STDOUT_FILENO, ask, sizeof(ask) - 1) < 0)
		return; /* the terminal is gone: getch() tells */
}

/* Programs learn of it by SIGWINCH. */
static void set_size(unsigned rows, unsigned columns)
{
	struct winsize w = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

	if (rows >= 10 && rows < 1000 && columns >= 40 && columns < 1000)
		ioctl(STDIN_FILENO, TIOCSWINSZ, &w);
}

/* The rest of a sequence that ncurses does not know: "[numbers;letter". */
static void read_sequence(void)
{
	unsigned number[2] = {0}, n = 0;
	int c;

	while ((c = getch()) == ';' || (c >= '0' && c <= '9')) {
		if (c == ';')
			n = 1;
		else if (number[n] < 10000)
			number[n] = number[n] * 10 + (unsigned)(c - '0');
	}
	if (c == 'R' && n)
		set_size(number[0], number[1]);
}

/* Somebody else may sit at the terminal now. */
static void redraw(void)
{
	clearok(stdscr, TRUE);
	if (on_bare_metal())
		terminal_ask_size();
}

int terminal_key(int ms)
{
	int c, next;

	timeout(ms);
	c = getch();
	if (c == CTRL_L) {
		redraw();
		return KEY_RESIZE;
	}
	if (c != ESCAPE)
		return c;
	timeout(SEQUENCE_MS);
	next = getch();
	if (next == '[') {
		read_sequence();
		return KEY_RESIZE;
	}
	if (next != ERR)
		ungetch(next);
	return ESCAPE;
}
