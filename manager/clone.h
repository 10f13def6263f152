/* SPDX-License-Identifier: Apache-2.0 */
/* A clone on its way, between the files that make it. */
#ifndef MANAGER_CLONE_H
#define MANAGER_CLONE_H

#include "manager/copy.h"
#include "manager/folders.h"
#include "manager/vm.h"

struct clone {
	struct manager *m;
	char source[64];
	const char *name;
	char work[80];          /* ".new-NAME", which becomes the VM's folder */
	char folder[PATH_SIZE]; /* its path */
	bool linked;
	int source_lock, lock, base_lock; /* -1: not held */
	struct definition d;              /* the source's, and by and by the clone's */
	struct copy_progress progress;
};

/* What nobody writes to is shared. */
bool clone_shares(const struct spec_disk *d);

/*
 * The disks of c->d are made in c->folder as overlays on images that go from the source to the
 * pool; the source goes on with overlays of its own. Both VMs are held.
 */
int clone_link_disks(struct clone *c, struct err *e);

#endif
