/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATE/disks: images that belong to no VM alone.
 *
 *   STATE/disks/NAME/       disks that outlived the VM of that name
 *   STATE/disks/base-UUID/  what linked clones stand on; it is never written, and removed when
 *                           nobody stands on it any more
 */
#ifndef MANAGER_POOL_H
#define MANAGER_POOL_H

#include "manager/folders.h"

int pool_path(const struct manager *m, const char *name, char out[PATH_SIZE], struct err *e);

/*
 * Gives the disks in a VM's folder a second name in the pool, all in one folder, so that images
 * find those that they stand on. `kept` (may be NULL) hears of each. Global lock held.
 */
int pool_keep(const struct manager *m, const char *vm, void (*kept)(void *opaque, const char *path),
	      void *opaque, struct err *e);

/* Makes a folder for bases, held until *lock is closed; `out` receives its path. */
int pool_new_base(struct manager *m, char out[PATH_SIZE], int *lock, struct err *e);

/*
 * Removes bases that no image in a VM's folder or in the pool stands on, and that nobody holds. If
 * an image cannot be read all stay. Global lock held.
 */
void pool_clean(const struct manager *m);

/* True for the names that disks in a VM's folder have: "disk0.qcow2", ... */
bool pool_is_disk(const char *file);

#endif
