/* SPDX-License-Identifier: Apache-2.0 */
/* Takes, restores, deletes and renames snapshots. */
#include "manager/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/snapwork.h"

/* ---- take ----------------------------------------------------------------------------------- */

static int check_name(const struct snap_work *w, const char *name, struct err *e)
{
	if (!spec_name_ok(name))
		return err_set(
			e, -EINVAL,
			"\"%.64s\" is no name for a snapshot: letters, digits, \".\", \"_\", "
			"\"-\"; at most 63",
			name);
	if (snapshot_find(&w->tree, name, NULL))
		return err_set(
			e, -EEXIST,
			"%s has a snapshot \"%s\" already; choose another name, or delete it: "
			"baton snapshot delete %s %s",
			w->name, name, w->name, name);
	return 0;
}

/* Paths of the files of a snapshot to be. */
struct files {
	char memory[PATH_SIZE], variables[PATH_SIZE];
};

/* The first number that no file in the folder of snapshots has. */
static int name_files(const struct snap_work *w, struct snapshot *s, struct files *f, struct err *e)
{
	char variables[32];
	unsigned n = 0;

	do {
		n++;
		snprintf(s->memory, sizeof(s->memory), "%u.state", n);
		snprintf(variables, sizeof(variables), "%u.vars", n);
		if (snap_path(w, s->memory, f->memory, e) ||
		    snap_path(w, variables, f->variables, e))
			return e->code;
	} while (!access(f->memory, F_OK) || !access(f->variables, F_OK));
	s->variables = strdup(variables);
	return s->variables ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* What the disks are at the instant: the images that are frozen from then on. */
static int note_disks(const struct snap_work *w, struct snapshot *s, struct err *e)
{
	for (unsigned i = 0; i < w->def.machine.ndisks; i++) {
		const struct spec_disk *d = &w->def.machine.disks[i];

		s->ndisks = i + 1;
		if (!snap_is_written(d))
			continue;
		s->disk[i].path = strdup(snap_relative(w, d->path));
		s->disk[i].format = strdup(d->format ? d->format : "raw");
		if (!s->disk[i].path || !s->disk[i].format)
			return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

static int fill(struct snap_work *w, struct snapshot *s, struct err *e)
{
	const char *text = w->options->description;

	s->time = time(NULL);
	strcpy(s->parent, w->tree.current);
	s->description = strdup(text ? text : "");
	if (spec_unbase(&w->def.machine, w->folder, e))
		return e->code;
	s->definition = definition_to_json(&w->def);
	if (spec_rebase(&w->def.machine, w->folder, e))
		return e->code;
	if (!s->description || !s->definition)
		return err_set(e, -ENOMEM, "out of memory");
	return note_disks(w, s, e);
}

/* The VM's process switches all disks and notes memory and variables while it stands still. */
static int take_running(struct snap_work *w, const struct snapshot *s, const struct files *f,
			struct err *e)
{
	struct control_files files = {0};
	json_t *disks = json_array(), *params;
	int rc = 0;

	for (unsigned i = 0; i < s->ndisks && !rc; i++) {
		const struct spec_disk *d = &w->def.machine.disks[i];

		if (!s->disk[i].path)
			continue;
		rc = control_files_add(&files, d->path, snap_is_direct(d), e);
		json_array_append_new(disks,
				      json_pack("{s:i, s:s}", "disk", (int)i, "overlay", d->path));
	}
	params = json_pack("{s:s*, s:s, s:o}", "path", w->options->disk_only ? NULL : f->memory,
			   "variables", f->variables, "disks", disks);
	if (rc)
		json_decref(params);
	else
		rc = control_call_long(w->vm.control, "snapshot", params, &files, NULL,
				       w->options->progress, w->options->opaque, e);
	control_files_close(&files);
	return rc;
}

/* Memory goes with the machine that it is of; a snapshot of disks has no such trouble. */
static int check_memory(const struct snap_work *w, struct err *e)
{
	char saved[PATH_SIZE];

	if (w->options->disk_only)
		return 0;
	if (vm_path(w->m, w->name, VM_SAVED_STATE, saved, e))
		return e->code;
	return w->vm.pid || !access(saved, F_OK) ? vm_check_unchanged(w->m, w->name, e) : 0;
}

/* The memory of a saved VM gets a second name. */
static int take_stopped(const struct snap_work *w, struct snapshot *s, const struct files *f,
			struct err *e)
{
	char saved[PATH_SIZE];

	if (vm_path(w->m, w->name, VM_SAVED_STATE, saved, e) ||
	    snap_copy_variables(w, f->variables, e))
		return e->code;
	if (w->options->disk_only || !link(saved, f->memory))
		return 0;
	if (errno != ENOENT)
		return err_set(e, -errno, "%s: %s", saved, strerror(errno));
	*s->memory = '\0';
	return 0;
}

/*
 * The definition leads to the overlays before anybody writes to them: they are empty until
 * then, and whoever starts the VM from here on, whatever happens, finds its disks as they are.
 */
static int take(struct snap_work *w, struct snapshot *s, struct err *e)
{
	struct files f;

	if (name_files(w, s, &f, e) || fill(w, s, e) || snap_add_overlays(w, s->disk, e) ||
	    snap_save_definition(w, e))
		return e->code;
	if (w->vm.pid ? take_running(w, s, &f, e) : take_stopped(w, s, &f, e))
		return e->code;
	if (access(f.variables, F_OK))
		*s->variables = '\0';
	if (w->options->disk_only)
		*s->memory = '\0';
	return 0;
}

static int take_named(struct snap_work *w, const char *name, struct err *e)
{
	struct snapshot s = {0};
	struct err ignored;

	if (check_name(w, name, e) || check_memory(w, e) || snap_collect(w, e))
		return e->code;
	snprintf(s.name, sizeof(s.name), "%s", name);
	if (!take(w, &s, e) && !snapshot_append(&w->tree, &s, e)) {
		strcpy(w->tree.current, name);
		return snap_save_tree(w, e);
	}
	/* What stands in the way of taking it back is left to the next command. */
	snapshot_free(&s);
	if (!w->vm.pid || !snap_follow_process(w, &ignored))
		snap_collect(w, &ignored);
	return e->code;
}

int snapshot_take(struct manager *m, const char *vm, const char *name,
		  const struct snapshot_options *o, struct err *e)
{
	struct snap_work w;
	int rc = snap_open(&w, m, vm, o, e);

	if (!rc)
		rc = take_named(&w, name, e);
	snap_close(&w);
	return rc;
}

/* ---- restore -------------------------------------------------------------------------------- */

/* The snapshot's definition, with new overlays on its images. */
static int plan_machine(struct snap_work *w, const struct snapshot *s, struct err *e)
{
	int rc = snap_take_definition(w, s->definition, e);

	if (!rc && w->def.machine.ndisks != s->ndisks)
		rc = err_set(e, -EINVAL, "snapshot \"%s\": its disks do not fit its definition",
			     s->name);
	return rc ? rc : snap_add_overlays(w, s->disk, e);
}

/* From the moment in which the tree is written the VM is the snapshot's. */
static int decide(struct snap_work *w, const struct snapshot *s, struct err *e)
{
	if (spec_unbase(&w->def.machine, w->folder, e))
		return e->code;
	w->tree.pending =
		json_pack("{s:o, s:s?, s:s*}", "definition", definition_to_json(&w->def), "memory",
			  *s->memory ? s->memory : NULL, "variables", s->variables);
	if (!w->tree.pending)
		return err_set(e, -ENOMEM, "out of memory");
	strcpy(w->tree.current, s->name);
	return snap_save_tree(w, e);
}

static int restore(struct snap_work *w, const char *name, bool *memory, struct err *e)
{
	const struct snapshot *s = snapshot_find(&w->tree, name, e);

	if (!s)
		return e->code;
	*memory = *s->memory;
	if (plan_machine(w, s, e) || decide(w, s, e) || snap_apply_pending(w, e))
		return e->code;
	return snap_collect(w, e);
}

/* Only for a snapshot that is there does a running VM end. */
static int end_vm(struct manager *m, const char *vm, const char *name, struct err *e)
{
	struct snap_work w;
	int rc = snap_open(&w, m, vm, NULL, e);

	if (!rc && !snapshot_find(&w.tree, name, e))
		rc = e->code;
	if (!rc && w.vm.pid)
		rc = vm_kill(m, w.name, e);
	snap_close(&w);
	return rc;
}

int snapshot_restore(struct manager *m, const char *vm, const char *name, bool *memory,
		     struct err *e)
{
	struct snap_work w;
	int rc = end_vm(m, vm, name, e);

	if (rc)
		return rc;
	rc = snap_open(&w, m, vm, NULL, e);
	if (!rc && w.vm.pid)
		rc = err_set(e, -EBUSY, "%s was started meanwhile; try again", w.name);
	if (!rc)
		rc = restore(&w, name, memory, e);
	snap_close(&w);
	return rc;
}

/* ---- delete and rename ---------------------------------------------------------------------- */

static int delete (struct snap_work *w, const char *name, struct err *e)
{
	struct snapshot *s = snapshot_find(&w->tree, name, e);

	if (!s)
		return e->code;
	snapshot_remove(&w->tree, s);
	if (snap_save_tree(w, e))
		return e->code;
	if (snap_collect(w, e))
		return err_prefix(e, "the snapshot is deleted, but its space is not free yet (the "
				     "next snapshot command tries again)");
	return 0;
}

int snapshot_delete(struct manager *m, const char *vm, const char *name,
		    const struct snapshot_options *o, struct err *e)
{
	struct snap_work w;
	int rc = snap_open(&w, m, vm, o, e);

	if (!rc)
		rc = delete (&w, name, e);
	snap_close(&w);
	return rc;
}

int snapshot_rename(struct manager *m, const char *vm, const char *name, const char *new_name,
		    struct err *e)
{
	struct snapshot *s = NULL;
	struct snap_work w;
	int rc = snap_open(&w, m, vm, NULL, e);

	if (!rc) {
		s = snapshot_find(&w.tree, name, e);
		rc = s ? check_name(&w, new_name, e) : e->code;
	}
	if (!rc) {
		snapshot_set_name(&w.tree, s, new_name);
		rc = snap_save_tree(&w, e);
	}
	snap_close(&w);
	return rc;
}

/* ---- looking -------------------------------------------------------------------------------- */

int snapshot_list(struct manager *m, const char *vm, struct snapshot_tree *out, struct err *e)
{
	char path[PATH_SIZE], name[64];

	if (vm_resolve(m, vm, name, e) || vm_path(m, name, "snapshots/tree.json", path, e))
		return e->code;
	return snapshot_tree_load(out, path, e);
}

int snapshot_memory(struct manager *m, const char *vm, const char *name, char out[512],
		    struct err *e)
{
	const struct snapshot *s;
	struct snapshot_tree t;
	char file[64];
	int rc = snapshot_list(m, vm, &t, e);

	if (rc)
		return rc;
	s = snapshot_find(&t, name, e);
	if (s && !*s->memory)
		rc = err_set(e, -ENODATA, "snapshot \"%s\" has no memory: the VM did not run",
			     s->name);
	snprintf(file, sizeof(file), "snapshots/%s", s ? s->memory : "");
	snapshot_tree_free(&t);
	return s && !rc ? vm_file(m, vm, file, out, e) : e->code;
}
