/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "manager/control_client.h"
#include "manager/manager.h"
#include "vmm/jsontext.h"

static const struct {
	const char *suffix, *format;
} suffixes[] = {
	{".vdi", "vdi"},
	{".raw", "raw"},
	{".img", "raw"},
	{".qcow2", "qcow2"},
	/* No image of another format gets such a name: these are refused. */
	{".vmdk", "vmdk"},
	{".vhd", "vhd"},
	{".vpc", "vhd"},
	{".vhdx", "vhdx"},
	{".qed", "qed"},
	{".hdd", "parallels"},
};

const char *disk_format_for(const char *path)
{
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (!strcasecmp(dot, suffixes[i].suffix))
			return suffixes[i].format;
	return "qcow2";
}

int disk_make(const char *path, struct image_create *c, struct err *e)
{
	struct image_link *links;
	const struct image_access a = {.format = c->backing_format, .alone = true};
	unsigned n;

	if (!c->backing)
		return image_create_file(path, c, e);
	if (image_read_chain(c->backing, &a, &links, &n, e))
		return err_prefix(e, "backing file %.200s", c->backing);
	if (!c->size)
		c->size = links[0].size;
	c->backing_format = links[0].format;
	image_free_chain(links, n);
	return image_create_named(path, c, e);
}

/* ---- looking -------------------------------------------------------------------------------- */

/* Why it cannot be opened for writing right now, or NULL. */
static json_t *who_uses(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct err e = {0};
	json_t *text = json_null();

	if (fd >= 0 && image_lock(fd, true, &e))
		text = json_text(e.text);
	if (fd >= 0)
		close(fd);
	return text;
}

static json_t *describe_link(const struct image_link *l)
{
	json_t *o = json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", json_text(l->path), "format",
			      l->format, "size", (json_int_t)l->size, "used", (json_int_t)l->used,
			      "cluster", (json_int_t)l->cluster);

	if (l->backing)
		json_object_set_new(o, "backing", json_text(l->backing));
	return o;
}

int disk_describe(const char *path, const char *format, json_t **out, struct err *e)
{
	struct image_access a = {.format = format, .any_backing = true};
	struct image_link *links;
	json_t *chain = json_array();
	struct err problem = {0};
	unsigned n;
	int rc = image_read_chain(path, &a, &links, &n, &problem);

	a.alone = true;
	if (rc)
		rc = image_read_chain(path, &a, &links, &n, e);
	if (rc) {
		json_decref(chain);
		return err_prefix(e, "%.200s", path);
	}
	*out = describe_link(&links[0]);
	for (unsigned i = 1; i < n; i++)
		json_array_append_new(chain, describe_link(&links[i]));
	json_object_set_new(*out, "chain", chain);
	json_object_set_new(*out, "in_use", who_uses(path));
	if (problem.code)
		json_object_set_new(*out, "problem", json_text(problem.text));
	image_free_chain(links, n);
	return 0;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

int disk_new_size(const char *path, const char *format, const char *text, uint64_t *size,
		  bool *shrinks, struct err *e)
{
	const struct image_access a = {.format = format, .alone = true};
	bool relative = *text == '+' || *text == '-';
	struct image_link *links;
	uint64_t n, old;
	unsigned count;
	int rc = num_parse_size(text + relative, MIB, &n, e);

	if (rc)
		return rc;
	rc = image_read_chain(path, &a, &links, &count, e);
	if (rc)
		return rc;
	old = links[0].size;
	image_free_chain(links, count);
	if (*text == '-' && n >= old)
		return err_set(e, -EINVAL, "%s: nothing would be left", text);
	*size = *text == '+' ? old + n : *text == '-' ? old - n : n;
	*shrinks = *size < old;
	return 0;
}

/* The file that a running VM shall let grow. */
struct growth {
	struct stat file;
	uint64_t size;
	bool found;
	int rc;
	struct err *e;
};

static bool is_file(const json_t *disk, const struct stat *file)
{
	const char *path = json_string_value(json_object_get(disk, "path"));
	struct stat st;

	return path && !stat(path, &st) && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static int grow_in(void *opaque, const struct vm_info *vm, struct err *e)
{
	struct growth *g = opaque;
	json_t *disks = NULL, *disk;
	size_t i;

	(void)e;
	control_ask(vm->control, "disks", &disks, NULL);
	json_array_foreach(disks, i, disk)
	{
		if (g->found || !is_file(disk, &g->file))
			continue;
		g->found = true;
		g->rc = control_call(
			vm->control, "disk_grow",
			json_pack("{s:I, s:I}", "disk", (json_int_t)i, "size", (json_int_t)g->size),
			NULL, g->e);
	}
	json_decref(disks);
	return 0;
}

/* -ENOENT: no running VM writes to it. */
static int grow_running(const char *path, uint64_t size, struct err *e)
{
	struct growth g = {.size = size, .e = e};
	struct manager *m;
	struct err ignored;

	if (stat(path, &g.file) || manager_open(&m, &ignored))
		return -ENOENT;
	manager_each(m, grow_in, &g, &ignored);
	manager_close(m);
	return g.found ? g.rc : -ENOENT;
}

int disk_set_size(const char *path, const char *format, uint64_t size, struct err *e)
{
	struct err running;
	int rc = image_resize(path, format, size, e);

	if (rc != -EBUSY)
		return rc;
	rc = grow_running(path, size, &running);
	if (rc != -ENOENT)
		*e = running;
	return rc == -ENOENT ? -EBUSY : rc;
}
