/* SPDX-License-Identifier: Apache-2.0 */
/* Draws the screen. */
#include <curses.h>
#include <string.h>

#include "base/num.h"
#include "cli/manage/manage.h"

static void title(const char *text)
{
	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	mvprintw(0, 1, "%s", text);
	attroff(A_REVERSE);
}

static void draw_host(const struct host_view *h)
{
	uint64_t used = h->memory - (h->available < h->memory ? h->available : h->memory);

	title(h->version);
	mvprintw(0, COLS - (int)strlen(h->name) - 1, "%s", h->name);
	mvprintw(1, 1, "Processor  %u x %.60s", h->ncpus, h->cpu);
	mvprintw(2, 1, "Guests     %.*s", COLS - 13, h->virtualization);
	mvprintw(3, 1,
		 "In use     CPU %3.0f %%   memory %llu of %llu MiB, %llu free for VMs   up "
		 "%llu:%02llu:%02llu",
		 h->busy * 100, (unsigned long long)(used / MIB),
		 (unsigned long long)(h->memory / MIB), (unsigned long long)(h->available / MIB),
		 (unsigned long long)(h->uptime / 3600), (unsigned long long)(h->uptime / 60 % 60),
		 (unsigned long long)(h->uptime % 60));
}

static void draw_row(int y, const struct vm_row *r, bool selected)
{
	const struct vm_status *s = &r->status;

	if (selected)
		attron(A_REVERSE);
	mvhline(y, 0, ' ', COLS);
	mvprintw(y, 1, "%-24.24s %-10s %5u %7llu MiB", s->name,
		 s->busy[0] ? s->busy : vm_state_name(s->state), s->cpus,
		 (unsigned long long)(s->memory / MIB));
	if (s->pid)
		printw(" %7.0f %% %8llu MiB", r->cpu, (unsigned long long)(r->used / MIB));
	else if (s->problem[0])
		printw("  %.*s", COLS - 56, s->problem);
	if (selected)
		attroff(A_REVERSE);
}

static void draw_list(const struct manage *m)
{
	int room = LINES - 8, top;

	attron(A_BOLD);
	mvprintw(5, 1, "%-24s %-10s %5s %11s %9s %12s", "NAME", "STATE", "vCPUs", "MEMORY", "CPU",
		 "USED");
	attroff(A_BOLD);
	if (!m->n)
		mvprintw(6, 1, "No virtual machines yet: N makes one.");
	top = (int)m->selected >= room ? (int)m->selected - room + 1 : 0;
	for (int i = 0; i < room && top + i < (int)m->n; i++)
		draw_row(6 + i, &m->row[top + i], (size_t)(top + i) == m->selected);
}

void view_draw(const struct manage *m)
{
	erase();
	draw_host(&m->host);
	draw_list(m);
	mvprintw(LINES - 2, 1, "%.*s", COLS - 2, m->message);
	attron(A_REVERSE);
	mvhline(LINES - 1, 0, ' ', COLS);
	mvprintw(LINES - 1, 1,
		 "N new  S start  P pause  T stop  K kill  C console  L log  D delete  ! shell  %s",
		 m->host.metal ? "O power off" : "Q quit");
	attroff(A_REVERSE);
	refresh();
}

bool view_ask(const char *question)
{
	int c;

	mvhline(LINES - 2, 0, ' ', COLS);
	mvprintw(LINES - 2, 1, "%s (y/n) ", question);
	refresh();
	timeout(-1);
	c = getch();
	return c == 'y' || c == 'Y';
}
