/* SPDX-License-Identifier: Apache-2.0 */
/* Removes a VM; disks that shall stay move to the folder of disks first. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/vm.h"

struct keep {
	void (*fn)(void *opaque, const char *path);
	void *opaque;
};

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/*
 * Gives the disk a second name: should this command be killed, the VM is as it was. Then the name
 * is there already next time.
 */
static int link_disk(const struct manager *m, const char *vm, const char *path,
		     const struct keep *keep, struct err *e)
{
	const char *file = strrchr(path, '/') + 1;
	char to[PATH_SIZE + 128];

	for (unsigned n = 0; n < 10000; n++) {
		if (n)
			snprintf(to, sizeof(to), "%s/disks/%s-%u-%s", m->state, vm, n, file);
		else
			snprintf(to, sizeof(to), "%s/disks/%s-%s", m->state, vm, file);
		if (!link(path, to) || same_file(path, to)) {
			if (keep->fn)
				keep->fn(keep->opaque, to);
			return 0;
		}
		if (errno != EEXIST)
			return err_set(e, -errno, "%s: %s", path, strerror(errno));
	}
	return err_set(e, -EEXIST, "%s: no name is free", to);
}

/* Those that `baton modify --disk-remove` took out of the definition are of value, too. */
static int is_disk(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "disk", 4);
}

static int keep_disks(const struct manager *m, const char *name, const struct keep *keep,
		      struct err *e)
{
	char path[PATH_SIZE], pool[PATH_SIZE];
	struct dirent **entry;
	int n, rc = 0;

	snprintf(pool, sizeof(pool), "%s/disks", m->state);
	if (vm_path(m, name, "", path, e) || file_make_folders(pool, e))
		return e->code;
	n = scandir(path, &entry, is_disk, versionsort);
	if (n < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (!rc)
			rc = vm_path(m, name, entry[i]->d_name, path, e);
		if (!rc)
			rc = link_disk(m, name, path, keep, e);
		free(entry[i]);
	}
	free(entry);
	return rc ? rc : file_sync_folder(pool, e);
}

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
	rc = disks ? 0 : keep_disks(m, name, keep, e);
	if (!rc)
		rc = remove_folder(m, name, e);
	close(fd);
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
