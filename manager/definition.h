/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of a VM that is kept: the machine description (vmm/spec.h) and what only its
 * owner cares about, in one JSON object:
 *
 *   { "version": 1, "uuid": "…", "title": "Web server", "description": "…", "autostart": false,
 *     "memory": 536870912, "cpus": 1, "boot": { … }, "disks": [ … ], … }
 *
 * It has no name: that is its folder's. Relative paths are relative to the folder.
 */
#ifndef MANAGER_DEFINITION_H
#define MANAGER_DEFINITION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "vmm/spec.h"

struct definition {
	struct spec machine;       /* with uuid, without name, control and record */
	char *title, *description; /* NULL: none */
	bool autostart;            /* started by `baton autostart-all` */
};

void definition_init(struct definition *d);
void definition_free(struct definition *d);

/* Reads and checks; errors name the value's path and what is allowed. definition_init() first. */
int definition_parse(struct definition *d, const char *json, size_t len, struct err *e);
int definition_load(struct definition *d, const char *path, struct err *e);
/* All that must hold, whoever made it; definition_parse() calls it. */
int definition_check(const struct definition *d, struct err *e);

/* malloc'd readable JSON that parses back to the same; NULL when a text is not UTF-8. */
char *definition_print(const struct definition *d);
json_t *definition_to_json(const struct definition *d);
/* Checks, then replaces the file at one instant. */
int definition_save(const struct definition *d, const char *path, struct err *e);

/* A random UUID (RFC 9562, version 4) for the machine. */
int definition_new_uuid(struct definition *d, struct err *e);

/* Puts FOLDER/ in front of each relative path in the machine's description. */
int spec_rebase(struct spec *s, const char *folder, struct err *e);
/* Takes FOLDER/ off each path that begins with it. */
int spec_unbase(struct spec *s, const char *folder, struct err *e);

#endif
