/* SPDX-License-Identifier: Apache-2.0 */
/* Transient VMs: a process takes a name and a folder for the time it lives. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/folders.h"
#include "manager/pool.h"

static bool name_taken(const struct manager *m, const char *name)
{
	struct holder h;

	holder_find(m, name, &h);
	return h.pid || vm_is_defined(m, name);
}

static int pick_name(struct manager *m, struct spec *s, struct err *e)
{
	for (unsigned n = 1; !s->name && n < 10000; n++) {
		char name[16];

		snprintf(name, sizeof(name), "vm-%u", n);
		if (!name_taken(m, name))
			s->name = strdup(name);
	}
	return s->name ? 0 : err_set(e, -EAGAIN, "no name is free; give one with --name");
}

static int refuse_name(struct manager *m, const char *name, struct err *e)
{
	if (vm_is_defined(m, name))
		return err_set(e, -EEXIST,
			       "a VM named \"%s\" is defined; start it with `baton start %s`, or "
			       "take another --name",
			       name, name);
	return err_set(e, -EEXIST, "a VM named \"%s\" is running; take another --name", name);
}

static int create_folder(struct manager *m, const struct spec *s, int *lock_fd, struct err *e)
{
	const char *name = s->name;
	char path[PATH_SIZE];
	int rc;

	if (name_taken(m, name))
		return refuse_name(m, name, e);
	if (vm_path(m, name, "", path, e))
		return e->code;
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (holder_take(m, name, HOLD_RUN, lock_fd, e))
		return e->code;
	fcntl(*lock_fd, F_SETFD, 0); /* goes along through exec() */
	rc = run_record(m, name, run_next_id(m), s, e);
	if (rc)
		close(*lock_fd);
	return rc;
}

static int register_locked(struct manager *m, struct spec *s, int *lock_fd, struct err *e)
{
	char control[SOCKET_SIZE], pool[PATH_SIZE];

	if (pick_name(m, s, e) || vm_socket(m, s->name, "sock", control, e) ||
	    pool_path(m, "", pool, e))
		return e->code;
	free(s->control);
	free(s->pool);
	s->control = strdup(control);
	s->pool = strdup(pool);
	if (!s->control || !s->pool)
		return err_set(e, -ENOMEM, "out of memory");
	return create_folder(m, s, lock_fd, e);
}

int manager_register(struct manager *m, struct spec *s, int *lock_fd, struct err *e)
{
	int rc = manager_lock(m, e);

	if (rc)
		return rc;
	rc = register_locked(m, s, lock_fd, e);
	manager_unlock(m);
	return rc;
}

/* Without a holder it is left over, and removed like what a killed VM left. */
void manager_unregister(struct manager *m, const struct spec *s, int lock_fd)
{
	struct err e;

	(void)s;
	close(lock_fd);
	if (!manager_lock(m, &e))
		manager_unlock(m);
}

int manager_save_spec(struct manager *m, const struct spec *s, char **path, struct err *e)
{
	char *text = spec_print(s), full[PATH_SIZE];
	int rc;

	*path = NULL;
	if (!text)
		return err_set(e, -EINVAL, "a file's name or another text is not UTF-8");
	rc = vm_path(m, s->name, "spec.json", full, e);
	if (!rc)
		rc = file_replace(full, text, strlen(text), e);
	free(text);
	if (rc)
		return rc;
	*path = strdup(full);
	return *path ? 0 : err_set(e, -ENOMEM, "out of memory");
}
