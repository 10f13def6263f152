/* SPDX-License-Identifier: Apache-2.0 */
/* Removes a VM; disks that shall stay move to the folder of disks first. */
#include <errno.h>
#include <unistd.h>

#include "manager/folders.h"
#include "manager/pool.h"
#include "manager/vm.h"

struct keep {
	void (*fn)(void *opaque, const char *path);
	void *opaque;
};

static int delete_locked(struct manager *m, const char *name, bool disks, const struct keep *keep,
			 struct err *e)
{
	int fd, rc;

	if (!vm_is_defined(m, name))
		return err_set(e, -ENOENT,
			       "%s is transient: it is gone when it ends; baton stop %s", name,
			       name);
	if (holder_take(m, name, "delete", &fd, e))
		return e->code;
	rc = disks ? 0 : pool_keep(m, name, keep->fn, keep->opaque, e);
	if (!rc)
		rc = remove_folder(m, name, e);
	close(fd);
	if (!rc)
		pool_clean(m);
	return rc;
}

int vm_delete(struct manager *m, const char *name, bool disks,
	      void (*kept)(void *opaque, const char *path), void *opaque, struct err *e)
{
	const struct keep keep = {kept, opaque};
	char resolved[64];
	int rc = vm_resolve(m, name, resolved, e);

	if (!rc)
		rc = manager_lock(m, e);
	if (rc)
		return rc;
	rc = delete_locked(m, resolved, disks, &keep, e);
	manager_unlock(m);
	return rc;
}
