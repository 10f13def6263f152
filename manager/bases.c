/* SPDX-License-Identifier: Apache-2.0 */
/* Bases of linked clones: making their folders, and removing those that nobody needs. */
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "manager/definition.h"
#include "manager/pool.h"
#include "vmm/backend/image/chain.h"

#define BASE_PREFIX "base-"
#define MAX_BASES   4096

int pool_new_base(struct manager *m, char out[PATH_SIZE], int *lock, struct err *e)
{
	struct definition d;
	char pool[PATH_SIZE], name[64], held[80];
	int rc;

	definition_init(&d);
	rc = definition_new_uuid(&d, e);
	if (!rc)
		snprintf(name, sizeof(name), BASE_PREFIX "%s", d.machine.uuid);
	definition_free(&d);
	if (rc || pool_path(m, "", pool, e) || file_make_folders(pool, e) ||
	    pool_path(m, name, out, e))
		return e->code;
	if (mkdir(out, 0700))
		return err_set(e, -errno, "%s: %s", out, strerror(errno));
	snprintf(held, sizeof(held), "../disks/%s", name);
	return holder_take(m, held, "clone", lock, e);
}

/* ---- who stands on what --------------------------------------------------------------------- */

static bool is_base(const char *name)
{
	return !strncmp(name, BASE_PREFIX, strlen(BASE_PREFIX));
}

struct bases {
	const struct manager *m;
	char *name[MAX_BASES];
	bool needed[MAX_BASES];
	unsigned n;
};

static void find_bases(struct bases *b, const char *pool)
{
	DIR *d = opendir(pool);
	const struct dirent *entry;

	while (d && b->n < MAX_BASES && (entry = readdir(d)))
		if (is_base(entry->d_name) && (b->name[b->n] = strdup(entry->d_name)))
			b->n++;
	if (d)
		closedir(d);
}

/* The file lies in the folder of the base whose name its path contains. */
static void note_needed(struct bases *b, const char *path)
{
	for (unsigned i = 0; i < b->n; i++) {
		const char *at = strstr(path, b->name[i]);

		if (at && at > path && at[-1] == '/' && at[strlen(b->name[i])] == '/')
			b->needed[i] = true;
	}
}

static int note_chain(struct bases *b, const char *path)
{
	const struct image_access any = {.any_backing = true};
	struct image_link *links;
	struct err e;
	unsigned n;
	int rc = image_read_chain(path, &any, &links, &n, &e);

	if (rc)
		return rc;
	for (unsigned i = 1; i < n; i++)
		note_needed(b, links[i].path);
	image_free_chain(links, n);
	return 0;
}

/* All images of VMs and of the pool but the bases themselves. */
static int note_all(struct bases *b, char *pool)
{
	char *const roots[] = {b->m->vms, pool, NULL};
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *f;
	int rc = 0;

	if (!tree)
		return -errno;
	while (!rc && (f = fts_read(tree))) {
		if (f->fts_info == FTS_D && is_base(f->fts_name))
			fts_set(tree, f, FTS_SKIP);
		else if (f->fts_info == FTS_F && pool_is_disk(f->fts_name))
			rc = note_chain(b, f->fts_path);
	}
	fts_close(tree);
	return rc;
}

static void remove_needless(const struct bases *b)
{
	char path[PATH_SIZE], held[300];
	struct holder h;

	for (unsigned i = 0; i < b->n; i++) {
		snprintf(held, sizeof(held), "../disks/%s", b->name[i]);
		holder_find(b->m, held, &h);
		if (!b->needed[i] && !h.pid && !pool_path(b->m, b->name[i], path, NULL))
			file_remove_tree(path, NULL);
	}
}

void pool_clean(const struct manager *m)
{
	struct bases *b = calloc(1, sizeof(*b));
	char pool[PATH_SIZE];

	if (!b || pool_path(m, "", pool, NULL))
		goto free_bases;
	b->m = m;
	find_bases(b, pool);
	if (b->n && b->n < MAX_BASES && !note_all(b, pool))
		remove_needless(b);
	for (unsigned i = 0; i < b->n; i++)
		free(b->name[i]);
free_bases:
	free(b);
}
