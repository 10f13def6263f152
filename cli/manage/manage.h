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
	char virtualization[256]; /* which engine `auto` takes, and why */
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
	char message[512]; /* the last line: what happened */
	bool quit;
};

/* Looks at all VMs again; the selection stays with its VM. */
int rows_refresh(struct manage *m, struct err *e);

void view_draw(const struct manage *m);
/* Yes or no on the last line. */
bool view_ask(const char *question);

/* A form for a new VM; makes it when it was filled in. */
void form_create(struct manage *m);

/*
 * Runs `baton` with these arguments. Quiet: what it says last becomes m->message; otherwise it has
 * the terminal to itself. Returns its exit status.
 */
int run_quietly(struct manage *m, const char *const argv[]);
int run_in_front(const char *const argv[]);

#endif
