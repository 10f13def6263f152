/* SPDX-License-Identifier: Apache-2.0 */
/* Discs in CD-ROM drives: of the running machine, and of the definition for its next start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int change_definition(struct manager *m, const char *name, unsigned drive, const char *path,
			     struct err *e)
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
		rc = disc ? set_disc(disc, path, e) : e->code;
		if (rc)
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

	if (manager_find(m, name, &vm, e))
		return e->code;
	params = json_pack("{s:s*, s:i, s:b}", "path", path, "drive", (int)drive, "force", force);
	if (!params)
		return err_set(e, -EINVAL, "%s: a name that is not UTF-8 cannot be used", path);
	if (control_call(vm.control, path ? "cdrom_insert" : "cdrom_eject", params, NULL, e))
		return err_prefix(e, "%s", vm.name);
	return 0;
}

int vm_change_disc(struct manager *m, const char *name, unsigned drive, const char *path,
		   bool force, struct err *e)
{
	struct vm_status v;

	if (vm_look(m, name, &v, e))
		return e->code;
	if (v.state == VM_SAVED)
		return err_set(e, -EBUSY,
			       "%s is saved, and its guest knows the disc that was in the drive; "
			       "start it first",
			       v.name);
	if (v.pid && change_running(m, v.name, drive, path, force, e))
		return e->code;
	return v.persistent ? change_definition(m, v.name, drive, path, e) : 0;
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
