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
	struct err e = {0};

	tell(m, vm_start(m->manager, selected(m), &e), &e, "started");
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

	if (run_in_front(argv))
		snprintf(m->message, sizeof(m->message),
			 "%.64s: the console cannot be opened; does it run?", selected(m));
}

static void show_log(struct manage *m)
{
	const char *argv[] = {"log", selected(m), NULL};

	run_in_front(argv);
	printf("\r\n-- a key goes on --");
	fflush(stdout);
	timeout(-1);
	getch();
}

static void delete_vm(struct manage *m)
{
	struct err e = {0};

	if (view_ask("Delete it with the disks in its folder?"))
		tell(m, vm_delete(m->manager, selected(m), true, NULL, NULL, &e), &e, "deleted");
}

static void shell(struct manage *m)
{
	(void)m;
	run_in_front(NULL);
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
	m->quit = !m->host.metal;
}

static void power_off(struct manage *m)
{
	if (!m->host.metal)
		return;
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

static const struct {
	int key;
	bool needs_vm;
	void (*fn)(struct manage *m);
} keys[] = {
	{KEY_UP, true, up},      {KEY_DOWN, true, down},       {'n', false, form_create},
	{'s', true, start},      {'p', true, pause_or_resume}, {'t', true, stop},
	{'k', true, kill_vm},    {'c', true, console},         {'l', true, show_log},
	{'d', true, delete_vm},  {'!', false, shell},          {'q', false, quit},
	{'o', false, power_off},
};

static void handle_key(struct manage *m, int c)
{
	if (c >= 0 && c < 128)
		c = tolower(c);
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key == c && (!keys[i].needs_vm || m->n)) {
			m->message[0] = 0;
			keys[i].fn(m);
		}
	}
}

/* ---- the screen's life ----------------------------------------------------------------------- */

static void loop(struct manage *m)
{
	struct err e;

	while (!m->quit) {
		e = (struct err){0};
		host_view_refresh(&m->host);
		if (rows_refresh(m, &e))
			snprintf(m->message, sizeof(m->message), "%.500s", e.text);
		view_draw(m);
		timeout(INTERVAL_MS);
		handle_key(m, getch());
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
