/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of VMs that exist: of what they are, and of their names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/newvm.h"
#include "manager/vm.h"

/* A VM that runs may be changed, one that another command works on may not. */
static int refuse_busy(const struct manager *m, const char *name, struct err *e)
{
	struct holder h;

	holder_find(m, name, &h);
	if (h.pid && strcmp(h.what, HOLD_RUN))
		return holder_refuse(name, &h, e);
	return 0;
}

int vm_begin(struct manager *m, const char *name, char resolved[64], struct definition *d,
	     struct err *e)
{
	int rc = vm_resolve(m, name, resolved, e);

	if (!rc)
		rc = manager_lock(m, e);
	if (rc)
		return rc;
	rc = refuse_busy(m, resolved, e);
	if (!rc)
		rc = vm_load(m, resolved, d, e);
	if (rc)
		manager_unlock(m);
	return rc;
}

int vm_commit(struct manager *m, const char *name, struct definition *d,
	      const uint64_t new_disks[SPEC_MAX_DISKS], struct err *e)
{
	char folder[PATH_SIZE], path[PATH_SIZE];
	int rc = vm_path(m, name, "", folder, e);

	if (!rc)
		rc = vm_path(m, name, "vm.json", path, e);
	if (!rc)
		rc = new_vm_fill(folder, &d->machine, new_disks, e);
	if (!rc)
		rc = spec_unbase(&d->machine, folder, e);
	if (!rc)
		rc = definition_save(d, path, e);
	manager_unlock(m);
	return rc;
}

void vm_abort(struct manager *m)
{
	manager_unlock(m);
}

/* ---- text ----------------------------------------------------------------------------------- */

static int read_text(struct manager *m, const char *name, char **text, struct err *e)
{
	char path[PATH_SIZE];
	size_t len;
	int rc = vm_path(m, name, "vm.json", path, e);

	if (!vm_is_defined(m, name))
		return err_set(e, -ENOENT, "%s is transient: it has no definition", name);
	return rc ? rc : file_read(path, SPEC_MAX_FILE, text, &len, e);
}

int vm_read_text(struct manager *m, const char *name, char resolved[64], char **text, struct err *e)
{
	if (vm_resolve(m, name, resolved, e))
		return e->code;
	return read_text(m, resolved, text, e);
}

/* A rename keeps the UUID's owner, a change of the UUID would make it another VM. */
static int save_text(struct manager *m, const char *name, const char *old, const char *text,
		     struct err *e)
{
	struct definition before, after;
	struct err damaged;
	char path[PATH_SIZE];
	int rc = vm_path(m, name, "vm.json", path, e);

	definition_init(&before);
	definition_init(&after);
	if (!rc)
		rc = definition_parse(&after, text, strlen(text), e);
	if (!rc && !definition_parse(&before, old, strlen(old), &damaged) &&
	    strcmp(before.machine.uuid, after.machine.uuid))
		rc = err_set(e, -EINVAL, "uuid: cannot be changed from %s", before.machine.uuid);
	if (!rc)
		rc = definition_save(&after, path, e);
	definition_free(&before);
	definition_free(&after);
	return rc;
}

static int replace_locked(struct manager *m, const char *name, const char *old, const char *text,
			  struct err *e)
{
	char *now;
	int rc = refuse_busy(m, name, e);

	if (!rc)
		rc = read_text(m, name, &now, e);
	if (rc)
		return rc;
	if (strcmp(now, old))
		rc = err_set(e, -ESTALE, "%s was changed by another command meanwhile", name);
	else
		rc = save_text(m, name, old, text, e);
	free(now);
	return rc;
}

int vm_replace_text(struct manager *m, const char *name, const char *old, const char *text,
		    struct err *e)
{
	int rc = manager_lock(m, e);

	if (rc)
		return rc;
	rc = replace_locked(m, name, old, text, e);
	manager_unlock(m);
	return rc;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int rename_locked(struct manager *m, const char *name, const char *new_name, struct err *e)
{
	char from[PATH_SIZE], to[PATH_SIZE], socket[SOCKET_SIZE];
	int fd;

	if (!vm_is_defined(m, name))
		return err_set(e, -ENOENT, "%s is transient: its name is that of its process",
			       name);
	if (new_vm_check_name(m, new_name, e) || vm_socket(m, new_name, "sock", socket, e) ||
	    vm_path(m, name, "", from, e) || vm_path(m, new_name, "", to, e) ||
	    holder_take(m, name, "rename", &fd, e))
		return e->code;
	if (rename(from, to)) {
		err_set(e, -errno, "%s: %s", to, strerror(errno));
		close(fd);
		return e->code;
	}
	close(fd);
	return file_sync_folder(m->vms, e);
}

int vm_rename(struct manager *m, const char *name, const char *new_name, struct err *e)
{
	char resolved[64];
	int rc = vm_resolve(m, name, resolved, e);

	if (!rc)
		rc = manager_lock(m, e);
	if (rc)
		return rc;
	rc = rename_locked(m, resolved, new_name, e);
	manager_unlock(m);
	return rc;
}
