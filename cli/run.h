/* SPDX-License-Identifier: Apache-2.0 */
/* What the options that describe a machine amount to; `run` and `create` share them. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "manager/vm.h"

struct run_context {
	struct spec spec;
	uint64_t new_disks[SPEC_MAX_DISKS]; /* bytes of disks that are to be made, else 0 */
	bool print_spec, list_devices;
};

void run_context_init(void *context);
void run_context_fini(void *context);

/* For contexts that begin with a run_context. */
extern const struct cli_option run_options[];

/* --disk: one more. */
int run_add_disk(void *context, const char *value, struct err *e);

/* Paths are the current folder's; other commands may be called in another one. */
int run_make_absolute(struct spec *s, struct err *e);

/* Prints the device models; returns only on an error. */
int list_devices(struct err *e);

/* ---- create and modify (define.c) ----------------------------------------------------------- */

struct define_context {
	struct run_context run; /* first: the shared options fill it */
	char *title, *description;
	bool autostart;
};

/* --title, --description, --autostart. */
extern const struct cli_option define_options[];

/* Takes over what a definition holds, and gives it back with absolute paths to files that exist. */
void define_take(struct define_context *c, struct definition *d);
int define_give(struct define_context *c, struct definition *d, struct err *e);
void define_fini(void *context);

/* Verbs of the group `disk` that change a machine (modify.c). */
extern const struct cli_verb cli_disk_attach, cli_disk_detach;

#endif
