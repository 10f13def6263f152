/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/definition.h"

bool pool_is_disk(const char *file)
{
	return !strncmp(file, "disk", 4);
}

int pool_path(const struct manager *m, const char *name, char out[PATH_SIZE], struct err *e)
{
	int n = snprintf(out, PATH_SIZE, "%s/disks%s%s", m->state, *name ? "/" : "", name);

	if (n > 0 && n < PATH_SIZE)
		return 0;
	return err_set(e, -ENAMETOOLONG, "%s: too long a path; set XDG_STATE_HOME to a shorter one",
		       m->state);
}

static int join(char out[PATH_SIZE], const char *folder, const char *file, struct err *e)
{
	int n = snprintf(out, PATH_SIZE, "%s/%s", folder, file);

	if (n > 0 && n < PATH_SIZE)
		return 0;
	return err_set(e, -ENAMETOOLONG, "%s: too long a path", folder);
}

/* ---- disks that outlive their VM ------------------------------------------------------------ */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int is_disk(const struct dirent *entry)
{
	return pool_is_disk(entry->d_name);
}

/* The disks of a folder, also those that a modify has taken out of the definition. */
struct disks {
	const char *folder;
	struct dirent **entry;
	int n;
};

static int list_disks(struct disks *d, const char *folder, struct err *e)
{
	d->folder = folder;
	d->n = scandir(folder, &d->entry, is_disk, versionsort);
	return d->n < 0 ? err_set(e, -errno, "%s: %s", folder, strerror(errno)) : 0;
}

static void free_disks(struct disks *d)
{
	while (d->n > 0)
		free(d->entry[--d->n]);
	free(d->entry);
}

static int link_all(const struct disks *d, const char *to, struct err *e)
{
	char path[PATH_SIZE], new[PATH_SIZE];

	if (mkdir(to, 0700))
		return err_set(e, -errno, "%s: %s", to, strerror(errno));
	for (int i = 0; i < d->n; i++) {
		const char *file = d->entry[i]->d_name;

		if (join(path, d->folder, file, e) || join(new, to, file, e))
			return e->code;
		if (link(path, new))
			return err_set(e, -errno, "%s: %s", path, strerror(errno));
	}
	return file_sync_folder(to, e);
}

/* A command that was killed may have done it already. */
static bool has_all(const struct disks *d, const char *folder)
{
	char path[PATH_SIZE], other[PATH_SIZE];

	for (int i = 0; i < d->n; i++) {
		const char *file = d->entry[i]->d_name;

		if (join(path, d->folder, file, NULL) || join(other, folder, file, NULL) ||
		    !same_file(path, other))
			return false;
	}
	return true;
}

/* Turns the folder `made` into the pool's NAME, NAME-1, ...; `final` receives the path. */
static int give_name(const struct manager *m, const struct disks *d, const char *made,
		     const char *vm, char final[PATH_SIZE], struct err *e)
{
	char name[80];

	for (unsigned n = 0; n < 10000; n++) {
		snprintf(name, sizeof(name), n ? "%s-%u" : "%s", vm, n);
		if (pool_path(m, name, final, e))
			return e->code;
		if (has_all(d, final))
			return file_remove_tree(made, e);
		if (!renameat2(AT_FDCWD, made, AT_FDCWD, final, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			return err_set(e, -errno, "%s: %s", final, strerror(errno));
	}
	return err_set(e, -EEXIST, "%s: no name is free", final);
}

static int keep(const struct manager *m, const struct disks *d, const char *vm,
		char final[PATH_SIZE], struct err *e)
{
	char made[PATH_SIZE], pool[PATH_SIZE];

	if (pool_path(m, "", pool, e) || file_make_folders(pool, e) ||
	    pool_path(m, ".keep", made, e) || file_remove_tree(made, e) || link_all(d, made, e) ||
	    give_name(m, d, made, vm, final, e))
		return e->code;
	return file_sync_folder(pool, e);
}

int pool_keep(const struct manager *m, const char *vm, void (*kept)(void *opaque, const char *path),
	      void *opaque, struct err *e)
{
	char folder[PATH_SIZE], final[PATH_SIZE], path[PATH_SIZE];
	struct disks d;
	int rc;

	if (vm_path(m, vm, "", folder, e) || list_disks(&d, folder, e))
		return e->code;
	rc = d.n ? keep(m, &d, vm, final, e) : 0;
	for (int i = 0; i < d.n && !rc && kept; i++)
		if (!join(path, final, d.entry[i]->d_name, NULL))
			kept(opaque, path);
	free_disks(&d);
	return rc;
}
