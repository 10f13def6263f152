/* SPDX-License-Identifier: Apache-2.0 */
/* What state a VM is in: from its lock, its process, its record and its definition. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "manager/control_client.h"
#include "manager/folders.h"
#include "manager/vm.h"
#include "vmm/record.h"

static const char *const state_names[] = {
	[VM_SHUT_OFF] = "shut off", [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
	[VM_SAVED] = "saved",       [VM_CRASHED] = "crashed",
};

const char *vm_state_name(enum vm_state s)
{
	return state_names[s];
}

/* ---- one VM --------------------------------------------------------------------------------- */

static void set_reason(struct vm_status *v, const char *reason)
{
	snprintf(v->reason, sizeof(v->reason), "%s", reason);
	make_printable(v->reason);
}

/* A process that does not answer is starting, ending, or stopped by somebody. */
static void ask_process(const struct manager *m, struct vm_status *v)
{
	char path[SOCKET_SIZE];
	const char *state, *reason;
	json_t *o = NULL;

	v->state = VM_RUNNING;
	if (vm_socket(m, v->name, "sock", path, NULL) || control_ask(path, "status", &o, NULL)) {
		set_reason(v, "does not answer");
		return;
	}
	state = json_string_value(json_object_get(o, "state"));
	reason = json_string_value(json_object_get(o, "reason"));
	if (state && !strcmp(state, "paused")) {
		v->state = VM_PAUSED;
		set_reason(v, reason ? reason : "user");
	}
	json_decref(o);
}

/* A record that says "running" while nobody runs is that of a process that was killed. */
static void read_rest(const struct record *r, struct vm_status *v)
{
	for (unsigned i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
		if (!strcmp(r->state, state_names[i]))
			v->state = (enum vm_state)i;
	if (v->state == VM_RUNNING || v->state == VM_PAUSED) {
		v->state = VM_CRASHED;
		set_reason(v, "killed");
	}
	v->exit_status = r->exit_status;
	v->id = 0;
}

/* The file is there for as long as the VM can go on from it. */
static void read_saved(const struct manager *m, struct vm_status *v)
{
	char path[PATH_SIZE];

	if (v->pid || vm_path(m, v->name, VM_SAVED_STATE, path, NULL) || access(path, F_OK))
		return;
	v->state = VM_SAVED;
	set_reason(v, "user");
}

static void read_record(const struct manager *m, struct vm_status *v)
{
	char path[PATH_SIZE];
	struct record r;

	v->exit_status = -1;
	if (vm_path(m, v->name, "state.json", path, NULL) || record_read(path, &r, NULL))
		return;
	v->since = r.since;
	v->id = r.id;
	set_reason(v, r.reason);
	if (!v->pid)
		read_rest(&r, v);
}

static void take_machine(const struct spec *s, struct vm_status *v)
{
	v->cpus = s->cpus;
	v->memory = s->memory;
	if (s->uuid)
		snprintf(v->uuid, sizeof(v->uuid), "%s", s->uuid);
}

static void read_definition(const struct manager *m, struct vm_status *v)
{
	struct definition d;
	char path[PATH_SIZE];
	struct err e;

	definition_init(&d);
	if (vm_path(m, v->name, "vm.json", path, &e) || definition_load(&d, path, &e)) {
		snprintf(v->problem, sizeof(v->problem), "%s", e.text);
	} else {
		take_machine(&d.machine, v);
		v->autostart = d.autostart;
		snprintf(v->title, sizeof(v->title), "%s", d.title ? d.title : "");
	}
	definition_free(&d);
}

/* The machine that runs; the definition may have been changed since. */
static void read_started(const struct manager *m, struct vm_status *v)
{
	char path[PATH_SIZE];
	struct spec s;
	struct err e;

	spec_init(&s);
	if (!vm_path(m, v->name, "spec.json", path, NULL) && !spec_load(path, &s, &e))
		take_machine(&s, v);
	spec_free(&s);
}

static void read_holder(const struct manager *m, struct vm_status *v)
{
	struct holder h;

	holder_find(m, v->name, &h);
	if (!h.pid)
		return;
	if (!strcmp(h.what, HOLD_RUN))
		v->pid = h.pid;
	else
		snprintf(v->busy, sizeof(v->busy), "%s", h.what);
}

/* False when there is no such VM: neither a definition nor a process. */
static bool look(const struct manager *m, const char *name, struct vm_status *v)
{
	memset(v, 0, sizeof(*v));
	if (!spec_name_ok(name))
		return false;
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->persistent = vm_is_defined(m, name);
	read_holder(m, v);
	if (!v->persistent && !v->pid)
		return false;
	read_record(m, v);
	read_saved(m, v);
	if (v->pid)
		ask_process(m, v);
	if (v->persistent)
		read_definition(m, v);
	if (v->pid)
		read_started(m, v);
	return true;
}

/* ---- all VMs -------------------------------------------------------------------------------- */

static int by_folder(struct manager *m, struct dirent **entry, int n, struct vm_status **out,
		     size_t *count, struct err *e)
{
	*count = 0;
	*out = calloc((size_t)n + 1, sizeof(**out));
	if (!*out)
		return err_set(e, -ENOMEM, "out of memory");
	for (int i = 0; i < n; i++)
		*count += look(m, entry[i]->d_name, *out + *count);
	return 0;
}

static int list_now(struct manager *m, struct vm_status **out, size_t *n, struct err *e)
{
	struct dirent **entry;
	int found = scandir(m->vms, &entry, NULL, versionsort), rc;

	if (found < 0)
		return err_set(e, -errno, "%s: %s", m->vms, strerror(errno));
	rc = by_folder(m, entry, found, out, n, e);
	while (found)
		free(entry[--found]);
	free(entry);
	return rc;
}

int vm_list(struct manager *m, struct vm_status **out, size_t *n, struct err *e)
{
	int rc = manager_lock(m, e);

	if (rc)
		return rc;
	manager_unlock(m); /* what killed commands left is gone now */
	return list_now(m, out, n, e);
}

static int no_such_vm(const char *name, struct err *e)
{
	return err_set(e, -ENOENT, "there is no VM named \"%.64s\"; see `baton list --all`", name);
}

int vm_find_uuid(struct manager *m, const char *uuid, char name[64], struct err *e)
{
	struct vm_status *list;
	size_t n;
	int rc = list_now(m, &list, &n, e);

	if (rc)
		return rc;
	rc = -ENOENT;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].uuid, uuid))
			continue;
		strcpy(name, list[i].name);
		rc = 0;
	}
	free(list);
	return rc ? no_such_vm(uuid, e) : 0;
}

int vm_resolve(struct manager *m, const char *text, char name[64], struct err *e)
{
	struct holder h;

	if (spec_name_ok(text)) {
		holder_find(m, text, &h);
		if (vm_is_defined(m, text) || h.pid) {
			strcpy(name, text);
			return 0;
		}
	}
	return spec_uuid_ok(text) ? vm_find_uuid(m, text, name, e) : no_such_vm(text, e);
}

int vm_look(struct manager *m, const char *name, struct vm_status *out, struct err *e)
{
	char resolved[64];

	if (vm_resolve(m, name, resolved, e))
		return e->code;
	return look(m, resolved, out) ? 0 : no_such_vm(name, e);
}

int vm_file(struct manager *m, const char *name, const char *file, char out[512], struct err *e)
{
	char resolved[64];

	if (vm_resolve(m, name, resolved, e))
		return e->code;
	return vm_path(m, resolved, file, out, e);
}
