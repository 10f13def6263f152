/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UEFI's variables in snapshots. A snapshot has a copy of its own, never a second name of the VM's
 * file: tools that edit variables write the file in place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "manager/snapwork.h"

#define MAX_VARIABLES (16 * MIB) /* as the flash chip */

static int copy(const char *from, const char *to, struct err *e)
{
	size_t len;
	char *data;
	int rc = file_read(from, MAX_VARIABLES, &data, &len, e);

	if (rc)
		return rc;
	rc = file_replace(to, data, len, e);
	free(data);
	return rc;
}

int snap_copy_variables(const struct snap_work *w, const char *to, struct err *e)
{
	char from[PATH_SIZE];

	if (vm_variables(w->m, w->name, &w->def.machine, from, e))
		return e->code;
	if (!*from || access(from, F_OK))
		return 0;
	return copy(from, to, e);
}

int snap_set_variables(const struct snap_work *w, const char *file, struct err *e)
{
	char from[PATH_SIZE], to[PATH_SIZE];

	if (vm_variables(w->m, w->name, &w->def.machine, to, e))
		return e->code;
	if (!file || !*to)
		return 0;
	if (*file)
		return snap_path(w, file, from, e) ? e->code : copy(from, to, e);
	if (!unlink(to))
		return file_sync_parent(to, e);
	return errno == ENOENT ? 0 : err_set(e, -errno, "%s: %s", to, strerror(errno));
}
