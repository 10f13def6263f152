/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM needs at its start: files and its own executable. */
#include "manager/manager.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- files ---------------------------------------------------------------------------------- */

static int check_file(const char *what, const char *path, int mode, struct err *e)
{
	if (path && access(path, mode))
		return err_set(e, -errno, "%s %s: %s", what, path, strerror(errno));
	return 0;
}

static int check_module(const char *text, struct err *e)
{
	char *path = strndup(text, strcspn(text, " "));
	int rc = path ? check_file("module", path, R_OK, e) : err_set(e, -ENOMEM, "out of memory");

	free(path);
	return rc;
}

int manager_check_files(const struct spec *s, struct err *e)
{
	int rc = check_file("kernel", s->kernel, R_OK, e);

	if (!rc)
		rc = check_file("initrd", s->initrd, R_OK, e);
	if (!rc)
		rc = check_file("firmware", spec_firmware_is_file(s) ? s->firmware : NULL, R_OK, e);
	for (unsigned i = 0; i < s->nmodules && !rc; i++)
		rc = check_module(s->modules[i], e);
	for (unsigned i = 0; i < s->ndisks && !rc; i++)
		rc = check_file("disk", s->disks[i].path, s->disks[i].readonly ? R_OK : R_OK | W_OK,
				e);
	return rc;
}

/* ---- baton-vmm ------------------------------------------------------------------------------ */

static const char *const places[] = {"baton-vmm", "../libexec/baton/baton-vmm",
				     "../lib/baton/baton-vmm"};

int manager_find_vmm(char **path, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(e, -errno, "/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (asprintf(path, "%s/%s", self, places[i]) < 0)
			return err_set(e, -ENOMEM, "out of memory");
		if (!access(*path, X_OK))
			return 0;
		free(*path);
		*path = NULL;
	}
	return err_set(
		e, -ENOENT,
		"baton-vmm is neither in %s nor in its ../libexec/baton; is Baton installed?",
		self);
}
