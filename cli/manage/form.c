/* SPDX-License-Identifier: Apache-2.0 */
/* The form for a new VM. What is entered is given to `baton create`, which checks it. */
#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cli/manage/manage.h"

#define FIELD_SIZE 200

static const struct {
	const char *label, *option, *without;
} fields[] = {
	{"Name", NULL, ""},
	{"Processors", "--cpus", "1"},
	{"Memory", "--memory", "512M"},
	{"New disk (20G, or empty)", "--disk", ""},
	{"CD image (path, or empty)", "--cdrom", ""},
	{"Kernel (path, or empty)", "--kernel", ""},
	{"Initrd (path, or empty)", "--initrd", ""},
	{"Kernel command line", "--append", ""},
};

#define NFIELDS (int)(sizeof(fields) / sizeof(fields[0]))

enum {
	FIELD_NAME = 0,
	FIELD_DISK = 3,
};

struct form {
	char text[NFIELDS][FIELD_SIZE];
	bool typed[NFIELDS]; /* the first character replaces what was proposed */
	int at;
};

static void draw(const struct form *f, const struct host_view *h)
{
	erase();
	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	mvprintw(0, 1, "A new virtual machine");
	attroff(A_REVERSE);
	mvprintw(1, 1, "This host has %u processors, and %llu MiB of memory free.", h->ncpus,
		 (unsigned long long)(h->available / MIB));
	for (int i = 0; i < NFIELDS; i++) {
		mvprintw(3 + i, 1, "%-26s", fields[i].label);
		if (i == f->at)
			attron(A_UNDERLINE);
		printw("%-40s", f->text[i]);
		attroff(A_UNDERLINE);
	}
	mvprintw(LINES - 1, 1,
		 "Up, Down: fields   Enter on the last one or F2: make it   Esc: do not");
	move(3 + f->at, 27 + (int)strlen(f->text[f->at]));
	refresh();
}

static void edit(struct form *f, int c)
{
	char *text = f->text[f->at];
	size_t len;

	if (c >= ' ' && c < 127 && !f->typed[f->at])
		text[0] = 0;
	f->typed[f->at] = true;
	len = strlen(text);

	if ((c == KEY_BACKSPACE || c == 127 || c == '\b') && len)
		text[len - 1] = 0;
	if (c >= ' ' && c < 127 && len + 1 < FIELD_SIZE) {
		text[len] = (char)c;
		text[len + 1] = 0;
	}
}

/* True: make it; false: do not. */
static bool fill_in(struct form *f, const struct host_view *h)
{
	for (;;) {
		int c;

		draw(f, h);
		timeout(-1);
		c = getch();
		if (c == 27 || c == ERR)
			return false;
		if (c == KEY_F(2) ||
		    ((c == '\n' || c == '\r' || c == KEY_ENTER) && f->at == NFIELDS - 1))
			return true;
		if (c == KEY_UP)
			f->at -= f->at > 0;
		else if (c == KEY_DOWN || c == '\t' || c == '\n' || c == '\r' || c == KEY_ENTER)
			f->at += f->at < NFIELDS - 1;
		else
			edit(f, c);
	}
}

void form_create(struct manage *m)
{
	struct form f = {.at = 0};
	char disk[FIELD_SIZE + 8];
	const char *argv[2 * NFIELDS + 4] = {"create", f.text[FIELD_NAME]};
	int n = 2;

	for (int i = 0; i < NFIELDS; i++)
		snprintf(f.text[i], FIELD_SIZE, "%s", fields[i].without);
	if (!fill_in(&f, &m->host))
		return;
	for (int i = 1; i < NFIELDS; i++) {
		if (!f.text[i][0])
			continue;
		argv[n++] = fields[i].option;
		argv[n++] = f.text[i];
		if (i == FIELD_DISK) {
			snprintf(disk, sizeof(disk), "size=%.*s", FIELD_SIZE - 1, f.text[i]);
			argv[n - 1] = disk;
		}
	}
	if (!run_quietly(m, argv))
		snprintf(m->message, sizeof(m->message), "%.64s is made; S starts it.",
			 f.text[FIELD_NAME]);
}
