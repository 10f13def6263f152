/* SPDX-License-Identifier: Apache-2.0 */
/* Removes folders: of VMs that go, of transient VMs that ended, of commands that were killed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"

static void remove_sockets(const struct manager *m, const char *name)
{
	static const char *const suffix[] = {"sock", "tty", "vnc"};
	char path[SOCKET_SIZE];

	for (unsigned i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++)
		if (!vm_socket(m, name, suffix[i], path, NULL))
			unlink(path);
}

int remove_folder(struct manager *m, const char *name, struct err *e)
{
	char from[PATH_SIZE], to[PATH_SIZE], old[80];

	snprintf(old, sizeof(old), ".old-%s", name);
	if (vm_path(m, name, "", from, e) || vm_path(m, old, "", to, e) || file_remove_tree(to, e))
		return e->code;
	if (rename(from, to))
		return err_set(e, -errno, "%s: %s", from, strerror(errno));
	remove_sockets(m, name);
	cpu_group_remove(name);
	file_sync_folder(m->vms, NULL);
	return file_remove_tree(to, e);
}

/*
 * A transient VM's folder holds these and nothing else. Should there be more, say a disk whose
 * definition somebody removed by hand, the folder stays: nothing that may be of value is removed.
 */
static void remove_transient(const struct manager *m, const char *name)
{
	static const char *const files[] = {"spec.json", "state.json", "log",
					    "console",   "lock",       ""};
	char path[PATH_SIZE];

	remove_sockets(m, name);
	cpu_group_remove(name);
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!vm_path(m, name, files[i], path, NULL))
			remove(path);
}

static void clean_one(const struct manager *m, const char *folder)
{
	bool work = !strncmp(folder, ".new-", 5) || !strncmp(folder, ".old-", 5);
	char path[PATH_SIZE];
	struct holder h;

	if (!work && (!spec_name_ok(folder) || vm_is_defined(m, folder)))
		return;
	holder_find(m, folder, &h);
	if (h.pid)
		return;
	if (!work)
		remove_transient(m, folder);
	else if (!vm_path(m, folder, "", path, NULL))
		file_remove_tree(path, NULL);
}

void clean_folders(struct manager *m)
{
	DIR *d = opendir(m->vms);
	const struct dirent *entry;

	while (d && (entry = readdir(d)))
		clean_one(m, entry->d_name);
	if (d)
		closedir(d);
}
