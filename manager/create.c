/* SPDX-License-Identifier: Apache-2.0 */
/* Makes VMs that are kept, and reads what they are. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/newvm.h"
#include "manager/vm.h"

/* Everything is made in a folder that is no VM's, which then becomes the VM's at one instant. */
static int fill_folder(const char *folder, struct definition *d, const uint64_t *sizes,
		       struct err *e)
{
	char path[PATH_SIZE + 16];

	if (new_vm_fill(folder, &d->machine, sizes, e))
		return e->code;
	snprintf(path, sizeof(path), "%s/vm.json", folder);
	return definition_save(d, path, e);
}

/* One that was given may be another VM's; a random one is not. */
static int take_uuid(struct manager *m, struct definition *d, struct err *e)
{
	char owner[64];

	if (!d->machine.uuid)
		return definition_new_uuid(d, e);
	if (vm_find_uuid(m, d->machine.uuid, owner, e))
		return 0;
	return err_set(e, -EEXIST, "uuid: %s has it already; leave it out", owner);
}

static int create_locked(struct manager *m, const char *name, struct definition *d,
			 const uint64_t *sizes, struct err *e)
{
	char folder[PATH_SIZE], final[PATH_SIZE], new[80], socket[SOCKET_SIZE];
	int rc = new_vm_check_name(m, name, e);

	if (!rc)
		rc = take_uuid(m, d, e);
	if (rc)
		return rc;
	snprintf(new, sizeof(new), ".new-%s", name);
	if (vm_socket(m, name, "sock", socket, e) || vm_path(m, new, "", folder, e) ||
	    vm_path(m, name, "", final, e))
		return e->code;
	if (mkdir(folder, 0700))
		return err_set(e, -errno, "%s: %s", folder, strerror(errno));
	rc = fill_folder(folder, d, sizes, e);
	if (!rc)
		rc = new_vm_commit(m, folder, final, e);
	if (rc)
		file_remove_tree(folder, NULL);
	return rc;
}

int vm_create(struct manager *m, const char *name, struct definition *d,
	      const uint64_t new_disks[SPEC_MAX_DISKS], struct err *e)
{
	int rc = manager_lock(m, e);

	if (rc)
		return rc;
	rc = create_locked(m, name, d, new_disks, e);
	manager_unlock(m);
	return rc;
}

int vm_load(struct manager *m, const char *name, struct definition *d, struct err *e)
{
	char path[PATH_SIZE], folder[PATH_SIZE], resolved[64];

	if (vm_resolve(m, name, resolved, e) || vm_path(m, resolved, "vm.json", path, e) ||
	    vm_path(m, resolved, "", folder, e))
		return e->code;
	if (!vm_is_defined(m, resolved))
		return err_set(e, -ENOENT, "%s is transient: it has no definition", resolved);
	if (definition_load(d, path, e))
		return e->code;
	return spec_rebase(&d->machine, folder, e);
}
