/* SPDX-License-Identifier: Apache-2.0 */
/* baton manage: the list of VMs, a key for each thing to do with them. */
#include <ctype.h>
#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/cli.h"
#include "cli/manage/manage.h"

#define INTERVAL_MS  1000
#define STOP_SECONDS 30

static const char *selected(const struct manage *m)
{
	return m->selected < m->n ? m->row[m->selected].status.name : NULL;
}

static void tell(struct manage *m, int rc, const struct err *e, const char *done)
{
	if (rc)
		snprintf(m->message, sizeof(m->message), "%.500s", e->text);
	else
		snprintf(m->message, sizeof(m->message), "%.64s: %s", selected(m), done);
}

/* ---- what the keys do; a VM is selected in those that need one ------------------------------- */

static void start(struct manage *m)
{
	uint64_t memory = m->row[m->selected].status.memory, available = m->host.available;
	char done[128] = "started";
	struct err e = {0};

	if (memory > available)
		snprintf(done, sizeof(done),
			 "started. Its %llu MiB are more than the %llu MiB that are free: it ends "
			 "if it uses them all",
			 (unsigned long long)(memory / MIB), (unsigned long long)(available / MIB));
	tell(m, vm_start(m->manager, selected(m), &e), &e, done);
}

static void pause_or_resume(struct manage *m)
{
	bool paused = m->row[m->selected].status.state == VM_PAUSED;
	struct err e = {0};
	int rc = paused ? vm_resume(m->manager, selected(m), &e)
			: vm_pause(m->manager, selected(m), &e);

	tell(m, rc, &e, paused ? "resumed" : "paused");
}

/* In the background: the guest takes its time, the screen does not stand. */
static void stop(struct manage *m)
{
	struct err e = {0};
	int rc = vm_stop(m->manager, selected(m), 0, &e);

	tell(m, rc == -ETIMEDOUT ? 0 : rc, &e, "its power button was pressed");
}

static void kill_vm(struct manage *m)
{
	struct err e = {0};

	if (view_ask("End it at once, without asking the guest?"))
		tell(m, vm_kill(m->manager, selected(m), &e), &e, "ended");
}

static void console(struct manage *m)
{
	const char *argv[] = {"console", selected(m), NULL};

	if (!m->row[m->selected].status.pid)
		snprintf(m->message, sizeof(m->message), "%.64s does not run: S starts it",
			 selected(m));
	else if (run_in_front(argv))
		snprintf(m->message, sizeof(m->message),
			 "%.64s: the console cannot be opened; does another terminal have it?",
			 selected(m));
}

#define LOG_MAX (256u << 10) /* bytes of a log's end that are shown */

/* malloc'd; NULL with errno set. */
static char *read_end(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(LOG_MAX + 1) : NULL;

	if (text) {
		if (fseek(f, -(long)LOG_MAX, SEEK_END))
			rewind(f);
		text[fread(text, 1, LOG_MAX, f)] = 0;
	}
	if (f)
		fclose(f);
	return text;
}

static void show_log(struct manage *m)
{
	char path[512], title[96], *text;
	struct err e = {0};

	snprintf(title, sizeof(title), "Log of %.64s", m->row[m->selected].status.name);
	if (vm_file(m->manager, selected(m), "log", path, &e)) {
		tell(m, e.code, &e, "");
		return;
	}
	text = read_end(path);
	if (text)
		pager_show(title, text);
	else
		snprintf(m->message, sizeof(m->message), "%.64s has no log: it was never started",
			 selected(m));
	free(text);
}

static void delete_vm(struct manage *m)
{
	struct err e = {0};

	if (view_ask("Delete it with the disks in its folder?"))
		tell(m, vm_delete(m->manager, selected(m), true, NULL, NULL, &e), &e, "deleted");
}

static void shell(struct manage *m)
{
	run_in_front(NULL);
	if (m->host.metal)
		terminal_ask_size();
}

static bool any_runs(const struct manage *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->row[i].status.pid)
			return true;
	}
	return false;
}

static void quit(struct manage *m)
{
	m->quit = true;
}

static void power_off(struct manage *m)
{
	if (!view_ask(any_runs(m) ? "Virtual machines run. Power the machine off all the same?"
				  : "Power the machine off?"))
		return;
	endwin();
	sync();
	reboot(RB_POWER_OFF);
}

static void up(struct manage *m)
{
	m->selected -= m->selected > 0;
}

static void down(struct manage *m)
{
	m->selected += m->selected + 1 < m->n;
}

enum where {
	ANYWHERE,
	ON_METAL,
	ON_LINUX,
};

static const struct {
	int key;
	const char *label; /* in the last lines; NULL: everybody knows */
	bool needs_vm;
	enum where where;
	void (*fn)(struct manage *m);
} keys[] = {
	{KEY_UP, NULL, true, ANYWHERE, up},
	{KEY_DOWN, NULL, true, ANYWHERE, down},
	{'n', "N new", false, ANYWHERE, form_create},
	{'s', "S start", true, ANYWHERE, start},
	{'p', "P pause/resume", true, ANYWHERE, pause_or_resume},
	{'t', "T stop", true, ANYWHERE, stop},
	{'k', "K kill", true, ANYWHERE, kill_vm},
	{'d', "D delete", true, ANYWHERE, delete_vm},
	{'c', "C console (Ctrl-] back)", true, ANYWHERE, console},
	{'\n', NULL, true, ANYWHERE, console},
	{'\r', NULL, true, ANYWHERE, console},
	{'l', "L log", true, ANYWHERE, show_log},
	{'h', "H kernel's messages", false, ON_METAL, kernel_log_show},
	{'!', "! shell", false, ANYWHERE, shell},
	{'o', "O power off", false, ON_METAL, power_off},
	{'q', "Q quit", false, ON_LINUX, quit},
};

#define NKEYS (sizeof(keys) / sizeof(keys[0]))

static bool here(const struct manage *m, enum where where)
{
	return where == ANYWHERE || (where == ON_METAL) == m->host.metal;
}

static void handle_key(struct manage *m, int c)
{
	if (c >= 0 && c < 128)
		c = tolower(c);
	for (unsigned i = 0; i < NKEYS; i++) {
		if (keys[i].key == c && (!keys[i].needs_vm || m->n) && here(m, keys[i].where)) {
			m->message[0] = 0;
			keys[i].fn(m);
		}
	}
}

/* ---- the screen's life ----------------------------------------------------------------------- */

static void draw(const struct manage *m)
{
	const char *labels[NKEYS + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < NKEYS; i++) {
		if (keys[i].label && here(m, keys[i].where))
			labels[n++] = keys[i].label;
	}
	labels[n] = NULL;
	view_draw(m, labels);
}

static void loop(struct manage *m)
{
	struct err e;

	while (!m->quit) {
		e = (struct err){0};
		host_view_refresh(&m->host);
		if (rows_refresh(m, &e))
			snprintf(m->message, sizeof(m->message), "%.500s", e.text);
		if (m->host.metal)
			kernel_log_refresh(m);
		draw(m);
		handle_key(m, terminal_key(INTERVAL_MS));
	}
}

static int run_manage(void *context, char **operands, struct err *e)
{
	struct manage m = {0};
	int rc = manager_open(&m.manager, e);

	(void)context, (void)operands;
	if (rc)
		return rc;
	host_view_init(&m.host);
	setlocale(LC_ALL, "");
	if (!isatty(0) || !isatty(1) || !newterm(NULL, stdout, stdin)) {
		manager_close(m.manager);
		return err_set(e, -ENOTTY, "manage: needs a terminal that TERM names");
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (m.host.metal) {
		kernel_log_quiet();
		terminal_ask_size();
	}
	loop(&m);
	endwin();
	free(m.row);
	manager_close(m.manager);
	return CLI_OK;
}

const struct cli_verb cli_manage = {
	.name = "manage",
	.operands = "",
	.help = "the management screen: VMs and what can be done with them",
	.details = "A list of all VMs with their states and what they use, on a full screen. Keys "
		   "make, start, "
		   "pause, stop and delete them, open their consoles and show their logs.",
	.run = run_manage,
	.example = "baton manage",
};
