/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and removes VMs that are kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/vm.h"

/* ---- creating ------------------------------------------------------------------------------- */

static int check_name(struct manager *m, const char *name, struct err *e)
{
	struct holder h;

	if (!spec_name_ok(name))
		return err_set(e, -EINVAL,
			       "\"%.80s\" does not do as a name; take up to 63 letters, digits, "
			       "dots, dashes and underscores, a letter or digit first",
			       name);
	if (vm_is_defined(m, name))
		return err_set(e, -EEXIST, "a VM named \"%s\" exists; take another name", name);
	holder_find(m, name, &h);
	if (h.pid)
		return err_set(e, -EEXIST, "a VM named \"%s\" is running; take another name", name);
	return 0;
}

static int make_disk(const char *path, uint64_t size, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0 || ftruncate(fd, (off_t)size) || fsync(fd))
		rc = err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_disks(const char *folder, struct spec *s, const uint64_t *sizes, struct err *e)
{
	for (unsigned i = 0; i < s->ndisks; i++) {
		struct spec_disk *d = &s->disks[i];
		char path[PATH_SIZE + 32];

		if (!sizes[i])
			continue;
		if (asprintf(&d->path, "disk%u.%s", i, d->format ? d->format : "raw") < 0) {
			d->path = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		snprintf(path, sizeof(path), "%s/%s", folder, d->path);
		if (make_disk(path, sizes[i], e))
			return e->code;
	}
	return 0;
}

/* Addresses of its own, so that two VMs can meet on one network. */
static int make_macs(struct spec *s, struct err *e)
{
	for (unsigned i = 0; i < s->nnets; i++) {
		uint8_t standard[6], *mac = s->nets[i].mac;

		spec_default_mac(standard, i);
		if (memcmp(mac, standard, sizeof(standard)))
			continue;
		if (getrandom(mac + 3, 3, 0) != 3)
			return err_set(e, -errno, "random numbers: %s", strerror(errno));
	}
	return 0;
}

/* Everything is made in a folder that is no VM's, which then becomes the VM's at one instant. */
static int fill_folder(const char *folder, struct definition *d, const uint64_t *sizes,
		       struct err *e)
{
	char path[PATH_SIZE + 16];

	if (make_disks(folder, &d->machine, sizes, e) || make_macs(&d->machine, e))
		return e->code;
	snprintf(path, sizeof(path), "%s/vm.json", folder);
	return definition_save(d, path, e);
}

static int commit(struct manager *m, const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_set(e, -errno, "%s: %s", to, strerror(errno));
	return file_sync_folder(m->vms, e);
}

static int create_locked(struct manager *m, const char *name, struct definition *d,
			 const uint64_t *sizes, struct err *e)
{
	char folder[PATH_SIZE], final[PATH_SIZE], new[80];
	int rc = check_name(m, name, e);

	if (rc)
		return rc;
	snprintf(new, sizeof(new), ".new-%s", name);
	if (vm_path(m, new, "", folder, e) || vm_path(m, name, "", final, e))
		return e->code;
	if (mkdir(folder, 0700))
		return err_set(e, -errno, "%s: %s", folder, strerror(errno));
	rc = fill_folder(folder, d, sizes, e);
	if (!rc)
		rc = commit(m, folder, final, e);
	if (rc)
		file_remove_tree(folder, NULL);
	return rc;
}

int vm_create(struct manager *m, const char *name, struct definition *d,
	      const uint64_t new_disks[SPEC_MAX_DISKS], struct err *e)
{
	int rc = d->machine.uuid ? 0 : definition_new_uuid(d, e);

	if (!rc)
		rc = manager_lock(m, e);
	if (rc)
		return rc;
	rc = create_locked(m, name, d, new_disks, e);
	manager_unlock(m);
	return rc;
}

int vm_load(struct manager *m, const char *name, struct definition *d, struct err *e)
{
	char path[PATH_SIZE], resolved[64];

	if (vm_resolve(m, name, resolved, e) || vm_path(m, resolved, "vm.json", path, e))
		return e->code;
	if (!vm_is_defined(m, resolved))
		return err_set(e, -ENOENT, "%s is transient: it has no definition", resolved);
	return definition_load(d, path, e);
}
