/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the graph of images, chain by chain. */
#include "manager/snapgraph.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/backend/image/image.h"

bool graph_lists(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *t = json_string_value(json_array_get(array, i));

		if (t && !strcmp(t, text))
			return true;
	}
	return false;
}

struct graph_node *graph_find(const struct graph *g, const char *path)
{
	char real[PATH_MAX];

	if (!realpath(path, real))
		return NULL;
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->node[i].real, real))
			return &g->node[i];
	return NULL;
}

static void free_node(struct graph_node *n)
{
	free(n->path);
	free(n->real);
	free(n->format);
}

void graph_free(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		free_node(&g->node[i]);
	free(g->node);
	memset(g, 0, sizeof(*g));
}

static int add_node(struct graph *g, const struct image *img, size_t *index, struct err *e)
{
	struct graph_node *list = realloc(g->node, (g->n + 1) * sizeof(*list));
	struct graph_node n = {.path = strdup(img->path),
			       .real = realpath(img->path, NULL),
			       .format = strdup(img->format->name),
			       .below = GRAPH_NONE,
			       .disk = -1};
	struct stat st;

	if (list)
		g->node = list;
	if (!list || !n.path || !n.real || !n.format) {
		free_node(&n);
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (!fstat(img->fd, &st))
		n.used = (uint64_t)st.st_blocks * 512;
	*index = g->n;
	list[g->n++] = n;
	return 0;
}

static void put_above(struct graph *g, size_t above, size_t below)
{
	if (above == GRAPH_NONE)
		return;
	g->node[above].below = below;
	g->node[below].children++;
	g->node[below].child = above;
}

/* The image at `path` and what is below it, until one is known already. */
static int add_image(struct graph *g, const char *path, const char *format, size_t above,
		     struct err *e)
{
	const struct image_access look = {
		.format = format, .alone = true, .unlocked = true, .any_backing = true};
	const struct graph_node *known = graph_find(g, path);
	struct image *img;
	char *below;
	size_t index = GRAPH_NONE;
	int rc;

	if (known) {
		put_above(g, above, (size_t)(known - g->node));
		return 0;
	}
	if (g->n == GRAPH_MAX)
		return err_set(e, -E2BIG, "%s: more than %d images", path, GRAPH_MAX);
	rc = image_open_file(&img, path, &look, e);
	if (rc)
		return rc;
	rc = add_node(g, img, &index, e);
	below = image_backing_path(img);
	if (!rc)
		put_above(g, above, index);
	if (!rc && below)
		rc = add_image(g, below, img->backing_format, index, e);
	free(below);
	image_close_chain(img);
	return rc;
}

static int add_chain(struct graph *g, const struct snap_work *w, const char *path,
		     const char *format, struct graph_node **top, struct err *e)
{
	char full[PATH_SIZE];

	snap_absolute(w, path, full);
	if (add_image(g, full, format, GRAPH_NONE, e))
		return e->code;
	*top = graph_find(g, full);
	return *top ? 0 : err_set(e, -ENOENT, "%s: %s", full, strerror(ENOENT));
}

static int add_snapshots(struct graph *g, const struct snap_work *w, struct err *e)
{
	for (size_t i = 0; i < w->tree.n; i++) {
		const struct snapshot *s = &w->tree.list[i];

		for (unsigned d = 0; d < s->ndisks; d++) {
			struct graph_node *top;

			if (!s->disk[d].path)
				continue;
			if (add_chain(g, w, s->disk[d].path, s->disk[d].format, &top, e))
				return err_prefix(e, "snapshot \"%s\"", s->name);
			top->of_snapshot = true;
		}
	}
	return 0;
}

static int add_disks(struct graph *g, const struct snap_work *w, struct err *e)
{
	for (unsigned i = 0; i < w->def.machine.ndisks; i++) {
		const struct spec_disk *d = &w->def.machine.disks[i];
		struct graph_node *top;

		if (!snap_is_written(d))
			continue;
		if (add_chain(g, w, d->path, d->format, &top, e))
			return err_prefix(e, "disks[%u]", i);
		top->of_disk = true;
		for (size_t n = (size_t)(top - g->node); n != GRAPH_NONE; n = g->node[n].below)
			g->node[n].disk = (int)i;
	}
	return 0;
}

int graph_build(struct graph *g, const struct snap_work *w, struct err *e)
{
	memset(g, 0, sizeof(*g));
	return add_snapshots(g, w, e) || add_disks(g, w, e) ? e->code : 0;
}
