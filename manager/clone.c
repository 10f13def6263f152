/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a VM like another one that does not run: with its own disks, UUID and addresses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/clone.h"
#include "manager/newvm.h"
#include "manager/pool.h"
#include "vmm/backend/image/chain.h"

/* ---- disks ---------------------------------------------------------------------------------- */

bool clone_shares(const struct spec_disk *d)
{
	return !d->path || d->cdrom || d->readonly;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Two disks of different folders may have one name. */
static int free_path(const struct clone *c, const char *name, char path[PATH_SIZE + 280],
		     struct err *e)
{
	for (unsigned n = 0; n < SPEC_MAX_DISKS + 1; n++) {
		int len = n ? snprintf(path, PATH_SIZE + 280, "%s/disk%u-%s", c->folder, n, name)
			    : snprintf(path, PATH_SIZE + 280, "%s/%s%s", c->folder,
				       strncmp(name, "disk", 4) ? "disk-" : "", name);

		if (len >= PATH_SIZE + 280)
			break;
		if (access(path, F_OK))
			return 0;
	}
	return err_set(e, -EEXIST, "%s: no name is free for %s", c->folder, name);
}

static void converting(void *opaque, uint64_t done, uint64_t total)
{
	struct copy_progress *p = opaque;

	if (p->fn)
		p->fn(p->opaque, "copying", done, total);
}

/* What several images hold together becomes one. */
static int flatten(struct clone *c, struct spec_disk *d, const char *to, struct err *e)
{
	const struct image_access any = {.any_backing = true};
	const struct image_convert how = {
		.source = d->path,
		.target = to,
		.source_format = d->format,
		.a = &any,
		.create = {.format = "qcow2"},
		.progress = converting,
		.opaque = &c->progress,
	};

	if (image_convert(&how, e))
		return err_prefix(e, "%s", d->path);
	free(d->format);
	d->format = strdup("qcow2");
	return d->format ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int copy_content(struct clone *c, struct spec_disk *d, const char *to, struct err *e)
{
	const struct image_access any = {.format = d->format, .any_backing = true};
	struct image_link *links;
	unsigned n;

	if (image_read_chain(d->path, &any, &links, &n, e))
		return err_prefix(e, "%s", d->path);
	image_free_chain(links, n);
	return n > 1 ? flatten(c, d, to, e) : copy_file(d->path, to, &c->progress, e);
}

static int copy_disk(struct clone *c, struct spec_disk *d, struct err *e)
{
	char path[PATH_SIZE + 280];
	int rc = free_path(c, file_name(d->path), path, e);

	if (!rc)
		rc = copy_content(c, d, path, e);
	if (rc)
		return rc;
	free(d->path);
	d->path = strdup(path + strlen(c->folder) + 1);
	return d->path ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int copy_disks(struct clone *c, struct err *e)
{
	struct spec *s = &c->d.machine;

	for (unsigned i = 0; i < s->ndisks; i++)
		if (!clone_shares(&s->disks[i]))
			c->progress.total += copy_size(s->disks[i].path);
	for (unsigned i = 0; i < s->ndisks; i++)
		if (!clone_shares(&s->disks[i]) && copy_disk(c, &s->disks[i], e))
			return e->code;
	return 0;
}

/* UEFI's variables: the file that the definition names, or the one in the folder. */
static int copy_nvram(struct clone *c, struct err *e)
{
	char from[PATH_SIZE], to[PATH_SIZE + 16];
	char **named = &c->d.machine.nvram;

	if (vm_variables(c->m, c->source, &c->d.machine, from, e))
		return e->code;
	snprintf(to, sizeof(to), "%s/nvram.fd", c->folder);
	if (!*from || access(from, F_OK))
		return 0;
	if (copy_file(from, to, &c->progress, e))
		return e->code;
	free(*named); /* the one in the folder is found without being named */
	*named = NULL;
	return 0;
}

/* ---- the definition ------------------------------------------------------------------------- */

static int make_different(struct clone *c, struct err *e)
{
	struct spec *s = &c->d.machine;

	for (unsigned i = 0; i < s->nnets; i++)
		if (new_vm_mac(&s->nets[i], e))
			return e->code;
	c->d.autostart = false;
	return definition_new_uuid(&c->d, e);
}

static int fill_folder(struct clone *c, struct err *e)
{
	char path[PATH_SIZE + 16];

	if ((c->linked ? clone_link_disks(c, e) : copy_disks(c, e)) || make_different(c, e) ||
	    copy_nvram(c, e))
		return e->code;
	snprintf(path, sizeof(path), "%s/vm.json", c->folder);
	return definition_save(&c->d, path, e);
}

/* ---- the two folders ------------------------------------------------------------------------ */

/* Nobody may start or change the source, and nobody may clean up or make the clone. */
static int begin_locked(struct clone *c, struct err *e)
{
	char socket[SOCKET_SIZE];

	snprintf(c->work, sizeof(c->work), ".new-%s", c->name);
	if (new_vm_check_name(c->m, c->name, e) || vm_socket(c->m, c->name, "sock", socket, e) ||
	    vm_path(c->m, c->work, "", c->folder, e) || vm_load(c->m, c->source, &c->d, e) ||
	    holder_take(c->m, c->source, "clone", &c->source_lock, e))
		return e->code;
	if (mkdir(c->folder, 0700))
		return errno == EEXIST
			       ? err_set(e, -EBUSY, "%s is being made by another command", c->name)
			       : err_set(e, -errno, "%s: %s", c->folder, strerror(errno));
	return holder_take(c->m, c->work, "clone", &c->lock, e);
}

static int begin(struct clone *c, struct err *e)
{
	int rc = manager_lock(c->m, e);

	if (rc)
		return rc;
	rc = begin_locked(c, e);
	manager_unlock(c->m);
	return rc;
}

static int finish(struct clone *c, struct err *e)
{
	char final[PATH_SIZE];
	int rc = manager_lock(c->m, e);

	if (rc)
		return rc;
	rc = new_vm_check_name(c->m, c->name, e);
	if (!rc)
		rc = vm_path(c->m, c->name, "", final, e);
	if (!rc)
		rc = new_vm_commit(c->m, c->folder, final, e);
	manager_unlock(c->m);
	return rc;
}

/* After an error the folder is one that nobody holds: it is removed like any that is left over. */
static void end(struct clone *c)
{
	struct err e;

	if (c->lock >= 0)
		close(c->lock);
	if (c->source_lock >= 0)
		close(c->source_lock);
	if (c->base_lock >= 0)
		close(c->base_lock);
	if (!manager_lock(c->m, &e)) {
		if (c->base_lock >= 0)
			pool_clean(c->m);
		manager_unlock(c->m);
	}
	definition_free(&c->d);
}

int vm_clone(struct manager *m, const char *name, const char *new_name, bool linked,
	     control_progress_fn *progress, void *opaque, struct err *e)
{
	struct clone c = {.m = m,
			  .name = new_name,
			  .linked = linked,
			  .source_lock = -1,
			  .lock = -1,
			  .base_lock = -1,
			  .progress = {.fn = progress, .opaque = opaque}};
	int rc = vm_resolve(m, name, c.source, e);

	if (rc)
		return rc;
	definition_init(&c.d);
	rc = begin(&c, e);
	if (!rc)
		rc = fill_folder(&c, e);
	if (!rc)
		rc = finish(&c, e);
	end(&c);
	return rc;
}
