/* SPDX-License-Identifier: Apache-2.0 */
/* Discs in CD-ROM drives: of the running machine, and of the definition for its next start. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/control_client.h"
#include "manager/vm.h"

/* The CD-ROM drive number `wanted`, counted from 0. */
static struct spec_disk *find_drive(struct spec *s, unsigned wanted, struct err *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->ndisks; i++)
		if (s->disks[i].cdrom && n++ == wanted)
			return &s->disks[i];
	err_set(e, -ENODEV,
		n ? "there is no CD-ROM drive %u; the VM has %u, counted from 0"
		  : "the VM has no CD-ROM drive; give it one with `baton modify --cdrom none`",
		wanted, n);
	return NULL;
}

static int set_disc(struct spec_disk *d, const char *path, struct err *e)
{
	char *copy = path ? strdup(path) : NULL;

	if (path && !copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(d->path);
	d->path = copy;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/*
 * `was`: what the running machine had in the drive, NULL when none runs, JSON's null for no disc. A
 * definition with something else there has been changed since the start: it may mean another drive,
 * and keeps what it was given.
 */
static bool keeps_own(const struct spec_disk *d, const json_t *was)
{
	return was && !(d && same_text(d->path, json_string_value(was)));
}

static int change_definition(struct manager *m, const char *name, unsigned drive, const char *path,
			     const json_t *was, bool *kept, struct err *e)
{
	const uint64_t no_new[SPEC_MAX_DISKS] = {0};
	struct definition d;
	struct spec_disk *disc;
	char resolved[64];
	int rc;

	definition_init(&d);
	rc = vm_begin(m, name, resolved, &d, e);
	if (!rc) {
		disc = find_drive(&d.machine, drive, e);
		*kept = keeps_own(disc, was);
		if (!*kept)
			rc = disc ? set_disc(disc, path, e) : e->code;
		if (rc || *kept)
			vm_abort(m);
		else
			rc = vm_commit(m, resolved, &d, no_new, e);
	}
	definition_free(&d);
	return rc;
}

static int change_running(struct manager *m, const char *name, unsigned drive, const char *path,
			  bool force, struct err *e)
{
	struct vm_info vm;
	json_t *params;
	int fd = -1, rc;

	if (manager_find(m, name, &vm, e))
		return e->code;
	params = json_pack("{s:s*, s:i, s:b}", "path", path, "drive", (int)drive, "force", force);
	if (!params)
		return err_set(e, -EINVAL, "%s: a name that is not UTF-8 cannot be used", path);
	/* The VM may not open every file (vmm/sandbox/sandbox.h): it gets this one open. */
	if (path) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0) {
			json_decref(params);
			return err_set(e, -errno, "disc %s: %s", path, strerror(errno));
		}
	}
	rc = control_call_fd(vm.control, path ? "cdrom_insert" : "cdrom_eject", params, fd, NULL,
			     e);
	if (fd >= 0)
		close(fd);
	return rc ? err_prefix(e, "%s", vm.name) : 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

static int list_defined(struct manager *m, const char *name, json_t *list, struct err *e)
{
	struct definition d;
	int rc;

	definition_init(&d);
	rc = vm_load(m, name, &d, e);
	for (unsigned i = 0; i < d.machine.ndisks && !rc; i++)
		if (d.machine.disks[i].cdrom)
			json_array_append_new(list, d.machine.disks[i].path
							    ? json_string(d.machine.disks[i].path)
							    : json_null());
	definition_free(&d);
	return rc;
}

static int list_running(struct manager *m, const char *name, json_t *list, struct err *e)
{
	json_t *answer = NULL, *drive;
	struct vm_info vm;
	size_t i;

	if (manager_find(m, name, &vm, e) || control_call(vm.control, "cdroms", NULL, &answer, e))
		return e->code;
	json_array_foreach(json_object_get(answer, "drives"), i, drive)
		json_array_append(list, json_object_get(drive, "path"));
	json_decref(answer);
	return 0;
}

int vm_list_discs(struct manager *m, const char *name, json_t **out, struct err *e)
{
	struct vm_status v;

	if (vm_look(m, name, &v, e))
		return e->code;
	*out = json_array();
	if (!(v.pid ? list_running(m, v.name, *out, e) : list_defined(m, v.name, *out, e)))
		return 0;
	json_decref(*out);
	return e->code;
}

/* ---- changing ------------------------------------------------------------------------------- */

static int change_disc(struct manager *m, const struct vm_status *v, unsigned drive,
		       const char *path, bool force, bool *kept, struct err *e)
{
	json_t *running = json_array();
	int rc = v->pid ? list_running(m, v->name, running, e) : 0;

	if (!rc && v->pid)
		rc = change_running(m, v->name, drive, path, force, e);
	if (!rc && v->persistent)
		rc = change_definition(m, v->name, drive, path,
				       v->pid ? json_array_get(running, drive) : NULL, kept, e);
	json_decref(running);
	return rc;
}

int vm_change_disc(struct manager *m, const char *name, unsigned drive, const char *path,
		   bool force, bool *kept, struct err *e)
{
	struct vm_status v;

	*kept = false;
	if (vm_look(m, name, &v, e))
		return e->code;
	if (v.state == VM_SAVED)
		return err_set(e, -EBUSY,
			       "%s is saved, and its guest knows the disc that was in the drive; "
			       "start it first",
			       v.name);
	return change_disc(m, &v, drive, path, force, kept, e);
}
