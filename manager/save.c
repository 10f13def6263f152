/* SPDX-License-Identifier: Apache-2.0 */
/* Saves a running VM to its folder and ends it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/vm.h"

#define END_POLL_MS 5
#define END_WAIT_MS 30000 /* with its state written a VM has little left to do */

static int state_path(const struct manager *m, const char *name, char path[PATH_SIZE],
		      struct err *e)
{
	char folder[PATH_SIZE];

	if (vm_subfolder(m, name, "saved", folder, e))
		return e->code;
	return vm_path(m, name, VM_SAVED_STATE, path, e);
}

static int wait_ended(struct manager *m, const char *name, struct err *e)
{
	const struct timespec poll = {.tv_nsec = END_POLL_MS * 1000000};

	for (unsigned ms = 0; manager_alive(m, name); ms += END_POLL_MS) {
		if (ms > END_WAIT_MS)
			return err_set(e, -ETIMEDOUT, "%s is saved, but its process does not end",
				       name);
		nanosleep(&poll, NULL);
	}
	return 0;
}

int vm_save(struct manager *m, const char *name, control_progress_fn *progress, void *opaque,
	    struct err *e)
{
	struct vm_info vm;
	char path[PATH_SIZE];

	if (manager_find(m, name, &vm, e))
		return e->code;
	if (!vm_is_defined(m, vm.name))
		return err_set(e, -ENOTSUP,
			       "%s is transient and has no place to be saved in; make it with "
			       "`baton create`",
			       vm.name);
	if (vm_check_unchanged(m, vm.name, e) || state_path(m, vm.name, path, e))
		return e->code;
	if (control_call_long(vm.control, "save", json_pack("{s:s}", "path", path), NULL, NULL,
			      progress, opaque, e))
		return err_prefix(e, "%s runs on", vm.name);
	return wait_ended(m, vm.name, e);
}

static int discard_locked(struct manager *m, const char *name, struct err *e)
{
	char path[PATH_SIZE];
	int fd, rc = 0;

	if (vm_path(m, name, VM_SAVED_STATE, path, e) || holder_take(m, name, "discard", &fd, e))
		return e->code;
	if (unlink(path))
		rc = err_set(e, -errno, "%s: nothing is saved: %s", name, strerror(errno));
	close(fd);
	return rc;
}

int vm_discard_saved(struct manager *m, const char *name, struct err *e)
{
	char resolved[64];
	int rc = vm_resolve(m, name, resolved, e);

	if (!rc)
		rc = manager_lock(m, e);
	if (rc)
		return rc;
	rc = discard_locked(m, resolved, e);
	manager_unlock(m);
	return rc;
}
