/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of VMs that are kept: what the machine was, its disks, UEFI's variables and, of a
 * running or saved VM, its memory, all at one instant. They form a tree; the VM as it is now goes
 * on from the current one.
 *
 *   STATE/vms/NAME/snapshots/tree.json   all snapshots and what is to be done (manager/snaptree.h)
 *   STATE/vms/NAME/snapshots/N.state     memory and devices (docs/state.md)
 *   STATE/vms/NAME/snapshots/N.vars      UEFI's variables
 *   STATE/vms/NAME/snapshots/lock        held by a command that works on them
 *
 * At a snapshot each disk that the guest writes gets an overlay beside it, and the image below is
 * never written again. Each change becomes valid when tree.json is replaced; what a killed command
 * left undone is finished or taken back when the next one begins.
 */
#ifndef MANAGER_SNAPSHOT_H
#define MANAGER_SNAPSHOT_H

#include "manager/snaptree.h"
#include "manager/vm.h"

struct snapshot_options {
	const char *description;       /* NULL: none */
	bool disk_only;                /* of a running VM: without memory, as after a power cut */
	control_progress_fn *progress; /* may be NULL */
	void *opaque;
};

/*
 * Takes a snapshot, of a running VM while it runs on. -EEXIST: the name is taken. When it fails
 * the VM is as it was and runs on.
 */
int snapshot_take(struct manager *m, const char *vm, const char *name,
		  const struct snapshot_options *o, struct err *e);

/*
 * The VM becomes what it was; what it was until now is lost if no snapshot holds it. A
 * running VM is ended first. With memory in the snapshot the VM is then saved: vm_start() goes on
 * at that instant. -ENOENT: no such snapshot. *memory: whether there is memory in it.
 */
int snapshot_restore(struct manager *m, const char *vm, const char *name, bool *memory,
		     struct err *e);

/*
 * Forgets a snapshot; its children become those of its parent, and what its disks hold merges into
 * theirs. When only the merging fails the snapshot is gone all the same, and the next command
 * tries again.
 */
int snapshot_delete(struct manager *m, const char *vm, const char *name,
		    const struct snapshot_options *o, struct err *e);

int snapshot_rename(struct manager *m, const char *vm, const char *name, const char *new_name,
		    struct err *e);

/* All of them; takes no lock. snapshot_tree_free() afterwards. */
int snapshot_list(struct manager *m, const char *vm, struct snapshot_tree *out, struct err *e);
/* Path of a snapshot's memory; -ENODATA when it has none. 512 bytes. */
int snapshot_memory(struct manager *m, const char *vm, const char *name, char out[512],
		    struct err *e);

/* Before a start: finishes a restore that was interrupted. Moments only. */
int snapshot_settle(struct manager *m, const char *vm, struct err *e);

#endif
