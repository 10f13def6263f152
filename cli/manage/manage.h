/* SPDX-License-Identifier: Apache-2.0 */
/* The management screen: `baton manage` in a terminal, and what comes up on the bare machine. */
#ifndef CLI_MANAGE_MANAGE_H
#define CLI_MANAGE_MANAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "manager/usage.h"
#include "manager/vm.h"

/* The machine it runs on. */
struct host_view {
	char name[64], version[64], cpu[64];
	char virtualization[96]; /* VT-x, AMD-V or none, and which engine VMs take therefore */
	char reason[400];        /* why it is off and what to do about it; "" when it is on */
	unsigned ncpus;
	bool metal;                 /* Baton's own kernel */
	uint64_t memory, available; /* bytes */
	uint64_t uptime;            /* seconds */
	double busy;                /* share of all CPUs since the last look, 0 to 1 */
	uint64_t total_ticks, idle_ticks;
};

/* What does not change. */
void host_view_init(struct host_view *h);
/* What does. */
void host_view_refresh(struct host_view *h);

struct vm_row {
	struct vm_status status;
	uint64_t cpu_ns, at_ns;
	double cpu;    /* percent of one CPU since the last look */
	uint64_t used; /* bytes of host memory */
};

struct manage {
	struct manager *manager;
	struct host_view host;
	struct vm_row *row;
	size_t n, selected;
	char message[512]; /* what happened last */
	char kernel[256];  /* bare machine: the kernel's last message that was shown */
	bool quit;
};

/* Looks at all VMs again; the selection stays with its VM. */
int rows_refresh(struct manage *m, struct err *e);
/* The one of that name is the selected one; nothing changes if there is none. */
void rows_select(struct manage *m, const char *name);
/* vCPUs of the VMs that run. */
unsigned rows_running_cpus(const struct manage *m);

/* ---- drawing: text ends at the edge of the screen -------------------------------------------- */

void view_text(int y, int x, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A line in reverse colours. */
void view_bar(int y, const char *left, const char *right);
/* The whole screen; `keys` are the words of its last lines. */
void view_draw(const struct manage *m, const char *const *keys);
/* What happened last, broken into lines of which the last is at `bottom`; returns how many. */
int view_message(int bottom, const char *text);
/* Yes or no, above the keys. */
bool view_ask(const char *question);

/* ---- the terminal ---------------------------------------------------------------------------- */

/*
 * A key (ncurses' numbers), ERR after that many milliseconds (-1: only at the terminal's end);
 * KEY_RESIZE: no key, or Ctrl-L: the screen is to be drawn again.
 */
int terminal_key(int ms);
/*
 * Asks the terminal how large it is; terminal_key() hears the answer. For serial ports, which
 * cannot tell. Where nobody answers nothing changes.
 */
void terminal_ask_size(void);

/* ---- other screens --------------------------------------------------------------------------- */

/* A form for a new VM; makes it when it was filled in. */
void form_create(struct manage *m);

/* A long text to look through, from its end. */
void pager_show(const char *title, const char *text);

/* The kernel's messages on the bare machine, to look through. */
void kernel_log_show(struct manage *m);
/* From now on they do not write into the screen; the last new one becomes m->message. */
void kernel_log_quiet(void);
void kernel_log_refresh(struct manage *m);

/*
 * Runs `baton` with these arguments. Quiet: what it says last becomes m->message; otherwise it has
 * the terminal to itself (NULL: a shell). Returns its exit status.
 */
int run_quietly(struct manage *m, const char *const argv[]);
int run_in_front(const char *const argv[]);

#endif
