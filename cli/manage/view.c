/* SPDX-License-Identifier: Apache-2.0 */
/* Draws the screen. */
#include <curses.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cli/manage/manage.h"

#define LABEL         16 /* columns */
#define REASON        56 /* column of a row */
#define KEYS          2  /* lines below the message */
#define REASON_LINES  4
#define MESSAGE_LINES 4

void view_text(int y, int x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (x < COLS)
		mvaddnstr(y, x, text, COLS - x);
}

void view_bar(int y, const char *left, const char *right)
{
	int at = COLS - (int)strlen(right) - 1;

	attron(A_REVERSE);
	mvhline(y, 0, ' ', COLS);
	view_text(y, 1, "%s", left);
	view_text(y, at > 0 ? at : 0, "%s", right);
	attroff(A_REVERSE);
}

static void put_size(char out[32], uint64_t bytes)
{
	if (bytes >> 30 >= 100)
		snprintf(out, 32, "%.1f GiB", (double)bytes / GIB);
	else
		snprintf(out, 32, "%llu MiB", (unsigned long long)(bytes / MIB));
}

/* How much of the text goes into a line of `width` columns; it is broken at blanks. */
static int line_length(const char *text, int width)
{
	int len = (int)strlen(text), n = width;

	if (len <= width)
		return len;
	while (n > 0 && text[n] != ' ')
		n--;
	return n ? n : width;
}

static const char *next_line(const char *text, int width)
{
	text += line_length(text, width);
	return text + (*text == ' ');
}

static int count_lines(const char *text, int width, int max)
{
	int n = 0;

	for (; *text && n < max; text = next_line(text, width))
		n++;
	return n;
}

/* Returns how many lines it took. */
static int draw_wrapped(int y, int x, const char *text, int max)
{
	int width = COLS > x ? COLS - x : 1, lines = count_lines(text, width, max);

	for (int i = 0; i < lines; i++, text = next_line(text, width))
		mvaddnstr(y + i, x, text, line_length(text, width));
	return lines;
}

int view_message(int bottom, const char *text)
{
	int lines = count_lines(text, COLS > 1 ? COLS - 1 : 1, MESSAGE_LINES);

	for (int i = 0; i < lines; i++)
		mvhline(bottom - i, 0, ' ', COLS);
	draw_wrapped(bottom - lines + 1, 1, text, lines);
	return lines;
}

static void draw_title(const struct host_view *h)
{
	unsigned long long up = h->uptime;
	char right[128];

	snprintf(right, sizeof(right), "%s  up %llu:%02llu:%02llu", h->name, up / 3600,
		 up / 60 % 60, up % 60);
	view_bar(0, h->version, right);
}

static void draw_use(int y, const struct host_view *h)
{
	char all[32], used[32], available[32];

	put_size(all, h->memory);
	put_size(used, h->memory - (h->available < h->memory ? h->available : h->memory));
	put_size(available, h->available);
	view_text(y, 1, "%-*sCPU %.0f %%   memory %s of %s, %s free", LABEL - 1, "In use",
		  h->busy * 100, used, all, available);
}

/* Returns the first line below. */
static int draw_host(const struct host_view *h)
{
	int y = 3;

	draw_title(h);
	view_text(1, 1, "%-*s%u x %s", LABEL - 1, "Processor", h->ncpus, h->cpu);
	view_text(2, 1, "%-*s%s", LABEL - 1, "Virtualization", h->virtualization);
	y += draw_wrapped(y, LABEL, h->reason, REASON_LINES);
	draw_use(y, h);
	return y + 1;
}

static const char *why_not(const struct vm_row *r)
{
	return r->status.pid ? "" : r->status.problem[0] ? r->status.problem : r->status.reason;
}

static void draw_row(int y, const struct vm_row *r, bool selected)
{
	const struct vm_status *s = &r->status;
	char memory[32], used[32];

	put_size(memory, s->memory);
	put_size(used, r->used);
	if (selected)
		attron(A_REVERSE);
	mvhline(y, 0, ' ', COLS);
	view_text(y, 1, "%-24.24s %-10s %5u %11s", s->name,
		  s->busy[0] ? s->busy : vm_state_name(s->state), s->cpus, memory);
	if (s->pid)
		view_text(y, 55, "%7.0f %% %12s", r->cpu, used);
	else
		view_text(y, REASON, "%s", why_not(r));
	if (selected)
		attroff(A_REVERSE);
}

static void draw_list(int y, int bottom, const struct manage *m)
{
	int room = bottom - y, top;

	attron(A_BOLD);
	view_text(y, 1, "%-24s %-10s %5s %11s %9s %12s", "NAME", "STATE", "vCPUs", "MEMORY", "CPU",
		  "USED");
	attroff(A_BOLD);
	if (!m->n)
		view_text(y + 1, 1, "No virtual machines yet: N makes one.");
	top = (int)m->selected >= room ? (int)m->selected - room + 1 : 0;
	for (int i = 0; i < room && top + i < (int)m->n; i++)
		draw_row(y + 1 + i, &m->row[top + i], (size_t)(top + i) == m->selected);
}

/* As many as fit into the first of the two lines, the others into the second. */
static void draw_keys(const char *const *keys)
{
	char line[2][256] = {"", ""};
	unsigned at = 0;

	for (; *keys; keys++) {
		size_t len = strlen(line[at]);

		if (at == 0 && len + strlen(*keys) + 3 > (size_t)COLS)
			len = strlen(line[++at]);
		snprintf(line[at] + len, sizeof(line[at]) - len, "%s%s", len ? "  " : "", *keys);
	}
	view_bar(LINES - 2, line[0], "");
	view_bar(LINES - 1, line[1], "");
}

/* Below the list: what happened last, else what does not fit into the selected row. */
static const char *message(const struct manage *m)
{
	const char *why = m->n ? why_not(&m->row[m->selected]) : "";

	return m->message[0] || (int)strlen(why) <= COLS - REASON ? m->message : why;
}

void view_draw(const struct manage *m, const char *const *keys)
{
	int bottom = LINES - KEYS - 1;

	erase();
	bottom -= view_message(bottom, message(m));
	draw_list(draw_host(&m->host) + 1, bottom, m);
	draw_keys(keys);
	refresh();
}

bool view_ask(const char *question)
{
	int c;

	mvhline(LINES - KEYS - 1, 0, ' ', COLS);
	view_text(LINES - KEYS - 1, 1, "%s (y/n) ", question);
	refresh();
	while ((c = terminal_key(-1)) == KEY_RESIZE)
		;
	return c == 'y' || c == 'Y';
}
