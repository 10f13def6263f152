/* SPDX-License-Identifier: Apache-2.0 */
/* Which VMs run, transient and defined ones alike. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/folders.h"
#include "manager/vm.h"

static bool runs(const struct manager *m, const char *name, pid_t *pid)
{
	struct holder h;

	holder_find(m, name, &h);
	*pid = strcmp(h.what, HOLD_RUN) ? 0 : h.pid;
	return *pid > 0;
}

bool manager_alive(struct manager *m, const char *name)
{
	pid_t pid;

	return spec_name_ok(name) && runs(m, name, &pid);
}

static bool fill_info(struct manager *m, const char *name, struct vm_info *vm)
{
	if (strlen(name) >= sizeof(vm->name) || !runs(m, name, &vm->pid))
		return false;
	strcpy(vm->name, name);
	return !vm_socket(m, name, "sock", vm->control, NULL) &&
	       !vm_path(m, name, "spec.json", vm->spec, NULL);
}

int manager_find(struct manager *m, const char *name, struct vm_info *out, struct err *e)
{
	char resolved[64];

	if (vm_resolve(m, name, resolved, e))
		return e->code;
	if (!fill_info(m, resolved, out))
		return err_set(e, -ENOENT, "%s is not running; start it with `baton start %s`",
			       resolved, resolved);
	return 0;
}

int manager_each(struct manager *m, vm_fn *fn, void *opaque, struct err *e)
{
	struct dirent **entry;
	int n, rc = manager_lock(m, e);
	struct vm_info vm;

	if (rc)
		return rc;
	manager_unlock(m); /* what killed VMs left is gone now */
	n = scandir(m->vms, &entry, NULL, versionsort);
	if (n < 0)
		return err_set(e, -errno, "%s: %s", m->vms, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (!rc && spec_name_ok(entry[i]->d_name) && fill_info(m, entry[i]->d_name, &vm))
			rc = fn(opaque, &vm, e);
		free(entry[i]);
	}
	free(entry);
	return rc;
}

int manager_load_spec(const struct vm_info *vm, struct spec *s, struct err *e)
{
	return spec_load(vm->spec, s, e);
}
