/* SPDX-License-Identifier: Apache-2.0 */
/* Beginning and end of a command on snapshots, and what it finds unfinished. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/snapwork.h"

#define NOTE_FILE "switch.json" /* written by the VM's process: see the method "merge" */
#define NOTE_MAX  8192

#define POLL_NS      50000000
#define ANSWER_POLLS 1200 /* a minute: as long as a start may take */

/* ---- paths ---------------------------------------------------------------------------------- */

int snap_path(const struct snap_work *w, const char *file, char out[PATH_SIZE], struct err *e)
{
	char name[80];

	snprintf(name, sizeof(name), "snapshots/%s", file);
	return vm_path(w->m, w->name, name, out, e);
}

void snap_absolute(const struct snap_work *w, const char *path, char out[PATH_SIZE])
{
	int n = *path == '/' ? snprintf(out, PATH_SIZE, "%s", path)
			     : snprintf(out, PATH_SIZE, "%s/%s", w->folder, path);

	if (n >= PATH_SIZE)
		*out = '\0';
}

const char *snap_relative(const struct snap_work *w, const char *path)
{
	size_t n = strlen(w->folder);

	return !strncmp(path, w->folder, n) && path[n] == '/' ? path + n + 1 : path;
}

bool snap_is_written(const struct spec_disk *d)
{
	return d->path && !d->readonly && !d->cdrom;
}

bool snap_is_direct(const struct spec_disk *d)
{
	return d->cache && !strcmp(d->cache, "none");
}

/* ---- the files ------------------------------------------------------------------------------ */

int snap_save_tree(const struct snap_work *w, struct err *e)
{
	return snapshot_tree_save(&w->tree, w->tree_path, e);
}

static int write_definition(struct snap_work *w, struct err *e)
{
	char path[PATH_SIZE];
	int rc = vm_path(w->m, w->name, "vm.json", path, e);

	if (!rc)
		rc = spec_unbase(&w->def.machine, w->folder, e);
	if (!rc)
		rc = definition_save(&w->def, path, e);
	return rc ? rc : spec_rebase(&w->def.machine, w->folder, e);
}

int snap_save_definition(struct snap_work *w, struct err *e)
{
	int rc = manager_lock(w->m, e);

	if (rc)
		return rc;
	rc = write_definition(w, e);
	manager_unlock(w->m);
	return rc;
}

static int read_definition(struct snap_work *w, struct err *e)
{
	definition_free(&w->def);
	definition_init(&w->def);
	if (vm_load(w->m, w->name, &w->def, e))
		return e->code;
	return spec_rebase(&w->def.machine, w->folder, e);
}

/* ---- a restore that has been decided on ----------------------------------------------------- */

/* The file in the VM's folder becomes another name of the snapshot's, or goes. */
static int set_saved(const struct snap_work *w, const char *memory, struct err *e)
{
	char saved[PATH_SIZE], from[PATH_SIZE], new[PATH_SIZE], folder[PATH_SIZE];

	if (vm_path(w->m, w->name, VM_SAVED_STATE, saved, e) ||
	    vm_subfolder(w->m, w->name, "saved", folder, e) ||
	    vm_path(w->m, w->name, VM_SAVED_STATE ".new", new, e))
		return e->code;
	unlink(new);
	if (!memory) {
		if (unlink(saved) && errno != ENOENT)
			return err_set(e, -errno, "%s: %s", saved, strerror(errno));
		return file_sync_folder(folder, e);
	}
	if (snap_path(w, memory, from, e))
		return e->code;
	if (link(from, new) || rename(new, saved))
		return err_set(e, -errno, "%s: %s", saved, strerror(errno));
	unlink(new); /* rename() of two names of one file does nothing */
	return file_sync_folder(folder, e);
}

int snap_take_definition(struct snap_work *w, const json_t *o, struct err *e)
{
	char *text = json_dumps(o, JSON_COMPACT);
	int rc;

	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	definition_free(&w->def);
	definition_init(&w->def);
	rc = definition_parse(&w->def, text, strlen(text), e);
	free(text);
	return rc ? rc : spec_rebase(&w->def.machine, w->folder, e);
}

static int set_definition(struct snap_work *w, const json_t *o, struct err *e)
{
	return snap_take_definition(w, o, e) ? e->code : snap_save_definition(w, e);
}

/* The saved state is that machine's, whether its start succeeds or not: see vm_check_unchanged().
 */
static int note_machine(const struct snap_work *w, struct err *e)
{
	struct spec machine = w->def.machine;
	char *path;
	int rc;

	machine.name = (char *)(uintptr_t)w->name;
	rc = manager_save_spec(w->m, &machine, &path, e);
	free(path);
	return rc;
}

static const char *pending_file(const struct snap_work *w, const char *key)
{
	return json_string_value(json_object_get(w->tree.pending, key));
}

int snap_apply_pending(struct snap_work *w, struct err *e)
{
	if (!w->tree.pending)
		return 0;
	if (set_saved(w, pending_file(w, "memory"), e) ||
	    set_definition(w, json_object_get(w->tree.pending, "definition"), e) ||
	    note_machine(w, e) || snap_set_variables(w, pending_file(w, "variables"), e))
		return e->code;
	json_decref(w->tree.pending);
	w->tree.pending = NULL;
	return snap_save_tree(w, e);
}

/* ---- what the VM's process has done --------------------------------------------------------- */

static int set_disk(struct snap_work *w, json_int_t index, const char *path, const char *format,
		    bool *changed, struct err *e)
{
	struct spec_disk *d;

	if (index < 0 || index >= (json_int_t)w->def.machine.ndisks)
		return err_set(e, -EBUSY,
			       "%s has other disks than its definition says; restart it first",
			       w->name);
	d = &w->def.machine.disks[index];
	if (!snap_is_written(d) || !strcmp(d->path, path))
		return 0;
	if (snapshot_set_image(&d->path, &d->format, path, format, e))
		return e->code;
	*changed = true;
	return 0;
}

static int take_disk(struct snap_work *w, size_t index, const json_t *o, bool *changed,
		     struct err *e)
{
	const char *path = json_string_value(json_object_get(o, "path"));
	const char *format = json_string_value(json_object_get(o, "format"));

	if (json_is_null(o))
		return 0;
	if (!path || !format)
		return err_set(e, -EPROTO, "the VM's answer about its disks is not understood");
	return set_disk(w, (json_int_t)index, path, format, changed, e);
}

int snap_follow_process(struct snap_work *w, struct err *e)
{
	json_t *list = NULL;
	bool changed = false;
	int rc = control_call(w->vm.control, "disks", NULL, &list, e);
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		if (!rc)
			rc = take_disk(w, i, o, &changed, e);
	}
	if (!rc && json_array_size(list) != w->def.machine.ndisks)
		rc = set_disk(w, -1, "", "", &changed, e);
	json_decref(list);
	return rc || !changed ? rc : snap_save_definition(w, e);
}

/* A disk of a VM that does not run any more had changed its image just before. */
static int follow_note(struct snap_work *w, struct err *e)
{
	char path[PATH_SIZE], *text;
	bool changed = false;
	size_t len;
	json_t *o;
	int rc = snap_path(w, NOTE_FILE, path, e);

	if (rc || access(path, F_OK))
		return rc;
	rc = file_read(path, NOTE_MAX, &text, &len, e);
	if (rc)
		return rc;
	o = json_loadb(text, len, 0, NULL);
	free(text);
	if (!w->vm.pid)
		rc = take_disk(w, (size_t)json_integer_value(json_object_get(o, "disk")), o,
			       &changed, e);
	json_decref(o);
	if (!rc && changed)
		rc = snap_save_definition(w, e);
	return rc ? rc : unlink(path);
}

/* A process that is just starting has no socket yet, one that is ending has none any more. */
static int ask_doing(const struct snap_work *w, bool *busy, struct err *e)
{
	const struct timespec poll = {.tv_nsec = POLL_NS};
	json_t *o = NULL;
	int rc = control_call(w->vm.control, "status", NULL, &o, e);

	for (unsigned n = 0; rc && n < ANSWER_POLLS && manager_alive(w->m, w->name); n++) {
		nanosleep(&poll, NULL);
		rc = control_call(w->vm.control, "status", NULL, &o, e);
	}
	if (rc && !manager_alive(w->m, w->name))
		return err_set(e, -EAGAIN, "%s is just ending; try again", w->name);
	*busy = json_object_get(o, "doing");
	json_decref(o);
	return rc;
}

/* The client of what it does was killed: it goes on for nobody. */
static int wait_idle(const struct snap_work *w, struct err *e)
{
	const struct timespec poll = {.tv_nsec = POLL_NS};
	bool busy;
	int rc = ask_doing(w, &busy, e);

	while (!rc && busy) {
		nanosleep(&poll, NULL);
		rc = ask_doing(w, &busy, e);
	}
	return rc;
}

/* ---- locks ---------------------------------------------------------------------------------- */

static int take_lock(struct snap_work *w, struct err *e)
{
	char folder[PATH_SIZE], path[PATH_SIZE];

	if (vm_subfolder(w->m, w->name, "snapshots", folder, e) || snap_path(w, "lock", path, e) ||
	    snap_path(w, "tree.json", w->tree_path, e))
		return e->code;
	w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->lock < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(w->lock, LOCK_EX | LOCK_NB))
		return err_set(e, -EBUSY,
			       "another command works on the snapshots of %s; try again when it is "
			       "done",
			       w->name);
	return 0;
}

/* The VM cannot be started while this process holds it; one that runs stays its own. */
static int hold_vm(struct snap_work *w, struct err *e)
{
	struct holder h;
	struct err none;
	int rc = manager_lock(w->m, e);

	if (rc)
		return rc;
	holder_find(w->m, w->name, &h);
	if (h.pid && !strcmp(h.what, HOLD_RUN))
		rc = manager_find(w->m, w->name, &w->vm, &none) ? -EAGAIN : 0;
	else
		rc = holder_take(w->m, w->name, "snapshot", &w->holder, e);
	manager_unlock(w->m);
	return rc == -EAGAIN ? err_set(e, rc, "%s is just ending; try again", w->name) : rc;
}

/* ---- begin and end -------------------------------------------------------------------------- */

static int open_vm(struct snap_work *w, const char *vm, struct err *e)
{
	if (vm_resolve(w->m, vm, w->name, e) || vm_path(w->m, w->name, "", w->folder, e))
		return e->code;
	if (!vm_is_defined(w->m, w->name))
		return err_set(e, -ENOTSUP,
			       "%s is transient and has no place for snapshots; make it with "
			       "`baton create`",
			       w->name);
	return 0;
}

static int recover(struct snap_work *w, struct err *e)
{
	if (w->vm.pid && (wait_idle(w, e) || snap_follow_process(w, e)))
		return e->code;
	return follow_note(w, e);
}

static int open_once(struct snap_work *w, const char *vm, struct err *e)
{
	definition_init(&w->def);
	if (open_vm(w, vm, e) || take_lock(w, e) || hold_vm(w, e) ||
	    snapshot_tree_load(&w->tree, w->tree_path, e))
		return e->code;
	if (snap_apply_pending(w, e) || read_definition(w, e))
		return e->code;
	return recover(w, e);
}

/* A VM that is just ending is waited for. */
int snap_open(struct snap_work *w, struct manager *m, const char *vm,
	      const struct snapshot_options *o, struct err *e)
{
	static const struct snapshot_options none;
	const struct timespec poll = {.tv_nsec = POLL_NS};
	int rc = -EAGAIN;

	for (unsigned n = 0; rc == -EAGAIN && n < ANSWER_POLLS; n++) {
		if (n) {
			snap_close(w);
			nanosleep(&poll, NULL);
		}
		*w = (struct snap_work){.m = m, .lock = -1, .holder = -1, .options = o ? o : &none};
		rc = open_once(w, vm, e);
	}
	return rc;
}

void snap_close(struct snap_work *w)
{
	snapshot_tree_free(&w->tree);
	definition_free(&w->def);
	if (w->holder >= 0)
		close(w->holder);
	if (w->lock >= 0)
		close(w->lock);
}

int snapshot_settle(struct manager *m, const char *vm, struct err *e)
{
	struct snap_work w;
	char name[64], path[PATH_SIZE];
	bool unfinished;
	int rc;

	if (vm_resolve(m, vm, name, e) || vm_path(m, name, "snapshots/tree.json", path, e))
		return e->code;
	if (access(path, F_OK))
		return 0;
	/* Nearly always there is nothing to do, and a start shall not wait for other commands. */
	rc = snapshot_tree_load(&w.tree, path, e);
	unfinished = !rc && w.tree.pending;
	snapshot_tree_free(&w.tree);
	if (rc || vm_path(m, name, "snapshots/" NOTE_FILE, path, e))
		return e->code;
	if (!unfinished && access(path, F_OK))
		return 0;
	rc = snap_open(&w, m, name, NULL, e);
	snap_close(&w);
	return rc;
}
