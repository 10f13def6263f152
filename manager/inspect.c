/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "manager/folders.h"
#include "vmm/snapshot/inspect.h"

/* Everything but the memory, by way of a file that is gone again at once. */
static int inspect_running(const struct manager *m, const struct vm_info *vm, json_t **out,
			   struct err *e)
{
	char path[PATH_SIZE], file[32];
	int rc;

	snprintf(file, sizeof(file), ".%d.inspect", (int)getpid());
	if (vm_path(m, vm->name, file, path, e))
		return e->code;
	rc = control_call(vm->control, "snapshot",
			  json_pack("{s:s, s:b}", "path", path, "memory", 0), NULL, e);
	if (!rc)
		rc = inspect_file(path, out, e);
	unlink(path);
	return rc;
}

static int inspect_vm(struct manager *m, const char *name, json_t **out, struct err *e)
{
	char path[PATH_SIZE];
	struct vm_info vm;

	if (!manager_find(m, name, &vm, e))
		return inspect_running(m, &vm, out, e);
	if (vm_path(m, name, VM_SAVED_STATE, path, e))
		return e->code;
	if (access(path, F_OK))
		return err_set(
			e, -ENODATA,
			"%s is off and has no state; start it, or name a snapshot with memory",
			name);
	return inspect_file(path, out, e);
}

int inspect(struct manager *m, const char *what, const char *snapshot, json_t **out, struct err *e)
{
	char name[64], path[512];

	if (snapshot)
		return snapshot_memory(m, what, snapshot, path, e) ? e->code
								   : inspect_file(path, out, e);
	if (!strchr(what, '/') && !vm_resolve(m, what, name, e))
		return inspect_vm(m, name, out, e);
	if (strchr(what, '/') || !access(what, F_OK))
		return inspect_file(what, out, e);
	return e->code;
}
