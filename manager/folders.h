/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's own view of its folders. */
#ifndef MANAGER_FOLDERS_H
#define MANAGER_FOLDERS_H

#include "manager/manager.h"

#define PATH_SIZE 512

struct manager {
	char *vms, *runtime; /* folders */
	int lock;            /* held while folders come and go, else -1 */
};

int manager_lock(struct manager *m, struct err *e);
void manager_unlock(struct manager *m);

#endif
