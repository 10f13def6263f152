/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a VM's snapshots, and its file: one JSON object that is replaced at one instant.
 *
 *   { "version": 1, "current": "b",
 *     "snapshots": [
 *       { "name": "b", "parent": "a", "time": 1764176400, "description": "…",
 *         "memory": "2.state", "variables": "2.vars", "definition": { … },
 *         "disks": [ { "path": "disk0.qcow2", "format": "qcow2" }, null ] } ],
 *     "images": [ "disk0.s1.qcow2" ], "bases": [ "disk0.qcow2" ],
 *     "pending": { "definition": { … }, "memory": "2.state", "variables": "2.vars" } }
 *
 * "disks" goes with the definition's: the image that holds the disk's content, null for a disk that
 * is not written. "images" are the files that snapshots made, also those about to be made: what is
 * in use by nobody is removed. "bases" are the disks that were there before; only
 * these and "images" are merged, for on others anything may stand, linked clones for example.
 * "variables" is a copy of UEFI's variables, "" if there were none; snapshots of older versions
 * lack it, and their restore leaves the VM's as they are. "pending" is a restore that has been
 * decided on: the definition, the saved memory (null: none) and the variables that the VM shall
 * have.
 */
#ifndef MANAGER_SNAPTREE_H
#define MANAGER_SNAPTREE_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/spec.h"

#define SNAPSHOT_MAX 4096

struct snapshot_disk {
	char *path, *format; /* NULL: the disk is not written */
};

struct snapshot {
	char name[64], parent[64]; /* parent "": none */
	char *description;         /* "" if none */
	int64_t time;              /* seconds since 1970 */
	char memory[32];           /* file in the folder of snapshots; "": none */
	char *variables;           /* the same for UEFI's variables; NULL: not known */
	struct snapshot_disk disk[SPEC_MAX_DISKS];
	unsigned ndisks;
	json_t *definition;
};

struct snapshot_tree {
	struct snapshot *list; /* in the order in which they were taken */
	size_t n;
	char current[64];       /* "": none */
	json_t *images, *bases; /* arrays of texts */
	json_t *pending;        /* NULL: nothing */
};

/* A file that is not there is an empty tree. */
int snapshot_tree_load(struct snapshot_tree *t, const char *path, struct err *e);
/* The same from a text; -EINVAL names what is wrong in it. */
int snapshot_tree_parse(struct snapshot_tree *t, const char *text, size_t len, struct err *e);
int snapshot_tree_save(const struct snapshot_tree *t, const char *path, struct err *e);
void snapshot_tree_free(struct snapshot_tree *t);

/* NULL and a sentence: there is no snapshot of that name. */
struct snapshot *snapshot_find(const struct snapshot_tree *t, const char *name, struct err *e);
/* Adds one behind the others and takes over what it owns. -ENOMEM only. */
int snapshot_append(struct snapshot_tree *t, const struct snapshot *s, struct err *e);
/* Gives a disk, of a snapshot or a definition, another image. */
int snapshot_set_image(char **path, char **format, const char *new_path, const char *new_format,
		       struct err *e);
/* Frees what one owns that is in no tree. */
void snapshot_free(struct snapshot *s);
/* Takes it out; children and the mark of the current one go to its parent. */
void snapshot_remove(struct snapshot_tree *t, struct snapshot *s);
/* Also where it is somebody's parent or the current one. */
void snapshot_set_name(struct snapshot_tree *t, struct snapshot *s, const char *name);

#endif
