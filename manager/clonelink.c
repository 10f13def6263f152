/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of a linked clone. The source's images get a second name in a folder of the pool, where
 * they stay as they are for ever; source and clone each write to an overlay on them. The source
 * changes at one instant, when its definition does: before, the overlays are files that nobody
 * knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/clone.h"
#include "manager/newvm.h"
#include "manager/pool.h"
#include "vmm/backend/image/chain.h"

struct linking {
	struct clone *c;
	char source[PATH_SIZE], base[PATH_SIZE]; /* folders */
	struct definition d;                     /* the source's from now on */
	char *old[SPEC_MAX_DISKS];               /* names that the source gives up */
	const char *format[SPEC_MAX_DISKS];      /* of the bases */
};

static const char *name_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return !strncmp(path, folder, n) && path[n] == '/' && !strchr(path + n + 1, '/')
		       ? path + n + 1
		       : NULL;
}

/* A base must not change: no snapshot may merge into it, and nobody else may have its name. */
static int check_disk(struct linking *l, unsigned disk, struct err *e)
{
	const struct spec_disk *d = &l->d.machine.disks[disk];
	const struct image_access any = {.format = d->format, .any_backing = true};
	struct image_link *links;
	unsigned n;
	int rc = 0;

	if (!name_in(d->path, l->source))
		return err_set(e, -ENOTSUP,
			       "%s is not in the folder of %s and could change below a linked "
			       "clone; leave --linked out",
			       d->path, l->c->source);
	if (image_read_chain(d->path, &any, &links, &n, e))
		return err_prefix(e, "%s", d->path);
	for (unsigned i = 1; i < n && !rc; i++)
		if (name_in(links[i].path, l->source))
			rc = err_set(e, -ENOTSUP,
				     "%s has snapshots, into which a linked clone cannot reach; "
				     "delete them or leave --linked out",
				     l->c->source);
	l->format[disk] = links[0].format;
	image_free_chain(links, n);
	return rc;
}

/* What is saved goes on with the disks that it knows. */
static int check_state(const struct linking *l, struct err *e)
{
	char path[PATH_SIZE];

	if (vm_path(l->c->m, l->c->source, VM_SAVED_STATE, path, e))
		return e->code;
	if (access(path, F_OK))
		return 0;
	return err_set(e, -ENOTSUP,
		       "%s is saved, with the disks as they are; start and stop it first, or leave "
		       "--linked out",
		       l->c->source);
}

/* An overlay on the base in `folder`; *path becomes its name there. */
static int make_overlay(const char *folder, const char *base, const char *format, char **path,
			struct err *e)
{
	char full[NEW_DISK_PATH], *name;

	if (new_vm_disk_name(folder, "qcow2", full, e) ||
	    image_create_overlay(full, base, format, e))
		return e->code;
	name = strdup(full + strlen(folder) + 1);
	if (!name)
		return err_set(e, -ENOMEM, "out of memory");
	free(*path);
	*path = name;
	return 0;
}

static int set_format(struct spec_disk *d, struct err *e)
{
	free(d->format);
	d->format = strdup("qcow2");
	return d->format ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int link_disk(struct linking *l, unsigned i, struct err *e)
{
	struct spec_disk *theirs = &l->c->d.machine.disks[i], *ours = &l->d.machine.disks[i];
	char base[PATH_SIZE + 280];

	snprintf(base, sizeof(base), "%s/%s", l->base, name_in(ours->path, l->source));
	if (link(ours->path, base))
		return err_set(e, -errno, "%s: %s", base, strerror(errno));
	l->old[i] = strdup(ours->path);
	if (!l->old[i])
		return err_set(e, -ENOMEM, "out of memory");
	if (make_overlay(l->c->folder, base, l->format[i], &theirs->path, e) ||
	    make_overlay(l->source, base, l->format[i], &ours->path, e) || set_format(theirs, e) ||
	    set_format(ours, e))
		return e->code;
	return 0;
}

static int link_disks(struct linking *l, struct err *e)
{
	struct spec *s = &l->d.machine;

	for (unsigned i = 0; i < s->ndisks; i++)
		if (!clone_shares(&s->disks[i]) && check_disk(l, i, e))
			return e->code;
	for (unsigned i = 0; i < s->ndisks; i++)
		if (!clone_shares(&s->disks[i]) && link_disk(l, i, e))
			return e->code;
	return file_sync_folder(l->base, e);
}

/* The instant at which the source goes on with its overlays. */
static int switch_source(struct linking *l, struct err *e)
{
	char path[PATH_SIZE + 16];

	snprintf(path, sizeof(path), "%s/vm.json", l->source);
	if (spec_unbase(&l->d.machine, l->source, e) || definition_save(&l->d, path, e))
		return e->code;
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (l->old[i])
			unlink(l->old[i]);
	return 0;
}

/* Takes back what the source does not know of yet. */
static void remove_overlays(const struct linking *l)
{
	char path[PATH_SIZE + 280];

	for (unsigned i = 0; i < l->d.machine.ndisks; i++) {
		const char *name = l->d.machine.disks[i].path;

		if (!l->old[i] || !name || *name == '/')
			continue;
		snprintf(path, sizeof(path), "%s/%s", l->source, name);
		unlink(path);
	}
}

int clone_link_disks(struct clone *c, struct err *e)
{
	struct linking l = {.c = c};
	int lock, rc;

	definition_init(&l.d);
	if (vm_path(c->m, c->source, "", l.source, e) || vm_load(c->m, c->source, &l.d, e) ||
	    check_state(&l, e) || pool_new_base(c->m, l.base, &lock, e)) {
		definition_free(&l.d);
		return e->code;
	}
	rc = link_disks(&l, e);
	if (!rc)
		rc = switch_source(&l, e);
	if (rc)
		remove_overlays(&l);
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		free(l.old[i]);
	c->base_lock = lock; /* until the clone stands */
	definition_free(&l.d);
	return rc;
}
