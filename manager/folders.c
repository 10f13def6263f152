/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's folders: where they are, and the lock over them. */
#include "manager/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static bool is_system(void)
{
	return !geteuid() && !getenv("XDG_STATE_HOME");
}

static int state_path(char **out, struct err *e)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (is_system())
		n = asprintf(out, "/var/lib/baton");
	else if (xdg && *xdg == '/')
		n = asprintf(out, "%s/baton", xdg);
	else if (home && *home == '/')
		n = asprintf(out, "%s/.local/state/baton", home);
	else
		return err_set(e, -ENOENT, "neither XDG_STATE_HOME nor HOME names a folder");
	if (n >= 0)
		return 0;
	*out = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

static int runtime_path(const char *state, char **out, struct err *e)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (is_system())
		n = asprintf(out, "/run/baton");
	else if (xdg && *xdg == '/')
		n = asprintf(out, "%s/baton", xdg);
	else
		n = asprintf(out, "%s/run", state);
	if (n >= 0)
		return 0;
	*out = NULL;
	return err_set(e, -ENOMEM, "out of memory");
}

static int find_folders(struct manager *m, struct err *e)
{
	if (state_path(&m->state, e))
		return e->code;
	if (asprintf(&m->vms, "%s/vms", m->state) < 0) {
		m->vms = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return runtime_path(m->state, &m->runtime, e);
}

int manager_open(struct manager **out, struct err *e)
{
	struct manager *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->lock = -1;
	if (find_folders(m, e) || file_make_folders(m->vms, e) ||
	    file_make_folders(m->runtime, e)) {
		manager_close(m);
		return e->code;
	}
	*out = m;
	return 0;
}

void manager_close(struct manager *m)
{
	free(m->state);
	free(m->vms);
	free(m->runtime);
	free(m);
}

int manager_lock(struct manager *m, struct err *e)
{
	char *path;

	if (asprintf(&path, "%s/.lock", m->vms) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	m->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (m->lock < 0 || flock(m->lock, LOCK_EX)) {
		err_set(e, -errno, "%s: %s", path, strerror(errno));
		manager_unlock(m);
		free(path);
		return e->code;
	}
	free(path);
	clean_folders(m);
	return 0;
}

void manager_unlock(struct manager *m)
{
	if (m->lock >= 0)
		close(m->lock);
	m->lock = -1;
}

/* ---- one VM's files ------------------------------------------------------------------------- */

int vm_path(const struct manager *m, const char *name, const char *file, char out[PATH_SIZE],
	    struct err *e)
{
	int n = snprintf(out, PATH_SIZE, "%s/%s%s%s", m->vms, name, *file ? "/" : "", file);

	if (n > 0 && n < PATH_SIZE)
		return 0;
	return err_set(e, -ENAMETOOLONG, "%s: too long a path; set XDG_STATE_HOME to a shorter one",
		       m->vms);
}

int vm_subfolder(const struct manager *m, const char *name, const char *folder, char out[PATH_SIZE],
		 struct err *e)
{
	int rc = vm_path(m, name, folder, out, e);

	if (rc || !mkdir(out, 0700) || errno == EEXIST)
		return rc;
	if (errno == ENOENT)
		return err_set(e, -ENOENT, "%s is gone", name);
	return err_set(e, -errno, "%s: %s", out, strerror(errno));
}

int vm_variables(const struct manager *m, const char *name, const struct spec *s,
		 char out[PATH_SIZE], struct err *e)
{
	bool uefi = s->firmware && !strcmp(s->firmware, "uefi");

	*out = '\0';
	if (!s->nvram)
		return uefi ? vm_path(m, name, "nvram.fd", out, e) : 0;
	if (snprintf(out, PATH_SIZE, "%s", s->nvram) >= PATH_SIZE)
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", s->nvram);
	return 0;
}

int vm_socket(const struct manager *m, const char *name, const char *suffix, char out[SOCKET_SIZE],
	      struct err *e)
{
	int n = snprintf(out, SOCKET_SIZE, "%s/%s.%s", m->runtime, name, suffix);

	if (n > 0 && n < SOCKET_SIZE)
		return 0;
	return err_set(e, -ENAMETOOLONG,
		       "%s/%s.%s: too long for a socket's path; take a shorter name or set "
		       "XDG_RUNTIME_DIR",
		       m->runtime, name, suffix);
}

bool vm_is_defined(const struct manager *m, const char *name)
{
	char path[PATH_SIZE];

	return !vm_path(m, name, "vm.json", path, NULL) && !access(path, F_OK);
}
