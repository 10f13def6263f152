/* SPDX-License-Identifier: Apache-2.0 */
/* The form for a new VM. What is entered is given to `baton create`, which checks it. */
#include <assert.h>
#include <ctype.h>
#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "cli/manage/choices.h"

#define FIELD_SIZE 1000
#define FIRST_ROW  2
#define TEXT_COL   16

static const struct {
	const char *label, *option, *without;
	void (*choices)(struct choices *c, struct manage *m);
} fields[] = {
	{"Name", NULL, "", NULL},
	{"Processors", "--cpus", "1", choices_cpus},
	{"Memory", "--memory", "512M", choices_memory},
	{"Disk", "--disk", "", choices_disks},
	{"Network", "--net", "none", choices_networks},
	{"CD image", "--cdrom", "", choices_cdroms},
	{"Kernel", "--kernel", "", choices_kernels},
	{"Initrd", "--initrd", "", choices_initrds},
	{"Command line", "--append", "", NULL},
};

#define NFIELDS (int)(sizeof(fields) / sizeof(fields[0]))

enum {
	FIELD_NAME = 0,
	FIELD_DISK = 3,
};

static_assert(sizeof(((struct choice *)0)->value) <= FIELD_SIZE, "choices fit into fields");

struct form {
	char text[NFIELDS][FIELD_SIZE];
	bool typed[NFIELDS]; /* the first character replaces what was proposed */
	int at;
	struct choices choices; /* for the field at hand */
	int chosen;             /* the last one taken from them; -1: none */
};

static void go_to(struct form *f, struct manage *m, int at)
{
	f->at = at < 0 ? 0 : at >= NFIELDS ? NFIELDS - 1 : at;
	f->choices = (struct choices){.n = 0};
	f->chosen = -1;
	if (fields[f->at].choices)
		fields[f->at].choices(&f->choices, m);
}

static void draw_choices(const struct form *f, int top)
{
	const struct choices *c = &f->choices;

	view_text(top, 1, "%s", c->summary);
	for (unsigned i = 0; i < c->n && top + 1 + (int)i < LINES - 2; i++)
		view_text(top + 1 + (int)i, 1, "%c %-30s %s", (int)i == f->chosen ? '>' : ' ',
			  c->item[i].value, c->item[i].note);
}

/* What of it fits into the line, with the cursor behind: its end. */
static const char *visible(const char *text)
{
	size_t width = COLS > TEXT_COL + 1 ? (size_t)COLS - TEXT_COL - 1 : 0, len = strlen(text);

	return text + (len > width ? len - width : 0);
}

static void draw(const struct form *f, const struct manage *m)
{
	erase();
	view_bar(0, "A new virtual machine", m->host.name);
	for (int i = 0; i < NFIELDS; i++) {
		view_text(FIRST_ROW + i, 1, "%s", fields[i].label);
		if (i == f->at)
			attron(A_UNDERLINE);
		view_text(FIRST_ROW + i, TEXT_COL, "%-40s", visible(f->text[i]));
		attroff(A_UNDERLINE);
	}
	draw_choices(f, FIRST_ROW + NFIELDS + 1);
	view_message(LINES - 2, m->message);
	view_bar(LINES - 1,
		 "Up/Down fields  Left/Right choices  F2 or Enter on the last: make it  Esc back",
		 "");
	move(FIRST_ROW + f->at, TEXT_COL + (int)strlen(visible(f->text[f->at])));
	refresh();
}

static void edit(struct form *f, struct manage *m, int c)
{
	char *text = f->text[f->at];
	size_t len;

	if (c > 127 && c < KEY_MIN) { /* a byte of a longer character */
		snprintf(m->message, sizeof(m->message),
			 "Only ASCII characters can be typed here.");
		return;
	}
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

static void choose(struct form *f, int by)
{
	int n = (int)f->choices.n;

	if (!n)
		return;
	f->chosen = f->chosen < 0 ? (by > 0 ? 0 : n - 1) : (f->chosen + by + n) % n;
	memcpy(f->text[f->at], f->choices.item[f->chosen].value,
	       sizeof(f->choices.item[f->chosen].value));
	f->typed[f->at] = true;
}

static bool is_enter(int c)
{
	return c == '\n' || c == '\r' || c == KEY_ENTER;
}

/* True: make it; false: do not. */
static bool fill_in(struct form *f, struct manage *m)
{
	for (;;) {
		int c;

		draw(f, m);
		c = terminal_key(-1);
		if (c == 27 || c == ERR)
			return false;
		if (c == KEY_F(2) || (is_enter(c) && f->at == NFIELDS - 1))
			return true;
		if (c == KEY_UP || c == KEY_BTAB)
			go_to(f, m, f->at - 1);
		else if (c == KEY_DOWN || c == '\t' || is_enter(c))
			go_to(f, m, f->at + 1);
		else if (c == KEY_LEFT || c == KEY_RIGHT)
			choose(f, c == KEY_RIGHT ? 1 : -1);
		else
			edit(f, m, c);
	}
}

/* "20G" is a new disk, "/dev/sda" or "disk.img" one that is there. */
static bool is_size(const char *text)
{
	return isdigit((unsigned char)text[0]) && !text[strspn(text, "0123456789.kKmMgGtTiB")];
}

static int create(const struct form *f, struct manage *m)
{
	char disk[FIELD_SIZE + 8];
	const char *argv[2 * NFIELDS + 4] = {"create"};
	int n = 1;

	for (int i = 1; i < NFIELDS; i++) {
		if (!f->text[i][0])
			continue;
		argv[n++] = fields[i].option;
		argv[n++] = f->text[i];
	}
	for (int i = 1; i < n; i += 2) {
		if (strcmp(argv[i], fields[FIELD_DISK].option) || !is_size(argv[i + 1]))
			continue;
		snprintf(disk, sizeof(disk), "size=%s", argv[i + 1]);
		argv[i + 1] = disk;
	}
	argv[n++] = "--"; /* the name may look like an option */
	argv[n] = f->text[FIELD_NAME];
	return run_quietly(m, argv);
}

void form_create(struct manage *m)
{
	struct form f = {.at = 0};
	struct err e = {0};

	for (int i = 0; i < NFIELDS; i++)
		snprintf(f.text[i], FIELD_SIZE, "%s", fields[i].without);
	go_to(&f, m, 0);
	curs_set(1);
	while (fill_in(&f, m)) { /* again, with the reason, until it can be made */
		if (create(&f, m))
			continue;
		snprintf(m->message, sizeof(m->message), "%.64s is made; S starts it.",
			 f.text[FIELD_NAME]);
		if (!rows_refresh(m, &e))
			rows_select(m, f.text[FIELD_NAME]);
		curs_set(0);
		return;
	}
	m->message[0] = 0;
	curs_set(0);
}
