/* SPDX-License-Identifier: Apache-2.0 */
/* Overlays for snapshots, and the removal of images that nobody needs any more. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "manager/snapgraph.h"
#include "manager/snapwork.h"
#include "vmm/backend/image/chain.h"

/* ---- overlays ------------------------------------------------------------------------------- */

/* "disk0.qcow2" and "disk0.s7.qcow2" both begin with "disk0". */
static int stem_length(const char *file)
{
	const char *dot = strrchr(file, '.');
	unsigned n;
	int len = dot && dot != file ? (int)(dot - file) : (int)strlen(file);
	int end = 0;

	for (const char *p = file; (p = strstr(p, ".s")); p++)
		if (sscanf(p, ".s%u.qcow2%n", &n, &end) == 1 && end && !p[end])
			return (int)(p - file);
	return len;
}

static bool is_device(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/*
 * The first free name beside the image below, so that it is found there by its name alone. What is
 * beside a block device is lost with the host's next start: then in the VM's folder.
 */
static int overlay_name(const struct snap_work *w, const char *below, char out[PATH_SIZE],
			struct err *e)
{
	const char *slash = strrchr(below, '/');
	const char *in = is_device(below) ? w->folder : below;
	int folder = (int)(in == below ? slash - below : (long)strlen(in));

	for (unsigned n = 1; n < 1000000; n++) {
		int len = snprintf(out, PATH_SIZE, "%.*s/%.*s.s%u.qcow2", folder, in,
				   stem_length(slash + 1), slash + 1, n);

		if (len >= PATH_SIZE)
			return err_set(e, -ENAMETOOLONG, "%s: too long a path", below);
		if (access(out, F_OK) && !graph_lists(w->tree.images, snap_relative(w, out)))
			return 0;
	}
	return err_set(e, -EEXIST, "%s: no name is free for an overlay", below);
}

static int set_image(struct spec_disk *d, const char *path, const char *format, struct err *e)
{
	return snapshot_set_image(&d->path, &d->format, path, format, e);
}

/* An overlay elsewhere may stand on it. */
static int allow_device(struct spec_disk *d, const char *device, struct err *e)
{
	char *real = realpath(device, NULL), *slash = real ? strrchr(real, '/') : NULL;
	int rc = 0;

	if (!slash)
		return err_set(e, -errno, "%s: %s", device, strerror(errno));
	*slash = '\0';
	if (!d->allow_backing)
		d->allow_backing = real;
	else if (strcmp(d->allow_backing, real))
		rc = err_set(e, -ENOTSUP,
			     "%s: no snapshots of a device that stands on an image (allow-backing)",
			     device);
	if (d->allow_backing != real)
		free(real);
	return rc;
}

/* Nobody but this VM's disks and snapshots stands on it. */
static bool is_ours(const struct snap_work *w, const char *path)
{
	path = snap_relative(w, path);
	return graph_lists(w->tree.images, path) || graph_lists(w->tree.bases, path);
}

/* Only names; the files are made when the tree on the disk knows of them. */
static int plan_overlays(struct snap_work *w, const struct snapshot_disk *below, struct err *e)
{
	struct spec *s = &w->def.machine;
	char from[PATH_SIZE], path[PATH_SIZE];

	for (unsigned i = 0; i < s->ndisks; i++) {
		if (!below[i].path)
			continue;
		if (!is_ours(w, below[i].path))
			json_array_append_new(w->tree.bases, json_string(below[i].path));
		snap_absolute(w, below[i].path, from);
		if ((is_device(from) && allow_device(&s->disks[i], from, e)) ||
		    overlay_name(w, from, path, e) || set_image(&s->disks[i], path, "qcow2", e))
			return e->code;
		json_array_append_new(w->tree.images, json_string(snap_relative(w, path)));
	}
	return snap_save_tree(w, e);
}

int snap_add_overlays(struct snap_work *w, const struct snapshot_disk *below, struct err *e)
{
	char from[PATH_SIZE];

	if (plan_overlays(w, below, e))
		return e->code;
	for (unsigned i = 0; i < w->def.machine.ndisks; i++) {
		if (!below[i].path)
			continue;
		snap_absolute(w, below[i].path, from);
		if (image_create_overlay(w->def.machine.disks[i].path, from, below[i].format, e))
			return e->code;
	}
	return 0;
}

/* ---- merging -------------------------------------------------------------------------------- */

/*
 * The upper image goes down into the lower one when that is the disk that all began with, or has
 * more in it. Not when several stand on the upper one: they know it by its name.
 */
static bool goes_down(const struct snap_work *w, const struct graph_node *below,
		      const struct graph_node *above)
{
	if (above->children > 1)
		return false;
	return !graph_lists(w->tree.images, snap_relative(w, below->path)) ||
	       below->used >= above->used;
}

struct merge {
	struct snap_work *w;
	const struct graph_node *below, *above, *last; /* last: stands on `above`, or is it */
};

static void tell(void *opaque, uint64_t done, uint64_t total)
{
	const struct snapshot_options *o = ((const struct merge *)opaque)->w->options;

	if (o->progress)
		o->progress(o->opaque, "merging", done, total);
}

/* For a chain that nobody uses: the next start opens the lower image. */
static int switch_disk(void *opaque, const char *path, struct err *e)
{
	const struct merge *g = opaque;
	struct spec *s = &g->w->def.machine;

	(void)path;
	for (unsigned i = 0; i < s->ndisks; i++)
		if (i == (unsigned)g->above->disk &&
		    set_image(&s->disks[i], g->below->path, g->below->format, e))
			return e->code;
	return snap_save_definition(g->w, e);
}

static int merge_offline(const struct merge *g, bool down, struct err *e)
{
	const struct image_access access = {.format = g->last->format, .any_backing = true};
	const struct merge_options o = {
		.path = g->above->path,
		.direction = down ? MERGE_DOWN : MERGE_UP,
		.switching = switch_disk,
		.progress = tell,
		.opaque = (void *)(uintptr_t)g,
	};

	return image_merge(g->last->path, &access, &o, e);
}

/* The images that are written to: see enum merge_direction. */
static int open_changed(const struct merge *g, bool down, struct control_files *files,
			struct err *e)
{
	bool direct = snap_is_direct(&g->w->def.machine.disks[g->above->disk]);

	if (!down)
		return control_files_add(files, g->above->path, direct, e);
	if (g->last != g->above && control_files_add(files, g->last->path, direct, e))
		return e->code;
	return control_files_add(files, g->below->path, direct, e);
}

/* The VM's process has the images open: it merges them itself, while the guest goes on. */
static int merge_online(const struct merge *g, bool down, struct err *e)
{
	struct snap_work *w = g->w;
	struct control_files files = {0};
	char note[PATH_SIZE];
	json_t *params;
	int rc;

	if (snap_path(w, "switch.json", note, e) || open_changed(g, down, &files, e)) {
		control_files_close(&files);
		return e->code;
	}
	params = json_pack("{s:i, s:s, s:b, s:s}", "disk", g->above->disk, "path", g->above->path,
			   "down", down, "note", note);
	rc = control_call_long(w->vm.control, "merge", params, &files, NULL, w->options->progress,
			       w->options->opaque, e);
	control_files_close(&files);
	if (rc)
		return rc;
	if (snap_follow_process(w, e))
		return e->code;
	unlink(note);
	return 0;
}

/* Snapshots of the upper image are now those of the lower one. */
static int move_snapshots(struct snap_work *w, const struct graph *graph,
			  const struct graph_node *below, const struct graph_node *above,
			  struct err *e)
{
	char path[PATH_SIZE];

	for (size_t i = 0; i < w->tree.n; i++) {
		for (unsigned d = 0; d < w->tree.list[i].ndisks; d++) {
			struct snapshot_disk *disk = &w->tree.list[i].disk[d];

			if (!disk->path)
				continue;
			snap_absolute(w, disk->path, path);
			if (graph_find(graph, path) == above &&
			    snapshot_set_image(&disk->path, &disk->format,
					       snap_relative(w, below->path), below->format, e))
				return e->code;
		}
	}
	return snap_save_tree(w, e);
}

/* What nobody uses afterwards is ours to remove, if it lies in the VM's folder. */
static int own_unused(struct snap_work *w, const char *path, struct err *e)
{
	path = snap_relative(w, path);
	if (*path == '/' || graph_lists(w->tree.images, path))
		return 0;
	json_array_append_new(w->tree.images, json_string(path));
	return snap_save_tree(w, e);
}

static int merge(struct snap_work *w, const struct graph *graph, const struct graph_node *below,
		 struct err *e)
{
	const struct graph_node *above = &graph->node[below->child];
	bool down = goes_down(w, below, above);
	struct merge g = {w, below, above, above};

	if (down && above->children)
		g.last = &graph->node[above->child];
	if (own_unused(w, down ? above->path : below->path, e))
		return e->code;
	if (w->vm.pid && above->disk >= 0 ? merge_online(&g, down, e) : merge_offline(&g, down, e))
		return e->code;
	return down && above->of_snapshot ? move_snapshots(w, graph, below, above, e) : 0;
}

/* ---- what nobody needs ---------------------------------------------------------------------- */

/* Also what a killed command has left half made: "disk0.s1.qcow2.new-123". */
static int remove_image(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t n = strlen(slash + 1);
	char other[PATH_SIZE + 256];
	const struct dirent *entry;
	DIR *d;

	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	snprintf(other, sizeof(other), "%.*s", (int)(slash - path + 1), path);
	d = opendir(other);
	while (d && (entry = readdir(d))) {
		if (strncmp(entry->d_name, slash + 1, n) || strncmp(entry->d_name + n, ".new-", 5))
			continue;
		snprintf(other, sizeof(other), "%.*s/%s", (int)(slash - path), path, entry->d_name);
		unlink(other);
	}
	if (d)
		closedir(d);
	return 0;
}

static int remove_images(struct snap_work *w, const struct graph *g, struct err *e)
{
	char path[PATH_SIZE];
	bool changed = false;

	for (size_t i = json_array_size(w->tree.images); i--;) {
		const char *text = json_string_value(json_array_get(w->tree.images, i));

		snap_absolute(w, text ? text : "", path);
		if (graph_find(g, path))
			continue;
		if (text && *path && remove_image(path, e))
			return e->code;
		json_array_remove(w->tree.images, i);
		changed = true;
	}
	return changed ? snap_save_tree(w, e) : 0;
}

static bool file_needed(const struct snapshot_tree *t, const char *file)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct snapshot *s = &t->list[i];

		if (!strcmp(s->memory, file) || (s->variables && !strcmp(s->variables, file)))
			return true;
	}
	return false;
}

/* Is it memory or variables, maybe half written by a VM that was killed: "3.state.part"? */
static bool of_snapshot(const char *file)
{
	return strstr(file, ".state") || strstr(file, ".vars");
}

static void remove_files(const struct snap_work *w)
{
	char folder[PATH_SIZE], path[PATH_SIZE + 256];
	const struct dirent *entry;
	DIR *d;

	if (vm_path(w->m, w->name, "snapshots", folder, NULL))
		return;
	d = opendir(folder);
	while (d && (entry = readdir(d))) {
		if (!of_snapshot(entry->d_name) || file_needed(&w->tree, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
}

/* An image of ours that only another image stands on merges with that one. */
static int merge_one(struct snap_work *w, const struct graph *g, bool *merged, struct err *e)
{
	*merged = false;
	for (size_t i = 0; i < g->n; i++) {
		const struct graph_node *below = &g->node[i];

		if (below->of_snapshot || below->of_disk || below->children != 1 ||
		    !is_ours(w, below->path))
			continue;
		*merged = true;
		return merge(w, g, below, e);
	}
	return 0;
}

int snap_collect(struct snap_work *w, struct err *e)
{
	struct graph g;
	bool again = true;
	int rc = 0;

	remove_files(w);
	while (again && !rc) {
		rc = graph_build(&g, w, e);
		if (!rc)
			rc = remove_images(w, &g, e);
		if (!rc)
			rc = merge_one(w, &g, &again, e);
		graph_free(&g);
	}
	return rc;
}
