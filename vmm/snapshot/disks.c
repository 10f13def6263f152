/* SPDX-License-Identifier: Apache-2.0 */
/* Overlays and merging for the disks of a running machine. */
#include "vmm/snapshot/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vmm/backend/image/chain.h"

/* ---- overlays ------------------------------------------------------------------------------- */

static int check_disk(const struct machine *m, json_int_t i, struct err *e)
{
	if (i < 0 || i >= (json_int_t)m->spec->ndisks)
		return err_set(e, -EINVAL, "disk: %lld; there are %u, from 0", (long long)i,
			       m->spec->ndisks);
	if (!m->drive[i].disk)
		return err_set(e, -EINVAL, "disk: %lld has no disc", (long long)i);
	return 0;
}

static void take_files(struct image_files *f, struct control_call *call)
{
	int fd;

	while (f->n < IMAGE_MAX_FILES && (fd = control_take_fd(call)) >= 0)
		f->fd[f->n++] = fd;
}

int overlays_read(const struct machine *m, struct overlays *o, const json_t *list,
		  struct control_call *call, struct err *e)
{
	take_files(&o->files, call);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i), *disk = json_object_get(item, "disk");
		const char *path = json_string_value(json_object_get(item, "overlay"));

		if (!path || !json_is_integer(disk))
			return err_set(e, -EINVAL,
				       "disks[%zu]: give {\"disk\": NUMBER, \"overlay\": PATH}", i);
		if (check_disk(m, json_integer_value(disk), e))
			return e->code;
		free(o->path[json_integer_value(disk)]);
		o->path[json_integer_value(disk)] = strdup(path);
	}
	return 0;
}

int overlays_open(struct machine *m, struct overlays *o, struct err *e)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (o->path[i] && disk_open_overlay(m->drive[i].disk, o->path[i], &o->files, e)) {
			overlays_drop(m, o);
			return err_prefix(e, "disk %u", i);
		}
	return 0;
}

void overlays_drop(struct machine *m, const struct overlays *o)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (o->path[i])
			disk_drop_overlay(m->drive[i].disk);
}

void overlays_switch(struct machine *m, const struct overlays *o)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (o->path[i])
			disk_switch_overlay(m->drive[i].disk);
}

void overlays_settle(struct machine *m, const struct overlays *o,
		     void (*done)(void *opaque, const struct err *e), void *opaque)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (o->path[i])
			disk_settle_below(m->drive[i].disk, done, opaque);
}

unsigned overlays_count(const struct overlays *o)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		n += o->path[i] != NULL;
	return n;
}

void overlays_forget(struct machine *m, const struct overlays *o)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		if (o->path[i] && m->drive[i].disk)
			disk_settle_forget(m->drive[i].disk);
}

void overlays_free(struct overlays *o)
{
	for (unsigned i = 0; i < SPEC_MAX_DISKS; i++)
		free(o->path[i]);
	image_files_close(&o->files);
}

/* ---- looking -------------------------------------------------------------------------------- */

static json_t *describe(const struct disk *d, struct err *e)
{
	struct image_link *links;
	unsigned n;
	json_t *o;

	if (!d)
		return json_null();
	if (disk_read_chain(d, &links, &n, e))
		return NULL;
	o = json_pack("{s:s, s:s, s:b}", "path", links[0].path, "format", links[0].format,
		      "readonly", d->readonly);
	image_free_chain(links, n);
	return o;
}

int disks_list(void *opaque, const json_t *params, struct control_call *call, json_t **result,
	       struct err *e)
{
	const struct machine *m = opaque;
	json_t *list = json_array();

	(void)params, (void)call;
	for (unsigned i = 0; i < m->spec->ndisks; i++) {
		json_t *o = describe(m->drive[i].disk, e);

		if (!o || json_array_append_new(list, o)) {
			json_decref(list);
			return e->code ? e->code : err_set(e, -ENOMEM, "out of memory");
		}
	}
	*result = list;
	return 0;
}

/* ---- merging -------------------------------------------------------------------------------- */

#define ALIVE_NS 2000000000ull /* the caller hears something at least this often */

struct merge {
	struct machine *machine;
	struct control_call *call;
	unsigned disk;
	char *note;
	struct image_files files;
	uint64_t done, total;
	struct loop_timer alive;
};

static void tell(void *opaque)
{
	struct merge *g = opaque;

	control_progress(g->call, "merging", g->done, g->total);
	loop_timer_set(g->machine->loop, &g->alive, loop_now() + ALIVE_NS);
}

static void free_merge(struct merge *g)
{
	image_files_close(&g->files);
	free(g->note);
	free(g);
}

static const char *format_of(const struct disk *d, const char *path, char out[16])
{
	struct image_link *links;
	unsigned n;

	strcpy(out, "raw");
	if (disk_read_chain(d, &links, &n, NULL))
		return out;
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(links[i].path, path) && strlen(links[i].format) < 16)
			strcpy(out, links[i].format);
	image_free_chain(links, n);
	return out;
}

/* Should this process be killed, the next start must open the image that the guest writes. */
static int write_note(void *opaque, const char *path, struct err *e)
{
	const struct merge *g = opaque;
	char format[16];
	json_t *o = json_pack("{s:i, s:s, s:s}", "disk", (int)g->disk, "path", path, "format",
			      format_of(g->machine->drive[g->disk].disk, path, format));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int rc = text ? file_replace(g->note, text, strlen(text), e)
		      : err_set(e, -ENOMEM, "out of memory");

	free(text);
	json_decref(o);
	return rc;
}

static void merge_progress(void *opaque, uint64_t done, uint64_t total)
{
	struct merge *g = opaque;

	g->done = done;
	g->total = total;
}

static void merged(void *opaque, const struct err *e)
{
	struct merge *g = opaque;

	loop_timer_cancel(g->machine->loop, &g->alive);
	g->machine->merges--;
	control_finish(g->call, NULL, e);
	free_merge(g);
}

static int start_merge(struct merge *g, const char *path, bool down, struct err *e)
{
	const struct merge_options o = {
		.path = path,
		.direction = down ? MERGE_DOWN : MERGE_UP,
		.files = &g->files,
		.switching = write_note,
		.progress = merge_progress,
		.done = merged,
		.opaque = g,
	};

	return disk_merge(g->machine->drive[g->disk].disk, &o, e);
}

int disks_merge(void *opaque, const json_t *params, struct control_call *call, json_t **result,
		struct err *e)
{
	json_int_t disk = json_integer_value(json_object_get(params, "disk"));
	struct merge *g;

	(void)result;
	if (check_disk(opaque, disk, e))
		return e->code;
	g = calloc(1, sizeof(*g));
	if (g)
		g->note = strdup(json_string_value(json_object_get(params, "note")));
	if (!g || !g->note) {
		free(g);
		return err_set(e, -ENOMEM, "out of memory");
	}
	g->machine = opaque;
	g->call = call;
	g->alive = (struct loop_timer){.fn = tell, .opaque = g};
	g->disk = (unsigned)disk;
	take_files(&g->files, call);
	if (start_merge(g, json_string_value(json_object_get(params, "path")),
			json_is_true(json_object_get(params, "down")), e)) {
		free_merge(g);
		return e->code;
	}
	g->machine->merges++;
	tell(g);
	return CONTROL_LATER;
}
