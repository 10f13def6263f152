/* SPDX-License-Identifier: Apache-2.0 */
/* The manager's folders: where they are, registration, and clearing what ended VMs left. */
#include "manager/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p, for the owner only. */
static int make_folders(char *path, struct err *e)
{
	for (char *slash = path + 1; slash; *slash++ = '/') {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return err_set(e, -errno, "%s: %s", path, strerror(errno));
		if (!slash)
			break;
	}
	return 0;
}

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
	return n < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
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
	return n < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

int manager_open(struct manager **out, struct err *e)
{
	struct manager *m = calloc(1, sizeof(*m));
	char *state = NULL;
	int rc;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->lock = -1;
	rc = state_path(&state, e);
	if (!rc && asprintf(&m->vms, "%s/vms", state) < 0) {
		m->vms = NULL;
		rc = err_set(e, -ENOMEM, "out of memory");
	}
	if (!rc)
		rc = runtime_path(state, &m->runtime, e);
	if (!rc)
		rc = make_folders(m->vms, e);
	if (!rc)
		rc = make_folders(m->runtime, e);
	free(state);
	if (rc)
		manager_close(m);
	else
		*out = m;
	return rc;
}

void manager_close(struct manager *m)
{
	free(m->vms);
	free(m->runtime);
	free(m);
}

/* ---- the lock over all folders -------------------------------------------------------------- */

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
	return 0;
}

void manager_unlock(struct manager *m)
{
	if (m->lock >= 0)
		close(m->lock);
	m->lock = -1;
}

/* ---- one VM's folder ------------------------------------------------------------------------ */

/* Path of a file in the VM's folder; false when it does not fit. */
static bool vm_path(const struct manager *m, const char *name, const char *file, char *out,
		    size_t size)
{
	int n = snprintf(out, size, "%s/%s/%s", m->vms, name, file);

	return n > 0 && (size_t)n < size;
}

static int socket_path(const struct manager *m, const char *name, char out[108], struct err *e)
{
	int n = snprintf(out, 108, "%s/%s.sock", m->runtime, name);

	if (n > 0 && n < 108)
		return 0;
	return err_set(e, -ENAMETOOLONG,
		       "%s/%s.sock: too long for a socket's path; take a shorter name or set "
		       "XDG_RUNTIME_DIR",
		       m->runtime, name);
}

/* The process that holds the folder's lock, or 0 if none does. */
static pid_t owner(const struct manager *m, const char *name)
{
	char path[PATH_SIZE], text[16] = "";
	pid_t pid = 0;
	int fd;

	if (!vm_path(m, name, "lock", path, sizeof(path)))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK && read(fd, text, 15) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

static void remove_folder(const struct manager *m, const char *name)
{
	static const char *const files[] = {"spec.json", "lock", ""};
	char path[PATH_SIZE];

	if (!socket_path(m, name, path, NULL))
		unlink(path);
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (vm_path(m, name, files[i], path, sizeof(path)))
			remove(path);
}

bool manager_alive(struct manager *m, const char *name)
{
	return owner(m, name) > 0;
}

static int take_lock(const struct manager *m, const char *name, int *lock_fd, struct err *e)
{
	char path[PATH_SIZE];
	int fd;

	if (!vm_path(m, name, "lock", path, sizeof(path)))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", m->vms);
	fd = open(path, O_RDWR | O_CREAT, 0600); /* goes along through exec() */
	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX) || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		err_set(e, -errno, "%s: %s", path, strerror(errno));
		close(fd);
		return e->code;
	}
	*lock_fd = fd;
	return 0;
}

static int create_folder(struct manager *m, const char *name, int *lock_fd, struct err *e)
{
	char path[PATH_SIZE];

	if (owner(m, name))
		return err_set(e, -EEXIST, "a VM named \"%s\" is running; take another --name",
			       name);
	remove_folder(m, name);
	if (!vm_path(m, name, "", path, sizeof(path)))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", m->vms);
	if (mkdir(path, 0700))
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (take_lock(m, name, lock_fd, e)) {
		remove_folder(m, name);
		return e->code;
	}
	return 0;
}

static int pick_name(struct manager *m, struct spec *s, struct err *e)
{
	for (unsigned n = 1; !s->name && n < 10000; n++) {
		char name[16];

		snprintf(name, sizeof(name), "vm-%u", n);
		if (!owner(m, name))
			s->name = strdup(name);
	}
	return s->name ? 0 : err_set(e, -EAGAIN, "no name is free; give one with --name");
}

static int register_locked(struct manager *m, struct spec *s, int *lock_fd, struct err *e)
{
	char control[108];

	if (pick_name(m, s, e) || socket_path(m, s->name, control, e))
		return e->code;
	free(s->control);
	s->control = strdup(control);
	if (!s->control)
		return err_set(e, -ENOMEM, "out of memory");
	return create_folder(m, s->name, lock_fd, e);
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

void manager_unregister(struct manager *m, const struct spec *s, int lock_fd)
{
	remove_folder(m, s->name);
	close(lock_fd);
}

int manager_save_spec(struct manager *m, const struct spec *s, char **path, struct err *e)
{
	char *text = spec_print(s);
	FILE *f;

	*path = NULL;
	if (!text)
		return err_set(e, -EINVAL, "a file's name or another text is not UTF-8");
	if (asprintf(path, "%s/%s/spec.json", m->vms, s->name) < 0) {
		*path = NULL;
		free(text);
		return err_set(e, -ENOMEM, "out of memory");
	}
	f = fopen(*path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f)) {
		err_set(e, -errno, "%s: %s", *path, strerror(errno));
		free(*path);
		*path = NULL;
		free(text);
		return e->code;
	}
	free(text);
	return 0;
}

/* ---- running VMs ---------------------------------------------------------------------------- */

static bool fill_info(struct manager *m, const char *name, struct vm_info *vm)
{
	vm->pid = owner(m, name);
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	return vm->pid > 0 && !socket_path(m, name, vm->control, NULL) &&
	       vm_path(m, name, "spec.json", vm->spec, sizeof(vm->spec));
}

int manager_find(struct manager *m, const char *name, struct vm_info *out, struct err *e)
{
	if (!spec_name_ok(name) || !fill_info(m, name, out))
		return err_set(e, -ENOENT, "no VM named \"%.64s\" is running; see `baton ps`",
			       name);
	return 0;
}

/* Folders without an owner go; the lock keeps a VM that is just starting out of the way. */
static void clear_stale(struct manager *m, struct dirent **entry, int n)
{
	if (manager_lock(m, NULL))
		return;
	for (int i = 0; i < n; i++)
		if (spec_name_ok(entry[i]->d_name) && !owner(m, entry[i]->d_name))
			remove_folder(m, entry[i]->d_name);
	manager_unlock(m);
}

int manager_each(struct manager *m, vm_fn *fn, void *opaque, struct err *e)
{
	struct dirent **entry;
	int n = scandir(m->vms, &entry, NULL, versionsort), rc = 0;
	struct vm_info vm;

	if (n < 0)
		return err_set(e, -errno, "%s: %s", m->vms, strerror(errno));
	clear_stale(m, entry, n);
	for (int i = 0; i < n; i++) {
		if (!rc && spec_name_ok(entry[i]->d_name) && fill_info(m, entry[i]->d_name, &vm))
			rc = fn(opaque, &vm, e);
		free(entry[i]);
	}
	free(entry);
	return rc;
}

int manager_load_spec(const struct vm_info *vm, struct spec *s, struct err *e)
{
	return spec_load(vm->spec, s, e);
}
