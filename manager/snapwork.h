/* SPDX-License-Identifier: Apache-2.0 */
/* A command at work on a VM's snapshots: what its steps share. */
#ifndef MANAGER_SNAPWORK_H
#define MANAGER_SNAPWORK_H

#include "manager/folders.h"
#include "manager/snapshot.h"

struct snap_work {
	struct manager *m;
	char name[64];
	char folder[PATH_SIZE], tree_path[PATH_SIZE];
	int lock;              /* on the folder of snapshots */
	int holder;            /* on the VM, -1 while the VM runs */
	struct vm_info vm;     /* pid 0: it does not run */
	struct definition def; /* paths are absolute */
	struct snapshot_tree tree;
	const struct snapshot_options *options;
};

/*
 * Begins: takes the locks, reads everything, and finishes or takes back what a killed command has
 * left. To be closed also after an error.
 */
int snap_open(struct snap_work *w, struct manager *m, const char *vm,
	      const struct snapshot_options *o, struct err *e);
void snap_close(struct snap_work *w);

/* Does the guest write it? Others are not in snapshots: discs, read-only disks. */
bool snap_is_written(const struct spec_disk *d);
/* Does the VM open its images past the page cache? */
bool snap_is_direct(const struct spec_disk *d);

/* Makes the tree in memory that on the disk. */
int snap_save_tree(const struct snap_work *w, struct err *e);
/* The same for the definition, unless somebody else changed it meanwhile. */
int snap_save_definition(struct snap_work *w, struct err *e);
/* Reads one that a snapshot or the tree holds into w->def. */
int snap_take_definition(struct snap_work *w, const json_t *o, struct err *e);
/* Brings the definition, the saved memory and UEFI's variables to what tree.pending wants, and
 * clears it. */
int snap_apply_pending(struct snap_work *w, struct err *e);
/* A running VM: the definition's disks become those that the VM's process writes. */
int snap_follow_process(struct snap_work *w, struct err *e);

/* ---- UEFI's variables (snapvars.c) ---------------------------------------------------------- */

/* Those of a VM that does not run; without any no file is made. */
int snap_copy_variables(const struct snap_work *w, const char *to, struct err *e);
/* Puts back what snapshot.variables names: NULL leaves them as they are, "" removes them. */
int snap_set_variables(const struct snap_work *w, const char *file, struct err *e);

/* ---- paths ---------------------------------------------------------------------------------- */

/* NAME/snapshots/FILE. */
int snap_path(const struct snap_work *w, const char *file, char out[PATH_SIZE], struct err *e);
/* A path of a definition or a tree as one that can be opened; "" if it does not fit. */
void snap_absolute(const struct snap_work *w, const char *path, char out[PATH_SIZE]);
/* The other way round: short when it lies in the VM's folder. */
const char *snap_relative(const struct snap_work *w, const char *path);

/* ---- disks (snapimages.c) ------------------------------------------------------------------- */

/* Gives each disk that is written a new overlay on the image `below` (by disk); def points there.
 */
int snap_add_overlays(struct snap_work *w, const struct snapshot_disk *below, struct err *e);
/* Merges and removes images that no snapshot and no disk needs, and files of memory likewise. */
int snap_collect(struct snap_work *w, struct err *e);

#endif
